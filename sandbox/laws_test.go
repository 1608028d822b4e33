// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// documented are the possible statuses of an ingestion request without faults.
var documented = map[int]bool{200: true, 400: true, 413: true, 429: true}

// checkAnswer compares an answer with the documentation, and the sandbox's counts with each other.
func checkAnswer(t require.TestingT, s *sandbox.Server, answer *httptest.ResponseRecorder) {
	require.True(t, documented[answer.Code], "status %d", answer.Code)
	var body struct {
		Code     int    `json:"code"`
		Error    string `json:"error"`
		Ingested *int   `json:"events_ingested"`
	}
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &body), answer.Body.String())
	require.Equal(t, answer.Code, body.Code)
	require.Equal(t, answer.Code == http.StatusOK, body.Error == "")
	require.Equal(t, answer.Code == http.StatusOK, body.Ingested != nil)
	sum := 0
	for _, n := range s.Stats().Verdicts {
		sum += n
	}
	for _, path := range []string{"/_sandbox/events?verdict=all&limit=1000000", "/_sandbox/users", "/_sandbox/experiments", "/_sandbox/requests?full=true", "/_sandbox/warnings"} {
		read := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		request.Host = "localhost"
		s.ServeHTTP(read, request)
		require.Equal(t, http.StatusOK, read.Code, path)
		require.True(t, json.Valid(read.Body.Bytes()), "%s: %s", path, read.Body.String())
		if strings.HasPrefix(path, "/_sandbox/events") {
			var all struct {
				Events []json.RawMessage `json:"events"`
			}
			require.NoError(t, json.Unmarshal(read.Body.Bytes(), &all))
			require.Len(t, all.Events, sum, "every event has one verdict")
		}
	}
}

func ingest(s *sandbox.Server, path, body string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	s.ServeHTTP(answer, request)
	return answer
}

// FuzzIngest: whatever is sent, there is no panic, the answer is a documented one, and everything that can be read from
// the sandbox afterward is JSON.
func FuzzIngest(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `{"api_key":"sandbox","events":[]}`, `{"api_key":"sandbox","events":[{}]}`, `{"api_key":"sandbox","events":[null]}`,
		payload(`{"event_type":"$exposure","user_id":"user-1","event_properties":{"flag_key":"f","variant":"v","experiment_key":"x"}}`),
		payload(`{"event_type":"$exposure","user_id":"user-1","event_properties":{"flag_key":7,"variant":{}}}`),
		payload(`{"event_type":"[Experiment] Assignment","user_id":"user-1","event_properties":{"[Experiment] .variant":1,".variant":null}}`),
		payload(`{"event_type":"$identify","user_id":"user-1","user_properties":{"$clearAll":"-","$set":{"a":[1]},"$add":{"a":1e400},"$remove":{"a":{}}}}`),
		payload(`{"event_type":"$groupidentify","device_id":"device-1","groups":{"a":[1,{}],"b":null},"group_properties":{"$append":{"x":[[]]}}}`),
		payload(`{"event_type":"e","user_id":123456,"device_id":1.5e3,"time":1e300,"insert_id":1,"event_id":-0}`),
		payload(`{"event_type":"e","user_id":"\ud83d\ude00\ud83d","event_properties":{"\u0000":"\n<script>&"}}`),
		payload("{\"event_type\":\"e\",\r\n\t\"user_id\":\"user-1\"\n}"),
		payload(`{"event_type":"e","user_id":"` + strings.Repeat("语", 1100) + `"}`),
		`{"api_key":"sandbox","options":{"min_id_length":1e9},"client_upload_time":"2026-11-22T00:00:00Z","events":[{"event_type":"e","user_id":"u"}]}`,
		`{"events":[{"event_type":"e"}],"events":7,"api_key":"sandbox"}`,
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, body string, batch bool) {
		s, err := sandbox.NewServer(sandbox.DefaultConfig())
		require.NoError(t, err)
		path := "/2/httpapi"
		if batch {
			path = "/batch"
		}
		answer := ingest(s, path, body)
		checkAnswer(t, s, answer)
		if answer.Code == http.StatusOK {
			require.True(t, utf8.ValidString(body))
			require.True(t, json.Valid([]byte(body)), "accepted invalid JSON: %q", body)
		}
		ingest(s, path, body)
	})
}

