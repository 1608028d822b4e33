// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/storagetest"
)

var storageID = storagetest.ID

// persistent are settings for a queue on disk without batches.
func persistent(url string) map[string]any {
	return map[string]any{
		"endpoint":      url,
		"sending_queue": map[string]any{"enabled": true, "storage": "file_storage", "batch": map[string]any{"flush_timeout": "1ms"}},
	}
}

// storageHost has a file storage in a directory, which must outlive the exporter.
func storageHost(t *testing.T, directory string) (host *statusHost, closeStorage func()) {
	t.Helper()
	files, closeStorage := storagetest.File(t, directory)
	host = &statusHost{extensions: map[component.ID]component.Component{storageID: files}}
	return host, closeStorage
}

func throttled(ids ...string) scriptedAnswer {
	return scriptedAnswer{Status: http.StatusTooManyRequests, When: ids[0], Times: -1, Lists: map[string][]string{"throttled_events": ids}}
}

// sent returns the insert_ids of the successful requests, in order.
func delivered(server *script) []string {
	var all []string
	for _, q := range server.received() {
		all = append(all, q.ids()...)
	}
	return all
}

// TestSlowLaneSurvivesARestart throttles users and restarts with the same files.
func TestSlowLaneSurvivesARestart(t *testing.T) {
	directory := t.TempDir()
	server := newScript(t, throttled("e1", "e3"))
	host, closeStorage := storageHost(t, directory)
	first := newRig(t, persistent(server.url()), host)
	logs := numbered(5)
	later := exposure(logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords(), "user-00001", "e5")
	later.Attributes().PutStr("note", "behind e1")
	require.NoError(t, first.ConsumeLogs(t.Context(), logs))
	require.Eventually(t, func() bool { return first.slowLane() == 3 }, patience, poll)
	assert.Equal(t, 3, first.counts("events", "outcome")["delivered"])
	first.stop()
	closeStorage()

	before := len(server.received())
	server.then()
	host, closeStorage = storageHost(t, directory)
	defer closeStorage()
	second := newRig(t, persistent(server.url()), host)
	require.Eventually(t, func() bool { return second.counts("events", "outcome")["delivered"] == 3 }, patience, poll)
	require.Eventually(t, func() bool { return second.slowLane() == 0 }, patience, poll)
	var again []string
	for _, q := range server.received()[before:] {
		again = append(again, q.ids()...)
	}
	assert.Equal(t, []string{"e1", "e3", "e5"}, again, "the order is that of arrival")
	second.stop()

	third := newRig(t, persistent(server.url()), host)
	assert.Equal(t, 0, third.slowLane(), "nothing is left on disk")
	third.stop()
	closeStorage()
}

// TestSlowLaneShrinksOnDisk delivers some of the events that were stored together, and restarts.
func TestSlowLaneShrinksOnDisk(t *testing.T) {
	directory := t.TempDir()
	server := newScript(t, throttled("e0", "e1", "e2"))
	host, closeStorage := storageHost(t, directory)
	first := newRig(t, persistent(server.url()), host)
	require.NoError(t, first.ConsumeLogs(t.Context(), numbered(4)))
	require.Eventually(t, func() bool { return first.slowLane() == 3 && first.clock.waiting() }, patience, poll)
	server.then(throttled("e1"))
	first.clock.Advance(throttleWait)
	require.Eventually(t, func() bool { return first.slowLane() == 1 }, patience, poll)
	first.stop()
	closeStorage()

	server.then()
	before := len(delivered(server))
	host, closeStorage = storageHost(t, directory)
	second := newRig(t, persistent(server.url()), host)
	require.Eventually(t, func() bool { return second.counts("events", "outcome")["delivered"] == 1 }, patience, poll)
	second.stop()
	closeStorage()
	assert.Equal(t, []string{"e1"}, delivered(server)[before:])
}

// TestSlowLaneWithoutStorageAtShutdown tries once more and dead-letters what is left.
func TestSlowLaneWithoutStorageAtShutdown(t *testing.T) {
	server := newScript(t, throttled("e1", "e3"))
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	r := newRig(t, map[string]any{"endpoint": server.url(), "dead_letter": map[string]any{"path": path}}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(5)))
	require.Equal(t, 2, r.slowLane())
	server.then(throttled("e3"))
	require.NoError(t, r.Shutdown(t.Context()))
	assert.Equal(t, map[string]int{"delivered": 4, "throttled": 2, "dead_lettered": 1}, r.counts("events", "outcome"))
	assert.Equal(t, []string{"e3 shutdown"}, readDeadLetters(t, path))
}

