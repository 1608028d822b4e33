// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package records // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"

import (
	"iter"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/protobuf/encoding/protowire"
)

// Arrivals are when the records of logs came, in their order, as runs of the same time.
type Arrivals []Arrival

// Arrival is a run of records that came at once, at a time in nanoseconds since 1970; 0 if nobody knows it.
type Arrival struct {
	Records int
	At      int64
}

// Add appends records that came at a time.
func (a *Arrivals) Add(records int, at int64) {
	if n := len(*a); n > 0 && (*a)[n-1].At == at {
		(*a)[n-1].Records += records
		return
	}
	*a = append(*a, Arrival{Records: records, At: at})
}

// First is the earliest known time, 0 if there is none.
func (a Arrivals) First() (first int64) {
	for _, run := range a {
		if run.At != 0 && (first == 0 || run.At < first) {
			first = run.At
		}
	}
	return first
}

// All yields each record of logs with the time at which it came, in order.
func (a Arrivals) All(logs plog.Logs) iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		var run Arrival
		for ref := range All(logs) {
			for run.Records == 0 && len(a) > 0 {
				run, a = a[0], a[1:]
			}
			ref.Arrived = run.At
			run.Records--
			if !yield(ref) {
				return
			}
		}
	}
}

// ArrivalsOf are those of records.
func ArrivalsOf(refs iter.Seq[Ref]) (a Arrivals) {
	for ref := range refs {
		a.Add(1, ref.Arrived)
	}
	return a
}

// ArrivedAt reads a time as it is kept here.
func ArrivedAt(at int64) time.Time { return time.Unix(0, at) }

// fieldArrival is far from the fields that OTLP has in logs, whose readers pass over it.
const fieldArrival protowire.Number = 21500

// AppendArrival appends the time at which they came to logs in protobuf.
func AppendArrival(raw []byte, at int64) []byte {
	raw = protowire.AppendTag(raw, fieldArrival, protowire.Fixed64Type)
	return protowire.AppendFixed64(raw, uint64(at))
}

// ReadArrival returns the time that AppendArrival appended, 0 if it did not.
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
