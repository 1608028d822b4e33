// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/storageclient"
)

const (
	// Names of clients within the storage extension: for the slow lane, and for the dead letters that wait for room in
	// their file; the sending queue's is "logs".
	slowStoreName   = "slow_lane"
	letterStoreName = "dead_letters"
	// slowRangeKey holds the numbers of the first chunk and of the one after the last, eight bytes each.
	slowRangeKey = "range"
	// slowChunkEvents is the maximum number of events written under one key.
	slowChunkEvents = 1000
	// slowReadBatch is the number of keys read at once.
	slowReadBatch = 256
)

// slowChunk is a run of events that were stored together, as OTLP, under a number.
type slowChunk struct {
	number uint64
	// live is the number of its events that still wait.
	live int
	// arrived is the arrival time of the earliest of them.
	arrived int64
	// logs is set only between reading a chunk and restoring it.
	logs plog.Logs
}

// slowStore keeps chunks of events, from the slow lane or of dead letters, in a storage extension. Numbers only grow,
// so their order is that of the events. Calls must not overlap.
type slowStore struct {
	client  storage.Client
	marshal plog.ProtoMarshaler
	// first is the lowest number that may exist, next the one to give out.
	first, next uint64
	chunks      map[uint64]*slowChunk
}

// openSlowStore opens a named client of the storage and returns what an earlier process left there, in order. It
// reports each chunk that cannot be read.
func openSlowStore(ctx context.Context, host component.Host, id, storageID component.ID, name string, unreadable func(number uint64, err error)) (*slowStore, []*slowChunk, error) {
	extension, err := storageclient.Find(host, storageID)
	if err != nil {
		return nil, nil, fmt.Errorf("sending_queue::storage: %w", err)
	}
	client, err := storageclient.Open(ctx, extension, storageID, component.KindExporter, id, name)
	if err != nil {
		return nil, nil, err
	}
	s := &slowStore{client: client, chunks: map[uint64]*slowChunk{}}
	chunks, err := s.load(ctx, unreadable)
	if err != nil {
		_ = client.Close(ctx)
		return nil, nil, fmt.Errorf("failed to read %q from storage %q: %w", name, storageID, err)
	}
	return s, chunks, nil
}

func (s *slowStore) load(ctx context.Context, unreadable func(number uint64, err error)) ([]*slowChunk, error) {
	raw, err := s.client.Get(ctx, slowRangeKey)
	if err != nil {
		return nil, err
	}
	switch len(raw) {
	case 0:
	case 16:
		s.first, s.next = binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])
	default:
		return nil, fmt.Errorf("the key %q holds %d bytes instead of 16: the storage is damaged; move it away to start without what is in it", slowRangeKey, len(raw))
	}
	var chunks []*slowChunk
	var unmarshal plog.ProtoUnmarshaler
	for from := s.first; from < s.next; from += slowReadBatch {
		var gets []*storage.Operation
		for number := from; number < min(from+slowReadBatch, s.next); number++ {
			gets = append(gets, storage.GetOperation(chunkKey(number)))
		}
		if err := s.client.Batch(ctx, gets...); err != nil {
			return nil, err
		}
		for i, get := range gets {
			if get.Value == nil {
				continue
			}
			number := from + uint64(i)
			logs, err := unmarshal.UnmarshalLogs(get.Value)
			if err != nil {
				unreadable(number, err)
				continue
			}
			c := &slowChunk{number: number, logs: logs, live: logs.LogRecordCount(), arrived: records.ReadArrival(get.Value)}
			s.chunks[number] = c
			chunks = append(chunks, c)
		}
	}
	return chunks, nil
}

// slowStored returns how many chunks wait in the slow lane of this client.
func slowStored(ctx context.Context, client storage.Client) (int, error) {
	raw, err := client.Get(ctx, slowRangeKey)
	if err != nil || len(raw) != 16 {
		return 0, err
	}
	return int(binary.BigEndian.Uint64(raw[8:]) - binary.BigEndian.Uint64(raw)), nil
}

func chunkKey(number uint64) string {
	return "chunk/" + strconv.FormatUint(number, 10)
}

func (s *slowStore) rangeOperation() *storage.Operation {
	raw := binary.BigEndian.AppendUint64(nil, s.first)
	return storage.SetOperation(slowRangeKey, binary.BigEndian.AppendUint64(raw, s.next))
}

// put stores a new chunk after all others.
func (s *slowStore) put(ctx context.Context, c *slowChunk, logs plog.Logs) error {
	value, err := s.marshal.MarshalLogs(logs)
	if err != nil {
		return err
	}
	c.number = s.next
	s.next++
	if err := s.client.Batch(ctx, storage.SetOperation(chunkKey(c.number), records.AppendArrival(value, c.arrived)), s.rangeOperation()); err != nil {
		s.next--
		return fmt.Errorf("failed to store events: %w", err)
	}
	s.chunks[c.number] = c
	return nil
}

// shrink stores what is left of a chunk, or removes it if nothing is.
func (s *slowStore) shrink(ctx context.Context, c *slowChunk, left func(yield func(records.Ref) bool)) error {
	if c.live > 0 {
		value, err := s.marshal.MarshalLogs(records.Collect(left))
		if err != nil {
			return err
		}
		return s.client.Set(ctx, chunkKey(c.number), records.AppendArrival(value, c.arrived))
	}
	delete(s.chunks, c.number)
	for s.first < s.next && s.chunks[s.first] == nil {
		s.first++
	}
	return s.client.Batch(ctx, storage.DeleteOperation(chunkKey(c.number)), s.rangeOperation())
}

func (s *slowStore) close(ctx context.Context) error {
	return s.client.Close(ctx)
}
