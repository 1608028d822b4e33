// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/metadata"
)

// TestMiddlewareAsksToWait: if a middleware refuses temporarily, clients get the answer that makes them retry with
// pauses; all its other answers are unchanged.
func TestMiddlewareAsksToWait(t *testing.T) {
	h, err := newHandler(receivertest.NewNopSettings(metadata.Type), configOf(t, nil), consumertest.NewNop())
	require.NoError(t, err)
	for status, want := range map[int]struct {
		status int
		text   string
	}{
		http.StatusTooManyRequests: {http.StatusServiceUnavailable, `{"code":503,"error":"The Collector cannot accept events now: retry later"}` + "\n"},
		http.StatusForbidden:       {http.StatusForbidden, "Forbidden\n"},
	} {
		answer := httptest.NewRecorder()
		middleware := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, http.StatusText(status), status) })
		h.retryLater(middleware).ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/2/httpapi", nil))
		assert.Equal(t, want.status, answer.Code)
		assert.Equal(t, want.text, answer.Body.String())
	}
}
