// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
)

// ledger is a server that stores each event once and knows, per user, which one must come next. One request in ten
// fails, and half of the server's failures have stored the events.
type ledger struct {
	t      testing.TB
	mu     sync.Mutex
	random *rand.Rand
	next   map[string]int
	// inFlight are the users and devices of requests in progress: each may be there only once.
	inFlight map[string]bool
	stored   int
	repeated int
	faults   map[string]int
}

func newLedger(t testing.TB) *ledger {
	return &ledger{t: t, random: rand.New(rand.NewPCG(7, 11)), next: map[string]int{}, inFlight: map[string]bool{}, faults: map[string]int{}}
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if !assert.NoError(l.t, err) {
		return
	}
	var body struct {
		Events []receivedEvent `json:"events"`
	}
	if !assert.NoError(l.t, json.Unmarshal(raw, &body)) {
		return
	}
	ids := map[string]bool{}
	for _, e := range body.Events {
		ids[e.UserID], ids[e.DeviceID] = true, true
		delete(ids, "")
	}
	l.enter(ids)
	defer l.leave(ids)

	fault := l.fault()
	if fault == "413" && len(body.Events) == 1 {
		fault = "" // an event that is too large will always be
	}
	switch fault {
	case "":
		l.store(body.Events)
		fmt.Fprintf(w, `{"code":200,"events_ingested":%d}`, len(body.Events))
	case "413":
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case "429":
		fmt.Fprint(&status{w, http.StatusTooManyRequests}, l.throttle(body.Events))
	case "reset":
		l.maybeStore(body.Events)
		// Release these users before the exporter sees the reset.
		l.leave(ids)
		panic(http.ErrAbortHandler)
	default:
		l.maybeStore(body.Events)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// status writes a status before the first byte.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) Write(b []byte) (int, error) {
	s.WriteHeader(s.code)
	return s.ResponseWriter.Write(b)
}

func (l *ledger) enter(ids map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range ids {
		assert.False(l.t, l.inFlight[id], "%s is in two requests at once", id)
		l.inFlight[id] = true
	}
}

func (l *ledger) leave(ids map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range ids {
		delete(l.inFlight, id)
	}
}

func (l *ledger) fault() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.random.IntN(10) > 0 {
		return ""
	}
	fault := []string{"413", "429", "reset", "503"}[l.random.IntN(4)]
	l.faults[fault]++
	return fault
}

// throttle lists the user of about every thirtieth event, by index or by id.
func (l *ledger) throttle(events []receivedEvent) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	indexes := []int{l.random.IntN(len(events))}
	users := map[string]int{}
	for i, e := range events {
		switch l.random.IntN(60) {
		case 0:
			indexes = append(indexes, i)
		case 1:
			users[e.UserID] = 31
		}
	}
	raw, err := json.Marshal(map[string]any{"throttled_events": indexes, "throttled_users": users})
	if err != nil {
		assert.Fail(l.t, "cannot write the answer", err)
	}
	return string(raw)
}

func (l *ledger) maybeStore(events []receivedEvent) {
	l.mu.Lock()
	coin := l.random.IntN(2)
	l.mu.Unlock()
	if coin == 0 {
		l.store(events)
	}
}

// store takes "user number" insert_ids; a number that is too high means that an event overtook another.
func (l *ledger) store(events []receivedEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		user, text, _ := strings.Cut(e.InsertID, " ")
		number, err := strconv.Atoi(text)
		if err != nil {
			assert.Fail(l.t, "an insert_id that nobody made", e.InsertID)
			return
		}
		switch next := l.next[user]; {
		case number == next:
			l.next[user]++
			l.stored++
		case number < next:
			l.repeated++
		default:
			assert.Fail(l.t, "out of order", "user %s: %d came before %d", user, number, next)
		}
	}
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored
}

// TestOrder sends 200 events for each of 1,000 users, some of whom share devices, through the queue to a server that
// fails in every way. For each user, every event is stored once, in order.
func TestOrder(t *testing.T) {
	const users, each = 500, 100
	l := newLedger(t)
	server := httptest.NewServer(l)
	defer server.Close()
	r := newRig(t, map[string]any{
		"endpoint":         server.URL + "/2/httpapi",
		"slow_lane":        map[string]any{"max_events": users * each},
		"sending_queue":    map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "5ms"}},
		"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "10ms"},
	}, nil)

	// Time passes quickly for throttled users.
	stop := make(chan struct{})
	var clock sync.WaitGroup
	clock.Go(func() {
		ticks := time.NewTicker(2 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticks.C:
				r.clock.Advance(5 * time.Second)
			}
		}
	})
	defer clock.Wait()
	defer close(stop)

	for number := range each {
		logs := plog.NewLogs()
		records := newRecords(logs)
		for user := range users {
			record := exposure(records, fmt.Sprintf("user-%05d", user), fmt.Sprintf("%d %d", user, number))
			if number%3 == 0 {
				// Now and then, two users share a device.
				record.Attributes().PutStr("amplitude.device_id", fmt.Sprintf("device-%05d", user/2))
			}
		}
		require.Eventually(t, func() bool {
			err := r.ConsumeLogs(t.Context(), logs)
			return err == nil || !assert.ErrorIs(t, err, orderedqueue.ErrFull)
		}, 2*time.Minute, time.Millisecond, "a sender retries as long as the queue is full")
	}
	require.Eventually(t, func() bool { return l.total() == users*each || t.Failed() }, 2*time.Minute, 10*time.Millisecond)
	require.NoError(t, r.Shutdown(t.Context()))

	outcomes := r.counts("events", "outcome")
	assert.Equal(t, users*each, outcomes["delivered"], "according to the exporter")
	assert.Zero(t, outcomes["dropped"])
	assert.Equal(t, map[string]int{"": users * each}, r.counts("received_events", ""))
	t.Logf("stored %d, sent again %d, throttled %d, faults %v", l.stored, l.repeated, outcomes["throttled"], l.faults)
}
