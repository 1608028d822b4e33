// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

const (
	patience = time.Minute
	poll     = 5 * time.Millisecond
	badUser  = "bad-user"
)

// awaitLetters waits until a number of letters is in the file and nothing is on its way: the processor gets the receipt
// after a letter is written.
func (p *pipeline) awaitLetters(t *testing.T, n int) string {
	t.Helper()
	var text []byte
	require.Eventually(t, func() bool {
		text, _ = os.ReadFile(p.deadLetters)
		return strings.Count(string(text), `"amplitude.insert_id"`) == n && p.onTheirWay.Load() == 0
	}, patience, poll)
	return string(text)
}

// blame refuses requests that contain the bad user, and lists the user's events.
func blame(status int, lists func(indexes []int) map[string]any) func([]event) (int, string) {
	return func(events []event) (int, string) {
		var bad []int
		for i, e := range events {
			if e.UserID == badUser {
				bad = append(bad, i)
			}
		}
		if bad == nil {
			return 0, ""
		}
		body := lists(bad)
		body["code"] = status
		text, _ := json.Marshal(body)
		return status, string(text)
	}
}

// TestEachCause makes a dead letter for each cause, fixes it, and replays it: the event is stored once and reported as
// delivered. The Collector keeps running all the time.
func TestEachCause(t *testing.T) {
	plain := func(status int, text string) func([]event) (int, string) {
		return func(events []event) (int, string) {
			for _, e := range events {
				if e.UserID == badUser {
					return status, text
				}
			}
			return 0, ""
		}
	}
	all := func(status int, text string) func([]event) (int, string) {
		return func([]event) (int, string) { return status, text }
	}
	ends := map[string]any{"retry_on_failure": map[string]any{"max_elapsed_time": "50ms"}}
	for name, tc := range map[string]struct {
		answer   func([]event) (int, string)
		exporter map[string]any
		reason   string
		letters  int // of the two events
	}{
		"an invalid field": {blame(400, func(bad []int) map[string]any {
			return map[string]any{"error": "Invalid field values on some events", "events_with_invalid_fields": map[string]any{"time": bad}}
		}), nil, "rejected_field", 1},
		"a missing field": {blame(400, func(bad []int) map[string]any {
			return map[string]any{"error": "Request missing required field", "events_with_missing_fields": map[string]any{"event_type": bad}}
		}), nil, "missing_field", 1},
		"an id that is too short": {blame(400, func(bad []int) map[string]any {
			return map[string]any{"error": "Invalid id length for user_id or device_id", "events_with_invalid_id_lengths": map[string]any{"user_id": bad}}
		}), nil, "rejected_id", 1},
		"400 that names no event": {plain(400, `{"code":400,"error":"Invalid event JSON"}`), nil, "refused", 1},
		"a firewall":              {plain(403, `blocked`), nil, "forbidden", 1},
		"413 of one event":        {plain(413, `{"code":413,"error":"Payload too large"}`), nil, "too_large", 1},
		"500 until the end":       {all(500, `{}`), ends, "retries_ended", 2},
		"a wrong key":             {all(400, `{"code":400,"error":"Invalid API key: x"}`), ends, "retries_ended", 2},
		"404 until the end":       {all(404, `not here`), ends, "retries_ended", 2},
	} {
		t.Run(name, func(t *testing.T) {
			amplitude := sandbox.New(t)
			g := newGate(t, amplitude)
			g.close(tc.answer)
			p := newPipeline(t, g, nil, tc.exporter, "127.0.0.1")
			logs, records := newRecords()
			exposure(records, "good-user", "flag")
			exposure(records, badUser, "flag")
			require.NoError(t, p.ConsumeLogs(t.Context(), logs))
			assert.Contains(t, p.awaitLetters(t, tc.letters), `"`+tc.reason+`"`)

			g.open()
			out, err := p.replay(t)
			require.NoError(t, err, out)
			assert.Contains(t, out, sums(tc.letters, "delivered"))
			stored := amplitude.Events(sandbox.Select{})
			assert.Len(t, stored, 2, "each event once")

			// A second run sends nothing.
			before := p.requests.Load()
			out, err = p.replay(t)
			require.NoError(t, err, out)
			assert.Contains(t, out, sums(tc.letters, "handled before"))
			assert.Equal(t, before, p.requests.Load())
		})
	}
}

