// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// place is a record with what it belongs to.
type place struct {
	resource plog.ResourceLogs
	scope    plog.ScopeLogs
	record   plog.LogRecord
}

// state is what has become of an event of a batch.
type state uint8

const (
	// statePending: not delivered yet; when the batch ends like this, the event is tried again.
	statePending state = iota
	stateDelivered
	stateUndeliverable
	stateThrottled
	// stateSuspect: refused when it was alone, but nothing was accepted either; see judgeSuspects.
	stateSuspect
)

// event is one event of a batch: its JSON is batch.json[start:end].
type event struct {
	place
	start, end   int
	user, device identity
	state        state
	// wait is how long a throttled event has to rest.
	wait time.Duration
	// verdict is why an undeliverable or suspect event failed.
	verdict verdict
}

// batch is a set of encoded events in order, and the records that are no events.
type batch struct {
	encoder *encoder
	// maxEvent is the size from which an event cannot be sent even alone.
	maxEvent int
	json     []byte
	events   []event
	rejected []undeliverable
	records  int
}

// undeliverable is a record that cannot be delivered, and why.
type undeliverable struct {
	place
	verdict
}

// addLogs encodes all records of logs.
func (b *batch) addLogs(logs plog.Logs) {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				b.add(place{resource, scope, record})
			}
		}
	}
}

// add encodes one record.
func (b *batch) add(p place) {
	b.records++
	start := len(b.json)
	json, user, device, failed := b.encoder.encode(b.json, p.record)
	if failed.reason == 0 && len(json)-start > b.maxEvent {
		failed = verdict{reason: reasonTooLarge}
	}
	if failed.reason != 0 {
		b.rejected = append(b.rejected, undeliverable{p, failed})
		return
	}
	b.json = json
	b.events = append(b.events, event{place: p, start: start, end: len(json), user: user, device: device})
}

// reset empties the batch and lets go of the records.
func (b *batch) reset() {
	clear(b.events)
	clear(b.rejected)
	b.json, b.events, b.rejected, b.records = b.json[:0], b.events[:0], b.rejected[:0], 0
	b.encoder.lost = losses{}
	b.encoder.forget()
}

// size is the length of an event's JSON.
func (b *batch) size(i int32) int {
	return b.events[i].end - b.events[i].start
}

// collect copies records into new logs, keeping their order, resources and scopes.
func collect(places func(yield func(place) bool)) plog.Logs {
	logs := plog.NewLogs()
	var last place
	var scope plog.ScopeLogs
	for p := range places {
		if p.resource != last.resource || last == (place{}) {
			resource := logs.ResourceLogs().AppendEmpty()
			p.resource.Resource().CopyTo(resource.Resource())
			resource.SetSchemaUrl(p.resource.SchemaUrl())
			last = place{resource: p.resource}
			scope = plog.ScopeLogs{}
		}
		if p.scope != last.scope || scope == (plog.ScopeLogs{}) {
			resources := logs.ResourceLogs()
			scope = resources.At(resources.Len() - 1).ScopeLogs().AppendEmpty()
			p.scope.Scope().CopyTo(scope.Scope())
			scope.SetSchemaUrl(p.scope.SchemaUrl())
			last.scope = p.scope
		}
		p.record.CopyTo(scope.LogRecords().AppendEmpty())
	}
	return logs
}
