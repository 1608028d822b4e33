// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"archive/zip"
	"bufio"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name, fault string
		status      int    // 0: no answer
		answer      string // "": not checked
		header      [2]string
		stored      int
	}{
		{name: "503", fault: `{"action":"status","code":503}`, status: 503, answer: `{"code":503,"error":"Service Unavailable"}` + "\n"},
		{name: "503 in HTML", fault: `{"action":"status","code":503,"body":"html"}`, status: 503, answer: "<html><head><title>503 Service Unavailable</title></head></html>"},
		{name: "503 with nothing", fault: `{"action":"status","code":503,"body":"empty"}`, status: 503},
		{name: "429 with Retry-After", fault: `{"action":"status","code":429,"headers":{"Retry-After":"7"}}`, status: 429, answer: `{"code":429,"error":"Too many requests"}` + "\n", header: [2]string{"Retry-After", "7"}},
		{name: "truncated", fault: `{"action":"status","code":500,"body":"truncated"}`},
		{name: "500 after ingesting", fault: `{"action":"ingest_then_status","code":500}`, status: 500, stored: 1},
		{name: "reset after ingesting", fault: `{"action":"ingest_then_reset"}`, stored: 1},
		{name: "reset", fault: `{"action":"reset_before_read"}`},
		{name: "hang", fault: `{"action":"hang","delay":"20ms"}`},
		{name: "slow headers", fault: `{"action":"slow_headers","delay":"20ms"}`, status: 200, stored: 1},
		{name: "slow body", fault: `{"action":"slow_body","delay":"20ms"}`, status: 200, stored: 1, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":86,"events_ingested":1}` + "\n"},
		{name: "200 that says 400", fault: `{"action":"wrong_code","code":400}`, status: 200, answer: `{"code":400,"error":"Bad Request"}` + "\n"},
		{name: "400 that says 200", fault: `{"action":"wrong_code","code":200}`, status: 400, stored: 1, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":86,"events_ingested":1}` + "\n"},
		{name: "unindexed", fault: `{"action":"unindexed_400","text":"Something else"}`, status: 400, answer: `{"code":400,"error":"Something else"}` + "\n"},
		{name: "billing", fault: `{"action":"billing_400"}`, status: 400},
		{name: "redirect", fault: `{"action":"redirect","location":"/elsewhere"}`, status: 301, header: [2]string{"Location", "/elsewhere"}},
		{name: "redirect that keeps the method", fault: `{"action":"redirect","code":308,"location":"/elsewhere"}`, status: 308, header: [2]string{"Location", "/elsewhere"}, answer: `{"code":308,"error":"Permanent Redirect"}` + "\n"},
		{name: "captive page", fault: `{"action":"captive_page"}`, status: 200, header: [2]string{"Content-Type", "text/html"}},
		{name: "goaway", fault: `{"action":"goaway","times":-1}`},
		{name: "silent", fault: `{"action":"silent","delay":"20ms","times":-1}`},
		{name: "413 before the body is read", fault: `{"action":"status_before_read","code":413}`, status: 413, answer: `{"code":413,"error":"Payload too large"}` + "\n"},
		{name: "only larger requests", fault: `{"action":"status","code":413,"match":{"larger_than":1000}}`, status: 200, stored: 1},
		{name: "smaller requests too", fault: `{"action":"status","code":413,"match":{"larger_than":50}}`, status: 413},
		{name: "for this user", fault: `{"action":"status","code":500,"match":{"contains":"user-1"}}`, status: 500},
		{name: "for another user", fault: `{"action":"status","code":500,"match":{"contains":"user-2"}}`, status: 200, stored: 1},
		{name: "for this key", fault: `{"action":"status","code":500,"match":{"api_key":"sandbox"}}`, status: 500},
		{name: "for another key", fault: `{"action":"status","code":500,"match":{"api_key":"other"}}`, status: 200, stored: 1},
		{name: "for another path", fault: `{"action":"status","code":500,"match":{"path":"/batch"}}`, status: 200, stored: 1},
		{name: "in order", fault: `[{"action":"status","code":500},{"action":"status","code":502}]`, status: 500},
		{name: "wrapped", fault: `{"faults":[{"action":"status","code":502}]}`, status: 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTester(t)
			s.control(http.MethodPost, "/_sandbox/faults", tc.fault)
			status, body, header, err := s.try(http.MethodPost, "/2/httpapi", payload(event("user-1", "a")))
			if tc.status == 0 {
				require.Error(t, err, "%d %s", status, body)
			} else {
				require.NoError(t, err)
				assert.Equal(t, tc.status, status)
			}
			if tc.answer != "" {
				assert.Equal(t, tc.answer, body)
			}
			if tc.header[0] != "" {
				assert.Equal(t, tc.header[1], header.Get(tc.header[0]))
			}
			assert.Len(t, s.Events(sandbox.Select{}), tc.stored)
		})
	}
}

