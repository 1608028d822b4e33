// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

var update = flag.Bool("update", false, "write what was seen into testdata/answers")

// scenario is a golden file: events, the server's script, and what the exporter did.
type scenario struct {
	About  string         `json:"about"`
	Config map[string]any `json:"config,omitempty"`
	// Events is the number of exposures e0, e1, ..., each of a different user; Users overrides the user of some.
	Events     int               `json:"events"`
	Users      map[string]string `json:"users,omitempty"`
	DeadLetter bool              `json:"dead_letter,omitempty"`
	Steps      []step            `json:"steps"`
}

// step is one attempt: the first delivers the events, later ones what the previous attempt left over. A step that
// advances the clock attempts nothing itself, but the slow lane may.
type step struct {
	Advance string           `json:"advance,omitempty"`
	Answers []scriptedAnswer `json:"answers"`
	Expect  expectation      `json:"expect"`
}

type expectation struct {
	// Requests are the insert_ids of each request.
	Requests [][]string `json:"requests"`
	// Error is "", "permanent" or "retry"; Wait is the minimum wait before the next attempt, Left what remains to be
	// delivered.
	Error string   `json:"error,omitempty"`
	Wait  string   `json:"wait,omitempty"`
	Left  []string `json:"left,omitempty"`
	// Sums over all steps so far.
	Outcomes    map[string]int `json:"outcomes"`
	Undelivered map[string]int `json:"undelivered,omitempty"`
	Statuses    map[string]int `json:"statuses,omitempty"`
	Unexpected  map[string]int `json:"unexpected,omitempty"`
	SlowLane    int            `json:"slow_lane,omitempty"`
	DeadLetters []string       `json:"dead_letters,omitempty"`
	Health      []string       `json:"health,omitempty"`
}

func TestAnswers(t *testing.T) {
	files, err := filepath.Glob("testdata/answers/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			var s scenario
			decoder := json.NewDecoder(bytes.NewReader(raw))
			decoder.DisallowUnknownFields()
			require.NoError(t, decoder.Decode(&s))
			seen := s.play(t)
			if *update {
				for i := range s.Steps {
					s.Steps[i].Expect = seen[i]
				}
				require.NoError(t, os.WriteFile(file, render(t, s), 0o600))
				return
			}
			for i := range s.Steps {
				// Compared as JSON, so that absent and empty are the same.
				assert.JSONEq(t, string(render(t, s.Steps[i].Expect)), string(render(t, seen[i])), "step %d", i)
			}
		})
	}
}

var shortList = regexp.MustCompile(`\[\s+("[^\]\[]*?")\s+\]`)

// render writes JSON with each list of strings on one line.
func render(t *testing.T, v any) []byte {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	require.NoError(t, encoder.Encode(v))
	return shortList.ReplaceAllFunc(out.Bytes(), func(list []byte) []byte {
		return regexp.MustCompile(`\s*\n\s*`).ReplaceAll(bytes.ReplaceAll(list, []byte("\",\n"), []byte("\", \n")), []byte(""))
	})
}

func (s *scenario) play(t *testing.T) []expectation {
	server := newScript(t)
	settings := map[string]any{"endpoint": server.url(), "concurrency": 1}
	deadLetters := filepath.Join(t.TempDir(), "dead.jsonl")
	if s.DeadLetter {
		settings["dead_letter"] = map[string]any{"path": deadLetters}
	}
	for key, value := range s.Config {
		settings[key] = value
	}
	r := newRig(t, settings, nil)
	logs := numbered(s.Events)
	for p := range records.All(logs) {
		id, _ := p.Record.Attributes().Get("amplitude.insert_id")
		if user, ok := s.Users[id.Str()]; ok {
			p.Record.Attributes().PutStr("amplitude.user_id", user)
		}
	}

	var all []expectation
	requests := 0
	for i, st := range s.Steps {
		server.then(append([]scriptedAnswer(nil), st.Answers...)...)
		var e expectation
		if st.Advance == "" {
			asked, parked := r.clock.asks(), r.slowLane()
			logs = e.try(t, r, logs)
			if r.slowLane() > parked {
				require.Eventually(t, func() bool { return r.clock.asks() > asked }, patience, poll, "the slow lane plans again")
			}
		} else {
			d, err := time.ParseDuration(st.Advance)
			require.NoError(t, err)
			require.Eventually(t, func() bool { return r.clock.waiting() || r.slowLane() == 0 }, patience, poll, "the slow lane waits for a time to come")
			r.clock.Advance(d)
			// The slow lane is done once it waits again or is empty.
			require.Eventually(t, func() bool { return r.clock.waiting() || r.slowLane() == 0 }, patience, poll)
		}
		received := server.received()
		e.Requests = [][]string{}
		for _, q := range received[requests:] {
			e.Requests = append(e.Requests, q.ids())
		}
		requests = len(received)
		e.Outcomes = r.counts("events", "outcome")
		e.Undelivered = r.counts("undelivered_events", "reason")
		e.Statuses = r.counts("requests", "status")
		e.Unexpected = r.counts("unexpected_answers", "kind")
		e.SlowLane = r.slowLane()
		e.Health = nil
		for _, status := range r.host.statuses() {
			e.Health = append(e.Health, status.String())
		}
		if s.DeadLetter {
			e.DeadLetters = readDeadLetters(t, deadLetters)
		}
		all = append(all, e)

		left := 0
		if logs != (plog.Logs{}) {
			left = logs.LogRecordCount()
		}
		assert.Equal(t, s.Events, e.Outcomes["delivered"]+e.Outcomes["dead_lettered"]+e.Outcomes["dropped"]+e.Outcomes["ignored"]+e.SlowLane+left,
			"step %d: every event is delivered, dead-lettered, dropped, ignored or still there", i)
	}
	for _, entry := range r.logs.All() {
		assert.NotContains(t, entry.Message, testKey)
		for _, value := range entry.ContextMap() {
			if text, ok := value.(string); ok {
				assert.NotContains(t, text, testKey)
			}
		}
	}
	return all
}

// try consumes logs and returns what is left to be retried.
func (e *expectation) try(t *testing.T, r *rig, logs plog.Logs) plog.Logs {
	t.Helper()
	err := r.ConsumeLogs(t.Context(), logs)
	if err == nil {
		return plog.Logs{}
	}
	assert.NotContains(t, err.Error(), testKey)
	if consumererror.IsPermanent(err) {
		e.Error = "permanent"
		return plog.Logs{}
	}
	e.Error = "retry"
	if wait, ok := strings.CutPrefix(err.Error(), "Throttle ("); ok {
		e.Wait, _, _ = strings.Cut(wait, ")")
	}
	var part consumererror.Logs
	if errors.As(err, &part) {
		logs = part.Data()
	}
	e.Left = insertIDs(logs)
	return logs
}

// readDeadLetters returns a line for each record, with its insert_id and reason.
func readDeadLetters(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var all []string
	for line := range bytes.Lines(raw) {
		if len(line) == 1 {
			continue // if two processes write to one file, one may mistake a line being written for a truncated one, and terminate it
		}
		logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		require.NoError(t, err)
		for p := range records.All(logs) {
			id, _ := p.Record.Attributes().Get("amplitude.insert_id")
			text := []string{id.AsString()}
			for _, key := range []string{deadLetterReason, deadLetterField, deadLetterStatus} {
				if value, ok := p.Resource.Resource().Attributes().Get(key); ok {
					text = append(text, value.AsString())
				}
			}
			all = append(all, strings.Join(text, " "))
		}
	}
	return all
}
