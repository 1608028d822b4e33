// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/metadata"
)

// FuzzRequest: whatever a body contains, accepted events can be encoded, and the exporter sends all of them, except
// those whose ids only its own limits refuse.
func FuzzRequest(f *testing.F) {
	for _, pool := range [][]string{pools["event_properties"], pools["user_properties"], pools["groups"], pools["group_properties"]} {
		for _, value := range pool {
			f.Add("/2/httpapi", request(`{"event_type":"e","user_id":"user-1","event_properties":`+value+`,"user_properties":`+value+`,"groups":`+value+`}`))
		}
	}
	f.Add("/batch", request(`{"event_type":"e","user_id":"user-1","a":1,"a":2,"user_properties":{"a":1,"$set":{"a":2},"\u0024set":{"b":3}}}`))
	f.Add("/identify", "api_key=sandbox&identification=%7B%22user_id%22%3A%22user-1%22%7D")
	f.Add("/groupidentify", "api_key=sandbox&identification=%5B%7B%22group_type%22%3A%22org%22%2C%22group_value%22%3A%5B%22a%22%5D%7D%5D")
	sink := &consumertest.LogsSink{}
	h, err := newHandler(receivertest.NewNopSettings(metadata.Type), configOf(f, nil), sink)
	require.NoError(f, err)
	exporter := amplitudeexporter.NewFactory().CreateDefaultConfig().(*amplitudeexporter.Config)
	exporter.Events = []string{"*"}
	f.Fuzz(func(t *testing.T, path, body string) {
		sink.Reset()
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.URL.Path = path
		r.Header.Set("Content-Type", typeJSON)
		if endpointOf(r).isForm() {
			r.Header.Set("Content-Type", typeForm)
		}
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		switch answer.Code {
		case http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("%d: %s", answer.Code, answer.Body)
		}
		for _, record := range (&tester{t: t, sink: sink}).records() {
			require.Equal(t, http.StatusOK, answer.Code)
			_, err := amplitudeexporter.EncodeEvent(exporter, "1.2.3", record)
			require.NoError(t, err)
		}
		for _, logs := range sink.AllLogs() {
			_, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
			require.NoError(t, err)
		}
	})
}
