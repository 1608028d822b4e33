// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// TestFoundingRequest sends the request shown on Amplitude's page about tracking exposures: with curl --data, which
// sends JSON with a form's content type, and with an empty id that was not filled in.
func TestFoundingRequest(t *testing.T) {
	const body = `{"api_key":"sandbox","events":[{"event_type":"$exposure","user_id":"user-12345","device_id":"","event_properties":{"flag_key":"my-flag","variant":"on"}}]}`
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	s := newTester(t)
	status, text, _ := s.do(http.MethodPost, "/2/httpapi", body, form...)
	assert.Equal(t, http.StatusOK, status, text)
	assert.JSONEq(t, `{"[Experiment] my-flag":"on"}`, s.properties("user-12345"))
	var request struct {
		Warnings []string `json:"warnings"`
	}
	s.get("/_sandbox/requests/1", &request)
	require.Len(t, request.Warnings, 3)
	assert.Contains(t, request.Warnings[0], "application/x-www-form-urlencoded")
	assert.Contains(t, request.Warnings[1], "no insert_id")
	assert.Contains(t, request.Warnings[2], "device_id is empty")

	strict := newTester(t, with(func(b *sandbox.Behavior) { b.ContentType, b.EmptyID = sandbox.Reject, sandbox.EmptyIDInvalid }))
	status, text, _ = strict.do(http.MethodPost, "/2/httpapi", body, form...)
	assert.Equal(t, http.StatusBadRequest, status)
	assertText(t, jsonError, text)
	status, _, _ = strict.do(http.MethodPost, "/2/httpapi", body)
	assert.Equal(t, http.StatusBadRequest, status, "the empty id")
}

// TestBodyShown: the request log shows what was sent, whatever became of it, or says why it cannot.
func TestBodyShown(t *testing.T) {
	s := newTester(t)
	post := func(path, body string, header ...string) { _, _, _, _ = s.try(http.MethodPost, path, body, header...) }
	post("/2/httpapi", `{"a": 1}`, "Content-Type", "text/plain")
	post("/3/httpapi", `{"a": 2}`)
	post("/2/httpapi", `{"a": 3}`, "Content-Encoding", "gzip")
	post("/2/httpapi", "\x00\xff binary", "Content-Encoding", "br")
	post("/2/httpapi", "")
	_, err := s.AddFaults(sandbox.Fault{Action: sandbox.FaultResetBeforeRead})
	require.NoError(t, err)
	post("/2/httpapi", `{"a": 4}`)
	type shown struct {
		Body any    `json:"body"`
		Note string `json:"body_note"`
	}
	for i, want := range []shown{
		{Body: map[string]any{"a": 1.0}},
		{Body: map[string]any{"a": 2.0}},
		{Body: map[string]any{"a": 3.0}},
		{Note: "9 bytes that are not text"},
		{},
		{Note: "not read"},
	} {
		var got shown
		s.get("/_sandbox/requests/"+string(rune('1'+i)), &got)
		assert.Equal(t, want, got, "request %d", i+1)
	}
}

// TestForeignPages: pages of other sites cannot write, although a form's content type needs no preflight.
func TestForeignPages(t *testing.T) {
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.AllowedOrigins = []string{"https://Shop.example"} }))
	host := strings.TrimPrefix(s.URL(), "http://")
	_, port, _ := strings.Cut(host, ":")
	const hostNames = "is not allowed: add it to allowed_hosts"
	for _, tc := range []struct {
		name   string
		header []string
		why    string // empty: accepted
	}{
		{"no browser", nil, ""},
		{"no browser, with a host name", []string{"Host", "sandbox:8585"}, ""},
		{"its own page", []string{"Origin", s.URL(), "Sec-Fetch-Site", "same-origin"}, ""},
		{"its own page, no Sec-Fetch-Site", []string{"Origin", s.URL()}, ""},
		{"its own page by an address of the network", []string{"Host", "192.0.2.1:" + port, "Origin", "http://192.0.2.1:" + port}, ""},
		{"an application on this machine", []string{"Origin", "http://localhost:3000", "Sec-Fetch-Site", "cross-site"}, ""},
		{"an application on this machine, IPv6", []string{"Origin", "http://[::1]:3000"}, ""},
		{"allowed", []string{"Origin", "https://shop.example", "Sec-Fetch-Site", "cross-site"}, ""},
		{"another site", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, "page of another site (https://evil.example)"},
		{"another site, no Sec-Fetch-Site", []string{"Origin", "https://evil.example"}, "page of another site"},
		{"another port of an allowed one", []string{"Origin", "https://shop.example:8443"}, "page of another site"},
		{"another scheme of an allowed one", []string{"Origin", "http://shop.example"}, "page of another site"},
		{"a file or a sandboxed frame", []string{"Origin", "null"}, "page of another site (null)"},
		{"no origin", []string{"Sec-Fetch-Site", "cross-site"}, "page of another site (cross-site)"},
		{"a neighbor of the same site", []string{"Sec-Fetch-Site", "same-site"}, "page of another site (same-site)"},
		{"a name that begins like this machine", []string{"Origin", "http://localhost.evil.example"}, "page of another site"},
		{"a rebound name", []string{"Host", "evil.example:" + port, "Origin", "http://evil.example:" + port}, hostNames},
		{"a rebound name, same origin", []string{"Host", "evil.example", "Sec-Fetch-Site", "same-origin"}, hostNames},
	} {
		for _, path := range []string{"/2/httpapi", "/batch", "/identify", "/groupidentify", "/nowhere"} {
			before := s.Stats()
			status, body, header := s.do(http.MethodPost, path, payload(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, tc.header...)...)
			if tc.why == "" {
				assert.NotEqual(t, http.StatusForbidden, status, "%s: %s", tc.name, path)
				assert.Equal(t, "*", header.Get("Access-Control-Allow-Origin"), tc.name)
				continue
			}
			assert.Equal(t, http.StatusForbidden, status, "%s: %s", tc.name, path)
			assert.Contains(t, body, tc.why, tc.name)
			assert.Empty(t, header.Get("Access-Control-Allow-Origin"), tc.name)
			assert.Equal(t, before.Requests, s.Stats().Requests, "%s: it is not in the request log", tc.name)
		}
	}
	assert.Equal(t, 5*3, s.Stats().Foreign["https://evil.example"]+s.Stats().Foreign["null"])
	for i := range 100 {
		s.do(http.MethodPost, "/2/httpapi", payload(), "Origin", "https://"+strings.Repeat("x", i)+".example")
	}
	assert.LessOrEqual(t, len(s.Stats().Foreign), 21, "a page cannot fill the memory")

	open := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.AllowedOrigins = []string{"*"} }))
	status, _, _ := open.do(http.MethodPost, "/2/httpapi", payload(), "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, http.StatusOK, status)
}