// TestFaultTimes consumes a script and finds the retries in the request log.
func TestFaultTimes(t *testing.T) {
	s := newTester(t)
	_, err := s.AddFaults(sandbox.Fault{Action: sandbox.FaultStatus, Code: 503, Times: 2}, sandbox.Fault{Action: sandbox.FaultIngestThenStatus, Code: 502})
	require.NoError(t, err)
	var statuses []int
	for range 4 {
		status, _ := s.send("/2/httpapi", event("user-1", "a"))
		statuses = append(statuses, status)
	}
	assert.Equal(t, []int{503, 503, 502, 200}, statuses)
	assert.Len(t, s.Events(sandbox.Select{}), 1)
	assert.Equal(t, 1, s.Stats().Duplicates, "the retry after the 502")
	assert.Empty(t, s.Faults())
	var log struct {
		Requests []struct {
			Status, Retry int
			Fault         string
		} `json:"requests"`
	}
	s.get("/_sandbox/requests", &log)
	require.Len(t, log.Requests, 4)
	assert.Equal(t, 3, log.Requests[0].Retry)
	assert.Equal(t, "ingest_then_status", log.Requests[1].Fault)

	always, err := s.AddFaults(sandbox.Fault{Action: sandbox.FaultStatus, Code: 500, Times: -1})
	require.NoError(t, err)
	for range 3 {
		status, _ := s.send("/2/httpapi", event("user-1", "a"))
		assert.Equal(t, 500, status)
	}
	assert.Equal(t, 3, s.Faults()[0].Hits)
	s.control(http.MethodDelete, fmt.Sprintf("/_sandbox/faults/%d", always[0].ID), "")
	status, _ := s.send("/2/httpapi", event("user-1", "a"))
	assert.Equal(t, 200, status)
}

