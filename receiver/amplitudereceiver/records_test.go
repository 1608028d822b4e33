// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// TestRecords: what each part of an event becomes.
func TestRecords(t *testing.T) {
	s := start(t, nil)
	for _, tc := range []struct {
		name, event string
		want        map[string]any
	}{
		{"fields", `"session_id":1763895600000,"app_version":"1.2","platform":"Web","price":1.5,"quantity":2,"revenue":3,"$skip_user_properties_sync":true,"plan":{"branch":"b","n":[1,null]},"ingestion_metadata":{"source_name":"s"}`, map[string]any{
			"amplitude.session_id": int64(1763895600000), "amplitude.app_version": "1.2", "amplitude.platform": "Web", "amplitude.price": 1.5,
			"amplitude.quantity": int64(2), "amplitude.revenue": int64(3), "amplitude.$skip_user_properties_sync": true,
			"amplitude.plan": map[string]any{"branch": "b", "n": []any{int64(1), nil}}, "amplitude.ingestion_metadata": map[string]any{"source_name": "s"},
		}},
		{"whole numbers, however they are written", `"session_id":1.7638956e12,"event_id":3.0`, map[string]any{"amplitude.session_id": int64(1763895600000), "amplitude.event_id": int64(3)}},
		{"numbers and booleans as text", `"app_version":1.20,"city":true`, map[string]any{"amplitude.app_version": "1.20", "amplitude.city": "true"}},
		{"null is treated as absent", `"device_id":null,"price":null,"event_properties":null,"groups":null,"$skip_user_properties_sync":null,"insert_id":""`, map[string]any{}},
		{"ids", `"device_id":1234567,"insert_id":42`, map[string]any{"amplitude.device_id": "1234567", "amplitude.insert_id": "42"}},
		{"an id is trimmed", `"device_id":" Device-É "`, map[string]any{"amplitude.device_id": "Device-É"}},
		{"event properties", `"event_properties":{"a":"b","n":-1,"f":1.5e3,"ok":false,"none":null,"list":[1,"x",{"y":[]}],"map":{"x":{"y":"z"}},"":"no name","$set":1}`, map[string]any{
			"a": "b", "n": int64(-1), "f": 1500.0, "ok": false, "none": nil, "list": []any{int64(1), "x", map[string]any{"y": []any{}}},
			"map": map[string]any{"x": map[string]any{"y": "z"}}, "": "no name", "$set": int64(1),
		}},
		{"event properties with names like attributes", `"event_properties":{"amplitude.user_id":"x","amplitude.":"y"}`, map[string]any{"amplitude.event_properties.amplitude.user_id": "x", "amplitude.event_properties.amplitude.": "y"}},
		{"escapes", `"event_properties":{"a\"\u0041":"line\nbreak \ud83d\ude00 \ud83d"}`, map[string]any{"a\"A": "line\nbreak 😀 \ufffd"}},
		{"numbers beyond what fits", `"event_properties":{"large":18446744073709551616,"huge":1e999}`, map[string]any{"large": 18446744073709551616.0, "huge": nil}},
		{"operations, in order", `"user_properties":{"$set":{"b":1,"a.b":"x"},"$unset":{"c":"-"},"$setOnce":{"d":[1]},"$add":{"n":1.5},"$append":{"l":"x"},"$clearAll":"-"}`, map[string]any{
			"amplitude.user_properties.$set.b": int64(1), "amplitude.user_properties.$set.a.b": "x", "amplitude.user_properties.$unset.c": "-",
			"amplitude.user_properties.$setOnce.d": []any{int64(1)}, "amplitude.user_properties.$add.n": 1.5,
			"amplitude.user_properties.$append.l": "x", "amplitude.user_properties.$clearAll": "-",
		}},
		{"plain properties are set", `"user_properties":{"plan":"pro","n":null}`, map[string]any{"amplitude.user_properties.$set.plan": "pro", "amplitude.user_properties.$set.n": nil}},
		{"plain properties come last, so they win", `"user_properties":{"a":1,"$set":{"a":2,"b":2},"$add":{"c":1},"c":5,"$setOnce":{"a":3}}`, map[string]any{
			"amplitude.user_properties.$set.a": int64(1), "amplitude.user_properties.$set.b": int64(2), "amplitude.user_properties.$set.c": int64(5),
		}},
		{"invalid operators", `"user_properties":{"$put":{"a":1},"$set":[1],"$add":{"n":"x","m":2},"":1,"$unset":{"":"-"},"$append":null}`, map[string]any{"amplitude.user_properties.$add.m": int64(2)}},
		{"group properties", `"group_properties":{"$set":{"seats":7},"tier":"gold"}`, map[string]any{"amplitude.group_properties.$set.seats": int64(7), "amplitude.group_properties.$set.tier": "gold"}},
		{"groups", `"groups":{"org":"acme","team":["a",7,null],"none":[],"nil":null,"bad":{},"":"x","n":5}`, map[string]any{
			"amplitude.groups.org": "acme", "amplitude.groups.team": []any{"a", "7"}, "amplitude.groups.n": "5",
		}},
		{"unknown fields", `"app_name":"shop","receipt":{"a":[1.0]},"x\"":"\ud83d"`, map[string]any{"amplitude.event_json": `{"app_name":"shop","receipt":{"a":[1.0]},"x\"":"\ud83d"}`}},
		{"the last of duplicate names counts", `"city":"A","event_properties":{"a":1,"b":{"c":1,"d":2,"c":3},"a":[2]},"city":"B","event_properties":{"z":{"y":1,"y":2}}`, map[string]any{"amplitude.city": "B", "z": map[string]any{"y": int64(2)}}},
		{"an address that clients may not set", `"ip":"$remote"`, map[string]any{}},
		{"an address", `"ip":"192.0.2.1"`, map[string]any{"amplitude.ip": "192.0.2.1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			records := s.take(request(`{"event_type":"Song Played","user_id":"user-1","time":1763895600123,` + tc.event + `}`))
			require.Len(t, records, 1)
			record := records[0]
			assert.Equal(t, "Song Played", record.EventName())
			assert.EqualValues(t, 1763895600123*1_000_000, record.Timestamp())
			assert.NotZero(t, record.ObservedTimestamp())
			tc.want["amplitude.user_id"] = "user-1"
			assert.Equal(t, tc.want, record.Attributes().AsRaw())
		})
	}
}

