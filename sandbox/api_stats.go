// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"maps"
)

// Overview is the answer of /_sandbox/stats: the counts since the start or the last reset.
type Overview struct {
	Since                int64                     `json:"since"` // ms
	Now                  int64                     `json:"now"`   // ms
	Epoch                uint64                    `json:"epoch"` // counts resets
	LastSeq              uint64                    `json:"last_seq"`
	Requests             int                       `json:"requests"`
	ByStatus             map[string]int            `json:"by_status"`
	ByEndpoint           map[string]*EndpointStats `json:"by_endpoint"`
	Events               int                       `json:"events"` // received, regardless of their verdict
	Verdicts             map[Verdict]int           `json:"verdicts"`
	EventsStored         int                       `json:"events_stored"`
	Duplicates           int                       `json:"duplicates"`
	Invalid              int                       `json:"invalid"`
	Throttled            int                       `json:"throttled"`
	Identifies           int                       `json:"identifies"`
	EventsByType         map[string]int            `json:"events_by_type"`
	Users                int                       `json:"users"`
	UsersForgotten       int                       `json:"users_forgotten"`
	EventsKept           int                       `json:"events_kept"`
	EventsForgotten      uint64                    `json:"events_forgotten"`
	InsertIDsForgotten   int                       `json:"insert_ids_forgotten"`
	ExperimentProperties int                       `json:"experiment_properties"`
	Warnings             int                       `json:"warnings"`
	Unsorted             int                       `json:"unsorted"` // events older than the newest of their user
	Faults               int                       `json:"faults"`
	Foreign              map[string]int            `json:"foreign"` // requests of other sites' pages that were refused, by origin
	// Records are those of the Collector in the same process, by outcome; nil without one.
	Records map[string]uint64 `json:"records"`
}

// overview returns the counts since the start or the last reset.
func (s *store) overview() Overview {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := Overview{
		Since: s.stats.since.UnixMilli(), Now: s.clock.now().UnixMilli(), Epoch: s.epoch, LastSeq: s.seq,
		Requests: s.stats.requests, ByStatus: maps.Clone(s.stats.status), ByEndpoint: map[string]*EndpointStats{},
		Events: s.stats.events, Verdicts: maps.Clone(s.stats.verdicts), EventsStored: s.stats.verdicts[Stored],
		Duplicates: s.stats.verdicts[Duplicate], Invalid: s.stats.verdicts[Invalid], Throttled: s.stats.verdicts[Throttled],
		Identifies: s.stats.verdicts[Identify], EventsByType: maps.Clone(s.stats.types),
		EventsKept: s.events.n, EventsForgotten: s.events.gone, Warnings: s.stats.warnings, Unsorted: s.stats.unsorted, Faults: len(s.script.faults),
		Foreign: maps.Clone(s.stats.foreign), Records: s.recordCounts(),
	}
	for path, e := range s.stats.endpoints {
		copied := *e
		copied.Status = maps.Clone(e.Status)
		o.ByEndpoint[path] = &copied
	}
	for _, p := range s.order {
		o.Users += len(p.identities.byID)
		o.UsersForgotten += p.identities.evicted
		o.InsertIDsForgotten += p.dedupe.forgotten
		o.ExperimentProperties += len(p.flags.propertied)
	}
	return o
}
