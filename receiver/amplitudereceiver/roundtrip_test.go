// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// pools are values for the members of events, most of them valid. Numbers beyond 2^53 and texts beyond 1,024 characters
// are compared elsewhere.
var pools = map[string][]string{
	"event_type":                 {`"Song Played"`, `"Song Played"`, `"$identify"`, `"$groupidentify"`, `"$exposure"`, `"[Experiment] Assignment"`, `" "`, `7`, `null`, `"[Amplitude] Revenue"`},
	"user_id":                    {`"user-1"`, `"user-2"`, `" user-1 "`, `1234567`, `null`, `""`, `"u"`, `"none"`, `true`},
	"device_id":                  {`"device-1"`, `"device-É"`, `null`, `"d"`, `"undefined"`, `[]`},
	"time":                       {`1763895600123`, `1763895600123`, `1.763895600123e12`, `"noon"`, `1.5`, `null`},
	"insert_id":                  {`"i-1"`, `"i-2"`, `42`, `null`, `{}`},
	"session_id":                 {`1763895600000`, `-1`, `"x"`, `null`},
	"event_id":                   {`1`, `2.0`, `1.5`},
	"price":                      {`9.99`, `-1`, `0`, `"9"`},
	"quantity":                   {`2`, `1.5`},
	"revenue":                    {`1e2`, `null`, `true`},
	"app_version":                {`"1.2"`, `1.2`, `true`, `[]`},
	"platform":                   {`"Web"`, `null`},
	"city":                       {`"Köln"`, `{}`},
	"ip":                         {`"192.0.2.1"`},
	"$skip_user_properties_sync": {`true`, `false`, `"true"`, `1`},
	"plan":                       {`{"branch":"main","version":"1"}`, `[]`, `null`},
	"ingestion_metadata":         {`{"source_name":"ampli"}`, `"x"`},
	"library":                    {`"amplitude-ts/2.0"`},
	"app_name":                   {`"shop"`, `{"a":[1,null]}`, `7`},
	"event_properties":           {`{}`, `{"title":"Aria","n":1,"f":0.5,"ok":true,"none":null,"list":[1,"a",[2],{"b":null}],"map":{"x":{"y":1}}}`, `{"amplitude.user_id":"x","":"y"}`, `{"flag_key":"f","variant":"on"}`, `{"f.variant":"on"}`, `[]`, `null`},
	"user_properties": {
		`{}`, `{"plan":"pro","n":1}`, `{"$set":{"plan":"free","l":["a"]},"$unset":{"n":"-"}}`, `{"$add":{"n":2},"$append":{"l":"b"},"$prepend":{"l":"c"}}`,
		`{"$setOnce":{"plan":"first"},"$preInsert":{"l":["a","d"]},"$postInsert":{"l":"e"},"$remove":{"l":"a"}}`, `{"$clearAll":"-"}`,
		`{"$set":{"plan":"a"},"plan":"b","$add":{"n":1},"n":5}`, `{"$put":{"x":1},"$add":{"n":"x"},"$set":7}`, `{"a.b":{"c":[1]}}`, `"x"`, `null`,
	},
	"groups":           {`{"org":"acme"}`, `{"org":["acme","globex"],"team":"red"}`, `{}`, `{"org":[]}`, `[]`},
	"group_properties": {`{"$set":{"seats":7}}`, `{"tier":"gold"}`, `{"$unset":{"seats":"-"},"$add":{"n":1}}`, `7`},
}