// TestDepth: what is nested more deeply than Amplitude accepts is left out, and its neighbors are kept.
func TestDepth(t *testing.T) {
	s := start(t, nil)
	deep := strings.Repeat(`{"x":`, 60) + `1` + strings.Repeat("}", 60)
	records := s.take(request(`{"event_type":"e","user_id":"user-1","event_properties":{"a":1,"deep":` + deep + `,"z":2},"user_properties":{"deep":` + deep + `}}`))
	raw := records[0].Attributes().AsRaw()
	assert.EqualValues(t, 1, raw["a"])
	assert.EqualValues(t, 2, raw["z"])
	levels := 0
	for inner, ok := raw["deep"].(map[string]any); ok; inner, ok = inner["x"].(map[string]any) {
		levels++
	}
	assert.Equal(t, 39, levels, "with the event properties themselves, 40")
}

// TestTimes: an event keeps its own time, corrected as by Amplitude if the client's clock is wrong.
func TestTimes(t *testing.T) {
	s := start(t, nil)
	const at = 1763895600123
	send := func(event, more string) int64 {
		records := s.take(`{"api_key":"sandbox","events":[{"event_type":"e","user_id":"user-1"` + event + `}]` + more + `}`)
		return int64(records[0].Timestamp())
	}
	assert.Zero(t, send("", ""), "the time of the receipt is the observed one")
	assert.EqualValues(t, 1, send(`,"time":0`, ""), "zero is not a time")
	assert.Equal(t, int64(at*1_000_000), send(`,"time":1763895600123`, ""))
	uploaded := func(ago time.Duration) string {
		return `,"client_upload_time":"` + time.Now().Add(-ago).UTC().Format("2006-01-02T15:04:05.000Z") + `"`
	}
	assert.Equal(t, int64(at*1_000_000), send(`,"time":1763895600123`, uploaded(time.Second)))
	assert.InDelta(t, (at+3_600_000)*1e6, send(`,"time":1763895600123`, uploaded(time.Hour)), 1e6*60_000)
	assert.InDelta(t, (at-3_600_000)*1e6, send(`,"time":1763895600123`, uploaded(-time.Hour)), 1e6*60_000)
	assert.Equal(t, int64(at*1_000_000), send(`,"time":1763895600123`, `,"client_upload_time":"yesterday"`))
}