func TestControlRefuses(t *testing.T) {
	s := newTester(t)
	for _, tc := range []struct{ method, path, body, want string }{
		{"POST", "/_sandbox/faults", `{"action":"explode"}`, "action must be"},
		{"POST", "/_sandbox/faults", `{"action":"status"}`, "code must be"},
		{"POST", "/_sandbox/faults", `{"action":"redirect","code":304}`, "code must be 301, 302, 303, 307 or 308 for redirect (got 304)"},
		{"POST", "/_sandbox/faults", `{"action":"status_before_read","code":413,"match":{"contains":"x"}}`, "leaves it unread: use path or larger_than"},
		{"POST", "/_sandbox/faults", `{"action":"hang","match":{"larger_than":-1}}`, "must not be negative"},
		{"POST", "/_sandbox/faults", `{"action":"ingest_then_status","code":503}`, "never ingests"},
		{"POST", "/_sandbox/faults", `{"action":"slow_body"}`, "delay must be"},
		{"POST", "/_sandbox/faults", `{"action":"hang","times":-2}`, "times must be"},
		{"POST", "/_sandbox/faults", `{"action":"hang","body":"pdf"}`, "body must be"},
		{"POST", "/_sandbox/faults", `{"action":"hang","match":{"path":"batch"}}`, "match.path must start"},
		{"POST", "/_sandbox/faults", `{"acton":"hang"}`, "acton"},
		{"POST", "/_sandbox/faults", `[{"acton":"hang"}]`, "acton"},
		{"DELETE", "/_sandbox/faults/99", "", "no such fault"},
		{"DELETE", "/_sandbox/faults/x", "", "positive integer"},
		{"POST", "/_sandbox/throttle", `{"ids":[]}`, "ids must name"},
		{"POST", "/_sandbox/throttle", `{"ids":["a"],"until":"soon"}`, "until must be"},
		{"POST", "/_sandbox/quota", `{"ids":["a"],"until":"-3s"}`, "in the future"},
		{"POST", "/_sandbox/silence", `{}`, "devices must name"},
		{"POST", "/_sandbox/clock", `{"advance":"-1s"}`, "must not be negative"},
		{"POST", "/_sandbox/clock", `{"advance":"1s"}{}`, "more than one"},
		{"PUT", "/_sandbox/config", `{"index_mode":"last"}`, "index_mode must be all or first"},
		{"PUT", "/_sandbox/config", `{"no_such_switch":1}`, "no_such_switch"},
		{"PUT", "/_sandbox/config", `{"waf_patterns":["("]}`, "waf_patterns must be regular expressions"},
		{"PUT", "/_sandbox/config", `{"v2":{"max_bytes":0}}`, "v2::max_bytes must be positive"},
		{"GET", "/_sandbox/events?limit=x", "", "limit must be"},
		{"GET", "/_sandbox/events/x", "", "a number"},
		{"GET", "/_sandbox/events/99", "", "no such event"},
		{"GET", "/_sandbox/users/nobody", "", "no event of this"},
		{"GET", "/_sandbox/groups/a/b", "", "no $groupidentify"},
		{"GET", "/_sandbox/requests/99", "", "no such request"},
		{"GET", "/_sandbox/await", "", "nothing to wait for"},
		{"GET", "/_sandbox/await?property=x", "", "needs user"},
		{"GET", "/_sandbox/await?user=x&timeout=9h", "", "timeout must be"},
		{"GET", "/_sandbox/nothing", "", "no such path"},
		{"GET", "/_sandbox/page/", "", "no such path"},
		{"GET", "/_sandbox/page/../server.go", "", ""},
	} {
		status, body, header := s.do(tc.method, tc.path, tc.body)
		if tc.want == "" {
			assert.NotContains(t, body, "package sandbox")
			continue
		}
		assert.Contains(t, []int{400, 404}, status, "%s %s: %s", tc.method, tc.path, body)
		assert.Contains(t, body, tc.want)
		assert.Empty(t, header.Get("Access-Control-Allow-Origin"))
	}
}

func TestConfigAtRunTime(t *testing.T) {
	s := newTester(t)
	text := s.control(http.MethodPut, "/_sandbox/config", `{"v2":{"eps_threshold":1},"eps_window":"2s","blocked_event_types":["noise"]}`)
	assert.Contains(t, text, `"eps_window":"2s"`)
	assert.Contains(t, text, `"max_bytes":1048576`, "unnamed settings keep their defaults")
	status, _ := s.send("/2/httpapi", event("user-1", "a"), event("user-1", "b"), event("user-1", "c"))
	assert.Equal(t, http.StatusTooManyRequests, status)
	s.control(http.MethodPost, "/_sandbox/reset", "")
	status, _ = s.send("/2/httpapi", event("user-1", "a"), event("user-1", "b"), event("user-1", "c"))
	assert.Equal(t, http.StatusOK, status, "a reset restores the configuration")
}

func TestReset(t *testing.T) {
	s := newTester(t)
	s.v2(event("user-1", "a"))
	s.Advance(time.Hour)
	_, err := s.AddFaults(sandbox.Fault{Action: sandbox.FaultHang})
	require.NoError(t, err)
	s.Silence("dev-s")
	s.control(http.MethodPost, "/_sandbox/reset", "")
	stats := s.Stats()
	assert.Zero(t, stats.EventsStored)
	assert.Zero(t, stats.Users)
	assert.Zero(t, stats.Faults)
	assert.Equal(t, start.UnixMilli(), stats.Now)
	s.v2(event("user-1", "a"))
	assert.Zero(t, s.Stats().Duplicates, "insert ids are forgotten too")
}

