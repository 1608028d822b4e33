// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"net/http"
	"slices"
	"time"
)

// Rhythm of the stream.
const (
	streamPause     = 100 * time.Millisecond // between two batches, so that a busy sandbox does not flood its readers
	streamStats     = 500 * time.Millisecond // between two counts
	streamHeartbeat = 15 * time.Second
	streamDeadline  = 30 * time.Second // for one write; a reader that accepts nothing for this long is disconnected
	streamBatch     = 200              // events per batch; a reader that is further behind learns how many it missed
	streamBytes     = 1 << 20          // the same in bytes, except for a single event
)

// streamAPI reports what happens as it happens, to the page and to waiting tests.
type streamAPI struct{ *store }

func (s *streamAPI) routes() routes {
	return routes{
		"GET /_sandbox/stream": s.watched(s.getStream),
		"GET /_sandbox/await":  s.watched(s.getAwait),
	}
}

// getStream sends server-sent events: "events", "stats", "reset". Nothing is queued for a reader: it has a cursor, and
// a slow one skips to the newest events.
func (s *streamAPI) getStream(w http.ResponseWriter, r *http.Request) {
	f, err := queryFilter(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	st := &stream{store: s.store, out: http.NewResponseController(w), w: w, filter: f, cursor: f.after}
	if r.URL.Query().Get("backfill") == "false" {
		st.cursor = s.overview().LastSeq
	}
	st.countsOnly = r.URL.Query().Get("events") == "false"
	f.after = 0
	heartbeat := time.NewTicker(streamHeartbeat)
	defer heartbeat.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if !st.send() {
			return
		}
		select {
		case <-changed:
		case <-heartbeat.C:
			if !st.write([]byte(": still here\n\n")) {
				return
			}
			continue
		case <-st.wake():
		case <-r.Context().Done():
			return
		case <-s.closed.Done():
			return
		}
		select {
		case <-time.After(streamPause):
		case <-r.Context().Done():
			return
		case <-s.closed.Done():
			return
		}
	}
}

// stream is one reader.
type stream struct {
	store   *store
	w       http.ResponseWriter
	out     *http.ResponseController
	filter  *filter
	cursor  uint64 // the newest seq that was looked at
	epoch   uint64
	began   bool
	counted time.Time // of the last counts
	late    bool      // counts are due
	mounted bool      // counts of records come, too

	countsOnly bool // the reader wants no events
}

// wake ends a wait when counts are due even if nothing else happens: a Collector's records do not notify the store.
func (st *stream) wake() <-chan time.Time {
	if !st.late && !st.mounted {
		return nil
	}
	return time.After(streamStats)
}

// batch is the data of "events".
type batch struct {
	events []*entry
	missed int // matching events between the last batch and this one that are not sent
}

// next returns what matches and came after the cursor, and moves the cursor.
func (st *stream) next() batch {
	s := st.store
	s.mu.Lock()
	news := s.newer(st.cursor)
	st.cursor = s.seq
	s.mu.Unlock()
	var b batch
	var bytes int64
	for _, e := range slices.Backward(news) {
		if !st.filter.matches(e) {
			continue
		}
		bytes += e.size()
		if len(b.events) < streamBatch && (bytes <= streamBytes || len(b.events) == 0) {
			b.events = append(b.events, e)
		} else {
			b.missed++
		}
	}
	return b
}

// send writes what is new; false when the reader is gone.
func (st *stream) send() bool {
	s := st.store
	s.mu.Lock()
	epoch := s.epoch
	s.mu.Unlock()
	if st.began && epoch != st.epoch {
		st.cursor = 0
		if !st.write([]byte("event: reset\ndata: {}\n\n")) {
			return false
		}
	}
	first := !st.began
	st.began, st.epoch = true, epoch
	if !st.countsOnly {
		if b := st.next(); len(b.events) > 0 || first {
			if !st.write(b.encode()) {
				return false
			}
		}
	}
	if time.Since(st.counted) < streamStats && !first {
		st.late = true
		return true
	}
	counts := s.overview()
	st.counted, st.late, st.mounted = time.Now(), false, counts.Records != nil
	return st.write(append(append([]byte("event: stats\ndata: "), encode(counts)...), "\n\n"...))
}

// encode writes the batch oldest first.
func (b *batch) encode() []byte {
	out := append([]byte("event: events\ndata: {\"missed\":"), encode(b.missed)...)
	out = append(out, `,"events":[`...)
	for i := len(b.events) - 1; i >= 0; i-- {
		out = b.events[i].appendLine(out)
		if i > 0 {
			out = append(out, ',')
		}
	}
	return append(out, "]}\n\n"...)
}

func (st *stream) write(text []byte) bool {
	_ = st.out.SetWriteDeadline(time.Now().Add(streamDeadline))
	if _, err := st.w.Write(text); err != nil {
		return false
	}
	return st.out.Flush() == nil
}
