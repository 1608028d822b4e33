// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/metadata"
)

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
	good     = `{"event_type":"e","user_id":"user-1"}`
)

func request(events ...string) string {
	return `{"api_key":"sandbox","events":[` + strings.Join(events, ",") + `]}`
}

// TestAnswers: answers are those that Amplitude documents or that were observed: amplitude-docs, "HTTP V2 API" and
// "Batch Event Upload API" (error texts, lists by field), and issues of its SDKs (Invalid API key, missing_field,
// events_with_invalid_id_lengths).
func TestAnswers(t *testing.T) {
	s := start(t, nil)
	for _, tc := range []struct {
		name, path, body, contentType string
		status                        int
		want                          string
	}{
		{name: "events", body: request(good, good), status: 200, want: `{"code":200,"server_upload_time":0,"payload_size_bytes":108,"events_ingested":2}`},
		{name: "a batch", path: "/batch", body: request(good), status: 200, want: `{"code":200,"server_upload_time":0,"payload_size_bytes":70,"events_ingested":1}`},
		{name: "no events", body: request(), status: 200, want: `{"code":200,"server_upload_time":0,"payload_size_bytes":33,"events_ingested":0}`},
		{name: "JSON under the type of a form, as curl --data sends it", contentType: typeForm, body: request(good), status: 200, want: `{"code":200,"server_upload_time":0,"payload_size_bytes":70,"events_ingested":1}`},
		{name: "JSON as plain text, as navigator.sendBeacon sends it", contentType: "text/plain;charset=UTF-8", body: request(good), status: 200, want: `{"code":200,"server_upload_time":0,"payload_size_bytes":70,"events_ingested":1}`},
		{name: "no body", status: 400, want: `{"code":400,"error":"Missing request body"}`},
		{name: "no JSON", body: `{"api_key":`, status: 400, want: `{"code":400,"error":"Invalid JSON request body"}`},
		{name: "two values", body: request(good) + "{}", status: 400, want: `{"code":400,"error":"Invalid JSON request body"}`},
		{name: "not UTF-8", body: "{\"api_key\":\"\xff\",\"events\":[]}", status: 400, want: `{"code":400,"error":"Invalid JSON request body"}`},
		{name: "a list", body: "[]", status: 400, want: `{"code":400,"error":"Invalid JSON request body"}`},
		{name: "another type", contentType: "application/xml", body: request(good), status: 400, want: `{"code":400,"error":"Invalid JSON request body"}`},
		{name: "no key", body: `{"events":[]}`, status: 400, want: `{"code":400,"error":"Request missing required field","missing_field":"api_key"}`},
		{name: "Events, in upper case", body: `{"api_key":"sandbox","Events":[]}`, status: 400, want: `{"code":400,"error":"Request missing required field","missing_field":"events"}`},
		{name: "events that are not a list", body: `{"api_key":"sandbox","events":{}}`, status: 400, want: `{"code":400,"error":"Request missing required field","missing_field":"events"}`},
		{name: "an unknown key", body: `{"api_key":"abc123","events":[]}`, status: 400, want: `{"code":400,"error":"Invalid API key: abc123"}`},
		{name: "an event that is not an object", body: request(good, `7`), status: 400, want: `{"code":400,"error":"Invalid event JSON"}`},
		{name: "no event type", body: request(good, `{"user_id":"user-1"}`), status: 400, want: `{"code":400,"error":"Request missing required field","events_with_missing_fields":{"event_type":[1]}}`},
		{name: "no id", body: request(`{"event_type":"e"}`, good, `{"event_type":"e","user_id":null,"device_id":""}`), status: 400, want: `{"code":400,"error":"Request missing required field","events_with_missing_fields":{"device_id":[0,2]}}`},
		{name: "a time that is text", body: request(good, `{"event_type":"e","user_id":"user-1","time":"noon"}`), status: 400, want: `{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"time":[1]}}`},
		{name: "a blank event type", body: request(`{"event_type":" ","user_id":"user-1"}`), status: 400, want: `{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"event_type":[0]}}`},
		{name: "a reserved event type", body: request(`{"event_type":"[Amplitude] Revenue","user_id":"user-1"}`), status: 400, want: `{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"event_type":[0]}}`},
		{name: "properties that are not an object", body: request(`{"event_type":"e","user_id":"user-1","event_properties":[],"groups":1,"user_properties":"x","plan":true}`), status: 400, want: `{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"event_properties":[0],"groups":[0],"plan":[0],"user_properties":[0]}}`},
		{name: "fields of other types", body: request(`{"event_type":"e","user_id":"user-1","session_id":"x","price":"7","city":{},"quantity":1.5,"revenue":1e999}`), status: 400, want: `{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"city":[0],"price":[0],"quantity":[0],"revenue":[0],"session_id":[0]}}`},
		{name: "a placeholder for an id", body: request(good, `{"event_type":"e","user_id":"user-1","device_id":"Anonymous"}`), status: 400, want: `{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"device_id":[1]}}`},
		{name: "a short id", body: request(good, `{"event_type":"e","user_id":"2","device_id":"device-1"}`), status: 400, want: `{"code":400,"error":"Invalid id length for user_id or device_id","events_with_invalid_id_lengths":{"user_id":[1]}}`},
		{name: "a long id", body: request(`{"event_type":"e","user_id":"` + strings.Repeat("u", 1025) + `"}`), status: 400, want: `{"code":400,"error":"Invalid id length for user_id or device_id","events_with_invalid_id_lengths":{"user_id":[0]}}`},
		{name: "a short id next to a good one, in a batch", path: "/batch", body: request(`{"event_type":"e","user_id":"2","device_id":"device-1"}`), status: 200, want: `{"code":200,"server_upload_time":0,"payload_size_bytes":88,"events_ingested":1}`},
		{name: "a shorter minimum than the receiver's", body: `{"api_key":"sandbox","events":[{"event_type":"e","user_id":"u"}],"options":{"min_id_length":1}}`, status: 400, want: `{"code":400,"error":"Invalid id length for user_id or device_id","events_with_invalid_id_lengths":{"user_id":[0]}}`},
		{name: "a longer minimum", body: `{"options":{"min_id_length":7},"api_key":"sandbox","events":[` + good + `]}`, status: 400, want: `{"code":400,"error":"Invalid id length for user_id or device_id","events_with_invalid_id_lengths":{"user_id":[0]}}`},
		{name: "too many events", path: "/batch", body: request(strings.Repeat(good+",", 2000) + good), status: 413, want: `{"code":413,"error":"Payload too large"}`},
		{name: "too large", body: request(`{"event_type":"e","user_id":"user-1","event_properties":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`), status: 413, want: `{"code":413,"error":"Payload too large"}`},
		{name: "another path", path: "/httpapi", body: request(good), status: 400, want: `{"code":400,"error":"Invalid request path"}`},
		{name: "an identify", path: "/identify", contentType: typeForm, body: url.Values{"api_key": {"sandbox"}, "identification": {`{"user_id":"user-1","user_properties":{"plan":"pro"}}`}}.Encode(), status: 200, want: "success"},
		{name: "an identify with another key", path: "/identify", contentType: typeForm, body: "api_key=abc123&identification={}", status: 400, want: "invalid_api_key"},
		{name: "an identify without changes", path: "/identify", contentType: typeForm, body: "api_key=sandbox", status: 400, want: "missing_event"},
		{name: "an empty list of identifies", path: "/identify", contentType: typeForm, body: "api_key=sandbox&identification=[]", status: 400, want: "missing_event"},
		{name: "an identify without a group", path: "/groupidentify", contentType: typeForm, body: `api_key=sandbox&identification={"group_type":"org","group_properties":{"seats":7}}`, status: 400, want: "invalid_event"},
		{name: "an identify of a group without a type", path: "/groupidentify", contentType: typeForm, body: `api_key=sandbox&identification={"group_value":"acme","group_properties":{"seats":7}}`, status: 400, want: "invalid_event"},
		{name: "the form of SDKs before the HTTP V2 API", contentType: typeForm, body: "v=2&client=sandbox&e=%5B%5D&upload_time=1&checksum=x", status: 400, want: `{"code":400,"error":"Invalid JSON request body"}`},
		{name: "an identify without an id", path: "/identify", contentType: typeForm, body: "api_key=sandbox&identification={}", status: 400, want: "invalid_event"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.path == "" {
				tc.path = "/2/httpapi"
			}
			if tc.contentType == "" {
				tc.contentType = typeJSON
			}
			status, text, _ := s.do(http.MethodPost, tc.path, tc.body, "Content-Type", tc.contentType)
			assert.Equal(t, tc.status, status)
			text = regexp.MustCompile(`"server_upload_time":\d{13}`).ReplaceAllString(text, `"server_upload_time":0`)
			assert.Equal(t, tc.want, strings.TrimSuffix(text, "\n"))
		})
	}
}