// TestProjects: the resource has the project of the key, and the key is nowhere.
func TestProjects(t *testing.T) {
	s := start(t, map[string]any{"api_keys": []any{map[string]any{"key": "web-key", "project": "web"}, map[string]any{"key": "plain-key"}}})
	for key, want := range map[string]map[string]any{"web-key": {"amplitude.project": "web"}, "plain-key": {}} {
		s.take(`{"api_key":"` + key + `","events":[` + good + `]}`)
		logs := s.sink.AllLogs()[0]
		assert.Equal(t, want, logs.ResourceLogs().At(0).Resource().Attributes().AsRaw())
		encoded, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
		require.NoError(t, err)
		assert.NotContains(t, string(encoded), key)
	}
}

// TestUnknownFieldsRejected: the answer names an unknown member and its event.
func TestUnknownFieldsRejected(t *testing.T) {
	s := start(t, map[string]any{"unknown_fields": "reject"})
	status, text := s.post("/2/httpapi", request(good, `{"event_type":"e","user_id":"user-1","shade":"red"}`))
	assert.Equal(t, http.StatusBadRequest, status)
	assert.JSONEq(t, `{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"shade":[1]}}`, text)
	assert.Empty(t, s.records())
}

// TestGroupsAreThrottledSeparately: identified groups do not share a device, because Amplitude throttles by device.
func TestGroupsAreThrottledSeparately(t *testing.T) {
	s := start(t, nil)
	identification := `[{"group_type":"org","group_value":"acme"},{"group_type":"org","group_value":["globex","` + strings.Repeat("x", 1100) + `"]},{"group_type":"team","group_value":"acme"}]`
	status, text, _ := s.do(http.MethodPost, "/groupidentify", url.Values{"api_key": {"sandbox"}, "identification": {identification}}.Encode(), "Content-Type", typeForm)
	require.Equal(t, http.StatusOK, status, text)
	devices := map[any]bool{}
	for _, record := range s.records() {
		devices[record.Attributes().AsRaw()["amplitude.device_id"]] = true
	}
	assert.Len(t, devices, 3)
}