// sending is an answer to the Send form.
type sending struct {
	URL       string
	Status    int
	Answer    map[string]any
	Error     string
	After     uint64
	RequestID uint64 `json:"request_id"`
}

func (s *tester) sendForm(body string) sending {
	s.t.Helper()
	var out sending
	require.NoError(s.t, json.Unmarshal([]byte(s.control(http.MethodPost, "/_sandbox/send", body)), &out))
	return out
}

func TestSendToSandbox(t *testing.T) {
	s := newTester(t)
	out := s.sendForm(`{"via":"sandbox","to":"eu","user_id":"user-12345","flag_key":"my-flag","variant":"treatment","experiment_key":"exp-1"}`)
	assert.Equal(t, http.StatusOK, out.Status)
	assert.InDelta(t, 1, out.Answer["events_ingested"], 0)
	assert.JSONEq(t, `{"[Experiment] my-flag":"treatment"}`, s.properties("user-12345"))
	events := s.Events(sandbox.Select{UserID: "user-12345"})
	require.Len(t, events, 1)
	assert.Equal(t, out.RequestID, events[0].Meta.RequestID)
	assert.Greater(t, events[0].Meta.Seq, out.After)
	assert.Equal(t, "exp-1", events[0].Meta.ExperimentKey)

	s.sendForm(`{"user_id":"user-12345","flag_key":"my-flag"}`)
	assert.JSONEq(t, `{}`, s.properties("user-12345"), "no variant means an un-exposure")
	out = s.sendForm(`{"user_id":"42","flag_key":"my-flag"}`)
	assert.Equal(t, http.StatusBadRequest, out.Status, "the rules are Amplitude's")
	_, err := s.AddFaults(sandbox.Fault{Action: sandbox.FaultIngestThenReset})
	require.NoError(t, err)
	out = s.sendForm(`{"user_id":"user-12345","flag_key":"my-flag","variant":"on"}`)
	assert.Zero(t, out.Status)
	assert.Contains(t, out.Error, "no answer")

	for _, body := range []string{`{"via":"http://evil.example"}`, `{"to":"moon"}`, `{"url":"http://evil.example"}`, `{"otlp_endpoint":"http://evil.example"}`} {
		status, text, _ := s.do(http.MethodPost, "/_sandbox/send", body)
		assert.Equal(t, http.StatusBadRequest, status, text)
	}
	status, _, _ := s.do(http.MethodPost, "/_sandbox/send", `{}`, "Origin", "https://evil.example")
	assert.Equal(t, http.StatusForbidden, status)
}