// sums returns the last line of the output if all letters have the same outcome.
func sums(n int, outcome string) string {
	if n == 1 {
		return "1 letter: 1 " + outcome + "\n"
	}
	return fmt.Sprintf("%d letters: %[1]d %s\n", n, outcome)
}

// refuseAll lists every event except those that only set properties, which the processor makes again.
func refuseAll(events []event) (int, string) {
	var all []int
	for i, e := range events {
		if e.EventType != "$identify" {
			all = append(all, i)
		}
	}
	if all == nil {
		return 0, ""
	}
	text, _ := json.Marshal(map[string]any{"code": 400, "error": "Invalid field values on some events", "events_with_invalid_fields": map[string]any{"event_properties": all}})
	return http.StatusBadRequest, string(text)
}

// deadLettered returns a pipeline with n events of n users in the dead letter file, whose cause is fixed.
func deadLettered(t *testing.T, n int) (*pipeline, *gate, *sandbox.Server) {
	t.Helper()
	amplitude := sandbox.New(t)
	g := newGate(t, amplitude)
	g.close(refuseAll)
	p := newPipeline(t, g, nil, nil, "127.0.0.1")
	logs, records := newRecords()
	for i := range n {
		exposure(records, fmt.Sprintf("user-%05d", i), "flag")
	}
	require.NoError(t, p.ConsumeLogs(t.Context(), logs))
	p.awaitLetters(t, n)
	g.open()
	return p, g, amplitude
}

// TestKilledInTheMiddle stops the command after its first request: the second run sends only the rest.
func TestKilledInTheMiddle(t *testing.T) {
	const n = maxLetters + 200
	p, _, amplitude := deadLettered(t, n)
	ctx, kill := context.WithCancel(t.Context())
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		if p.requests.Load() > 0 {
			kill()
			// An answer could still arrive before the client notices that it has to stop.
			<-r.Context().Done()
			return
		}
		answer := p.forward(t, body)
		for bytes.Contains(answer, []byte("on its way")) { // on a busy machine
			answer = p.forward(t, body)
		}
		p.letters.Store(maxLetters) // as often as the command sent them
		w.WriteHeader(http.StatusInternalServerError)
		_, err = w.Write(answer)
		assert.NoError(t, err)
	}))
	defer front.Close()
	var out strings.Builder
	require.Error(t, run(ctx, []string{"-file", p.deadLetters, "-endpoint", front.URL}, &out))
	assert.Contains(t, out.String(), fmt.Sprintf("%d letters: %d delivered, %d not sent\n", n, maxLetters, n-maxLetters))

	text, err := p.replay(t)
	require.NoError(t, err, text)
	assert.Contains(t, text, fmt.Sprintf("%d letters: %d handled before, %d delivered\n", n, maxLetters, n-maxLetters))
	assert.EqualValues(t, n, p.letters.Load(), "each was sent once")
	assert.Len(t, amplitude.Events(sandbox.Select{}), n)
}

