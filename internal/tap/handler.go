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
	streamPause     = 100 * time.Millisecond // between two batches, so that clients are not flooded
	streamCounts    = 500 * time.Millisecond // between two counts
	streamHeartbeat = 15 * time.Second
	streamDeadline  = 30 * time.Second // for one write; a reader that accepts nothing for this long is disconnected
)

// Settings configure a Handler.
type Settings struct {
	// MaxPerSecond bounds the records that a watcher receives.
	MaxPerSecond int
	// ShowIDs shows ids instead of masking them.
	ShowIDs bool
	// Logger logs the start and end of each watcher.
	Logger *zap.Logger
}

// Handler serves watchers with server-sent events: "records" with decisions and the number left out, and "counts". The
// query filters: outcome, reason (comma-separated lists), service, flag, user; per_second lowers the bound, and
// detail=text or detail=json adds the full explanation of each record.
type Handler struct {
	set      Settings
	watchers atomic.Int64
	closed   context.Context
	stop     context.CancelFunc
}

// NewHandler returns a handler, which must be closed.
func NewHandler(set Settings) *Handler {
	h := &Handler{set: set}
	h.closed, h.stop = context.WithCancel(context.Background())
	return h
}

// Close ends all streams.
func (h *Handler) Close() { h.stop() }

// Watchers returns the number of watchers of this Handler.
func (h *Handler) Watchers() int64 { return h.watchers.Load() }

// Counts returns how many records the processors have seen, by outcome.
func (h *Handler) Counts() map[string]uint64 { return Totals().Records }

// ServeHTTP streams until the reader or the Handler ends it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for name := range query {
		if !slices.Contains([]string{"outcome", "reason", "service", "flag", "user", "per_second", "detail"}, name) {
			problem(w, http.StatusBadRequest, "unknown parameter "+strconv.Quote(name)+": valid ones are outcome, reason, service, flag, user, per_second and detail")
			return
		}
	}
	perSecond := h.set.MaxPerSecond
	if text := query.Get("per_second"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			problem(w, http.StatusBadRequest, "per_second must be a positive integer (got "+strconv.Quote(text)+")")
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
	log.Info("A client started watching decisions", zap.Bool("ids_shown", h.set.ShowIDs), zap.Int("records_per_second", perSecond))
	began := time.Now()
	defer func() {
		log.Info("A client stopped watching decisions", zap.Uint64("records", s.records), zap.Duration("after", time.Since(began).Round(time.Second)))
	}()
	s.run(r.Context())
}

func problem(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoded, _ := json.Marshal(map[string]string{"error": text}) // strings can always be encoded
	_, _ = w.Write(append(encoded, '\n'))
}

// stream is one reader.
type stream struct {
	handler *Handler
	watcher *Watcher
	w       http.ResponseWriter
	out     *http.ResponseController
	detail  string
	// records is how many were sent to it, and newest the number of the last.
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
	// Missed counts the matching records that are not sent.
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

// writeCounts writes the counts if they have changed, and what was missed in the meantime.
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
		return false // encoding cannot fail
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