func TestAwait(t *testing.T) {
	s := newTester(t)
	exposure := `{"event_type":"$exposure","user_id":"user-1","event_properties":{"flag_key":"f","variant":"on"}}`
	type outcome struct {
		status int
		body   string
	}
	await := func(query string) chan outcome {
		done := make(chan outcome, 1)
		ctx := t.Context()
		go func() {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/_sandbox/await?"+query, http.NoBody)
			if err != nil {
				done <- outcome{0, err.Error()}
				return
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				done <- outcome{0, err.Error()}
				return
			}
			defer func() { _ = response.Body.Close() }()
			text, _ := io.ReadAll(response.Body)
			done <- outcome{response.StatusCode, string(text)}
		}()
		return done
	}
	defer http.DefaultClient.CloseIdleConnections()
	property := await("user=user-1&property=%5BExperiment%5D+f&value=on&timeout=1m")
	flag := await("user=user-1&flag=f&value=on&timeout=1m")
	events := await("flag=f&count=2&timeout=1m")
	s.v2(exposure)
	for _, wait := range []chan outcome{property, flag} {
		got := <-wait
		assert.Equal(t, 200, got.status, got.body)
		assert.Contains(t, got.body, `"met":true`)
	}
	s.v2(exposure)
	assert.Equal(t, 200, (<-events).status)

	late := <-await("user=user-1&flag=f&value=off&timeout=10ms")
	assert.Equal(t, http.StatusRequestTimeout, late.status)
	assert.Contains(t, late.body, `"value":"on"`, "says what it is instead")
	assert.Equal(t, 200, (<-await("user=user-1&flag=g&absent=true&timeout=10ms")).status)
	assert.Equal(t, 200, (<-await("user=user-1&timeout=10ms")).status)

	got, err := s.AwaitEvents(t.Context(), sandbox.Select{Flag: "f"}, 2)
	require.NoError(t, err)
	assert.Len(t, got, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.AwaitEvents(ctx, sandbox.Select{Flag: "f"}, 3)
	require.Error(t, err)
}

func TestReadEvents(t *testing.T) {
	s := newTester(t)
	s.v2(
		`{"event_type":"$exposure","user_id":"user-1","device_id":"device-1","insert_id":"a","event_properties":{"flag_key":"f","variant":"on"}}`,
		`{"event_type":"[Experiment] Assignment","user_id":"user-2","insert_id":"b","event_properties":{"[Experiment] f.variant":"on","g.variant":"off","g.details":"v1"}}`,
		"{\"event_type\":\"other\",\n \"user_id\":\"user-1\" }",
		`{"event_type":"$exposure","user_id":"user-1","device_id":"device-1","insert_id":"a","event_properties":{"flag_key":"f","variant":"on"}}`,
	)
	for query, want := range map[string][]int{
		"":                                      {1, 2, 3},
		"?user_id=user-1":                       {1, 3},
		"?device_id=device-1":                   {1},
		"?event_type=%5BExperiment%5D+Exposure": {1},
		"?flag=f":                               {1, 2},
		"?flag=g":                               {2},
		"?verdict=duplicate":                    {4},
		"?verdict=all":                          {1, 2, 3, 4},
		"?verdict=stored,duplicate&flag=f":      {1, 2, 4},
		"?limit=2":                              {1, 2},
		"?limit=2&newest=true":                  {2, 3},
		"?after=1&limit=1":                      {2},
		"?before=3":                             {1, 2},
		"?text=OTHER":                           {3},
		"?limit=1000000":                        {1, 2, 3},
		"?request_id=1&limit=1":                 {1},
	} {
		var read struct {
			Events []struct {
				Sandbox struct {
					Seq int `json:"seq"`
				} `json:"sandbox"`
			} `json:"events"`
		}
		s.get("/_sandbox/events"+query, &read)
		got := []int{}
		for _, e := range read.Events {
			got = append(got, e.Sandbox.Seq)
		}
		assert.Equal(t, want, got, query)
	}
	_, export, header := s.do(http.MethodGet, "/_sandbox/export?verdict=all", "")
	assert.Equal(t, "application/x-ndjson", header.Get("Content-Type"))
	lines := strings.Split(strings.TrimSpace(export), "\n")
	require.Len(t, lines, 4)
	for _, line := range lines {
		assert.True(t, json.Valid([]byte(line)), line)
	}
	var users struct {
		Users []sandbox.UserSummary `json:"users"`
		Total int                   `json:"total"`
	}
	s.get("/_sandbox/users?text=DEVICE-1", &users)
	require.Len(t, users.Users, 1)
	assert.Equal(t, map[string]string{"f": "on"}, users.Users[0].Experiments)
	assert.Equal(t, 2, users.Total)
}

func TestOpenAPI(t *testing.T) {
	s := newTester(t)
	var description struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	s.get("/_sandbox/openapi.json", &description)
	assert.Equal(t, "3.1.0", description.OpenAPI)
	for _, route := range s.Routes() {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{$}", "", "...}", "}").Replace(path)
		assert.Contains(t, description.Paths[path], strings.ToLower(method), "%s is not described", route)
	}
}

