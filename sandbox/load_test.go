// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// TestLoad sends 20,000 events a second for SANDBOX_LOAD seconds (a fifth of one when it is not set) while a page's two
// streams are read, and checks that the sandbox keeps up. It prints its measurements. The sender runs in the same
// process, so that GOMAXPROCS=1 means one core for both.
//
//	SANDBOX_LOAD=30 GOMAXPROCS=1 go test -run TestLoad -v ./sandbox
func TestLoad(t *testing.T) {
	const perSecond, perRequest = 20_000, 500
	const requestsPerSecond = perSecond / perRequest
	requests := requestsPerSecond / 5
	if text := os.Getenv("SANDBOX_LOAD"); text != "" {
		seconds, err := strconv.Atoi(text)
		require.NoError(t, err)
		requests = seconds * requestsPerSecond
	}
	s := &tester{Server: sandbox.New(t), t: t, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(s.client.CloseIdleConnections)

	var newest, batches atomic.Int64
	total := int64(requests * perRequest)
	caughtUp := make(chan struct{})
	events, counts := s.stream("?verdict=all"), s.stream("?events=false")
	go func() {
		for {
			b, ok := events.try()
			if !ok {
				return
			}
			batches.Add(1)
			if n := len(b.Events); n > 0 {
				newest.Store(int64(b.Events[n-1].Sandbox.Seq))
				if newest.Load() >= total {
					close(caughtUp)
					return
				}
			}
		}
	}()
	go func() {
		for counts.lines.Scan() {
		}
	}()

	var peak uint64
	var furthest int64
	var slowest time.Duration
	begin := time.Now()
	for i := range requests {
		if wait := time.Until(begin.Add(time.Duration(i) * time.Second / requestsPerSecond)); wait > 0 {
			<-time.After(wait)
		}
		sent := time.Now()
		status, body := s.send("/batch", loadEvents(i, perRequest)...)
		require.Equal(t, http.StatusOK, status, body)
		slowest = max(slowest, time.Since(sent))
		furthest = max(furthest, int64((i+1)*perRequest)-newest.Load())
		if i%requestsPerSecond == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
	}
	took := time.Since(begin)
	select {
	case <-caughtUp:
	case <-time.After(time.Minute):
		require.Fail(t, "the stream is behind", "%d of %d", newest.Load(), total)
	}
	stats := s.Stats()
	assert.Equal(t, int(total), stats.EventsStored, "every event is stored once")
	assert.LessOrEqual(t, stats.EventsKept, sandbox.DefaultRetention().Events)
	t.Logf("%d events in %s: %.0f a second; slowest request %s; stream at most %d events behind, %d batches; heap at most %d MiB; %d users, %d events kept",
		total, took.Round(time.Millisecond), float64(total)/took.Seconds(), slowest.Round(time.Millisecond),
		furthest, batches.Load(), peak>>20, stats.Users, stats.EventsKept)
}

// loadEvents are exposures of many users, each with a different insert id.
func loadEvents(request, n int) []string {
	events := make([]string, 0, n)
	for i := range n {
		id := request*n + i
		events = append(events, fmt.Sprintf(`{"event_type":"[Experiment] Exposure","user_id":"user-%d","device_id":"device-%d","time":%d,"insert_id":"user-%d device-%d 4f1b2c3d4e5f60718293a4b5c6d7e8f9 %d","event_properties":{"[Experiment] Flag Key":"flag-%d","[Experiment] Variant":"%s"},"user_properties":{"$set":{"[Experiment] flag-%d":"%s"}}}`,
			id%50_000, id%50_000, time.Now().UnixMilli(), id%50_000, id%50_000, id, id%20, [2]string{"control", "treatment"}[id%2], id%20, [2]string{"control", "treatment"}[id%2]))
	}
	return events
}

// try reads the next batch of events; false when the stream has ended.
func (r *sseReader) try() (b streamBatch, ok bool) {
	for r.lines.Scan() {
		if data, found := strings.CutPrefix(r.lines.Text(), `data: {"missed"`); found {
			return parseBatch(`{"missed"` + data)
		}
	}
	return b, false
}

func parseBatch(data string) (b streamBatch, ok bool) {
	err := json.Unmarshal([]byte(data), &b)
	return b, err == nil
}
