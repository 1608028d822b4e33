// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

const (
	// minTarget is the smallest byte target: if a server accepts even less, the cause is not Amplitude's limit.
	minTarget = 16 << 10
	// targetGrowth is the fraction of the target by which a successful, nearly full request raises it again.
	targetGrowth = 256
)

// envelope is what surrounds the events of a request, and how much fits into it.
type envelope struct {
	head, tail string
	limits     limits
	// target is the number of bytes that a body may have; it is lowered when the server finds one too large.
	target atomic.Int64
}

func newEnvelope(cfg *Config) *envelope {
	e := &envelope{limits: cfg.limits()}
	head := event.AppendString([]byte(`{"api_key":`), string(cfg.APIKey))
	if cfg.MinIDLength != amplitude.DefaultMinIDLength {
		head = append(head, `,"options":{"min_id_length":`...)
		head = strconv.AppendInt(head, int64(cfg.MinIDLength), 10)
		head = append(head, '}')
	}
	e.head = string(append(head, `,"events":[`...))
	e.tail = `]}`
	if eps := cfg.RateLimit.EventsPerSecond; eps > 0 {
		// A request passes the limiter as a whole, so it must fit into the allowance of one second.
		e.limits.events = min(e.limits.events, burst(eps))
	}
	e.target.Store(int64(e.limits.bytes))
	return e
}

// overhead returns the number of bytes of a body that are not events.
func (e *envelope) overhead() int {
	return len(e.head) + len(e.tail)
}

// maxEvent returns the size of the largest event that can be sent.
func (e *envelope) maxEvent() int {
	return e.limits.bytes - e.overhead()
}

// take returns how many of the events fit into one request: at least one, if there is one.
func (e *envelope) take(b *batch, indexes []int32) int {
	room := int(e.target.Load()) - e.overhead()
	for n, i := range indexes {
		room -= b.size(i) + 1
		if n > 0 && (room < -1 || n >= e.limits.events) { // the last event has no comma
			return n
		}
	}
	return len(indexes)
}

// lanes returns the best number of lanes for a batch: as many as it needs requests. What fits into one request gets
// one, because a request costs both sides more than a hundred events do.
func (e *envelope) lanes(b *batch) int {
	room := max(1, int(e.target.Load())-e.overhead())
	size := b.bytes + len(b.events) - 1 // a comma between events
	if size <= room && len(b.events) <= e.limits.events {
		return 1
	}
	// Lanes are not equally full: an eighth of spare room keeps most from needing a second, small request.
	return max(2, 1+8*size/(7*room), 1+(len(b.events)-1)/e.limits.events)
}

// build appends the body of a request with these events.
func (e *envelope) build(dst []byte, b *batch, indexes []int32) []byte {
	size := len(e.head) + len(e.tail) + len(indexes)
	for _, i := range indexes {
		size += b.size(i)
	}
	dst = append(slices.Grow(dst, size), e.head...)
	for n, i := range indexes {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, b.events[i].json...)
	}
	return append(dst, e.tail...)
}

// tooLarge lowers the target after a body of this size was refused as too large.
func (e *envelope) tooLarge(size int) {
	lower := max(int64(size)/2, minTarget)
	for {
		current := e.target.Load()
		if lower >= current || e.target.CompareAndSwap(current, lower) {
			return
		}
	}
}

// accepted slowly raises a lowered target after a body of this size was accepted.
func (e *envelope) accepted(size int) {
	current := e.target.Load()
	if current == int64(e.limits.bytes) || int64(size) < current/4*3 {
		return
	}
	e.target.CompareAndSwap(current, min(current+current/targetGrowth, int64(e.limits.bytes)))
}