func TestDashboardAPIs(t *testing.T) {
	s := newTester(t)
	s.v2(event("user-1", "a"), identify(`{"a":1}`), event("user-1", "b"))
	var found struct {
		Type    string
		Matches []struct {
			AmplitudeID int64 `json:"amplitude_id"`
		}
	}
	s.get("/api/2/usersearch?user=user-1", &found)
	require.Len(t, found.Matches, 1)
	var activity struct {
		Events   []map[string]any
		UserData struct {
			Properties map[string]any
		}
	}
	s.get(fmt.Sprintf("/api/2/useractivity?user=%d&limit=1", found.Matches[0].AmplitudeID), &activity)
	require.Len(t, activity.Events, 1)
	assert.Equal(t, "b", activity.Events[0]["insert_id"])
	assert.Equal(t, map[string]any{"a": 1.0}, activity.UserData.Properties)
	var profile struct {
		UserData struct {
			Properties map[string]any `json:"amp_props"`
		} `json:"userData"`
	}
	s.get("/v1/userprofile?user_id=user-1&get_amp_props=true", &profile)
	assert.Equal(t, map[string]any{"a": 1.0}, profile.UserData.Properties)
	_, body, _ := s.do(http.MethodGet, "/api/2/usersearch?user=nobody", "")
	assert.JSONEq(t, `{"type":"nomatch","matches":[]}`, body)
}