// TestForms: identifications become the corresponding events.
func TestForms(t *testing.T) {
	s := start(t, nil)
	for _, tc := range []struct {
		name, path, identification string
		want                       []map[string]any
	}{
		{"a user", "/identify", `{"user_id":"user-1","event_type":"ignored","user_properties":{"$set":{"plan":"pro"}},"app_version":"1"}`, []map[string]any{
			{"amplitude.user_id": "user-1", "amplitude.user_properties.$set.plan": "pro", "amplitude.app_version": "1"},
		}},
		{"users", "/identify", ` [{"user_id":"user-1","user_properties":{"plan":"pro"}},{"device_id":"device-1"}]`, []map[string]any{
			{"amplitude.user_id": "user-1", "amplitude.user_properties.$set.plan": "pro"}, {"amplitude.device_id": "device-1"},
		}},
		{"a group", "/groupidentify", `{"group_value":"acme","group_type":"org","group_properties":{"$set":{"seats":7}}}`, []map[string]any{
			{"amplitude.device_id": "group-org-acme", "amplitude.groups.org": "acme", "amplitude.group_properties.$set.seats": int64(7)},
		}},
		{"groups of a user", "/groupidentify", `[{"group_type":"org","group_value":["a","b"],"user_id":"user-1","group_properties":{"tier":"gold"}}]`, []map[string]any{
			{"amplitude.user_id": "user-1", "amplitude.groups.org": []any{"a", "b"}, "amplitude.group_properties.$set.tier": "gold"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := url.Values{"api_key": {"sandbox"}, "identification": {tc.identification}}.Encode()
			for name, send := range map[string]func() (int, string, http.Header){
				"body": func() (int, string, http.Header) {
					return s.do(http.MethodPost, tc.path, form, "Content-Type", typeForm)
				},
				"query": func() (int, string, http.Header) { return s.do(http.MethodPost, tc.path+"?"+form, "") },
				"multipart": func() (int, string, http.Header) {
					const part = "--b\r\nContent-Disposition: form-data; name=\"%\"\r\n\r\n"
					body := strings.Replace(part, "%", "api_key", 1) + "sandbox\r\n" + strings.Replace(part, "%", "identification", 1) + tc.identification + "\r\n--b--\r\n"
					return s.do(http.MethodPost, tc.path, body, "Content-Type", "multipart/form-data; boundary=b")
				},
			} {
				s.sink.Reset()
				status, text, _ := send()
				require.Equal(t, http.StatusOK, status, "%s: %s", name, text)
				assert.Equal(t, "success", text)
				var got []map[string]any
				for _, record := range s.records() {
					assert.Equal(t, map[string]string{"/identify": "$identify", "/groupidentify": "$groupidentify"}[tc.path], record.EventName())
					got = append(got, record.Attributes().AsRaw())
				}
				assert.Equal(t, tc.want, got, name)
			}
		})
	}
}

// TestClientAddress: what is replaced by the client's address, and who is trusted to name it.
func TestClientAddress(t *testing.T) {
	const event = `{"event_type":"e","user_id":"user-1","ip":"$remote"}`
	proxied := map[string]any{"client_ip": "forward", "trusted_proxies": []any{"127.0.0.0/8", "10.0.0.0/8", "2001:db8::/32"}}
	for _, tc := range []struct {
		name      string
		conf      map[string]any
		forwarded []string
		want      any
	}{
		{"off", nil, []string{"192.0.2.1"}, nil},
		{"who is connected", map[string]any{"client_ip": "forward"}, nil, "127.0.0.1"},
		{"a header from an untrusted proxy", map[string]any{"client_ip": "forward"}, []string{"192.0.2.1"}, "127.0.0.1"},
		{"a trusted proxy's client", proxied, []string{"192.0.2.1"}, "192.0.2.1"},
		{"the client's own header does not count", proxied, []string{"198.51.100.9, 192.0.2.1"}, "192.0.2.1"},
		{"proxies behind proxies", proxied, []string{"198.51.100.9, 192.0.2.1,10.1.2.3", "[2001:db8::1]:443"}, "192.0.2.1"},
		{"with a port", proxied, []string{"192.0.2.1:5555"}, "192.0.2.1"},
		{"IPv6", proxied, []string{"2001:db9::7"}, "2001:db9::7"},
		{"no address", proxied, []string{"192.0.2.1, unknown"}, "127.0.0.1"},
		{"nothing but proxies", proxied, []string{"10.0.0.1, 10.0.0.2"}, "10.0.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := start(t, tc.conf)
			headers := []string{"Content-Type", typeJSON}
			for _, value := range tc.forwarded {
				headers = append(headers, "X-Forwarded-For", value)
			}
			status, text, _ := s.do(http.MethodPost, "/2/httpapi", request(event), headers...)
			require.Equal(t, http.StatusOK, status, text)
			assert.Equal(t, tc.want, s.records()[0].Attributes().AsRaw()["amplitude.ip"])
		})
	}
}