// TestProperties sends generated events and checks the invariants of the sandbox.
func TestProperties(t *testing.T) {
	value := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "text") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Int().Draw(t, "number") }),
		rapid.Just[any](nil), rapid.Just[any](true), rapid.Just[any]([]any{"a", 1}), rapid.Just[any](map[string]any{"a": nil}),
	)
	names := rapid.SampledFrom([]string{"event_type", "user_id", "device_id", "time", "insert_id", "event_properties", "user_properties", "groups", "price", "session_id", "os_name", "other"})
	ops := rapid.SampledFrom([]string{"$set", "$unset", "$setOnce", "$add", "$append", "$prepend", "$preInsert", "$postInsert", "$remove", "$clearAll", "plain", "$other"})
	rapid.Check(t, func(t *rapid.T) {
		s, err := sandbox.NewServer(sandbox.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(t, "requests") {
			events := []any{}
			for range rapid.IntRange(0, 6).Draw(t, "events") {
				e := map[string]any{
					"event_type": rapid.SampledFrom([]string{"e", "$exposure", "$identify", "$groupidentify", "[Experiment] Assignment"}).Draw(t, "type"),
					"user_id":    rapid.SampledFrom([]string{"user-1", "user-2"}).Draw(t, "user"),
					"insert_id":  rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "insert_id"),
				}
				operations := map[string]any{}
				for range rapid.IntRange(0, 3).Draw(t, "operations") {
					operations[ops.Draw(t, "operator")] = map[string]any{"p": value.Draw(t, "argument")}
				}
				e["user_properties"] = operations
				e["event_properties"] = map[string]any{"flag_key": value.Draw(t, "flag"), "variant": value.Draw(t, "variant")}
				if rapid.IntRange(0, 3).Draw(t, "spoil") == 0 {
					e[names.Draw(t, "field")] = value.Draw(t, "value")
				}
				events = append(events, e)
			}
			body, err := json.Marshal(map[string]any{"api_key": "sandbox", "events": events})
			if err != nil {
				t.Fatal(err)
			}
			answer := ingest(s, rapid.SampledFrom([]string{"/2/httpapi", "/batch"}).Draw(t, "path"), string(body))
			checkAnswer(t, s, answer)
			// A retry of an accepted request stores and changes nothing.
			if answer.Code != http.StatusOK {
				continue
			}
			before := s.Stats()
			user, _ := s.User("user-1")
			again := ingest(s, "/batch", string(body))
			after := s.Stats()
			if again.Code != http.StatusOK {
				continue
			}
			spoiled := false
			for _, e := range events {
				id, _ := e.(map[string]any)["insert_id"].(string)
				spoiled = spoiled || id == ""
			}
			if !spoiled && after.EventsStored != before.EventsStored {
				t.Fatalf("a retry stored %d events", after.EventsStored-before.EventsStored)
			}
			if now, _ := s.User("user-1"); !spoiled && fmt.Sprint(now.UserProperties) != fmt.Sprint(user.UserProperties) {
				t.Fatalf("a retry changed the user's properties from %v to %v", user.UserProperties, now.UserProperties)
			}
		}
	})
}

// TestConcurrency sends, reads, streams and controls at the same time, for the race detector.
func TestConcurrency(t *testing.T) {
	s := newTester(t)
	reader := s.stream("?verdict=all")
	var wait sync.WaitGroup
	const senders, requests = 4, 50
	for sender := range senders {
		wait.Go(func() {
			for i := range requests {
				user := fmt.Sprintf("user-%d-%d", sender, i)
				answer := ingest(s.Server, "/2/httpapi", payload(fmt.Sprintf(`{"event_type":"$exposure","user_id":%q,"insert_id":"i","event_properties":{"flag_key":"f","variant":"on"}}`, user), event("shared", fmt.Sprint(sender, " ", i))))
				assert.Contains(t, []int{200, 429}, answer.Code)
			}
		})
	}
	for _, path := range []string{"/_sandbox/events?verdict=all", "/_sandbox/users", "/_sandbox/experiments", "/_sandbox/stats", "/_sandbox/requests?full=true", "/_sandbox/users/shared", "/_sandbox/config", "/_sandbox/faults", "/_sandbox/warnings"} {
		wait.Go(func() {
			for range 20 {
				read := httptest.NewRecorder()
				request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
				request.Host = "localhost"
				s.ServeHTTP(read, request)
				assert.Contains(t, []int{200, 404}, read.Code)
			}
		})
	}
	wait.Go(func() {
		for range 20 {
			s.Throttle(0, "nobody")
			_ = s.SetBehavior(func(b *sandbox.Behavior) { b.WAFPatterns = []string{"never-matches"} })
			_, _ = s.AddFaults(sandbox.Fault{Action: sandbox.FaultStatus, Code: 200, Match: sandbox.FaultMatch{Contains: "never"}})
		}
	})
	wait.Wait()
	seen := 0
	for total := int(s.Stats().LastSeq); seen < total; {
		b := batchOf(t, reader.until(t, "events"))
		seen += len(b.Events) + b.Missed
	}
	stats := s.Stats()
	assert.Equal(t, senders*requests, stats.Requests)
	sum := 0
	for _, n := range stats.Verdicts {
		sum += n
	}
	assert.Equal(t, 2*senders*requests, sum)
}