// TestExport: a project's events by the hour in which they arrived, as in Amplitude's Export API.
func TestExport(t *testing.T) {
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.APIKeys = []string{"sandbox", "other"} }))
	s.v2(event("user-1", "a"), event("user-1", "a"), identify(`{"plan":"pro"}`)) // a copy, and not an event
	s.control(http.MethodPost, "/_sandbox/clock", `{"advance": "1h"}`)
	s.v2(event("user-2", "b"))
	var stored struct {
		Events []struct {
			Sandbox struct {
				ReceivedAt int64 `json:"received_at"`
			} `json:"sandbox"`
		} `json:"events"`
	}
	s.get("/_sandbox/events?verdict=stored", &stored)
	last := time.UnixMilli(stored.Events[len(stored.Events)-1].Sandbox.ReceivedAt).UTC() // of user-2
	hour := func(ago int) string { return last.Add(-time.Duration(ago) * time.Hour).Format("20060102T15") }
	auth := func(key string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":secret")) }
	for _, tc := range []struct {
		name, key, start, end string
		want                  int
		insertIDs             []string
	}{
		{"both hours", "sandbox", hour(1), hour(0), 200, []string{"a", "b"}},
		{"the last hour", "sandbox", hour(0), hour(0), 200, []string{"b"}},
		{"no event", "sandbox", hour(30), hour(29), 404, nil},
		{"another project", "other", hour(1), hour(0), 404, nil},
		{"unknown key", "wrong", hour(1), hour(0), 401, nil},
		{"no hour", "sandbox", "2026-11-26", hour(0), 400, nil},
		{"backward", "sandbox", hour(0), hour(2), 400, nil},
		{"more than a year", "sandbox", "20200101T00", hour(0), 400, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, body, header := s.do(http.MethodGet, "/api/2/export?start="+tc.start+"&end="+tc.end, "", "Authorization", auth(tc.key))
			require.Equal(t, tc.want, status, body)
			if tc.want != http.StatusOK {
				return
			}
			assert.Equal(t, "application/zip", header.Get("Content-Type"))
			archive, err := zip.NewReader(strings.NewReader(body), int64(len(body)))
			require.NoError(t, err)
			var ids []string
			for _, file := range archive.File {
				assert.Regexp(t, `^1/1_\d{4}-\d\d-\d\d_\d{1,2}#0\.json\.gz$`, file.Name)
				packed, err := file.Open()
				require.NoError(t, err)
				lines, err := gzip.NewReader(packed)
				require.NoError(t, err)
				for d := json.NewDecoder(lines); d.More(); {
					var e map[string]any
					require.NoError(t, d.Decode(&e))
					ids = append(ids, e["$insert_id"].(string))
					assert.Contains(t, e, "user_properties")
					assert.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$`, e["event_time"])
					assert.Equal(t, e["server_upload_time"], e["server_received_time"])
				}
			}
			assert.Equal(t, tc.insertIDs, ids)
		})
	}
	status, _, _ := s.do(http.MethodGet, "/api/2/export?start="+hour(1)+"&end="+hour(0), "")
	assert.Equal(t, http.StatusUnauthorized, status, "without credentials")
}

// TestSecrets sends keys in every way and looks for them in everything that can be read.
func TestSecrets(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.APIKeys = append(c.APIKeys, key) }))
	post := func(path, body string, header ...string) { s.do(http.MethodPost, path, body, header...) }
	post("/2/httpapi?api_key="+key, `{"api_key":"`+key+`","events":[`+event("user-1", "a")+`]}`, "Authorization", "Bearer "+key)
	post("/2/httpapi", `{"api_key":"`+key[1:]+`","events":[`+event("user-1", "a")+`]}`)
	post("/2/httpapi", `{"api_key": "`+key+`","events":[`)
	post("/2/httpapi", `{"pad":"`+strings.Repeat("x", 65530)+`","api_key":"`+key+`","events":[]}`)
	post("/identify", `api_key=`+key+`&identification=%7B%7D`, "Content-Type", "application/x-www-form-urlencoded")
	_, err := s.AddFaults(sandbox.Fault{Action: sandbox.FaultHang, Match: sandbox.FaultMatch{APIKey: key}})
	require.NoError(t, err)
	for _, route := range s.Routes() {
		path, isGet := strings.CutPrefix(route, "GET ")
		if !isGet || strings.Contains(path, "{") || strings.HasSuffix(path, "/stream") || strings.HasSuffix(path, "/await") {
			continue
		}
		_, body, _ := s.do(http.MethodGet, path+"?full=true&verdict=all", "")
		assert.NotContains(t, body, key[1:12], path)
	}
	for id := range 5 {
		_, body, _ := s.do(http.MethodGet, fmt.Sprintf("/_sandbox/requests/%d", id+1), "")
		assert.NotContains(t, body, key[1:12])
		assert.Contains(t, body, "****")
	}
	assert.Equal(t, "****", sandbox.MaskKey("sandbox"))
	assert.Equal(t, "01****ef", sandbox.MaskKey(key))
}

// TestKeys: the page knows the keys of its sandbox, but none that may belong to a real project.
func TestKeys(t *testing.T) {
	const given = "0123456789abcdef0123456789ABCDEF"
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) {
		c.APIKeys = append(c.APIKeys, given, given[1:])
		c.Projects = []sandbox.Project{{APIKey: "sandbox-eu", Region: sandbox.RegionEU}}
	}))
	_, body, _ := s.do(http.MethodGet, "/_sandbox/keys", "")
	assert.JSONEq(t, `{"keys": [{"project": 1, "api_key": "sandbox"}, {"project": 3, "api_key": "`+given[1:]+`"}, {"project": 4, "api_key": "sandbox-eu"}]}`, body)
}

// TestGuard checks who may read and control the sandbox.
func TestGuard(t *testing.T) {
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.AllowedHosts = []string{"Sandbox.internal"} }))
	for _, tc := range []struct {
		name, method, path string
		header             []string
		want               int
	}{
		{"localhost", "GET", "/_sandbox/stats", []string{"Host", "localhost:8585"}, 200},
		{"address", "GET", "/_sandbox/stats", []string{"Host", "192.0.2.1:8585"}, 200},
		{"IPv6", "GET", "/", []string{"Host", "[::1]:8585"}, 200},
		{"allowed name", "GET", "/", []string{"Host", "sandbox.internal"}, 200},
		{"rebound name", "GET", "/_sandbox/stats", []string{"Host", "evil.example:8585"}, 403},
		{"rebound name, page", "GET", "/", []string{"Host", "evil.example"}, 403},
		{"rebound name, unknown path", "GET", "/_sandbox/x", []string{"Host", "evil.example"}, 403},
		{"name that begins like an address", "GET", "/", []string{"Host", "127.0.0.1.evil.example"}, 403},
		{"foreign origin", "POST", "/_sandbox/reset", []string{"Origin", "http://evil.example"}, 403},
		{"foreign site", "POST", "/_sandbox/reset", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"own origin", "POST", "/_sandbox/reset", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"terminal", "POST", "/_sandbox/reset", nil, 200},
		{"no CORS", "OPTIONS", "/_sandbox/stats", []string{"Origin", "http://evil.example"}, 404},
		{"ingestion by another name", "POST", "/2/httpapi", []string{"Host", "sandbox"}, 400},
	} {
		status, body, header := s.do(tc.method, tc.path, "", tc.header...)
		assert.Equal(t, tc.want, status, "%s: %s", tc.name, body)
		if tc.path != "/2/httpapi" {
			assert.Empty(t, header.Get("Access-Control-Allow-Origin"), tc.name)
		}
	}
	_, page, header := s.do(http.MethodGet, "/", "")
	policy := header.Get("Content-Security-Policy")
	assert.Contains(t, policy, "default-src 'none'")
	assert.NotContains(t, policy, "unsafe")
	assert.NotContains(t, page, "style=\"")
	assert.NotContains(t, page, "<style")
	assert.Regexp(t, `<script [^>]*src=`, page)
}

// sseReader reads messages of a stream.
type sseReader struct{ lines *bufio.Scanner }

func (r *sseReader) next(t *testing.T) (event, data string) {
	t.Helper()
	for r.lines.Scan() {
		line := r.lines.Text()
		switch {
		case line == "" && event != "":
			return event, data
		case strings.HasPrefix(line, "event: "):
			event = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			data = line[len("data: "):]
		}
	}
	require.NoError(t, r.lines.Err())
	require.Fail(t, "the stream ended")
	return "", ""
}

// until reads until there is a message of a kind.
func (r *sseReader) until(t *testing.T, kind string) string {
	t.Helper()
	for {
		if event, data := r.next(t); event == kind {
			return data
		}
	}
}

func (s *tester) stream(query string) *sseReader {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL()+"/_sandbox/stream"+query, http.NoBody)
	require.NoError(s.t, err)
	response, err := s.client.Do(request)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(s.t, "text/event-stream", response.Header.Get("Content-Type"))
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<24)
	return &sseReader{lines}
}

type streamBatch struct {
	Missed int
	Events []struct {
		EventType string `json:"event_type"`
		Sandbox   struct {
			Seq     int
			Verdict string
		}
	}
}

func batchOf(t *testing.T, data string) streamBatch {
	t.Helper()
	var b streamBatch
	require.NoError(t, json.Unmarshal([]byte(data), &b), data)
	return b
}

func TestStream(t *testing.T) {
	s := newTester(t)
	s.v2(event("user-1", "a"))
	all := s.stream("?verdict=all")
	one := s.stream("?user_id=user-2")
	assert.Len(t, batchOf(t, all.until(t, "events")).Events, 1, "what existed before")
	assert.Empty(t, batchOf(t, one.until(t, "events")).Events)
	s.v2(event("user-1", "a"), "{\"event_type\":\"e\",\n\"user_id\":\"user-2\"}")
	b := batchOf(t, all.until(t, "events"))
	require.Len(t, b.Events, 2)
	assert.Equal(t, "duplicate", b.Events[0].Sandbox.Verdict)
	b = batchOf(t, one.until(t, "events"))
	require.Len(t, b.Events, 1)
	assert.Equal(t, 3, b.Events[0].Sandbox.Seq)
	var stats sandbox.Overview
	for stats.Duplicates == 0 {
		require.NoError(t, json.Unmarshal([]byte(all.until(t, "stats")), &stats))
	}
	s.Reset()
	all.until(t, "reset")
	s.v2(event("user-3", "a"))
	for b = batchOf(t, all.until(t, "events")); len(b.Events) == 0; {
		b = batchOf(t, all.until(t, "events"))
	}
	assert.Len(t, b.Events, 1)

	// A reader that is far behind gets the newest events, and the number that it missed.
	for range 3 {
		s.do(http.MethodPost, "/batch", strings.ReplaceAll(manyEvents(200), "user-1", "user-9"))
	}
	late := s.stream("?verdict=all")
	b = batchOf(t, late.until(t, "events"))
	assert.Len(t, b.Events, 200)
	assert.Equal(t, 401, b.Missed)
	assert.Equal(t, int(s.Stats().LastSeq), b.Events[199].Sandbox.Seq, "oldest first, ending with the newest")
}
