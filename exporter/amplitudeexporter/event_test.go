// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
)

// TestEncodeEvent: a single event is encoded like one in a batch; if it cannot be sent, the error says why.
func TestEncodeEvent(t *testing.T) {
	for _, tc := range []struct {
		name, event string
		settings    map[string]any
		attributes  map[string]any
		want, fails string
	}{
		{
			name: "an event", event: "[Experiment] Exposure", settings: map[string]any{"partner_id": "p"}, attributes: map[string]any{"amplitude.user_id": "user-1"},
			want: `{"event_type":"[Experiment] Exposure","user_id":"user-1","library":"otelcol-amplitude/1.2.3","partner_id":"p"}`,
		},
		{name: "not an event", attributes: map[string]any{"amplitude.user_id": "user-1"}, fails: "not_an_event"},
		{name: "not allowed", event: "Order", attributes: map[string]any{"amplitude.user_id": "user-1"}, fails: "not_allowed"},
		{name: "a field at fault", event: "$exposure", attributes: map[string]any{"amplitude.color": "red"}, fails: "unknown_field: color"},
		{name: "too large", event: "$exposure", attributes: largeAttributes(), fails: "too_large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			record := plog.NewLogRecord()
			record.SetEventName(tc.event)
			require.NoError(t, record.Attributes().FromRaw(tc.attributes))
			got, err := EncodeEvent(newConfig(t, tc.settings), "1.2.3", record)
			assert.Equal(t, tc.want, string(got))
			if tc.fails == "" {
				require.NoError(t, err)
				return
			}
			var why *NotSentError
			require.ErrorAs(t, err, &why)
			assert.Equal(t, tc.fails, err.Error())
		})
	}
}

func largeAttributes() map[string]any {
	attributes := map[string]any{"amplitude.user_id": "user-1"}
	for i := range 1100 {
		attributes[strings.Repeat("x", i+1)] = strings.Repeat("y", 1000)
	}
	return attributes
}

// TestEveryReasonHasAHint for tap clients that watch an undelivered event.
func TestEveryReasonHasAHint(t *testing.T) {
	for _, reason := range event.ReasonNames[1:] {
		assert.NotEmpty(t, tap.UndeliveredHints[reason], reason)
	}
	assert.Len(t, tap.UndeliveredHints, len(event.ReasonNames)-1, "none that the exporter does not know")
}
