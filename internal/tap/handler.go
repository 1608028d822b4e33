// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Rhythm of the stream.
const (
	streamPause     = 100 * time.Millisecond // between two batches, so that nobody is flooded
	streamCounts    = 500 * time.Millisecond // between two counts
	streamHeartbeat = 15 * time.Second
	streamDeadline  = 30 * time.Second // for one write; a reader that takes nothing for so long is let go
)

// Settings are what a Handler tells.
type Settings struct {
	// MaxPerSecond bounds the records that a watcher is told of.
	MaxPerSecond int
	// ShowIDs tells ids as they are.
	ShowIDs bool
	// Logger is told of each watcher, when it begins and when it ends.
	Logger *zap.Logger
}

// Handler serves those who watch, as server-sent events: "records" with decisions and how many were left out, and
// "counts". The query filters: outcome, reason (lists with commas), service, flag, user; per_second lowers the bound, and
// detail=text or detail=json adds the whole explanation of each record.
type Handler struct {
	set      Settings
	watchers atomic.Int64
	closed   context.Context
	stop     context.CancelFunc
}

// NewHandler returns a handler, to be closed.
func NewHandler(set Settings) *Handler {
	h := &Handler{set: set}
	h.closed, h.stop = context.WithCancel(context.Background())
	return h
}

// Close ends all streams.
func (h *Handler) Close() { h.stop() }

// Watchers is how many watch through this Handler.
func (h *Handler) Watchers() int64 { return h.watchers.Load() }

// Counts are how many records the processors have seen, by outcome.
func (h *Handler) Counts() map[string]uint64 { return Totals().Records }

// ServeHTTP streams until the reader or the Handler ends it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for name := range query {
		if !slices.Contains([]string{"outcome", "reason", "service", "flag", "user", "per_second", "detail"}, name) {
			problem(w, http.StatusBadRequest, "there is no parameter "+strconv.Quote(name)+": there are outcome, reason, service, flag, user, per_second and detail")
			return
		}
	}
	perSecond := h.set.MaxPerSecond
	if text := query.Get("per_second"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			problem(w, http.StatusBadRequest, "per_second must be a whole number from 1 on (got "+strconv.Quote(text)+")")
			return
		}
		perSecond = min(perSecond, n)
	}
	filter := filterOf(query)
	watcher, err := Watch(filter, perSecond)
	if err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer watcher.Close()
	h.watchers.Add(1)
	defer h.watchers.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	s := &stream{handler: h, watcher: watcher, out: http.NewResponseController(w), w: w, detail: query.Get("detail")}
	log := h.set.Logger.With(zap.String("from", r.RemoteAddr), zap.String("filter", filter.String()))
	log.Info("Somebody watches what becomes of records", zap.Bool("ids_shown", h.set.ShowIDs), zap.Int("records_per_second", perSecond))
	began := time.Now()
	defer func() {
		log.Info("Somebody stopped watching what becomes of records", zap.Uint64("records", s.records), zap.Duration("after", time.Since(began).Round(time.Second)))
	}()
	s.run(r.Context())
}

func problem(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoded, _ := json.Marshal(map[string]string{"error": text}) // of texts, which always can be
	_, _ = w.Write(append(encoded, '\n'))
}

// stream is one reader.
type stream struct {
	handler *Handler
	watcher *Watcher
	w       http.ResponseWriter
	out     *http.ResponseController
	detail  string
	// records is how many it was told of, and newest the number of the last.
	records, newest uint64
	counts          Counts
	began           bool
}

func (s *stream) run(ctx context.Context) {
	heartbeat, counts := time.NewTicker(streamHeartbeat), time.NewTicker(streamCounts)
	defer heartbeat.Stop()
	defer counts.Stop()
	if !s.writeCounts() {
		return
	}
	for {
		alive := true
		select {
		case <-s.watcher.Wake():
			alive = s.writeRecords() && s.pause(ctx)
		case <-counts.C:
			alive = s.writeCounts()
		case <-heartbeat.C:
			alive = s.write([]byte(": still here\n\n"))
		case <-ctx.Done():
			return
		case <-s.handler.closed.Done():
			return
		}
		if !alive {
			return
		}
	}
}

func (s *stream) pause(ctx context.Context) bool {
	select {
	case <-time.After(streamPause):
		return true
	case <-ctx.Done():
		return false
	case <-s.handler.closed.Done():
		return false
	}
}

// batchShown is the data of "records".
type batchShown struct {
	// Missed counts the records that match and are not told.
	Missed  uint64  `json:"missed"`
	Records []Shown `json:"records"`
}

func (s *stream) writeRecords() bool {
	decisions, missed := s.watcher.Read()
	data := batchShown{Missed: missed, Records: make([]Shown, len(decisions))}
	for i := range decisions {
		data.Records[i] = show(&decisions[i], s.handler.set.ShowIDs, s.detail)
		if seq := decisions[i].Seq; seq > s.newest {
			s.newest = seq
			s.records++
		}
	}
	return s.event("records", data)
}

// writeCounts writes the counts if they have changed, and what was missed meanwhile.
func (s *stream) writeCounts() bool {
	now := Totals()
	if s.began && maps.Equal(now.Records, s.counts.Records) {
		return true
	}
	s.counts, s.began = now, true
	return s.event("counts", now)
}

func (s *stream) event(name string, data any) bool {
	encoded, err := json.Marshal(data)
	if err != nil {
		return false // nothing in it can be wrong
	}
	return s.write(append(append([]byte("event: "+name+"\ndata: "), encoded...), "\n\n"...))
}

func (s *stream) write(text []byte) bool {
	_ = s.out.SetWriteDeadline(time.Now().Add(streamDeadline))
	if _, err := s.w.Write(text); err != nil {
		return false
	}
	return s.out.Flush() == nil
}
