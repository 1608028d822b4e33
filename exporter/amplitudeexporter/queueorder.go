// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"encoding/binary"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

const (
	// queueStoreName is the name of the queue's client within the storage extension.
	queueStoreName = "logs"
	// queueIndexKey is where exporterhelper's queue keeps which requests it has, as protobuf.
	queueIndexKey = "qmv0"
	// maxQueueGap bounds the requests between the first unfinished one and the next to read; more means
	// that the index is not understood.
	maxQueueGap = 1 << 20
)

// The fields of the index: two sizes, the next request to read, the next to write, all 64 bits wide
// and left out when 0, and the list of those that were handed out and not finished.
const (
	fieldItems = iota + 1
	fieldBytes
	fieldRead
	fieldWrite
	fieldUnfinished
)

// Wire types of protobuf.
const (
	wireFixed64 = 1
	wireBytes   = 2
)

// queueIndex is what exporterhelper's queue knows about the requests on disk.
type queueIndex struct {
	fields     [fieldWrite + 1]uint64
	unfinished []uint64
}

// parseQueueIndex returns false for anything that is not exactly as known.
func parseQueueIndex(raw []byte) (q queueIndex, ok bool) {
	for len(raw) > 0 {
		field, wire := raw[0]>>3, raw[0]&7
		raw = raw[1:]
		switch {
		case wire == wireFixed64 && field >= fieldItems && field <= fieldUnfinished && len(raw) >= 8:
			value := binary.LittleEndian.Uint64(raw)
			raw = raw[8:]
			if field == fieldUnfinished {
				q.unfinished = append(q.unfinished, value)
			} else {
				q.fields[field] = value
			}
		case wire == wireBytes && field == fieldUnfinished:
			length, n := binary.Uvarint(raw)
			if n <= 0 || length%8 != 0 || length > uint64(len(raw)-n) {
				return q, false
			}
			for list := raw[n : n+int(length)]; len(list) > 0; list = list[8:] {
				q.unfinished = append(q.unfinished, binary.LittleEndian.Uint64(list))
			}
			raw = raw[n+int(length):]
		default:
			return q, false
		}
	}
	return q, true
}

// rewind makes the first unfinished request the next to read. It returns nil when there is nothing to do.
func (q *queueIndex) rewind() []byte {
	if len(q.unfinished) == 0 {
		return nil
	}
	first := slices.Min(q.unfinished)
	if read := q.fields[fieldRead]; slices.Max(q.unfinished) >= read || read > q.fields[fieldWrite] || read-first > maxQueueGap {
		return nil
	}
	q.fields[fieldRead] = first
	var raw []byte
	for field, value := range q.fields {
		if value != 0 {
			raw = append(raw, byte(field<<3|wireFixed64))
			raw = binary.LittleEndian.AppendUint64(raw, value)
		}
	}
	return raw
}

// keepQueueOrder runs before the queue opens its storage. The queue would move the requests that the
// last run had begun behind all others, so that after a restart a user's older event overtakes a newer
// one and the user property ends wrong. Here they stay where they are: reading begins at the first of
// them again. Requests in between that were finished are gone from the storage, and an empty one takes
// their records.Ref. Whatever is not as expected is left to the queue.
func (x *amplitudeExporter) keepQueueOrder(ctx context.Context, host component.Host) {
	queue := x.cfg.QueueConfig.Get()
	if queue == nil || queue.StorageID == nil {
		return
	}
	extension, ok := host.GetExtensions()[*queue.StorageID].(storage.Extension)
	if !ok {
		return
	}
	client, err := extension.GetClient(ctx, component.KindExporter, x.set.ID, queueStoreName)
	if err != nil {
		return
	}
	defer func() { _ = client.Close(ctx) }()
	raw, err := client.Get(ctx, queueIndexKey)
	if err != nil || len(raw) == 0 {
		return
	}
	index, ok := parseQueueIndex(raw)
	if !ok {
		x.log.Warn("The queue on disk has an unknown format: events that were being sent may now come after later ones")
		return
	}
	unfinished := len(index.unfinished)
	rewound := index.rewind()
	if rewound == nil {
		return
	}
	if err := client.Set(ctx, queueIndexKey, rewound); err != nil {
		x.log.Warn("Failed to keep the order of the queue on disk", zap.Error(err))
		return
	}
	x.log.Info("Requests that were being sent are sent again, in their order", zap.Int("requests", unfinished))
}
