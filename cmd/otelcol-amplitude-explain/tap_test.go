// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
)

// Messages of a Collector: a record that is skipped, one that waits and is finally delivered, and one that passes.
const (
	skippedRecord = `{"seq":1,"time":"2026-01-15T12:00:00Z","service":"shop","outcome":"skipped","reason":"static","why":"\"static\" is in evaluation.skip_reasons",` +
		`"flags":[{"key":"checkout","variant":"on"}],"user":{"value":"id:7f3a9c21"},"ended":true}`
	waitingRecord = `{"seq":2,"time":"2026-01-15T12:00:00Z","outcome":"assignment","event_name":"$assignment","device":{"value":"id:00000001"},` +
		`"flags":[{"key":"a","variant":"on"},{"key":"b"},{"key":"c","variant":"x"},{"key":"d"}],"events":[{"state":"taken"}],"became":["on its way"],"ended":false}`
	deliveredRecord = `{"seq":2,"time":"2026-01-15T12:00:00Z","outcome":"assignment","device":{"value":"id:00000001"},` +
		`"flags":[{"key":"a","variant":"on"},{"key":"b"},{"key":"c","variant":"x"},{"key":"d"}],"events":[{"state":"delivered"}],"became":["delivered; 200, 1 event, 2.0 ms"],"ended":true}`
	passedRecord = `{"seq":3,"time":"2026-01-15T12:00:00Z","outcome":"passed","event_name":"Order Completed","why":"its event name is not in any event_names","ended":true}`
)

// collector is a server that sends messages, one after the other, and then ends the stream; asked is the query.
func collector(t *testing.T, batches ...string) (url string, asked *string) {
	t.Helper()
	asked = new(string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = r.URL.String()
		if r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: counts\ndata: {}\n\n: still here\n\n")
		for _, records := range batches {
			fmt.Fprintf(w, "event: records\ndata: {\"missed\":7,\"records\":[%s]}\n\n", records)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestTapLines(t *testing.T) {
	url, asked := collector(t, skippedRecord+","+waitingRecord, passedRecord, deliveredRecord)
	status, out, stderr := command(t, nil, "tap", "--header", "Authorization: Bearer x", "--outcome", "skipped,assignment", "--flag", "checkout", "--user", "user-1", "--count", "3", url)
	assert.Zero(t, status, stderr)
	assert.Equal(t, "/decisions?flag=checkout&outcome=skipped%2Cassignment&user=user-1", *asked)
	assert.Regexp(t, `(?m)^\d\d:\d\d:\d\d\.000  skipped \(static\)        shop  checkout=on  id:7f3a9c21  "static" is in evaluation\.skip_reasons$`, out)
	assert.Regexp(t, `(?m)^\d\d:\d\d:\d\d\.000  passed                  "Order Completed"  its event name is not in any event_names$`, out)
	assert.Regexp(t, `(?m)^\d\d:\d\d:\d\d\.000  assignment              a=on b c=x and 1 more  id:00000001  delivered; 200, 1 event, 2\.0 ms$`, out)
	assert.NotContains(t, out, "on its way", "a record has one line")
	assert.Contains(t, out, "more, not shown")
}

// TestTapEnds: if the Collector ends the stream, waiting decisions are printed as they are, and the command fails.
func TestTapEnds(t *testing.T) {
	url, _ := collector(t, waitingRecord)
	status, out, stderr := command(t, nil, "tap", "--header", "Authorization: x", url)
	assert.Equal(t, exitUnreadable, status)
	assert.Contains(t, out, "on its way")
	assert.Contains(t, stderr, "the Collector ended the stream")
}

func TestTapJSON(t *testing.T) {
	url, asked := collector(t, skippedRecord)
	status, out, stderr := command(t, nil, "tap", "--json", "--count", "1", "--header", "Authorization: x", url+"/_sandbox/records")
	assert.Zero(t, status, stderr)
	assert.Equal(t, "/_sandbox/records?detail=json", *asked)
	var one tap.Shown
	require.NoError(t, json.Unmarshal([]byte(out), &one), out)
	assert.Equal(t, "static", one.Reason)
}

func TestTapProblems(t *testing.T) {
	locked, _ := collector(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"too many clients are watching already: stop one of them"}`, http.StatusServiceUnavailable)
	}))
	defer refusing.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{locked}, "requires authentication: pass --header"},
		{[]string{refusing.URL}, "503 Service Unavailable: too many clients are watching already"},
		{[]string{other.URL}, "is this the address of an amplitude_tap?"},
		{[]string{"127.0.0.1:1"}, "does a Collector with the extension amplitude_tap listen there?"},
		{[]string{"http://a", "http://b"}, "tap watches one Collector"},
		{[]string{"--per-second", "few"}, "few"},
		{[]string{"--header", "token"}, `a header is "Name: value"`},
	} {
		status, _, stderr := command(t, nil, append([]string{"tap"}, tc.args...)...)
		assert.Equal(t, exitUnreadable, status, tc.args)
		assert.Contains(t, stderr, tc.want)
	}
	status, _, stderr := command(t, nil, "tap", "--help")
	assert.Zero(t, status)
	for _, name := range []string{"-outcome", "-reason", "-service", "-flag", "-user", "-json", "-count", "-wait", "-per-second", "-header"} {
		assert.Contains(t, stderr, name)
	}
}
