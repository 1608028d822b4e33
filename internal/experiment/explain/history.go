// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package explain // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"

// Result is a result that the event of a record reported for a subject.
type Result struct {
	Subject [16]byte
	Result  uint64
	Window  int32
	// Late: it was older than the newest of its subject.
	Late bool

	record int
}

// History is what the explained records sent, in order. It decides nothing and only provides the record numbers for
// explanations. A nil History is empty.
type History struct {
	results   map[[16]byte][]Result
	insertIDs map[string]int
}

// NewHistory returns an empty history, which grows with every event sent.
func NewHistory() *History {
	return &History{results: map[[16]byte][]Result{}, insertIDs: map[string]int{}}
}

// Same returns the record that sent exactly this result, or 0.
func (h *History) Same(r *Result) int {
	if h == nil {
		return 0
	}
	for _, one := range h.results[r.Subject] {
		if one.Result == r.Result && one.Window == r.Window {
			return one.record
		}
	}
	return 0
}

// Last returns the last record of the subject that was not late, whether it had the same result, and whether it was in
// the same window; 0 if there is none.
func (h *History) Last(r *Result) (record int, sameResult, sameWindow bool) {
	if h == nil {
		return 0, false, false
	}
	list := h.results[r.Subject]
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].Late {
			return list[i].record, list[i].Result == r.Result, list[i].Window == r.Window
		}
	}
	return 0, false, false
}

// Sent notes what a record sent.
func (h *History) Sent(record int, r Result) {
	if h != nil {
		r.record = record
		h.results[r.Subject] = append(h.results[r.Subject], r)
	}
}

// SentAs notes the insert_id of what a record sent, and returns the record that was sent with it before, or 0.
func (h *History) SentAs(record int, insertID string) (before int) {
	if h == nil {
		return 0
	}
	if before = h.insertIDs[insertID]; before == 0 {
		h.insertIDs[insertID] = record
	}
	return before
}
