// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"strconv"
	"time"
)

// warningsKept bounds the warnings kept.
const warningsKept = 5000

// warning is something that Amplitude silently accepts although it is probably a mistake.
type warning struct {
	At      int64  `json:"at"` // ms
	Request uint64 `json:"request"`
	Seq     uint64 `json:"seq,omitempty"`
	Level   string `json:"level"`
	Text    string `json:"warning"`
}

func (w warning) size() int64 { return int64(len(w.Text)) + 48 }

// eventTypesCounted bounds the event types counted by name; the rest is counted as otherTypes.
const (
	eventTypesCounted = 2000
	otherTypes        = "(other)"
)

// stats counts since the start or the last reset.
type stats struct {
	since     time.Time
	verdicts  map[Verdict]int
	types     map[string]int // stored events
	status    map[string]int
	endpoints map[string]*EndpointStats
	requests  int
	events    int
	warnings  int
	unsorted  int            // events older than the newest of their user
	foreign   map[string]int // requests refused because of the page that sent them, by origin
}

// originsCounted bounds the origins counted by name; the rest is counted as otherTypes.
const originsCounted = 20

// pathsCounted bounds the paths counted by name; the rest is counted as otherTypes.
const pathsCounted = 50

// EndpointStats counts the requests to one path.
type EndpointStats struct {
	Requests          int            `json:"requests"`
	BytesWire         int64          `json:"bytes_wire"`
	BytesDecompressed int64          `json:"bytes_decompressed"`
	Events            int            `json:"events"`
	Status            map[string]int `json:"status"`
	MaxConcurrency    int            `json:"max_concurrency_per_device"`
}

func newStats(now time.Time) stats {
	return stats{
		since: now, verdicts: map[Verdict]int{}, types: map[string]int{}, status: map[string]int{},
		endpoints: map[string]*EndpointStats{}, foreign: map[string]int{},
	}
}

func (s *stats) entry(e *entry) {
	s.verdicts[e.verdict]++
	if e.verdict != Stored {
		return
	}
	name := e.eventType
	if _, known := s.types[name]; !known && len(s.types) >= eventTypesCounted {
		name = otherTypes
	}
	s.types[name]++
}

func (s *stats) endpoint(path string) *EndpointStats {
	if s.endpoints[path] == nil && len(s.endpoints) >= pathsCounted {
		path = otherTypes
	}
	e := s.endpoints[path]
	if e == nil {
		e = &EndpointStats{Status: map[string]int{}}
		s.endpoints[path] = e
	}
	return e
}

func (s *stats) request(q *request) {
	s.requests++
	s.events += q.events
	status := strconv.Itoa(q.status)
	if q.status == 0 {
		status = "none" // the connection was closed without an answer
	}
	s.status[status]++
	e := s.endpoint(q.path)
	e.Requests++
	e.BytesWire += q.wireBytes
	e.BytesDecompressed += int64(q.bodyBytes)
	e.Events += q.events
	e.Status[status]++
}

// refuseForeign counts a request from another site. It is not added to the request log, so that a page cannot push out
// other requests.
func (s *store) refuseForeign(f *foreign) {
	const longest = 200
	s.mu.Lock()
	defer s.mu.Unlock()
	name := f.from[:min(len(f.from), longest)]
	if _, known := s.stats.foreign[name]; !known && len(s.stats.foreign) >= originsCounted {
		name = otherTypes
	}
	s.stats.foreign[name]++
	s.notify()
}
