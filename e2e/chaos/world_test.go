// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
)

// world is everything around the data: the Collector under test, its far side, the wire between
// them, and the Redis that it shares with replicas.
type world struct {
	far    *harness.Collector
	sender *harness.Collector
	link   *link
	redis  *redistest.Server
	dir    string
	env    []string
	// replay is where dead letters are replayed: a pipeline that accepts shaped events.
	replay string
	// markers counts the events that only show how far the Collector is.
	markers int
}

const markerUser = "marker-"

// drained waits until everything acknowledged so far has been delivered, including $identify, which are not stored.
// Batches are delivered one after the other, so two events are sent, the second once the first is stored; when it
// arrives, nothing is left. The slow lane is separate.
func (w *world) drained(t *testing.T) {
	t.Helper()
	for range 2 {
		w.markers++
		user := fmt.Sprintf("%s%06d", markerUser, w.markers)
		logs := plog.NewLogs()
		record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.SetEventName("$exposure")
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		record.Attributes().PutStr("user_id", user)
		record.Attributes().PutStr("flag_key", "marker")
		record.Attributes().PutStr("variant", "on")
		w.sender.SendLogs(t, logs)
		require.Eventually(t, func() bool {
			events := w.stored(t)
			return slices.ContainsFunc(events[max(0, len(events)-10):], func(e storedEvent) bool { return e.UserID == user })
		}, recoveryTimeout, 5*time.Millisecond)
	}
	require.Eventually(t, func() bool { return w.sender.Metric(t, "otelcol_exporter_amplitude_slow_lane_events") == 0 },
		recoveryTimeout, 20*time.Millisecond)
}

func newWorld(t *testing.T, env ...string) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), far: harness.Start(t, "testdata/far.yaml", harness.Options{Env: env}), redis: redistest.Start(t)}
	w.link = newLink(t, w.far.Sandbox)
	var err error
	w.replay, err = loopback.FreeAddress()
	require.NoError(t, err)
	w.env = append([]string{"CHAOS_TARGET=" + w.link.address, "CHAOS_REDIS=" + w.redis.Address, "CHAOS_REPLAY=" + w.replay}, env...)
	w.sender = harness.Start(t, "testdata/sender.yaml", harness.Options{Dir: w.dir, Env: w.env})
	return w
}

// deadLetters is the exporter's file of dead letters.
func (w *world) deadLetters() string { return filepath.Join(w.dir, "dead", "letters.jsonl") }

// awaitDeadLetter waits until there is one of this user.
func (w *world) awaitDeadLetter(t *testing.T, user string) {
	t.Helper()
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(w.deadLetters())
		return err == nil && bytes.Contains(content, []byte(`"`+user+`"`))
	}, recoveryTimeout, 10*time.Millisecond, "what Amplitude refuses for good is dead-lettered")
}

// startReplay replays the dead letters that were not handled before.
func (w *world) startReplay(t *testing.T) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), harness.Binary(t, "otelcol-amplitude-replay"), "-file", w.deadLetters(),
		"-endpoint", "http://"+w.replay+"/v1/logs", "-wait", "5s")
	command.Env = cleanenv.Environ()
	command.Stdout, command.Stderr = &bytes.Buffer{}, &bytes.Buffer{}
	require.NoError(t, command.Start())
	return command
}

// replayAll replays the dead letters until all are handled.
func (w *world) replayAll(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(w.deadLetters()); err != nil {
		return // there was none
	}
	var said any
	assert.Eventually(t, func() bool {
		command := w.startReplay(t)
		err := command.Wait()
		said = command.Stdout
		return err == nil
	}, settleTimeout, time.Millisecond, "all dead letters are handled by a replay")
	t.Logf("the last replay:\n%s", said)
}

// revive restarts the Collector at the same address, with what it left on disk.
func (w *world) revive(t *testing.T) {
	t.Helper()
	w.sender = harness.Start(t, "testdata/sender.yaml", harness.Options{Addresses: w.sender.Addresses, Dir: w.dir, Env: w.env})
}

// control calls the far side's control API.
func (w *world) control(t *testing.T, method, path string, body any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.far.Sandbox+"/_sandbox/"+path, bytes.NewReader(encoded))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, 2, response.StatusCode/100, "%s %s: %s", method, path, answer)
}

// read reads from the far side's read API.
func (w *world) read(t *testing.T, path string, into any) {
	t.Helper()
	response, err := http.Get("http://" + w.far.Sandbox + "/_sandbox/" + path)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusOK, response.StatusCode, path)
	require.NoError(t, json.NewDecoder(response.Body).Decode(into), path)
}

// farStats returns the counts of the far side since its start.
type farStats struct {
	Verdicts map[string]int `json:"verdicts"`
	Status   map[string]int `json:"status"`
	Requests int            `json:"requests"`
}

func (w *world) stats(t *testing.T) farStats {
	t.Helper()
	var s farStats
	w.read(t, "stats", &s)
	return s
}

// awaitProgress waits until the far side stores something new, and returns how long that took.
func (w *world) awaitProgress(t *testing.T, timeout time.Duration) time.Duration {
	t.Helper()
	begin, before := time.Now(), w.stats(t).Verdicts["stored"]
	require.Eventually(t, func() bool { return w.stats(t).Verdicts["stored"] > before }, timeout, 10*time.Millisecond,
		"events arrive again after a fault")
	return time.Since(begin)
}

// storedEvent is an event as the far side keeps it.
type storedEvent struct {
	UserID     string         `json:"user_id"`
	DeviceID   string         `json:"device_id"`
	Type       string         `json:"event_type"`
	Properties map[string]any `json:"event_properties"`
	Sandbox    struct {
		Seq uint64 `json:"seq"`
	} `json:"sandbox"`
}

func (e *storedEvent) number() int {
	n, _ := e.Properties["chaos.n"].(float64)
	return int(n)
}

func (e *storedEvent) variant() string {
	if v, ok := e.Properties["[Experiment] Variant"].(string); ok {
		return v
	}
	return "off"
}

// stored returns everything that the far side has, in order of arrival.
func (w *world) stored(t *testing.T) []storedEvent {
	t.Helper()
	var page struct {
		Events []storedEvent `json:"events"`
	}
	w.read(t, "events?verdict=stored&limit=100000000", &page)
	return page.Events
}

// properties are the user properties of a user or device.
func (w *world) properties(t *testing.T, id string) map[string]any {
	t.Helper()
	var user struct {
		Properties map[string]any `json:"user_properties"`
	}
	w.read(t, "users/"+id, &user)
	return user.Properties
}