// TestFullSlowLaneStopsTheExporter: what does not fit stays in the queue.
func TestFullSlowLaneStopsTheExporter(t *testing.T) {
	server := newScript(t, throttled("e1", "e2", "e3"))
	r := newRig(t, map[string]any{"endpoint": server.url(), "slow_lane": map[string]any{"max_events": 2}}, nil)
	var e expectation
	left := e.try(t, r, numbered(5))
	assert.Equal(t, "retry", e.Error)
	assert.Equal(t, throttleWait.String(), e.Wait)
	assert.Equal(t, []string{"e3"}, insertIDs(left))
	assert.Equal(t, 2, r.slowLane())

	require.Eventually(t, r.clock.waiting, patience, poll)
	server.then()
	r.clock.Advance(throttleWait)
	require.Eventually(t, func() bool { return r.slowLane() == 0 }, patience, poll)
	require.NoError(t, r.ConsumeLogs(t.Context(), left))
	assert.Equal(t, map[string]int{"delivered": 5, "throttled": 2, "retried": 1}, r.counts("events", "outcome"))
}

// TestSlowLaneJoinsUsersAndDevices: an event queues up behind either of its ids, and later ones behind it.
func TestSlowLaneJoinsUsersAndDevices(t *testing.T) {
	server := newScript(t, throttled("a"))
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	first := plog.NewLogs()
	exposure(newRecords(first), "user-a", "a").Attributes().PutStr("amplitude.device_id", "device-1")
	require.NoError(t, r.ConsumeLogs(t.Context(), first))
	second := plog.NewLogs()
	records := newRecords(second)
	exposure(records, "user-b", "b").Attributes().PutStr("amplitude.device_id", "device-1")
	exposure(records, "user-b", "c").Attributes().PutStr("amplitude.device_id", "device-2")
	exposure(records, "user-c", "d").Attributes().PutStr("amplitude.device_id", "device-3")
	require.NoError(t, r.ConsumeLogs(t.Context(), second))
	assert.Equal(t, 3, r.slowLane())
	assert.Equal(t, []string{"a", "d"}, delivered(server))
	server.then()
	require.Eventually(t, r.clock.waiting, patience, poll)
	r.clock.Advance(throttleWait)
	require.Eventually(t, func() bool { return r.slowLane() == 0 }, patience, poll)
	assert.Equal(t, []string{"a", "d", "a", "b", "c"}, delivered(server))
}

