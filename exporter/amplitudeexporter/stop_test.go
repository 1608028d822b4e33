// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStopDoesNotHang: neither a rate limit nor a server that hangs holds a stop up, and what is in memory is in the dead
// letter file.
func TestStopDoesNotHang(t *testing.T) {
	for name, hang := range map[string]bool{"rate limit": false, "hanging server": true} {
		t.Run(name, func(t *testing.T) {
			server := newScript(t)
			handler := server.Config.Handler
			server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				if hang {
					_, _ = io.Copy(io.Discard, q.Body) // only a request that is read is noticed to be gone
					<-q.Context().Done()
					return
				}
				handler.ServeHTTP(w, q)
			})
			path := filepath.Join(t.TempDir(), "dead.jsonl")
			settings := impatient(server.url())
			settings["shutdown_timeout"] = "50ms"
			settings["dead_letter"] = map[string]any{"path": path}
			settings["rate_limit"] = map[string]any{"requests_per_second": 0.001}
			settings["sending_queue"] = map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1, "max_size": 10}}
			r := newRig(t, settings, nil)
			for range 3 {
				require.NoError(t, r.ConsumeLogs(t.Context(), numbered(10)))
			}
			require.Eventually(t, func() bool { return hang || len(server.received()) == 1 }, patience, poll)
			r.stop()
			letters := readDeadLetters(t, path)
			want := 20
			if hang {
				want = 30
			}
			assert.Len(t, letters, want)
			for _, letter := range letters {
				assert.Contains(t, letter, "shutdown")
			}
		})
	}
}
