// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// start is the time at which manual clocks begin.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// manualClock is a clock that only moves on request.
type manualClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// tester is a sandbox with helper methods for tests.
type tester struct {
	*sandbox.Server
	t      testing.TB
	client *http.Client
}

// newTester starts a sandbox whose clock begins at start and only moves with Advance.
func newTester(t testing.TB, opts ...sandbox.Option) *tester {
	t.Helper()
	clock := &manualClock{now: start}
	server := sandbox.New(t, append([]sandbox.Option{sandbox.WithClock(clock.Now)}, opts...)...)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &tester{Server: server, t: t, client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// do sends a request and returns the answer's status, body and headers.
func (s *tester) do(method, path, body string, header ...string) (int, string, http.Header) {
	s.t.Helper()
	status, text, headers, err := s.try(method, path, body, header...)
	require.NoError(s.t, err)
	return status, text, headers
}

func (s *tester) try(method, path, body string, header ...string) (int, string, http.Header, error) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.URL()+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if method == http.MethodPost || method == http.MethodPut {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			request.Host = header[i+1]
			continue
		}
		request.Header.Set(header[i], header[i+1])
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, "", nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), response.Header, err
}

// send posts events in JSON to an ingestion path.
func (s *tester) send(path string, events ...string) (int, string) {
	s.t.Helper()
	status, body, _ := s.do(http.MethodPost, path, payload(events...))
	return status, body
}

// v2 posts events to HTTP V2 and requires a 200.
func (s *tester) v2(events ...string) {
	s.t.Helper()
	status, body := s.send("/2/httpapi", events...)
	require.Equal(s.t, http.StatusOK, status, body)
}

// get reads JSON from the sandbox's own API and requires a 200.
func (s *tester) get(path string, into any) {
	s.t.Helper()
	status, body, _ := s.do(http.MethodGet, path, "")
	require.Equal(s.t, http.StatusOK, status, body)
	require.NoError(s.t, json.Unmarshal([]byte(body), into), body)
}

// control calls the control API and requires a 200.
func (s *tester) control(method, path, body string) string {
	s.t.Helper()
	status, text, _ := s.do(method, path, body)
	require.Equal(s.t, http.StatusOK, status, text)
	return text
}

// properties returns a user's properties as JSON.
func (s *tester) properties(id string) string {
	s.t.Helper()
	user, ok := s.User(id)
	require.True(s.t, ok, "no user %s", id)
	text, err := json.Marshal(user.UserProperties)
	require.NoError(s.t, err)
	return string(text)
}

// payload returns a request body with the standard key.
func payload(events ...string) string {
	return `{"api_key":"sandbox","events":[` + strings.Join(events, ",") + `]}`
}

// assertText compares byte by byte, because the order of keys is part of an answer.
func assertText(t *testing.T, want, got string) {
	t.Helper()
	assert.Equal(t, want, got)
}

func zipped(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.String()
}
