// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// everything returns all text that an exporter left behind.
func (r *rig) everything(err error) string {
	var all strings.Builder
	if err != nil {
		fmt.Fprintf(&all, "%v %+v %#v\n", err, err, err)
	}
	for _, entry := range r.logs.All() {
		fmt.Fprintf(&all, "%s %v\n", entry.Message, entry.ContextMap())
	}
	r.host.mu.Lock()
	defer r.host.mu.Unlock()
	for _, event := range r.host.events {
		fmt.Fprintf(&all, "%v %v\n", event.Status(), event.Err())
	}
	return all.String()
}

func TestKeyIsNotInTheConfigsText(t *testing.T) {
	cfg := newConfig(t, nil)
	raw, err := json.Marshal(cfg)
	require.NoError(t, err)
	marshaled := confmap.New()
	require.NoError(t, marshaled.Marshal(cfg))
	for _, text := range []string{
		string(raw),
		fmt.Sprintf("%v", cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg), fmt.Sprintf("%v", *cfg), cfg.APIKey.String(),
		fmt.Sprint(marshaled.ToStringMap()),
	} {
		assert.NotContains(t, text, testKey)
	}
}

// TestKeyNeverShows, in whatever way Amplitude or something in front of it fails.
func TestKeyNeverShows(t *testing.T) {
	echo := scriptedAnswer{Text: `{"code":%d,"error":"<key> <key>","missing_field":"<key>","events_with_invalid_fields":{"<key>":[0]}}`, Times: -1}
	for _, status := range []int{200, 301, 400, 401, 403, 404, 408, 413, 418, 429, 500, 503} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			answer := echo
			answer.Status = status
			answer.Text = fmt.Sprintf(echo.Text, status)
			server := newScript(t, answer)
			path := filepath.Join(t.TempDir(), "dead.jsonl")
			r := newRig(t, map[string]any{"endpoint": server.url(), "dead_letter": map[string]any{"path": path}}, nil)
			err := r.ConsumeLogs(t.Context(), numbered(3))
			r.stop()
			letters, readErr := os.ReadFile(path)
			require.NoError(t, readErr)
			assert.NotContains(t, r.everything(err)+string(letters), testKey)
		})
	}
}

func TestKeyTravelsInTheBodyAlone(t *testing.T) {
	server := newScript(t)
	r := newRig(t, map[string]any{"endpoint": server.url(), "compression": "gzip"}, nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(3)))
	request := server.received()[0]
	assert.NotContains(t, fmt.Sprint(request.header), testKey)
	assert.True(t, strings.HasPrefix(string(request.body), `{"api_key":"`+testKey+`","events":[{`))
	assert.Equal(t, "application/json", request.header.Get("Content-Type"))
	assert.Equal(t, "gzip", request.header.Get("Content-Encoding"))
	assert.Contains(t, request.header.Get("User-Agent"), "Collector/1.2.3 (")
}

func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := newScript(t)
	server := newScript(t, scriptedAnswer{Status: http.StatusPermanentRedirect, Headers: map[string]string{"Location": elsewhere.url()}})
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	require.Error(t, r.ConsumeLogs(t.Context(), numbered(1)))
	assert.Empty(t, elsewhere.received())
}

// TestRedirectSaysWhereTo, without anything that could be a secret.
func TestRedirectSaysWhereTo(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := newScript(t, scriptedAnswer{Status: status, Times: -1, Headers: map[string]string{"Location": "https://joe:hunter2@elsewhere.example/2/httpapi?token=hunter2"}})
		r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
		err := r.ConsumeLogs(t.Context(), numbered(1))
		require.ErrorContains(t, err, "a redirect to https://elsewhere.example/2/httpapi: it is not followed")
		assert.NotContains(t, r.everything(err), "hunter2")
	}
}

// TestUserInfoOfTheURLNeverShows, in each failure that could put the URL into an error.
func TestUserInfoOfTheURLNeverShows(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: 404, Times: -1})
	withPassword := strings.Replace(server.url(), "http://", "http://somebody:hunter2@", 1)
	for name, endpoint := range map[string]string{
		"answer": withPassword, "refused connection": "http://somebody:hunter2@127.0.0.1:1/2/httpapi",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, map[string]any{"endpoint": endpoint}, nil)
			err := r.ConsumeLogs(t.Context(), numbered(1))
			require.Error(t, err)
			assert.NotContains(t, r.everything(err), "hunter2")
		})
	}
}

func TestInvalidKeySuggestsTheOtherRegionOnce(t *testing.T) {
	cfg := newConfig(t, nil)
	answer := response{action: actionRetry, status: 400, misconfigured: true, text: textInvalidAPIKey}
	for region, other := range map[string]string{"us": "region: eu", "eu": "region: us"} {
		r := newRig(t, nil, nil)
		cfg.Region = region
		h := newHealth(cfg, r.zap, systemClock{})
		h.start(r.host)
		h.misconfigured(answer)
		h.misconfigured(answer)
		entries := r.logs.FilterMessageSnippet("refuses the API key").All()
		require.Len(t, entries, 1)
		assert.Contains(t, entries[0].ContextMap()["hint"], other)
		assert.Equal(t, region, entries[0].ContextMap()["region"])
	}
}

// TestRegionIsNotLoggedWithAnEndpoint, because the endpoint overrides it.
func TestRegionIsNotLoggedWithAnEndpoint(t *testing.T) {
	server := newScript(t, scriptedAnswer{Status: 400, Body: []byte(`{"code":400,"error":"Invalid API key: x"}`)})
	r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
	require.Error(t, r.ConsumeLogs(t.Context(), numbered(1)))
	entries := r.logs.FilterMessageSnippet("refuses the API key").All()
	require.Len(t, entries, 1)
	assert.Equal(t, map[string]any{"url": server.url(), "hint": "check api_key"}, entries[0].ContextMap())
}
