// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package records // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"

import (
	"iter"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Earliest returns the earliest of some times in nanoseconds since 1970, ignoring 0, which means unknown.
func Earliest(times iter.Seq[int64]) (first int64) {
	for at := range times {
		if at != 0 && (first == 0 || at < first) {
			first = at
		}
	}
	return first
}

// ArrivedAt converts a time as stored here.
func ArrivedAt(at int64) time.Time { return time.Unix(0, at) }

// fieldArrival is far from the fields of logs in OTLP, whose readers skip it.
const fieldArrival protowire.Number = 21500

// AppendArrival appends the arrival time to logs in protobuf.
func AppendArrival(raw []byte, at int64) []byte {
	raw = protowire.AppendTag(raw, fieldArrival, protowire.Fixed64Type)
	return protowire.AppendFixed64(raw, uint64(at))
}

// ReadArrival returns the time that AppendArrival appended, or 0.
func ReadArrival(raw []byte) int64 {
	for len(raw) > 0 {
		field, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return 0
		}
		raw = raw[n:]
		if field == fieldArrival && kind == protowire.Fixed64Type {
			at, n := protowire.ConsumeFixed64(raw)
			if n < 0 {
				return 0
			}
			return int64(at)
		}
		if n = protowire.ConsumeFieldValue(field, kind, raw); n < 0 {
			return 0
		}
		raw = raw[n:]
	}
	return 0
}
