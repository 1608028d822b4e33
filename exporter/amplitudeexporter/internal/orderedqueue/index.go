// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/storageclient"
)

const (
	// ClientName is the name of the queue's client within the storage extension.
	ClientName = "logs"
	// indexKey is where exporterhelper's queue stores its index of requests, as protobuf.
	indexKey = "qmv0"
	// maxGap bounds the requests between the first unfinished one and the next to read; more means that the format of
	// the index is unknown.
	maxGap = 1 << 20
)

// The fields of the index: two sizes, the next request to read and the next to write, all 64 bits wide and omitted if
// 0, and the list of requests that were handed out and not finished.
const (
	fieldItems protowire.Number = iota + 1
	fieldBytes
	fieldRead
	fieldWrite
	fieldUnfinished
)

// index is what exporterhelper's queue knows about the requests on disk.
type index struct {
	fields     [fieldWrite + 1]uint64
	unfinished []uint64
}

// parseIndex returns false for anything that does not have exactly the known format.
func parseIndex(raw []byte) (q index, ok bool) {
	for len(raw) > 0 {
		field, kind, n := protowire.ConsumeTag(raw)
		if n < 0 || field < fieldItems || field > fieldUnfinished {
			return q, false
		}
		raw = raw[n:]
		switch {
		case kind == protowire.Fixed64Type:
			var value uint64
			if value, n = protowire.ConsumeFixed64(raw); n < 0 {
				return q, false
			}
			if field == fieldUnfinished {
				q.unfinished = append(q.unfinished, value)
			} else {
				q.fields[field] = value
			}
		case kind == protowire.BytesType && field == fieldUnfinished:
			var list []byte
			if list, n = protowire.ConsumeBytes(raw); n < 0 || len(list)%8 != 0 {
				return q, false
			}
			for ; len(list) > 0; list = list[8:] {
				q.unfinished = append(q.unfinished, binary.LittleEndian.Uint64(list))
			}
		default:
			return q, false
		}
		raw = raw[n:]
	}
	return q, true
}

// Stored returns how many requests wait in the queue of this client.
func Stored(ctx context.Context, client storage.Client) (int, error) {
	raw, err := client.Get(ctx, indexKey)
	if err != nil {
		return 0, err
	}
	q, ok := parseIndex(raw)
	if !ok {
		return 0, errors.New("unknown format of the queue")
	}
	return int(q.fields[fieldWrite]-q.fields[fieldRead]) + len(q.unfinished), nil
}

// rewind makes the first unfinished request the next to read. It returns nil if there is nothing to do.
func (q *index) rewind() []byte {
	if len(q.unfinished) == 0 {
		return nil
	}
	first := slices.Min(q.unfinished)
	if read := q.fields[fieldRead]; slices.Max(q.unfinished) >= read || read > q.fields[fieldWrite] || read-first > maxGap {
		return nil
	}
	q.fields[fieldRead] = first
	var raw []byte
	for field, value := range q.fields {
		if value != 0 {
			raw = protowire.AppendTag(raw, protowire.Number(field), protowire.Fixed64Type)
			raw = protowire.AppendFixed64(raw, value)
		}
	}
	return raw
}

// keepOrder runs before the queue opens its storage. The queue would move the requests that the last process had
// started behind all others, so that after a restart a user's older event would overtake a newer one and leave the user
// property wrong. Here, they stay in place: reading starts again at the first of them. Requests in between that were
// finished are gone from the storage, and an empty one replaces them. Anything unexpected is left to the queue.
func keepOrder(ctx context.Context, host component.Host, storageID, id component.ID, log *zap.Logger) {
	extension, ok := host.GetExtensions()[storageID].(storage.Extension)
	if !ok {
		return
	}
	client, err := storageclient.Open(ctx, extension, storageID, component.KindExporter, id, ClientName)
	if err != nil {
		return
	}
	defer func() { _ = client.Close(ctx) }()
	raw, err := client.Get(ctx, indexKey)
	if err != nil || len(raw) == 0 {
		return
	}
	found, ok := parseIndex(raw)
	if !ok {
		log.Warn("The queue on disk has an unknown format: events that were being sent may now arrive after later ones")
		return
	}
	unfinished := len(found.unfinished)
	rewound := found.rewind()
	if rewound == nil {
		return
	}
	if err := client.Set(ctx, indexKey, rewound); err != nil {
		log.Warn("Failed to keep the order of the queue on disk", zap.Error(err))
		return
	}
	log.Info("Resending interrupted requests in order", zap.Int("requests", unfinished))
}