// generateEvent draws a JSON event. Most of its members are rare.
func generateEvent(t *rapid.T) string {
	var members []string
	for _, name := range slices.Sorted(mapsKeys(pools)) {
		often := slices.Contains([]string{"event_type", "user_id", "device_id", "time"}, name)
		seldom := 3
		if strings.HasSuffix(name, "properties") {
			seldom = 1
		}
		if often || rapid.IntRange(0, seldom).Draw(t, "has "+name) == 0 {
			good := 2
			if pool := pools[name]; !often {
				good = len(pool)
			}
			value := rapid.SampledFrom(pools[name][:min(good, len(pools[name]))]).Draw(t, name)
			if rapid.IntRange(0, 30).Draw(t, "odd "+name) == 0 {
				value = rapid.SampledFrom(pools[name]).Draw(t, name)
			}
			members = append(members, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(rapid.Permutation(members).Draw(t, "order"), ",") + "}"
}

func mapsKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// service is a local Amplitude without a network.
type service struct {
	t      require.TestingT
	server *sandbox.Server
}

func newAmplitude(t *testing.T) *service {
	t.Helper()
	config := sandbox.DefaultConfig()
	config.Behavior.InvalidIDIndexed = true // the receiver says which
	server, err := sandbox.NewServer(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Shutdown(t.Context())) })
	return &service{t, server}
}

func (a *service) call(method, path, body string) (int, string) {
	request := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
	request.Header.Set("Content-Type", typeJSON)
	answer := httptest.NewRecorder()
	a.server.ServeHTTP(answer, request)
	return answer.Code, answer.Body.String()
}

// state returns everything that it holds, except what depends on time: the content of each event, and the properties.
func (a *service) state() map[string]any {
	out := map[string]any{}
	status, text := a.call(http.MethodGet, "/_sandbox/events?verdict=all&limit=1000", "")
	require.Equal(a.t, http.StatusOK, status, text)
	var page struct {
		Events []map[string]any `json:"events"`
	}
	require.NoError(a.t, json.Unmarshal([]byte(text), &page))
	out["events"] = slices.DeleteFunc(page.Events, func(event map[string]any) bool {
		verdict := event["sandbox"].(map[string]any)["verdict"]
		if verdict == "invalid" || verdict == "refused" {
			return true // the client was told
		}
		normalize(event)
		return false
	})
	for _, path := range []string{"users/user-1", "users/user-2", "users/1234567", "groups/org/acme", "groups/org/globex", "groups/team/red"} {
		_, text := a.call(http.MethodGet, "/_sandbox/"+path, "")
		var holder map[string]any
		require.NoError(a.t, json.Unmarshal([]byte(text), &holder), text)
		out[path] = []any{holder["user_properties"], holder["group_properties"]}
	}
	return out
}

// normalize reduces an event to what both ways must agree on: fields with their types, and properties by their effect.
func normalize(event map[string]any) {
	about, _ := event["sandbox"].(map[string]any)
	event["verdict"] = about["verdict"]
	for _, name := range []string{"sandbox", "library", "user_properties", "group_properties", "$skip_user_properties_sync"} {
		delete(event, name)
	}
	if event["time"] == nil {
		event["time"] = "that of the receipt"
	} else if at, ok := event["time"].(float64); ok && at > 1763895600123 {
		event["time"] = "that of the receipt"
	}
	for name, value := range event {
		kind := sandbox.Documented().Fields[name]
		text, isText := value.(string)
		switch {
		case value == nil, (kind == "id" || name == "insert_id") && isText && strings.TrimSpace(text) == "":
			delete(event, name)
		case kind == "text" || kind == "id":
			if !isText {
				text = fmt.Sprint(value)
				if number, ok := value.(float64); ok {
					text = fmt.Sprintf("%.15g", number)
				}
			}
			event[name] = strings.TrimSpace(text)
		case kind == "object":
			object := value.(map[string]any)
			if list, ok := object["org"].([]any); ok && len(list) == 0 {
				delete(object, "org")
			}
			if len(object) == 0 {
				delete(event, name)
			}
		}
	}
}

// TestSameAsAmplitude: whatever a request contains, the receiver answers like Amplitude, and sending its records
// through the exporter has the same effect in Amplitude as the request itself.
func TestSameAsAmplitude(t *testing.T) {
	s := start(t, nil)
	exporter := exporterConfig(t)
	direct, through := newAmplitude(t), newAmplitude(t)
	taken := 0
	rapid.Check(t, func(rt *rapid.T) {
		direct.t, through.t = rt, rt
		for _, a := range []*service{direct, through} {
			status, text := a.call(http.MethodPost, "/_sandbox/reset", "{}")
			require.Equal(rt, http.StatusOK, status, text)
		}
		for range rapid.IntRange(1, 3).Draw(rt, "requests") {
			events := rapid.SliceOfN(rapid.Custom(generateEvent), 1, 4).Draw(rt, "events")
			path := rapid.SampledFrom([]string{"/2/httpapi", "/batch"}).Draw(rt, "path")
			body := request(events...)
			wantStatus, wantText := direct.call(http.MethodPost, path, body)
			s.sink.Reset()
			status, text := s.post(path, body)
			require.Equal(rt, wantStatus, status, "%s\n%s\n%s", body, wantText, text)
			require.Equal(rt, answerOf(rt, wantText), answerOf(rt, text), body)
			if status == http.StatusOK {
				taken++
				status, text := through.call(http.MethodPost, path, request(encode(rt, exporter, s.records())...))
				require.Equal(rt, http.StatusOK, status, "%s\n%s", body, text)
			}
		}
		require.Equal(rt, direct.state(), through.state())
	})
	require.NotZero(t, taken)
}

// answerOf returns an answer without what depends on time.
func answerOf(t require.TestingT, text string) map[string]any {
	var answer map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &answer), text)
	delete(answer, "server_upload_time")
	return answer
}

func exporterConfig(t *testing.T) *amplitudeexporter.Config {
	t.Helper()
	cfg := amplitudeexporter.NewFactory().CreateDefaultConfig().(*amplitudeexporter.Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"api_key": "sandbox", "events": []any{"*"}}).Unmarshal(cfg))
	return cfg
}

// encode returns what the exporter sends for records.
func encode(t require.TestingT, cfg *amplitudeexporter.Config, records []plog.LogRecord) (events []string) {
	for _, record := range records {
		event, err := amplitudeexporter.EncodeEvent(cfg, "1.2.3", record)
		require.NoError(t, err)
		events = append(events, string(event))
	}
	return events
}