// TestOtherMethods: the API only accepts POST.
func TestOtherMethods(t *testing.T) {
	s := start(t, nil)
	status, text, _ := s.do(http.MethodGet, "/2/httpapi", "")
	assert.Equal(t, http.StatusBadRequest, status)
	assert.JSONEq(t, `{"code":400,"error":"Invalid request path"}`, text)
}

// TestGzip: bodies may be compressed. A body that cannot be decompressed is refused as by Amplitude, and limits apply
// to the decompressed size.
func TestGzip(t *testing.T) {
	s := start(t, map[string]any{"max_request_body_size": 2 << 20})
	post := func(body string) (int, string) {
		status, text, _ := s.do(http.MethodPost, "/2/httpapi", body, "Content-Type", typeJSON, "Content-Encoding", "gzip")
		return status, text
	}
	status, text := post(compressed(t, request(good)))
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, text, `"payload_size_bytes":70`)
	for _, size := range []int{1 << 20, 3 << 20} {
		status, text = post(compressed(t, request(`{"event_type":"e","user_id":"user-1","event_properties":{"x":"`+strings.Repeat("x", size)+`"}}`)))
		assert.Equal(t, http.StatusRequestEntityTooLarge, status)
		assert.JSONEq(t, `{"code":413,"error":"Payload too large"}`, text)
	}
	for _, body := range []string{"no gzip", compressed(t, request(good))[:40]} {
		status, text = post(body)
		assert.Equal(t, http.StatusBadRequest, status)
		assert.JSONEq(t, `{"code":400,"error":"Invalid JSON request body"}`, text)
	}
	require.Len(t, s.records(), 1)
}