// TestSendToCollector: the form sends to the configured address, regardless of environment variables and redirects.
func TestSendToCollector(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://192.0.2.1:1")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it followed a redirect") }))
	defer elsewhere.Close()
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"partialSuccess":{}}`) }
	var path, text string
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		path, text = r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type"), string(body)
		answer(w, r)
	}))
	defer collector.Close()
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.OTLPEndpoint = collector.URL + "/" }))
	form := `{"via":"collector","user_id":"user-\"1\"","device_id":"device-1","flag_key":"my-flag","variant":"on","experiment_key":"e"}`
	out := s.sendForm(form)
	assert.Equal(t, http.StatusOK, out.Status)
	assert.Equal(t, collector.URL+"/v1/logs", out.URL)
	assert.Equal(t, "POST /v1/logs application/json", path)
	assert.JSONEq(t, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"$exposure","attributes":[
		{"key":"flag_key","value":{"stringValue":"my-flag"}}, {"key":"variant","value":{"stringValue":"on"}}, {"key":"experiment_key","value":{"stringValue":"e"}},
		{"key":"user.id","value":{"stringValue":"user-\"1\""}}, {"key":"device.id","value":{"stringValue":"device-1"}}]}]}]}]}`, text)
	assert.Empty(t, s.Events(sandbox.Select{}), "it is the Collector that sends to Amplitude")

	answer = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}
	assert.Equal(t, http.StatusTemporaryRedirect, s.sendForm(form).Status)
	collector.Close()
	out = s.sendForm(form)
	assert.Zero(t, out.Status)
	assert.Contains(t, out.Error, "no Collector answers at "+collector.URL)

	none := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.OTLPEndpoint = "" }))
	status, body, _ := none.do(http.MethodPost, "/_sandbox/send", form)
	assert.Equal(t, http.StatusConflict, status)
	assert.Contains(t, body, "otlp_endpoint")
}

// code is the code that the form shows.
type code struct {
	URL  string
	Code struct{ Curl, Node, Go string }
}

func (s *tester) code(values url.Values) code {
	s.t.Helper()
	var out code
	s.get("/_sandbox/send?"+values.Encode(), &out)
	return out
}

// TestSendCode runs the code that the form shows, and compares the event with the one that the form sends.
func TestSendCode(t *testing.T) {
	values := url.Values{
		"user_id": {"it's \"user\" `1` $(id) \\ ü"}, "device_id": {"device-1"}, "flag_key": {"my-flag"}, "variant": {"treatment"}, "experiment_key": {"exp'1"},
	}
	for _, tc := range []struct{ language, file string }{{"curl", "sh"}, {"node", "mjs"}, {"go", "go"}} {
		t.Run(tc.language, func(t *testing.T) {
			s := newTester(t)
			shown := s.code(values)
			assert.Equal(t, s.URL()+"/2/httpapi", shown.URL)
			text := map[string]string{"curl": shown.Code.Curl, "node": shown.Code.Node, "go": shown.Code.Go}[tc.language]
			file := filepath.Join(t.TempDir(), "main."+tc.file)
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			run := map[string][]string{"curl": {"sh", file}, "node": {"node", file}, "go": {"go", "run", file}}[tc.language]
			if _, err := exec.LookPath(run[0]); err != nil {
				t.Skipf("%s is not installed", run[0])
			}
			cmd := exec.CommandContext(t.Context(), run[0], run[1:]...)
			cmd.Env = cleanenv.Environ()
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			assert.Contains(t, string(out), `"events_ingested":1`)

			form, err := json.Marshal(map[string]string{
				"user_id": values.Get("user_id"), "device_id": "device-1", "flag_key": "my-flag", "variant": "treatment", "experiment_key": "exp'1",
			})
			require.NoError(t, err)
			s.sendForm(string(form))
			events := s.Events(sandbox.Select{UserID: values.Get("user_id")})
			require.Len(t, events, 2)
			assert.JSONEq(t, events[1].JSON, events[0].JSON)
		})
	}
}

// TestSendCodeForAmplitude: a region only changes the code, which uses the key from the environment.
func TestSendCodeForAmplitude(t *testing.T) {
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.APIKeys[0] = "0123456789abcdef0123456789abcdef" }))
	values := url.Values{"user_id": {"@"}, "flag_key": {"my-flag"}}
	for to, want := range map[string]string{"us": "https://api2.amplitude.com/2/httpapi", "eu": "https://api.eu.amplitude.com/2/httpapi"} {
		values.Set("to", to)
		shown := s.code(values)
		assert.Equal(t, want, shown.URL)
		for _, text := range []string{shown.Code.Curl, shown.Code.Node, shown.Code.Go} {
			assert.Contains(t, text, want)
			assert.Contains(t, text, "AMPLITUDE_API_KEY")
			assert.Contains(t, text, `"@"`)
			assert.NotContains(t, text, "variant", "an empty variant is left out")
		}
	}
	// The shell puts the variable's value into the JSON.
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "curl() { for last; do :; done; printf %s \"$last\"; }; AMPLITUDE_API_KEY=secret; "+s.code(values).Code.Curl).Output()
	require.NoError(t, err)
	assert.JSONEq(t, `{"api_key":"secret","events":[{"event_type":"$exposure","user_id":"@","event_properties":{"flag_key":"my-flag"}}]}`, string(out))
	values.Set("to", "sandbox")
	assert.NotContains(t, s.code(values).Code.Curl, "0123456789abcdef", "a key such as Amplitude gives out is never shown")
	status, body, _ := s.do(http.MethodGet, "/_sandbox/send?to=moon", "")
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Contains(t, body, "to must be sandbox or us or eu")
}