// TestBounded fills every store beyond its limit.
func TestBounded(t *testing.T) {
	const kept, perRound = 200, 4
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) {
		c.Retention.Events, c.Retention.Users, c.Retention.Requests = kept, kept, 20
		c.Retention.DedupeKeys, c.Retention.History = kept, 5
	}))
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	fill := func(round int) {
		for request := range perRound {
			events := make([]string, 0, 100)
			for i := range 100 {
				events = append(events, fmt.Sprintf(`{"event_type":"$exposure","user_id":"user-%d-%d-%d","insert_id":"i","event_properties":{"flag_key":"flag-%d","variant":"on"}}`, round, request, i, i%10))
			}
			s.v2(events...)
		}
		for i := range 10 {
			s.v2(fmt.Sprintf(`{"event_type":"e","user_id":"steady","insert_id":"%d-%d","user_properties":{"n":"%d-%d"}}`, round, i, round, i))
		}
		s.Advance(60e9)
	}
	for round := range 5 {
		fill(round)
	}
	before := heap()
	for round := range 20 {
		fill(round + 5)
	}
	after := heap()
	assert.Less(t, after, before+1<<20, "the heap grew from %d to %d bytes", before, after)
	stats := s.Stats()
	assert.Equal(t, kept, stats.EventsKept)
	assert.Equal(t, 25*(100*perRound+10), int(stats.EventsForgotten)+stats.EventsKept)
	assert.Equal(t, kept, stats.Users)
	assert.Positive(t, stats.UsersForgotten)
	assert.Positive(t, stats.InsertIDsForgotten)
	steady, ok := s.User("steady")
	require.True(t, ok)
	assert.Len(t, steady.History, 5)
	assert.Equal(t, 5, steady.HistoryForgotten, "a forgotten user who comes back starts from scratch")
	var requests struct{ Requests []any }
	s.get("/_sandbox/requests", &requests)
	assert.Len(t, requests.Requests, 20)
	var detail struct {
		After map[string]any `json:"user_properties_after"`
	}
	s.get(fmt.Sprintf("/_sandbox/events/%d", stats.LastSeq), &detail)
	assert.NotNil(t, detail.After)
}

// TestBigBodies: stores are limited by size, not only by number.
func TestBigBodies(t *testing.T) {
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.Retention.EventBytes, c.Retention.RequestBytes = 1<<20, 1<<20 }))
	for i := range 30 {
		pad := strings.Repeat("x", 200_000)
		s.do(http.MethodPost, "/batch", payload(fmt.Sprintf(`{"event_type":"e","user_id":"user-%d","event_properties":{"a":[%q]}}`, i, pad)))
	}
	assert.Less(t, s.Stats().EventsKept, 10)
}

func TestServe(t *testing.T) {
	s, err := sandbox.NewServer(sandbox.DefaultConfig())
	require.NoError(t, err)
	require.NoError(t, s.Shutdown(t.Context()), "without Serve")
	require.NoError(t, s.Shutdown(t.Context()), "twice")
	assert.Empty(t, s.URL())

	bad := sandbox.DefaultConfig()
	bad.Region = "moon"
	_, err = sandbox.NewServer(bad)
	require.ErrorContains(t, err, "region must be us or eu")

	failed := &recorder{}
	assert.Nil(t, sandbox.New(failed, sandbox.WithConfig(func(c *sandbox.Config) { c.APIKeys = nil })))
	assert.Contains(t, failed.message, "api_keys must name at least one key")

	ended := newTester(t)
	stream := ended.stream("")
	stream.until(t, "stats")
	require.NoError(t, ended.Shutdown(t.Context()), "an open stream does not keep it")
	_, err = os.Stat("page/vendor/LICENSE-htm")
	require.NoError(t, err, "vendored code keeps its license")
}

// recorder is a TB that keeps the message of a failure.
type recorder struct{ message string }

func (*recorder) Helper()        {}
func (*recorder) Cleanup(func()) {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.message = fmt.Sprintf(format, args...)
}