// TestCORS: pages of the configured origins may send, and others may not.
func TestCORS(t *testing.T) {
	s := start(t, map[string]any{"cors": map[string]any{"allowed_origins": []any{"https://shop.example"}, "allowed_headers": []any{"Content-Type", "Content-Encoding"}}})
	for origin, want := range map[string]string{"https://shop.example": "https://shop.example", "https://other.example": ""} {
		_, _, headers := s.do(http.MethodOptions, "/2/httpapi", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-encoding,content-type")
		assert.Equal(t, want, headers.Get("Access-Control-Allow-Origin"))
		status, _, headers := s.do(http.MethodPost, "/2/httpapi", request(good), "Content-Type", typeJSON, "Origin", origin)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, want, headers.Get("Access-Control-Allow-Origin"))
	}
}

// TestNextRefuses: 200 means that the next component accepted the events. Temporary refusals get an answer that makes
// clients retry, permanent ones an answer that makes them drop each event immediately.
func TestNextRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		status int
		want   string
	}{
		{"temporarily", errors.New("the queue is full"), 503, `{"code":503,"error":"The Collector cannot accept events now: retry later"}`},
		{"temporarily by one pipeline, permanently by another", fmt.Errorf("logs: %w", errors.Join(errors.New("full"), consumererror.NewPermanent(errors.New("no")))), 503, `{"code":503,"error":"The Collector cannot accept events now: retry later"}`},
		{"permanently by two pipelines", errors.Join(consumererror.NewPermanent(errors.New("no")), fmt.Errorf("logs/2: %w", consumererror.NewPermanent(errors.New("never")))), 400, `{"code":400,"error":"The Collector's pipeline permanently refuses these events","events_with_invalid_fields":{"event_type":[0,1]}}`},
		{"permanently", consumererror.NewPermanent(errors.New("no")), 400, `{"code":400,"error":"The Collector's pipeline permanently refuses these events","events_with_invalid_fields":{"event_type":[0,1]}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := startWith(t, receivertest.NewNopSettings(metadata.Type), nil, consumertest.NewErr(tc.err))
			status, text := s.post("/2/httpapi", request(good, good))
			assert.Equal(t, tc.status, status)
			assert.Equal(t, tc.want+"\n", text)
			status, text, _ = s.do(http.MethodPost, "/identify", url.Values{"api_key": {"sandbox"}, "identification": {`{"user_id":"user-1"}`}}.Encode(), "Content-Type", typeForm)
			assert.Equal(t, tc.status, status)
			if tc.status == http.StatusBadRequest {
				assert.Equal(t, "invalid_event", text)
			}
			status, _ = s.post("/2/httpapi", request())
			assert.Equal(t, http.StatusOK, status, "nothing to take")
		})
	}
}

// TestStartWarns: at startup, the log warns about events that would be accepted from SDKs although no exporter of this
// Collector sends them.
func TestStartWarns(t *testing.T) {
	for _, tc := range []struct {
		name   string
		length int
		events []string
		want   []string
	}{
		{"an exporter of all events", 5, []string{"*"}, nil},
		{"an exporter of some", 5, []string{"[Experiment] *", "Order *"}, nil},
		{"an exporter of experiments", 5, []string{"[Experiment] *", "$exposure", "$identify"}, []string{"sends only experiment events"}},
		{"an exporter of longer ids", 7, []string{"*"}, []string{"min_id_length is lower than"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Cleanup(amplitude.Export(tc.length, tc.events))
			set := receivertest.NewNopSettings(metadata.Type)
			core, logs := observer.New(zap.WarnLevel)
			set.Logger = zap.New(core)
			startWith(t, set, nil, consumertest.NewNop())
			require.Len(t, logs.All(), len(tc.want))
			for i, want := range tc.want {
				assert.Contains(t, logs.All()[i].Message, want)
			}
		})
	}
}
