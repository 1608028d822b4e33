// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

const (
	jsonError     = `{"code":400,"error":"Invalid JSON request body"}` + "\n"
	missingDevice = `{"code":400,"error":"Request missing required field","events_with_missing_fields":{"device_id":[0]}}` + "\n"
)

func invalidField(field, index string) string {
	return `{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"` + field + `":[` + index + `]}}` + "\n"
}

// manyEvents returns n equal events.
func manyEvents(n int) string {
	return payload(strings.TrimSuffix(strings.Repeat(`{"event_type":"e","user_id":"user-1"},`, n), ","))
}

func with(change func(*sandbox.Behavior)) sandbox.Option { return sandbox.WithBehavior(change) }

// TestAnswers goes through the validation steps in their order.
func TestAnswers(t *testing.T) {
	const good = `{"event_type":"e","user_id":"user-1"}`
	for _, tc := range []struct {
		name     string
		path     string // standard: /2/httpapi
		method   string // standard: POST
		header   []string
		body     string
		behavior func(*sandbox.Behavior)
		status   int
		answer   string
	}{
		{name: "good", body: payload(good), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":70,"events_ingested":1}` + "\n"},
		{name: "good on batch", path: "/batch", body: payload(good), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":70,"events_ingested":1}` + "\n"},
		{name: "no newline", body: payload(good), status: 200, behavior: func(b *sandbox.Behavior) { b.JSONBodyNewline = false }, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":70,"events_ingested":1}`},
		{name: "trailing slash and query", path: "/2/httpapi/?v=1", body: payload(good), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":70,"events_ingested":1}` + "\n"},
		{name: "charset", header: []string{"Content-Type", "Application/JSON; charset=UTF-8"}, body: payload(good), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":70,"events_ingested":1}` + "\n"},
		{name: "gzip", header: []string{"Content-Encoding", "gzip"}, body: zipped(t, payload(good)), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":70,"events_ingested":1}` + "\n"},

		{name: "2: path", path: "/3/httpapi", body: payload(good), status: 400, answer: `{"code":400,"error":"Invalid request path"}` + "\n"},
		{name: "2: OTLP at the wrong end", path: "/v1/logs", body: payload(good), status: 400, answer: `{"code":400,"error":"Invalid request path","hint":"this is Amplitude's side, which takes events at /2/httpapi; send OTLP to the Collector, whose receiver listens on port 4318 (HTTP) or 4317 (gRPC) by default"}` + "\n"},
		{name: "2: not modeled", path: "/usermap", body: payload(good), status: 501, answer: `{"code":501,"error":"POST /usermap belongs to the User Mapping (aliasing) API, which the sandbox does not model"}` + "\n"},
		{name: "2: not modeled, below", path: "/api/2/annotations/7", method: "DELETE", status: 501, answer: `{"code":501,"error":"DELETE /api/2/annotations/7 belongs to the Dashboard REST API, which the sandbox does not model"}` + "\n"},
		{name: "2: method", method: "GET", status: 400, answer: `{"code":400,"error":"Invalid request path"}` + "\n"},
		{name: "3: content type", header: []string{"Content-Type", "text/plain"}, body: payload(good), status: 400, answer: jsonError},
		{name: "3: a form's content type refused", header: []string{"Content-Type", "application/x-www-form-urlencoded"}, body: payload(good), behavior: func(b *sandbox.Behavior) { b.ContentType = "reject" }, status: 400, answer: jsonError},
		{name: "3: content type accepted", header: []string{"Content-Type", "text/plain"}, body: payload(good), behavior: func(b *sandbox.Behavior) { b.ContentType = "accept" }, status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":70,"events_ingested":1}` + "\n"},
		{name: "4: unknown coding", header: []string{"Content-Encoding", "br"}, body: payload(good), status: 400, answer: jsonError},
		{name: "4: not gzip", header: []string{"Content-Encoding", "gzip"}, body: payload(good), status: 400, answer: jsonError},
		{name: "4: cut gzip", header: []string{"Content-Encoding", "gzip"}, body: zipped(t, payload(good))[:40], status: 400, answer: jsonError},
		{name: "4: gzip refused", header: []string{"Content-Encoding", "gzip"}, body: zipped(t, payload(good)), behavior: func(b *sandbox.Behavior) { b.AcceptGzip = false }, status: 400, answer: jsonError},
		{name: "5: no body", body: "", status: 400, answer: `{"code":400,"error":"Missing request body"}` + "\n"},
		{name: "5: no body, gzip", header: []string{"Content-Encoding", "gzip"}, body: zipped(t, ""), status: 400, answer: `{"code":400,"error":"Missing request body"}` + "\n"},
		{name: "6: bytes", body: payload(good) + strings.Repeat(" ", 1<<20), status: 413, answer: `{"code":413,"error":"Payload too large"}` + "\n"},
		{name: "6: bytes after unzipping", header: []string{"Content-Encoding", "gzip"}, body: zipped(t, payload(good)+strings.Repeat(" ", 1<<20)), status: 413, answer: `{"code":413,"error":"Payload too large"}` + "\n"},
		{name: "6: bytes on the wire", header: []string{"Content-Encoding", "gzip"}, body: zipped(t, payload(good)+strings.Repeat(" ", 1<<20)), behavior: func(b *sandbox.Behavior) { b.LimitBytesOf = "wire" }, status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":1048646,"events_ingested":1}` + "\n"},
		{name: "6: batch takes more", path: "/batch", body: payload(good) + strings.Repeat(" ", 1<<20), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":1048646,"events_ingested":1}` + "\n"},
		{name: "6: html", body: payload(good) + strings.Repeat(" ", 1<<20), behavior: func(b *sandbox.Behavior) { b.HTMLErrors = true }, status: 413, answer: `<html><head><title>413 Payload too large</title></head></html>`},
		{name: "7: firewall", body: payload(`{"event_type":"DROP TABLE users","user_id":"user-1"}`), behavior: func(b *sandbox.Behavior) { b.WAFPatterns = []string{`(?i)drop\s+table`} }, status: 403, answer: `{"code":403,"error":"Forbidden"}` + "\n"},
		{name: "8: not JSON", body: `{"api_key"`, status: 400, answer: jsonError},
		{name: "8: an array", body: `[]`, status: 400, answer: jsonError},
		{name: "8: NaN", body: payload(`{"event_type":"e","user_id":"user-1","price":NaN}`), status: 400, answer: jsonError},
		{name: "8: trailing text", body: payload(good) + "x", status: 400, answer: jsonError},
		{name: "8: leading zero", body: payload(`{"event_type":"e","user_id":"user-1","time":01}`), status: 400, answer: jsonError},
		{name: "8: control character", body: payload("{\"event_type\":\"a\nb\",\"user_id\":\"user-1\"}"), status: 400, answer: jsonError},
		{name: "8: not UTF-8", body: payload("{\"event_type\":\"\xff\",\"user_id\":\"user-1\"}"), status: 400, answer: jsonError},
		{name: "8: too deep to parse", body: strings.Repeat("[", 100_000), status: 400, answer: jsonError},
		{name: "8: key twice", body: `{"api_key":"sandbox","events":[{"event_type":"a","event_type":"b","user_id":"user-1"}]}`, behavior: func(b *sandbox.Behavior) { b.RejectDuplicateKeys = true }, status: 400, answer: jsonError},
		{name: "9: no key", body: `{"events":[]}`, status: 400, answer: `{"code":400,"error":"Request missing required field","missing_field":"api_key"}` + "\n"},
		{name: "9: empty key", body: `{"api_key":"","events":[]}`, status: 400, answer: `{"code":400,"error":"Request missing required field","missing_field":"api_key"}` + "\n"},
		{name: "9: key is no text", body: `{"api_key":7,"events":[]}`, status: 400, answer: `{"code":400,"error":"Request missing required field","missing_field":"api_key"}` + "\n"},
		{name: "10: no events", body: `{"api_key":"sandbox","Events":[]}`, status: 400, answer: `{"code":400,"error":"Request missing required field","missing_field":"events"}` + "\n"},
		{name: "10: events is no array", body: `{"api_key":"sandbox","events":{}}`, status: 400, answer: `{"code":400,"error":"Request missing required field","missing_field":"events"}` + "\n"},
		{name: "10: empty events", body: payload(), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":33,"events_ingested":0}` + "\n"},
		{name: "10: empty events refused", body: payload(), behavior: func(b *sandbox.Behavior) { b.EmptyEvents = "reject" }, status: 400, answer: `{"code":400,"error":"Request missing required field","missing_field":"events"}` + "\n"},
		{name: "11: unknown key", body: `{"api_key":"wrong","events":[{}]}`, status: 400, answer: `{"code":400,"error":"Invalid API key: wrong"}` + "\n"},
		{name: "11: other region", body: `{"api_key":"european","events":[` + good + `]}`, status: 400, answer: `{"code":400,"error":"Invalid API key: european"}` + "\n"},
		{name: "12: too many", path: "/batch", body: manyEvents(2001), status: 413, answer: `{"code":413,"error":"Payload too large"}` + "\n"},
		{name: "12: exactly the limit, strict", path: "/batch", body: manyEvents(2000), behavior: func(b *sandbox.Behavior) { b.Strict2000 = true }, status: 413, answer: `{"code":413,"error":"Payload too large"}` + "\n"},
		{name: "13: event is no object", body: payload(good, `"e"`), status: 400, answer: `{"code":400,"error":"Invalid event JSON"}` + "\n"},

		{name: "14a: no type", body: payload(good, `{"user_id":"user-1"}`, `{"user_id":"user-1","event_type":null}`), status: 400, answer: `{"code":400,"error":"Request missing required field","events_with_missing_fields":{"event_type":[1,2]}}` + "\n"},
		{name: "14a: first only", body: payload(good, `{"user_id":"user-1"}`, `{"user_id":"user-1","event_type":null}`), behavior: func(b *sandbox.Behavior) { b.IndexMode = "first" }, status: 400, answer: `{"code":400,"error":"Request missing required field","events_with_missing_fields":{"event_type":[1]}}` + "\n"},
		{name: "14a: no id", body: payload(`{"event_type":"e"}`), status: 400, answer: missingDevice},
		{name: "14a: null ids", body: payload(`{"event_type":"e","user_id":null,"device_id":null}`), status: 400, answer: missingDevice},
		{name: "14a: only id stripped", path: "/batch", body: payload(`{"event_type":"e","user_id":"u"}`), status: 400, answer: missingDevice},
		{name: "14a: before 14d", body: payload(`{"event_type":"e","user_id":"user-1","time":"x"}`, `{"user_id":"user-1"}`), status: 400, answer: `{"code":400,"error":"Request missing required field","events_with_missing_fields":{"event_type":[1]}}` + "\n"},
		{name: "14b: placeholder", body: payload(`{"event_type":"e","user_id":"Anonymous"}`), status: 400, answer: `{"code":400,"error":"Invalid field values on some events"}` + "\n"},
		{name: "14b: indexed", body: payload(good, `{"event_type":"e","user_id":" null "}`), behavior: func(b *sandbox.Behavior) { b.InvalidIDIndexed = true }, status: 400, answer: invalidField("user_id", "1")},
		{name: "14b: zero as a number", body: payload(`{"event_type":"e","device_id":0}`), behavior: func(b *sandbox.Behavior) { b.InvalidIDIndexed = true }, status: 400, answer: invalidField("device_id", "0")},
		{name: "14b: empty", body: payload(`{"event_type":"e","device_id":"","user_id":"user-1"}`), behavior: func(b *sandbox.Behavior) { b.EmptyID = "invalid" }, status: 400, answer: `{"code":400,"error":"Invalid field values on some events"}` + "\n"},
		{name: "14b: empty is absent", body: payload(`{"event_type":"e","device_id":"","user_id":"user-1"}`), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":85,"events_ingested":1}` + "\n"},
		{name: "14b: both empty", body: payload(`{"event_type":"e","device_id":"","user_id":""}`), status: 400, answer: missingDevice},
		{name: "14c: short", body: payload(good, `{"event_type":"e","user_id":"2","device_id":"device-1"}`), status: 400, answer: `{"code":400,"events_with_invalid_id_lengths":{"user_id":[1]},"error":"Invalid id length for user_id or device_id"}` + "\n"},
		{name: "14c: both short", body: payload(`{"event_type":"e","user_id":"2","device_id":3}`), status: 400, answer: `{"code":400,"events_with_invalid_id_lengths":{"device_id":[0],"user_id":[0]},"error":"Invalid id length for user_id or device_id"}` + "\n"},
		{name: "14c: short, allowed by options", body: `{"api_key":"sandbox","options":{"min_id_length":1},"events":[{"event_type":"e","user_id":"2"}]}`, status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":95,"events_ingested":1}` + "\n"},
		{name: "14c: short, stripped by batch", path: "/batch", body: payload(`{"event_type":"e","user_id":"2","device_id":"device-1"}`), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":88,"events_ingested":1}` + "\n"},
		{name: "14c: four UTF-16 units", body: payload(`{"event_type":"e","user_id":"😀😀"}`), status: 400, answer: `{"code":400,"events_with_invalid_id_lengths":{"user_id":[0]},"error":"Invalid id length for user_id or device_id"}` + "\n"},
		{name: "14d: blank type", body: payload(`{"event_type":" ","user_id":"user-1"}`), status: 400, answer: invalidField("event_type", "0")},
		{name: "14d: reserved type", body: payload(`{"event_type":"[Amplitude] Revenue","user_id":"user-1"}`), status: 400, answer: invalidField("event_type", "0")},
		{name: "14d: type is a number", body: payload(`{"event_type":5,"user_id":"user-1"}`), status: 400, answer: invalidField("event_type", "0")},
		{name: "14d: id is an object", body: payload(`{"event_type":"e","user_id":{},"device_id":"device-1"}`), status: 400, answer: invalidField("user_id", "0")},
		{name: "14d: time is text", body: payload(`{"event_type":"e","user_id":"user-1","time":"2026-01-01"}`, good, `{"event_type":"e","user_id":"user-1","time":1.5}`), status: 400, answer: invalidField("time", "0,2")},
		{name: "14d: time in another notation", body: payload(`{"event_type":"e","user_id":"user-1","time":1.7e12}`), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":84,"events_ingested":1}` + "\n"},
		{name: "14d: session is text", body: payload(`{"event_type":"e","user_id":"user-1","session_id":"abc"}`), status: 400, answer: invalidField("session_id", "0")},
		{name: "14d: price is text", body: payload(`{"event_type":"e","user_id":"user-1","price":"5"}`), status: 400, answer: invalidField("price", "0")},
		{name: "14d: quantity is a fraction", body: payload(`{"event_type":"e","user_id":"user-1","quantity":0.5}`), status: 400, answer: invalidField("quantity", "0")},
		{name: "14d: properties is an array", body: payload(`{"event_type":"e","user_id":"user-1","event_properties":[]}`), status: 400, answer: invalidField("event_properties", "0")},
		{name: "14d: insert_id is an object", body: payload(`{"event_type":"e","user_id":"user-1","insert_id":{}}`), status: 400, answer: invalidField("insert_id", "0")},
		{name: "14d: flag of another type is ignored", body: payload(`{"event_type":"e","user_id":"user-1","$skip_user_properties_sync":"yes"}`), status: 200, answer: `{"code":200,"server_upload_time":1795348800000,"payload_size_bytes":105,"events_ingested":1}` + "\n"},
		{name: "14d: unknown key", body: payload(`{"event_type":"e","user_id":"user-1","app_name":"x"}`), behavior: func(b *sandbox.Behavior) { b.UnknownKeys = "reject" }, status: 400, answer: invalidField("app_name", "0")},
		{name: "14d: too deep", body: payload(`{"event_type":"e","user_id":"user-1","event_properties":` + strings.Repeat(`{"a":`, 41) + "1" + strings.Repeat("}", 41) + `}`), behavior: func(b *sandbox.Behavior) { b.RejectDepth = true }, status: 400, answer: invalidField("event_properties", "0")},

		{name: "15a: silenced", body: payload(good, `{"event_type":"e","device_id":"dev-s-1"}`), behavior: func(b *sandbox.Behavior) { b.SilencedDevices = []string{"dev-s-1"} }, status: 400, answer: `{"code":400,"eps_threshold":30,"error":"Events silenced for device_id","exceeded_daily_quota_devices":{},"silenced_devices":["dev-s-1"],"silenced_events":[1],"throttled_devices":{},"throttled_events":[]}` + "\n"},
		{name: "15b: project", body: manyEvents(61), behavior: func(b *sandbox.Behavior) { b.ProjectEPS = 2 }, status: 429, answer: `{"code":429,"error":"Too many requests"}` + "\n"},
		{name: "15b: project, on this endpoint", body: manyEvents(61), behavior: func(b *sandbox.Behavior) { b.V2.ProjectEPS = 2 }, status: 429, answer: `{"code":429,"error":"Too many requests"}` + "\n"},
		{name: "12: count after unzipping", header: []string{"Content-Encoding", "gzip"}, body: zipped(t, manyEvents(2001)), status: 413, answer: `{"code":413,"error":"Payload too large"}` + "\n"},
		{name: "15b: project, lists", body: manyEvents(61), behavior: func(b *sandbox.Behavior) { b.ProjectEPS, b.ProjectLists = 2, true }, status: 429, answer: `{"code":429,"error":"Too many requests","throttled_devices":{},"throttled_users":{},"throttled_events":[]}` + "\n"},
		{name: "15c: device", body: payload(good, `{"event_type":"e","device_id":"dev-1"}`, `{"event_type":"e","device_id":"dev-1"}`, `{"event_type":"e","device_id":"dev-1"}`), behavior: func(b *sandbox.Behavior) { b.V2.EPSThreshold, b.EPSWindow = 1, 2e9 }, status: 429, answer: `{"code":429,"error":"Too many requests for some devices and users","eps_threshold":1,"throttled_devices":{"dev-1":2},"throttled_users":{},"throttled_events":[1,2,3]}` + "\n"},
		{name: "15c: empty maps left out", body: payload(good, `{"event_type":"e","device_id":"dev-1"}`, `{"event_type":"e","device_id":"dev-1"}`, `{"event_type":"e","device_id":"dev-1"}`), behavior: func(b *sandbox.Behavior) { b.V2.EPSThreshold, b.EPSWindow, b.OmitEmpty = 1, 2e9, true }, status: 429, answer: `{"code":429,"error":"Too many requests for some devices and users","eps_threshold":1,"throttled_devices":{"dev-1":2},"throttled_events":[1,2,3]}` + "\n"},
		{name: "15c: batch names quotas", path: "/batch", body: payload(`{"event_type":"e","device_id":"dev-1"}`, `{"event_type":"e","device_id":"dev-1"}`), behavior: func(b *sandbox.Behavior) { b.DailyQuota = 1 }, status: 429, answer: `{"code":429,"error":"Too many requests for some devices and users","eps_threshold":1000,"throttled_devices":{},"throttled_users":{},"exceeded_daily_quota_users":{},"exceeded_daily_quota_devices":{"dev-1":2},"throttled_events":[0,1]}` + "\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			options := []sandbox.Option{sandbox.WithConfig(func(c *sandbox.Config) {
				c.Projects = []sandbox.Project{{APIKey: "european", Region: sandbox.RegionEU}}
			})}
			if tc.behavior != nil {
				options = append(options, with(tc.behavior))
			}
			s := newTester(t, options...)
			if tc.path == "" {
				tc.path = "/2/httpapi"
			}
			if tc.method == "" {
				tc.method = http.MethodPost
			}
			status, body, header := s.do(tc.method, tc.path, tc.body, tc.header...)
			assert.Equal(t, tc.status, status)
			assert.Equal(t, tc.answer, body)
			assert.Equal(t, "*", header.Get("Access-Control-Allow-Origin"))
			assert.Equal(t, "max-age=15768000", header.Get("Strict-Transport-Security"))
			if status != http.StatusOK {
				assert.Empty(t, s.Events(sandbox.Select{}), "nothing is stored of a refused request")
			}
			assert.Equal(t, 1, s.Stats().Requests)
		})
	}
}

func TestPreflight(t *testing.T) {
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.AllowedOrigins = []string{"http://shop.example"} }))
	status, body, header := s.do(http.MethodOptions, "/2/httpapi", "", "Origin", "http://shop.example", "Access-Control-Request-Method", "POST")
	assert.Equal(t, http.StatusNoContent, status)
	assert.Empty(t, body)
	assert.Equal(t, "*", header.Get("Access-Control-Allow-Origin"))
	assert.Contains(t, header.Get("Access-Control-Allow-Headers"), "Content-Type")
	status, _, header = s.do(http.MethodOptions, "/2/httpapi", "", "Origin", "http://evil.example", "Access-Control-Request-Method", "POST")
	assert.Equal(t, http.StatusForbidden, status)
	assert.Empty(t, header.Get("Access-Control-Allow-Origin"))
}

// TestVerdicts checks the verdict on each event of a refused request.
func TestVerdicts(t *testing.T) {
	s := newTester(t)
	s.Throttle(0, "dev-t-1")
	status, _ := s.send("/2/httpapi", `{"event_type":"e","user_id":"user-1"}`, `{"event_type":"e","user_id":"user-2","time":"now"}`)
	require.Equal(t, http.StatusBadRequest, status)
	status, _ = s.send("/2/httpapi", `{"event_type":"e","device_id":"dev-t-1"}`, `{"event_type":"e","user_id":"user-1"}`)
	require.Equal(t, http.StatusTooManyRequests, status)
	var verdicts []sandbox.Verdict
	events := s.Events(sandbox.Select{Verdicts: sandbox.Verdicts})
	for _, e := range events {
		verdicts = append(verdicts, e.Meta.Verdict)
	}
	assert.Equal(t, []sandbox.Verdict{sandbox.Refused, sandbox.Invalid, sandbox.Throttled, sandbox.Refused}, verdicts)
	assert.Equal(t, []sandbox.Problem{{Field: "time", Rule: "must be a whole number"}}, events[1].Meta.Problems)
	assert.NotEmpty(t, events[0].Meta.Reason)
}