// TestSlowLaneSendsLessAfterEachThrottling: a user with too many events at once gets through in parts.
func TestSlowLaneSendsLessAfterEachThrottling(t *testing.T) {
	const events, most = 100, 20
	server := newScript(t)
	var accepted []string
	strict := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		// A request may have at most `most` events of one user.
		recorder := &recordingWriter{header: http.Header{}}
		server.ServeHTTP(recorder, q)
		got := server.received()
		if ids := got[len(got)-1].ids(); len(ids) > most {
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"throttled_users":{"user-one":40}}`)
		} else {
			accepted = append(accepted, ids...)
			fmt.Fprintf(w, `{"code":200,"events_ingested":%d}`, len(ids))
		}
	})
	server.Config.Handler = strict
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	logs := plog.NewLogs()
	records := newRecords(logs)
	var want []string
	for i := range events {
		id := fmt.Sprintf("e%d", i)
		exposure(records, "user-one", id)
		want = append(want, id)
	}
	require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	require.Eventually(t, func() bool { r.clock.Advance(throttleWait); return r.slowLane() == 0 }, patience, poll)
	assert.Equal(t, want, accepted)
}

type recordingWriter struct{ header http.Header }

func (w *recordingWriter) Header() http.Header         { return w.header }
func (w *recordingWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *recordingWriter) WriteHeader(int)             {}

// TestSlowLaneDoesNotSlowOthers throttles one user in a hundred forever. Requests and events of the others are counted,
// rather than time: they are the same as without throttling, except for one more request when the users are first
// refused.
func TestSlowLaneDoesNotSlowOthers(t *testing.T) {
	const users, batches = 200, 50
	isThrottled := func(user int) bool { return user%100 == 0 }
	round := func(batch int) plog.Logs {
		logs := plog.NewLogs()
		records := newRecords(logs)
		for user := range users {
			exposure(records, fmt.Sprintf("user-%05d", user), fmt.Sprintf("%d/%d", user, batch))
		}
		return logs
	}
	var answers []scriptedAnswer
	for batch := range batches {
		answers = append(answers, throttled(fmt.Sprintf("0/%d", batch), fmt.Sprintf("100/%d", batch)))
	}
	server := newScript(t, answers...)
	r := newRig(t, map[string]any{"endpoint": server.url(), "concurrency": 1}, nil)
	for batch := range batches {
		require.NoError(t, r.ConsumeLogs(t.Context(), round(batch)), "the sender never waits")
		if batch%10 == 9 {
			require.Eventually(t, r.clock.waiting, patience, poll)
			r.clock.Advance(throttleWait)
		}
	}
	free := 0
	for user := range users {
		if !isThrottled(user) {
			free++
		}
	}
	outcomes := r.counts("events", "outcome")
	assert.Equal(t, free*batches, outcomes["delivered"], "every event of the others is delivered at once")
	assert.Zero(t, outcomes["retried"])
	assert.Equal(t, (users-free)*batches, r.slowLane())
	perBatch := 0
	for _, q := range server.received() {
		if !slices.Contains([]string{"user-00000", "user-00100"}, q.events[0].UserID) {
			perBatch++
		}
	}
	assert.LessOrEqual(t, perBatch, batches+1, "requests for the others")
	server.then()
}

// TestThrottledEventsStayInTheQueueWhenTheDiskIsFull: they leave the queue only once they are on disk.
func TestThrottledEventsStayInTheQueueWhenTheDiskIsFull(t *testing.T) {
	cfg := newConfig(t, map[string]any{
		"sending_queue":    map[string]any{"enabled": true, "storage": "file_storage"},
		"retry_on_failure": map[string]any{"enabled": true},
	})
	host := &statusHost{extensions: map[component.ID]component.Component{storageID: storagetest.Full{}}}
	server := newScript(t, throttled("e1"))
	cfg.ClientConfig.Endpoint = server.url()
	// The queue itself would not accept anything with this storage, so call the exporter below it.
	r := newRig(t, nil, nil)
	x, err := newExporter(cfg, r.settings, r.clock)
	require.NoError(t, err)
	require.NoError(t, x.start(t.Context(), host))
	defer func() { require.NoError(t, x.shutdown(t.Context())) }()
	err = x.push(t.Context(), encoded(x, numbered(3)), orderedqueue.Try{})
	require.ErrorIs(t, err, storage.ErrStorageFull)
	assert.Empty(t, x.slow.entries)
	assert.Equal(t, 2, r.counts("events", "outcome")["delivered"])
}

func TestStorageThatIsNone(t *testing.T) {
	for name, host := range map[string]*statusHost{
		"sending_queue::storage: storage extension": {},
		"is not a storage extension":                {extensions: map[component.ID]component.Component{storageID: struct{ component.Component }{}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			x, err := newExporter(newConfig(t, persistent("http://localhost:1/2/httpapi")), r.settings, r.clock)
			require.NoError(t, err)
			require.ErrorContains(t, x.start(t.Context(), host), name)
			require.NoError(t, x.shutdown(t.Context()))
		})
	}
}

func TestShutdownWithoutStartAndTwice(t *testing.T) {
	r := newRig(t, nil, nil)
	x, err := newExporter(newConfig(t, nil), r.settings, r.clock)
	require.NoError(t, err)
	require.NoError(t, x.shutdown(t.Context()))
	require.NoError(t, x.shutdown(t.Context()))
	require.NoError(t, r.Shutdown(t.Context()))
}

// TestDailyQuotaRests for an hour instead of thirty seconds, including events that arrive later.
func TestDailyQuotaRests(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: 429, Text: `{"exceeded_daily_quota_users":{"user-00001":500001}}`})
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(3)))
	requests := len(server.received())
	another := func(id string) {
		logs := plog.NewLogs()
		exposure(newRecords(logs), "user-00001", id)
		asked := r.clock.asks()
		require.NoError(t, r.ConsumeLogs(t.Context(), logs))
		require.Eventually(t, func() bool { return r.clock.asks() > asked }, patience, poll, "the slow lane plans again")
	}
	another("soon")
	r.clock.Advance(quotaWait - time.Minute)
	another("almost an hour later")
	assert.Equal(t, 3, r.slowLane())
	assert.Len(t, server.received(), requests)
	r.clock.Advance(time.Minute)
	require.Eventually(t, func() bool { return r.slowLane() == 0 }, patience, poll)
	assert.Equal(t, []string{"e1", "soon", "almost an hour later"}, server.received()[requests].ids())
}

// TestParkedEventsDoNotOvertakeRetries: while a batch is refused as a whole, an event that was refused on its own is
// retried later. A throttled event that shares its user or device, directly or through others, must not overtake it via
// the slow lane.
func TestParkedEventsDoNotOvertakeRetries(t *testing.T) {
	type ids struct{ name, user, device string }
	for name, tc := range map[string]struct {
		events []ids
		parked int
		want   []string
	}{
		"same user":           {[]ids{{"refused", "user-a", "device-1"}, {"limited", "user-a", "device-2"}}, 0, []string{"refused", "limited"}},
		"same device":         {[]ids{{"refused", "user-a", "device-1"}, {"limited", "user-b", "device-1"}}, 0, []string{"refused", "limited"}},
		"through another one": {[]ids{{"refused", "user-a", "device-1"}, {"refused too", "user-a", "device-2"}, {"limited", "user-b", "device-2"}}, 0, []string{"refused", "refused too", "limited"}},
		"nothing in common":   {[]ids{{"refused", "user-a", "device-1"}, {"limited", "user-b", "device-2"}}, 1, []string{"refused", "limited"}},
		// It was parked first, so it is the older one.
		"the other way round": {[]ids{{"limited", "user-b", "device-1"}, {"refused", "user-a", "device-1"}}, 2, []string{"limited", "refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			forbidden := scriptedAnswer{Status: http.StatusForbidden, When: "refused", Times: -1}
			forbiddenToo := scriptedAnswer{Status: http.StatusForbidden, When: "refused too", Times: -1}
			server := newScript(t, forbidden, forbiddenToo, throttled("limited"))
			r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
			logs := plog.NewLogs()
			records := newRecords(logs)
			for _, e := range tc.events {
				exposure(records, e.user, e.name).Attributes().PutStr("amplitude.device_id", e.device)
			}
			var e expectation
			left := e.try(t, r, logs)
			assert.Equal(t, tc.parked, r.slowLane())

			// Now Amplitude accepts everything, and the slow lane's wait ends before the retry.
			before := len(server.received())
			server.then()
			if tc.parked > 0 {
				require.Eventually(t, r.clock.waiting, patience, poll)
				r.clock.Advance(quotaWait)
				require.Eventually(t, func() bool { return r.slowLane() == 0 }, patience, poll)
			}
			if len(e.Left) > 0 {
				require.NoError(t, r.ConsumeLogs(t.Context(), left))
			}
			require.Eventually(t, func() bool { return r.counts("events", "outcome")["delivered"] == len(tc.events) }, patience, poll)
			if name == "nothing in common" {
				return // any order is fine
			}
			var got []string
			for _, q := range server.received()[before:] {
				got = append(got, q.ids()...)
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

// TestDamagedSlowLaneFailsTheStart: if its range is unknown, new events would overwrite old ones.
func TestDamagedSlowLaneFailsTheStart(t *testing.T) {
	host, closeStorage := storageHost(t, t.TempDir())
	defer closeStorage()
	r := newRig(t, nil, nil)
	client, err := host.extensions[storageID].(storage.Extension).GetClient(t.Context(), component.KindExporter, r.settings.ID, slowStoreName)
	require.NoError(t, err)
	require.NoError(t, client.Set(t.Context(), slowRangeKey, []byte("short")))
	require.NoError(t, client.Close(t.Context()))
	x, err := newExporter(newConfig(t, persistent("http://localhost:1/2/httpapi")), r.settings, r.clock)
	require.NoError(t, err)
	require.ErrorContains(t, x.start(t.Context(), host), "holds 5 bytes instead of 16")
	require.NoError(t, x.shutdown(t.Context()))
}