// forward passes a request on to the receiver and returns its answer, which is an error.
func (p *pipeline) forward(t *testing.T, body []byte) []byte {
	response, err := http.Post(p.url, "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	assert.NoError(t, err)
	return answer
}

// TestNotFixed: a letter that is dead-lettered again is reported with the reason, and its new letter replaces both.
func TestNotFixed(t *testing.T) {
	p, g, amplitude := deadLettered(t, 3)
	g.close(refuseAll)
	out, err := p.replay(t)
	require.ErrorIs(t, err, errLeft)
	assert.Contains(t, out, "line 1, letters 1 to 3: not delivered (rejected_field event_properties 400)\n")
	p.awaitLetters(t, 6)

	g.open()
	before := p.letters.Load()
	out, err = p.replay(t)
	require.NoError(t, err, out)
	assert.Contains(t, out, "6 letters: 6 delivered\n")
	// A letter whose second refusal has not reached the processor yet is asked about again.
	assert.Less(t, p.letters.Load()-before, int64(6), "a duplicate event is sent once")
	assert.Len(t, amplitude.Events(sandbox.Select{}), 3)
	out, err = p.replay(t)
	require.NoError(t, err, out)
	assert.Contains(t, out, "6 letters: 6 handled before\n")
}

// TestStillWaiting: Amplitude is unavailable for longer than the command waits. A later run finds that the letters were
// delivered.
func TestStillWaiting(t *testing.T) {
	p, g, amplitude := deadLettered(t, 3)
	g.close(func([]event) (int, string) { return http.StatusServiceUnavailable, "" })
	out, err := p.replay(t, "-wait", "1ms")
	require.ErrorIs(t, err, errLeft)
	assert.Contains(t, out, "3 letters: 3 waiting\n")
	g.open()
	out, err = p.replay(t)
	require.NoError(t, err, out)
	assert.Contains(t, out, "3 letters: 3 delivered\n")
	assert.Len(t, amplitude.Events(sandbox.Select{}), 3)
}

// TestRepeat: an event that Amplitude got in the meantime is a repeat of the same day.
func TestRepeat(t *testing.T) {
	p, _, amplitude := deadLettered(t, 2)
	require.Eventually(t, func() bool {
		// It is a repeat until the processor knows that the first one was dead-lettered.
		logs, records := newRecords()
		exposure(records, "user-00000", "flag")
		require.NoError(t, p.ConsumeLogs(t.Context(), logs))
		return len(amplitude.Events(sandbox.Select{})) == 1
	}, patience, poll)
	out, err := p.replay(t)
	require.NoError(t, err, out)
	assert.Contains(t, out, "line 1, letter 1: repeat (the same result of "+time.Now().UTC().Format(time.DateOnly)+" was sent before)\n")
	assert.Contains(t, out, "line 1, letter 2: delivered\n")
	assert.Len(t, amplitude.Events(sandbox.Select{}), 2)
}

// write writes a separate dead letter file.
func (p *pipeline) write(t *testing.T, letters ...func(plog.LogRecordSlice)) {
	t.Helper()
	var text strings.Builder
	for _, one := range letters {
		logs, records := newRecords()
		logs.ResourceLogs().At(0).Resource().Attributes().PutStr("dead_letter.reason", "refused")
		one(records)
		line, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
		require.NoError(t, err)
		text.Write(append(line, '\n'))
	}
	require.NoError(t, os.WriteFile(p.deadLetters, []byte(text.String()), 0o600))
}

// identify is an event that only sets properties.
func identify(user string) func(plog.LogRecordSlice) {
	return func(to plog.LogRecordSlice) {
		record := to.AppendEmpty()
		record.SetEventName("$identify")
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		record.Attributes().PutStr("amplitude.user_id", user)
		record.Attributes().PutStr("amplitude.insert_id", "identify "+user)
		record.Attributes().PutStr("amplitude.user_properties.$set.plan", "gold")
	}
}

func shaped(user string, at time.Time) func(plog.LogRecordSlice) {
	return func(to plog.LogRecordSlice) {
		record := to.AppendEmpty()
		record.SetEventName("[Experiment] Exposure")
		record.SetTimestamp(pcommon.NewTimestampFromTime(at))
		record.Attributes().PutStr("[Experiment] Flag Key", "flag")
		record.Attributes().PutStr("[Experiment] Variant", "treatment")
		record.Attributes().PutStr("amplitude.user_id", user)
		record.Attributes().PutStr("amplitude.insert_id", "insert "+user)
	}
}

// TestUntrusted: letters that the processor would strip are not sent, unless it accepts shaped events.
func TestUntrusted(t *testing.T) {
	for _, accepts := range []bool{false, true} {
		amplitude := sandbox.New(t)
		p := newPipeline(t, newGate(t, amplitude), map[string]any{"accept_shaped": accepts}, nil, "127.0.0.1")
		p.write(t, identify("user-00001"), shaped("user-00002", time.Now()))
		out, err := p.replay(t)
		if !accepts {
			require.ErrorIs(t, err, errLeft)
			assert.Contains(t, out, "line 1, letter 1: untrusted (its operators and fields would be stripped: send it through a pipeline whose processor has accept_shaped: true and the same dedup.memory)\n")
			assert.Contains(t, out, "line 2, letter 1: delivered\n")
			continue
		}
		require.NoError(t, err, out)
		assert.Contains(t, out, "2 letters: 2 delivered\n")
		user, ok := amplitude.User("user-00001")
		require.True(t, ok)
		assert.Equal(t, "gold", user.UserProperties["plan"])
	}
}

// TestOlder: letters older than Amplitude's insert_id window are listed, and only sent on request.
func TestOlder(t *testing.T) {
	amplitude := sandbox.New(t)
	p := newPipeline(t, newGate(t, amplitude), nil, nil, "127.0.0.1")
	p.write(t, shaped("user-00001", time.Now().Add(-9*24*time.Hour)), shaped("user-00002", time.Now()))
	out, err := p.replay(t)
	require.ErrorIs(t, err, errLeft)
	assert.Contains(t, out, "9 days ago\n")
	assert.Contains(t, out, "line 1, letter 1: older than seven days (")
	assert.Len(t, amplitude.Events(sandbox.Select{}), 1)
	out, err = p.replay(t, "--older")
	require.NoError(t, err, out)
	assert.Contains(t, out, "line 1, letter 1: delivered\n")
	assert.Contains(t, out, "line 2, letter 1: handled before")
	assert.Len(t, amplitude.Events(sandbox.Select{}), 2)
}

// TestNobodyReports: a success without a report about the letters does not count.
func TestNobodyReports(t *testing.T) {
	t.Run("no processor", func(t *testing.T) {
		p, _, _ := deadLettered(t, 2)
		silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer silent.Close()
		out, err := p.replay(t, "-endpoint", silent.URL)
		require.ErrorIs(t, err, errSilent)
		assert.Contains(t, out, "2 letters: 2 unknown\n")
	})
	t.Run("another machine", func(t *testing.T) {
		p := newPipeline(t, newGate(t, sandbox.New(t)), nil, nil, "192.0.2.7")
		p.write(t, shaped("user-00001", time.Now()))
		_, err := p.replay(t)
		require.ErrorIs(t, err, errSilent)
	})
}

func TestFailures(t *testing.T) {
	p, _, amplitude := deadLettered(t, 2)
	text, err := os.ReadFile(p.deadLetters)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(p.deadLetters, append([]byte("{nonsense\n\n"), text...), 0o600))
	out, err := p.replay(t)
	require.ErrorIs(t, err, errLeft)
	assert.Contains(t, out, "line 1: unreadable (")
	assert.Contains(t, out, "line 3, letters 1 to 2: delivered\n")
	assert.Len(t, amplitude.Events(sandbox.Select{}), 2)
	out, err = p.replay(t, "-from", "2")
	require.NoError(t, err, out)

	for status, want := range map[int]string{http.StatusServiceUnavailable: "503", http.StatusNotFound: "404"} {
		calls := 0
		broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { calls++; w.WriteHeader(status) }))
		p.write(t, shaped("user-00009", time.Now()))
		out, err = p.replay(t, "-endpoint", broken.URL, "-attempts", "2")
		require.ErrorContains(t, err, want)
		assert.Contains(t, out, "1 letter: 1 not sent\n")
		assert.Equal(t, map[int]int{http.StatusServiceUnavailable: 2, http.StatusNotFound: 1}[status], calls)
		broken.Close()
	}
	for _, arguments := range [][]string{{}, {"-file", "not-there"}, {"-file", p.deadLetters, "-journal", t.TempDir()}} {
		require.Error(t, run(t.Context(), arguments, &strings.Builder{}))
	}
}

// TestHelp: asking for help is no error.
func TestHelp(t *testing.T) {
	require.NoError(t, run(t.Context(), []string{"--help"}, &strings.Builder{}))
}
