// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// startForSDKs runs examples/amplitude-sdks.yaml on the test's addresses; Amplitude's SDKs send to that of OTLPGRPC.
func startForSDKs(t *testing.T, options harness.Options) *harness.Collector {
	t.Helper()
	at := harness.NewAddresses(t)
	options.Addresses = at
	options.Sets = append(options.Sets, "service::telemetry::metrics::level: none") // its port is not configurable there
	options.Env = append(options.Env, "SDK_ENDPOINT="+at.OTLPGRPC, "OTLP_HTTP_ENDPOINT="+at.OTLPHTTP, "SANDBOX_ENDPOINT="+at.Sandbox, "HEALTH_ENDPOINT="+at.Health)
	return harness.Start(t, filepath.Join(harness.Root(), "examples", "amplitude-sdks.yaml"), options)
}

// uploadOf returns the body of a request with one ordinary event for each user.
func uploadOf(key string, first, n int) []byte {
	events := make([]string, n)
	for i := range events {
		events[i] = fmt.Sprintf(`{"event_type":"Song Played","user_id":"user-%06d","insert_id":"i-%d","user_properties":{"$add":{"plays":1}}}`, first+i, first+i)
	}
	return fmt.Appendf(nil, `{"api_key":%q,"events":[%s]}`, key, strings.Join(events, ","))
}

// TestOrdinaryEventsLeave: the shipped configuration for Amplitude's SDKs sends all of their events.
func TestOrdinaryEventsLeave(t *testing.T) {
	c := startForSDKs(t, harness.Options{})
	sdks := "http://" + c.OTLPGRPC
	for _, event := range []string{
		`{"event_type":"[Amplitude] Page Viewed","user_id":"user-1001","insert_id":"1","event_properties":{"[Amplitude] Page Path":"/"}}`,
		`{"event_type":"revenue_amount","user_id":"user-1001","insert_id":"2","event_properties":{"$price":3.99,"$quantity":2}}`,
		`{"event_type":"session_start","user_id":"user-1001","insert_id":"3","session_id":1763895600000}`,
		`{"event_type":"$exposure","user_id":"user-1001","insert_id":"4","event_properties":{"flag_key":"f","variant":"on"}}`,
		`{"event_type":"$identify","user_id":"user-1001","insert_id":"5","user_properties":{"$set":{"plan":"pro"}}}`,
	} {
		status, err := harness.Post(sdks+"/2/httpapi", "application/json", "", []byte(`{"api_key":"sandbox","events":[`+event+`]}`))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
	}
	events := c.WaitForEvents(t, 4)
	types := map[string]bool{}
	for _, event := range events {
		types[event.Text("event_type")] = true
	}
	assert.Equal(t, map[string]bool{"[Amplitude] Page Viewed": true, "revenue_amount": true, "session_start": true, "[Experiment] Exposure": true}, types)
	require.Eventually(t, func() bool {
		return assert.ObjectsAreEqual(map[string]any{"plan": "pro", "[Experiment] f": "on"}, c.UserProperties(t, "user-1001"))
	}, patience, 50*time.Millisecond)
	assert.NotContains(t, c.Logs(), "sends only experiment events")
}

// TestSDKsAreAuthenticated: with an auth extension, requests without its token are refused as by Amplitude, whatever
// else they contain.
func TestSDKsAreAuthenticated(t *testing.T) {
	c := startForSDKs(t, harness.Options{Sets: []string{
		"extensions::bearertokenauth: {token: shop-token}", "receivers::amplitude::auth: {authenticator: bearertokenauth}",
		"service::extensions: [memory_limiter, health_check, amplitude_sandbox, bearertokenauth]",
	}})
	for token, want := range map[string]int{"": http.StatusUnauthorized, "other-token": http.StatusUnauthorized, "shop-token": http.StatusOK} {
		request, err := http.NewRequest(http.MethodPost, "http://"+c.OTLPGRPC+"/2/httpapi", bytes.NewReader(uploadOf("sandbox", 0, 1)))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		assert.Equal(t, want, response.StatusCode, token)
		assert.Equal(t, "application/json", response.Header.Get("Content-Type"))
		require.NoError(t, response.Body.Close())
	}
	assert.Len(t, c.WaitForEvents(t, 1), 1)
}

// TestSDKsAreAskedToWait: while memory is short, SDKs get the answer that makes them retry with pauses. After the
// limiter's own 429, they would use up all their retries immediately.
func TestSDKsAreAskedToWait(t *testing.T) {
	c := startForSDKs(t, harness.Options{Sets: []string{"extensions::memory_limiter::limit_mib: 2", "extensions::memory_limiter::spike_limit_mib: 1"}})
	require.Eventually(t, func() bool {
		status, err := harness.Post("http://"+c.OTLPGRPC+"/2/httpapi", "application/json", "", uploadOf("sandbox", 0, 1))
		return status == http.StatusServiceUnavailable && strings.Contains(err.Error(), `{"code":503,"error":"The Collector cannot accept events now: retry later"}`)
	}, patience, 50*time.Millisecond)
	// The Collector's log arrives through a pipe, possibly after the answer.
	assert.Eventually(t, func() bool { return strings.Contains(c.Logs(), "cannot accept events now") }, patience, 10*time.Millisecond)
}

// TestSDKBombs: within the memory of its container, the shipped configuration answers four bombs at once and serves
// others in the meantime.
func TestSDKBombs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("RLIMIT_DATA is Linux's")
	}
	deployment := harness.DeploymentOf(t, "config.example.yaml")
	c := startForSDKs(t, harness.Options{DataLimit: deployment.Memory, Env: deployment.Environ()})
	sdks := "http://" + c.OTLPGRPC
	const limit = 2 << 20
	of := func(from, part, to string) []byte {
		return []byte(from + strings.Repeat(part+",", (limit-200)/(len(part)+1)) + part + to)
	}
	const event = `{"api_key":"sandbox","events":[{"event_type":"e","user_id":"user-1","event_properties":{`
	for name, bomb := range map[string][]byte{
		"20 MB of nothing":   bytes.Repeat([]byte(" "), 20<<20),
		"lists":              of(event+`"x":[`, "[]", "]}}]}"),
		"objects":            of(event+`"x":[`, "{}", "]}}]}"),
		"properties":         of(event, `"":1`, "}}]}"),
		"unknown members":    of(`{"api_key":"sandbox","events":[{"event_type":"e","user_id":"user-1",`, `"a":1`, "}]}"),
		"empty events":       of(`{"api_key":"sandbox","events":[`, "{}", "]}"),
		"deep":               []byte(event + `"x":` + strings.Repeat("[", limit/2-200) + strings.Repeat("]", limit/2-200) + "}}]}"),
		"events in a string": of(`{"api_key":"sandbox","events":"`, `[]`, `"}`),
	} {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(bomb)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				status, err := harness.Post(sdks+"/batch", "application/json", "gzip", packed.Bytes())
				assert.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusServiceUnavailable}, status, "%s: %v", name, err)
			})
		}
		require.Eventually(t, func() bool {
			status, err := harness.Post(sdks+"/2/httpapi", "application/json", "", uploadOf("sandbox", 0, 1))
			return err == nil && status == http.StatusOK
		}, time.Minute, 50*time.Millisecond, "a neighbor is served during %s", name)
		all.Wait()
		t.Logf("%s, %d kB on the wire: at most %d MB resident", name, packed.Len()>>10, c.Peak(t))
	}
	c.Stop(t)
	assert.NotContains(t, c.Logs(), "out of memory")
}