// TestRoundTrip: any properties come out unchanged.
func TestRoundTrip(t *testing.T) {
	s := start(t, nil)
	exporter := exporterConfig(t)
	name := rapid.OneOf(rapid.StringN(0, 12, 40), rapid.SampledFrom([]string{"amplitude.x", "amplitude.", "a.b", "$set", "user_id", "é\"\\\n"}))
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		scalars := []*rapid.Generator[any]{
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.StringN(0, 20, 60).AsAny(), rapid.Float64Range(-1e300, 1e300).AsAny(),
			rapid.Int64Range(-1<<53, 1<<53).AsAny(),
		}
		if depth == 0 {
			return rapid.OneOf(scalars...)
		}
		return rapid.OneOf(append(scalars,
			rapid.SliceOfN(value(depth-1), 0, 3).AsAny(), rapid.MapOfN(name, value(depth-1), 0, 3).AsAny())...)
	}
	properties := rapid.MapOfN(name, value(3), 1, 8)
	// Amplitude does not document what setting a property to null does, so the exporter leaves that out; and no operation
	// lacks a name.
	operands := properties.Filter(func(m map[string]any) bool {
		for key, v := range m {
			if key == "" || v == nil {
				return false
			}
		}
		return true
	})
	rapid.Check(t, func(rt *rapid.T) {
		event := map[string]any{
			"event_type": rapid.StringMatching(`[a-zA-Z$\[][a-zA-Z \]]{3,20}`).Draw(rt, "type"), "user_id": "user-1", "time": 1763895600123, "library": "sdk/1",
			"event_properties": properties.Draw(rt, "event properties"),
			"user_properties":  map[string]any{"$set": operands.Draw(rt, "set"), "$setOnce": operands.Draw(rt, "set once"), "$append": operands.Draw(rt, "append")},
			"group_properties": map[string]any{"$set": operands.Draw(rt, "group set")},
			"plan":             map[string]any{"branch": rapid.String().Draw(rt, "branch")},
		}
		var body bytes.Buffer
		require.NoError(rt, json.NewEncoder(&body).Encode(map[string]any{"api_key": "sandbox", "events": []any{event}}))
		s.sink.Reset()
		status, text := s.post("/2/httpapi", body.String())
		require.Equal(rt, http.StatusOK, status, text)
		want, err := json.Marshal(event)
		require.NoError(rt, err)
		got := encode(rt, exporter, s.records())
		require.JSONEq(rt, string(want), got[0])
	})
}

func refusedID(id any) bool {
	if id == nil {
		return false
	}
	_, problem := amplitude.CheckID(fmt.Sprint(id), 5)
	return problem != amplitude.IDOK
}

// asStored truncates texts as Amplitude does, and removes empty objects, such as an operator without operands.
func asStored(object map[string]any) (empty bool) {
	for name, value := range object {
		switch value := value.(type) {
		case string:
			object[name] = amplitude.Truncate(value, amplitude.MaxStringLength)
		case map[string]any:
			if asStored(value) {
				delete(object, name)
			}
		}
	}
	return len(object) == 0
}

// TestVectors: events from Amplitude's own Experiment SDKs come out unchanged.
func TestVectors(t *testing.T) {
	s := start(t, nil)
	exporter := exporterConfig(t)
	sent := 0
	for _, kind := range []string{"assignment", "exposure"} {
		body, err := os.ReadFile(filepath.Join("..", "..", "processor", "amplitudeexperimentprocessor", "testdata", "vectors", kind+".json"))
		require.NoError(t, err)
		var file struct {
			Cases []struct {
				ID       string
				Expected any
				Answers  []struct{ Value any } `json:"sdk_answers"`
			}
		}
		require.NoError(t, json.Unmarshal(body, &file))
		for _, one := range file.Cases {
			answers := []any{one.Expected}
			for _, answer := range one.Answers {
				answers = append(answers, answer.Value)
			}
			var events []map[string]any
			for _, answer := range answers {
				switch made := answer.(type) {
				case map[string]any:
					events = append(events, made)
				case []any:
					for _, event := range made {
						events = append(events, event.(map[string]any))
					}
				}
			}
			var uploads, want []string
			for _, event := range events {
				if refusedID(event["user_id"]) || refusedID(event["device_id"]) || (event["user_id"] == nil && event["device_id"] == nil) {
					continue // Amplitude refuses what the SDK made from this user
				}
				asStored(event)
				event["time"], event["library"], event["insert_id"] = 1763895600123, "sdk/1", fmt.Sprint(kind, one.ID, len(want))
				text, err := json.Marshal(event)
				require.NoError(t, err)
				uploads, want = append(uploads, string(text)), append(want, string(text))
			}
			if len(uploads) == 0 {
				continue
			}
			s.sink.Reset()
			status, text := s.post("/2/httpapi", request(uploads...))
			require.Equal(t, http.StatusOK, status, "%s %s: %s", kind, one.ID, text)
			got := encode(t, exporter, s.records())
			require.Len(t, got, len(want))
			for i := range want {
				require.JSONEq(t, want[i], got[i], "%s %s", kind, one.ID)
			}
			sent += len(want)
		}
	}
	require.Greater(t, sent, 100)
}
