// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records/recordstest"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// testEncoder returns an encoder with the exporter's defaults for missing settings.
func testEncoder(s Settings) *Encoder {
	if s.Allowed == nil {
		s.Allowed = []string{"[Experiment] *", "$exposure", "$identify"}
	}
	s.MinIDLength = cmp.Or(s.MinIDLength, 5)
	s.Version = "1.2.3"
	return NewEncoder(s)
}

func TestEncode(t *testing.T) {
	const user = `{"event_type":"[Experiment] Exposure","user_id":"user-1"`
	const library = `,"library":"otelcol-amplitude/1.2.3"`
	long := strings.Repeat("x", 2000)
	hash := xxh3.HashString128(long).Bytes()
	for _, tc := range []struct {
		name       string
		settings   Settings
		attributes map[string]any
		want       string
		failed     Failure
		lost       Losses
	}{
		{
			name:       "an exposure",
			attributes: map[string]any{"[Experiment] Flag Key": "f"},
			want:       user + library + `,"event_properties":{"[Experiment] Flag Key":"f"}}`,
		},
		{
			name: "places of fields",
			attributes: map[string]any{
				"amplitude.device_id": "device-1", "amplitude.insert_id": "i", "amplitude.session_id": int64(1763895600000),
				"amplitude.$skip_user_properties_sync": true,
			},
			want: user + `,"device_id":"device-1","insert_id":"i","session_id":1763895600000,"$skip_user_properties_sync":true` + library + `}`,
		},
		{
			name:       "ids as integers become text",
			attributes: map[string]any{"amplitude.user_id": int64(1234567), "amplitude.insert_id": int64(7)},
			want:       `{"event_type":"[Experiment] Exposure","user_id":"1234567","insert_id":"7"` + library + `}`,
		},
		{
			name:       "ids are trimmed, but keep their case",
			attributes: map[string]any{"amplitude.user_id": "  User-É \n"},
			want:       `{"event_type":"[Experiment] Exposure","user_id":"User-É"` + library + `}`,
		},
		{
			name:       "a refused id is left out if the other one is good",
			attributes: map[string]any{"amplitude.user_id": "anonymous", "amplitude.device_id": "device-1"},
			want:       `{"event_type":"[Experiment] Exposure","device_id":"device-1"` + library + `}`,
			lost:       Losses{LossPlaceholderID: 1},
		},
		{
			name:       "a short id is accepted with a lower minimum",
			settings:   Settings{MinIDLength: 1},
			attributes: map[string]any{"amplitude.user_id": "u"},
			want:       `{"event_type":"[Experiment] Exposure","user_id":"u"` + library + `}`,
		},
		{name: "short id alone", attributes: map[string]any{"amplitude.user_id": "u"}, failed: Failure{Reason: ReasonInvalidID}, lost: Losses{LossShortID: 1}},
		{name: "empty id alone", attributes: map[string]any{"amplitude.user_id": " "}, failed: Failure{Reason: ReasonInvalidID}, lost: Losses{LossEmptyID: 1}},
		{name: "long id alone", attributes: map[string]any{"amplitude.user_id": long}, failed: Failure{Reason: ReasonInvalidID}, lost: Losses{LossLongID: 1}},
		{name: "id of another type", attributes: map[string]any{"amplitude.user_id": true}, failed: Failure{Reason: ReasonInvalidField, Field: "user_id"}},
		{name: "no id", attributes: map[string]any{"amplitude.user_id": nil}, failed: Failure{Reason: ReasonNoID}},
		{
			name:       "an insert_id longer than Amplitude keeps becomes its hash",
			attributes: map[string]any{"amplitude.insert_id": long},
			want:       user + `,"insert_id":"` + hexString(hash[:]) + `"` + library + `}`,
		},
		{
			name:       "own library and partner",
			settings:   Settings{PartnerID: "partner"},
			attributes: map[string]any{"amplitude.library": "shop/1"},
			want:       user + `,"library":"shop/1","partner_id":"partner"}`,
		},
		{
			name:       "types of fields",
			attributes: map[string]any{"amplitude.price": 0.0},
			want:       user + `,"price":0` + library + `}`,
		},
		{name: "integer as text", attributes: map[string]any{"amplitude.session_id": "-1"}, want: user + `,"session_id":-1` + library + `}`},
		{name: "integer as double", attributes: map[string]any{"amplitude.event_id": 3.0}, want: user + `,"event_id":3` + library + `}`},
		{name: "object", attributes: map[string]any{"amplitude.plan": map[string]any{"branch": "b"}}, want: user + `,"plan":{"branch":"b"}` + library + `}`},
		{name: "string from an integer", attributes: map[string]any{"amplitude.app_version": int64(12)}, want: user + `,"app_version":"12"` + library + `}`},
		{name: "bool as text", attributes: map[string]any{"amplitude.$skip_user_properties_sync": "true"}, want: user + `,"$skip_user_properties_sync":true` + library + `}`},
		{name: "session that is not a number", attributes: map[string]any{"amplitude.session_id": "4f1c"}, failed: Failure{Reason: ReasonInvalidField, Field: "session_id"}},
		{name: "fraction as integer", attributes: map[string]any{"amplitude.quantity": 1.5}, failed: Failure{Reason: ReasonInvalidField, Field: "quantity"}},
		{name: "number not finite", attributes: map[string]any{"amplitude.price": math.NaN()}, failed: Failure{Reason: ReasonInvalidField, Field: "price"}},
		{name: "object that is text", attributes: map[string]any{"amplitude.plan": "p"}, failed: Failure{Reason: ReasonInvalidField, Field: "plan"}},
		{name: "string that is a list", attributes: map[string]any{"amplitude.city": []any{"x"}}, failed: Failure{Reason: ReasonInvalidField, Field: "city"}},
		{name: "insert_id that is a map", attributes: map[string]any{"amplitude.insert_id": map[string]any{}}, failed: Failure{Reason: ReasonInvalidField, Field: "insert_id"}},
		{name: "unknown field", attributes: map[string]any{"amplitude.usr_id": "x"}, failed: Failure{Reason: ReasonUnknownField, Field: "usr_id"}},
		{name: "empty field name", attributes: map[string]any{"amplitude.": "x"}, failed: Failure{Reason: ReasonUnknownField}},
		{name: "event_type is the record's name", attributes: map[string]any{"amplitude.event_type": "x"}, failed: Failure{Reason: ReasonUnknownField, Field: "event_type"}},
		{name: "unknown operator", attributes: map[string]any{"amplitude.user_properties.$put.x": "y"}, failed: Failure{Reason: ReasonUnknownField, Field: "user_properties.$put.x"}},
		{name: "plain user property", attributes: map[string]any{"amplitude.user_properties.x": "y"}, failed: Failure{Reason: ReasonUnknownField, Field: "user_properties.x"}},
		{name: "operator without a name", attributes: map[string]any{"amplitude.user_properties.$set": "y"}, failed: Failure{Reason: ReasonUnknownField, Field: "user_properties.$set"}},
		{
			name: "operators in Amplitude's order, names with dots",
			attributes: map[string]any{
				"amplitude.user_properties.$set.[Experiment] a.b": "on",
			},
			want: user + library + `,"user_properties":{"$set":{"[Experiment] a.b":"on"}}}`,
		},
		{name: "unset", attributes: map[string]any{"amplitude.user_properties.$unset.x": int64(1)}, want: user + library + `,"user_properties":{"$unset":{"x":"-"}}}`},
		{name: "clear all", attributes: map[string]any{"amplitude.user_properties.$clearAll": "-"}, want: user + library + `,"user_properties":{"$clearAll":"-"}}`},
		{name: "clear all of one", attributes: map[string]any{"amplitude.user_properties.$clearAll.x": "-"}, failed: Failure{Reason: ReasonUnknownField, Field: "user_properties.$clearAll.x"}},
		{name: "add", attributes: map[string]any{"amplitude.user_properties.$add.n": 1.5}, want: user + library + `,"user_properties":{"$add":{"n":1.5}}}`},
		{name: "add text", attributes: map[string]any{"amplitude.user_properties.$add.n": "1"}, failed: Failure{Reason: ReasonInvalidField, Field: "user_properties.$add.n"}},
		{name: "set to null is left out", attributes: map[string]any{"amplitude.user_properties.$set.x": nil}, want: user + library + `}`, lost: Losses{LossNull: 1}},
		{name: "set to infinity is left out", attributes: map[string]any{"amplitude.user_properties.$set.x": math.Inf(1)}, want: user + library + `}`, lost: Losses{LossNotFinite: 1}},
		{name: "group properties", attributes: map[string]any{"amplitude.group_properties.$set.plan": "pro"}, want: user + library + `,"group_properties":{"$set":{"plan":"pro"}}}`},
		{name: "groups", attributes: map[string]any{"amplitude.groups.org": []any{"a", "b"}}, want: user + library + `,"groups":{"org":["a","b"]}}`},
		{name: "group of a number", attributes: map[string]any{"amplitude.groups.org.id": int64(5)}, want: user + library + `,"groups":{"org.id":"5"}}`},
		{name: "group of a map", attributes: map[string]any{"amplitude.groups.org": map[string]any{}}, failed: Failure{Reason: ReasonInvalidField, Field: "groups.org"}},
		{name: "group of nothing", attributes: map[string]any{"amplitude.groups.org": []any{}}, failed: Failure{Reason: ReasonInvalidField, Field: "groups.org"}},
		{name: "group without a type", attributes: map[string]any{"amplitude.groups.": "x"}, failed: Failure{Reason: ReasonUnknownField, Field: "groups."}},
		{
			name:       "properties may have any name",
			attributes: map[string]any{"$set": map[string]any{"a\"b": nil}},
			want:       user + library + `,"event_properties":{"$set":{"a\"b":null}}}`,
		},
		{
			name:       "a property whose name looks like a field",
			attributes: map[string]any{"amplitude.event_properties.amplitude.user_id": "x"},
			want:       user + library + `,"event_properties":{"amplitude.user_id":"x"}}`,
		},
		{name: "a property with its own attribute", attributes: map[string]any{"amplitude.event_properties.x": "y"}, failed: Failure{Reason: ReasonUnknownField, Field: "event_properties.x"}},
		{
			name:       "further members",
			attributes: map[string]any{"amplitude.event_json": ` { "app_name" : "shop", "n":[1.0, {"a":null}], "x\"":"\ud83d" } `},
			want:       user + library + `,"app_name":"shop","n":[1.0, {"a":null}],"x\"":"\ud83d"}`,
		},
		{name: "no further members", attributes: map[string]any{"amplitude.event_json": "{}"}, want: user + library + `}`},
		{name: "a further member that is a field", attributes: map[string]any{"amplitude.event_json": `{"device_id":"d"}`}, failed: Failure{Reason: ReasonInvalidField, Field: "event_json.device_id"}},
		{name: "a further member that the record itself says", attributes: map[string]any{"amplitude.event_json": `{"a":1,"tim\u0065":1}`}, failed: Failure{Reason: ReasonInvalidField, Field: "event_json.time"}},
		{name: "a further member twice", attributes: map[string]any{"amplitude.event_json": `{"a":1,"a":2}`}, failed: Failure{Reason: ReasonInvalidField, Field: "event_json"}},
		{name: "further members that are a map", attributes: map[string]any{"amplitude.event_json": map[string]any{"a": "b"}}, failed: Failure{Reason: ReasonInvalidField, Field: "event_json"}},
		{name: "further members that are not an object", attributes: map[string]any{"amplitude.event_json": `[1]`}, failed: Failure{Reason: ReasonInvalidField, Field: "event_json"}},
		{name: "further members without an end", attributes: map[string]any{"amplitude.event_json": `{"a":1`}, failed: Failure{Reason: ReasonInvalidField, Field: "event_json"}},
		{name: "further members with an extra end", attributes: map[string]any{"amplitude.event_json": `{"a":1},"user_id":"x"}`}, failed: Failure{Reason: ReasonInvalidField, Field: "event_json"}},
		{name: "further members in no encoding", attributes: map[string]any{"amplitude.event_json": "{\"a\":\"\xff\"}"}, failed: Failure{Reason: ReasonInvalidField, Field: "event_json"}},
		{name: "NaN is left out", attributes: map[string]any{"n": math.NaN()}, want: user + library + `,"event_properties":{}}`, lost: Losses{LossNotFinite: 1}},
		{name: "NaN in a list is left out", attributes: map[string]any{"n": []any{1.5, math.NaN(), int64(2)}}, want: user + library + `,"event_properties":{"n":[1.5,2]}}`, lost: Losses{LossNotFinite: 1}},
		{name: "bytes", attributes: map[string]any{"b": []byte{0xff, 0}}, want: user + library + `,"event_properties":{"b":"/wA="}}`},
		{name: "invalid UTF-8", attributes: map[string]any{"s": "a\xffb"}, want: user + library + `,"event_properties":{"s":"a` + "\ufffd" + `b"}}`},
		{name: "long text is truncated", attributes: map[string]any{"s": long}, want: user + library + `,"event_properties":{"s":"` + long[:1024] + `"}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			record := plog.NewLogRecord()
			record.SetEventName("[Experiment] Exposure")
			if _, own := tc.attributes["amplitude.user_id"]; !own {
				record.Attributes().PutStr("amplitude.user_id", "user-1")
			}
			for name, value := range tc.attributes {
				require.NoError(t, record.Attributes().PutEmpty(name).FromRaw(value))
			}
			e := testEncoder(tc.settings)
			out, user, device, failed := e.Encode([]byte("before"), record)
			assert.Equal(t, tc.failed, failed)
			assert.Equal(t, tc.lost, e.Lost)
			if tc.failed.Reason != 0 {
				assert.Equal(t, "before", string(out))
				return
			}
			got := strings.TrimPrefix(string(out), "before")
			assert.JSONEq(t, tc.want, got)
			if len(tc.attributes) == 1 {
				assert.Equal(t, tc.want, got, "the order is fixed")
			}
			assert.NotZero(t, uint64(user)|uint64(device))
		})
	}
}

func hexString(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func TestEncodeEventNames(t *testing.T) {
	for _, tc := range []struct {
		name   string
		events []string
		want   Reason
	}{
		{"", nil, ReasonNotAnEvent},
		{"[Experiment] Exposure", nil, 0},
		{"[Experiment] Assignment", nil, 0},
		{"$exposure", nil, 0},
		{"$identify", nil, 0},
		{"checkout", nil, ReasonNotAllowed},
		{"checkout", []string{"*"}, 0},
		{" \t", []string{"*"}, ReasonBlankEventType},
		{"[Amplitude] Start Session", []string{"*"}, ReasonReservedEventType},
		{"$exposure2", []string{"$exposure"}, ReasonNotAllowed},
		{"shop.cart.added", []string{"shop.*.added"}, 0},
		{"shop.added", []string{"shop.*.added"}, ReasonNotAllowed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			record := plog.NewLogRecord()
			record.SetEventName(tc.name)
			record.Attributes().PutStr("amplitude.user_id", "user-1")
			e := testEncoder(Settings{Allowed: tc.events})
			for range 2 { // the second time from the cache
				_, _, _, failed := e.Encode(nil, record)
				assert.Equal(t, tc.want, failed.Reason)
			}
		})
	}
}

func TestEncodeTime(t *testing.T) {
	e := testEncoder(Settings{}) // of all records, since it remembers the second of the last
	for _, tc := range []struct {
		name           string
		time, observed pcommon.Timestamp
		want           string
	}{
		{"its own", 1763895600_123_999_999, 5, `,"time":1763895600123`},
		{"observed", 0, 1763895600_123_000_000, `,"time":1763895600123`},
		{"within the same second", 1763895600_007_000_000, 0, `,"time":1763895600007`},
		{"in the second after", 1763895601_000_000_000, 0, `,"time":1763895601000`},
		{"in 1970", 99_000_000, 0, `,"time":99`},
		{"a nanosecond", 1, 0, `,"time":0`},
		{"a second", 1_000_000_000, 0, `,"time":1000`},
		{"the last that there is", math.MaxUint64, 0, `,"time":18446744073709`},
		{"none", 0, 0, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			record := plog.NewLogRecord()
			record.SetEventName("$exposure")
			record.SetTimestamp(tc.time)
			record.SetObservedTimestamp(tc.observed)
			record.Attributes().PutStr("amplitude.user_id", "user-1")
			out, _, _, _ := e.Encode(nil, record)
			assert.Equal(t, `{"event_type":"$exposure","user_id":"user-1"`+tc.want+`,"library":"otelcol-amplitude/1.2.3"}`, string(out))
		})
	}
}

func TestEncodeDepth(t *testing.T) {
	record := plog.NewLogRecord()
	record.SetEventName("$exposure")
	record.Attributes().PutStr("amplitude.user_id", "user-1")
	nested := record.Attributes().PutEmptyMap("m")
	for range amplitude.MaxDepth + 10 {
		nested = nested.PutEmptyMap("m")
	}
	e := testEncoder(Settings{})
	out, _, _, failed := e.Encode(nil, record)
	require.Zero(t, failed)
	assert.Equal(t, 1, e.Lost[LossTooDeep])
	// event_properties is level 1; the braces of the event itself do not count.
	assert.Equal(t, amplitude.MaxDepth+1, bytes.Count(out, []byte("{")))
	assert.True(t, json.Valid(out))
}

// repeatedLogs decodes OTLP with a duplicate attribute, which pdata would not build.
func repeatedLogs(t testing.TB, n int) plog.LogRecord {
	t.Helper()
	var attributes []string
	for i := range n {
		key := "k" + strings.Repeat("k", i)
		attributes = append(attributes, `{"key":"`+key+`","value":{"stringValue":"first"}}`, `{"key":"`+key+`","value":{"stringValue":"second"}}`)
	}
	raw := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"$exposure","attributes":[
		{"key":"amplitude.user_id","value":{"stringValue":"user-1"}},{"key":"amplitude.user_id","value":{"stringValue":"user-2"}},
		{"key":"m","value":{"kvlistValue":{"values":[` + strings.Join(attributes, ",") + `]}}},` + strings.Join(attributes, ",") + `]}]}]}]}`
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(raw))
	require.NoError(t, err)
	return logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
}

func TestEncodeRepeatedNames(t *testing.T) {
	for _, n := range []int{1, manyNames - 1, manyNames, 5 * manyNames} {
		e := testEncoder(Settings{})
		record := repeatedLogs(t, n)
		for range 2 {
			out, user, _, failed := e.Encode(nil, record)
			require.Zero(t, failed)
			assert.Equal(t, UserIdentity("user-1"), user)
			assert.Equal(t, 2*n, bytes.Count(out, []byte(`:"first"`)))
			assert.NotContains(t, string(out), "second")
		}
	}
}

// FuzzAppendString compares with encoding/json.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "quote\"s \\ and / slashes", "\x00\x1f\x7f\n\r\t\b", "\xff\xfe", "日本語 \u2028 😀", "12345678\xc3", strings.Repeat("a", 7) + "\"", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := AppendString(nil, s)
		require.True(t, json.Valid(out))
		require.True(t, utf8.Valid(out))
		var got, want string
		require.NoError(t, json.Unmarshal(out, &got))
		raw, err := json.Marshal(s)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, &want))
		require.Equal(t, want, got)
	})
}

// FuzzAppendFloat compares with encoding/json, byte by byte.
func FuzzAppendFloat(f *testing.F) {
	for _, v := range []float64{0, math.Copysign(0, -1), 1, -1.5, 1e21, 1e-7, 123456789, math.MaxFloat64, math.SmallestNonzeroFloat64, 5e-324, 1e100} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v float64) {
		if !isFinite(v) {
			return
		}
		want, err := json.Marshal(v)
		require.NoError(t, err)
		require.Equal(t, string(want), string(appendFloat(nil, v)))
	})
}

// FuzzEncode: any record becomes a valid event with the same properties, or there is a reason.
func FuzzEncode(f *testing.F) {
	add := func(logs plog.Logs) {
		raw, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		require.NoError(f, err)
		f.Add(raw)
	}
	add(recordstest.Numbered(2))
	odd := plog.NewLogs()
	record := recordstest.AppendExposure(recordstest.AppendSlice(odd), "user-1", "i")
	require.NoError(f, record.Attributes().PutEmpty("deep").FromRaw(map[string]any{"a": []any{int64(1), 2.5, "x\xff", true, nil, []byte{1}, map[string]any{"b": math.Inf(1)}}}))
	record.Attributes().PutStr("amplitude.groups.org", "acme")
	record.Attributes().PutStr("amplitude.user_properties.$unset.a.b", "-")
	record.Attributes().PutInt("amplitude.session_id", -1)
	add(odd)
	e := testEncoder(Settings{Allowed: []string{"*"}, MinIDLength: 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(raw)
		if err != nil {
			return
		}
		for p := range records.All(logs) {
			out, user, device, failed := e.Encode(nil, p.Record)
			if failed.Reason != 0 {
				require.Empty(t, out)
				require.NotEmpty(t, failed.Reason.String())
				continue
			}
			require.NotZero(t, uint64(user)|uint64(device))
			var event struct {
				Type       string                     `json:"event_type"`
				Properties map[string]json.RawMessage `json:"event_properties"`
			}
			require.NoError(t, json.Unmarshal(out, &event), "%s", out)
			require.NotEmpty(t, event.Type)
			// Each property that encoding/json can write and that is not truncated has the same value.
			seen := map[string]bool{}
			for name, value := range p.Record.Attributes().All() {
				if strings.HasPrefix(name, "amplitude.") || seen[name] || !utf8.ValidString(name) {
					continue
				}
				seen[name] = true
				want, comparable := reference(value)
				if comparable {
					require.JSONEq(t, want, string(event.Properties[name]))
				}
			}
		}
	})
}

// reference returns a scalar as encoding/json writes it, if it is neither truncated nor left out.
func reference(value pcommon.Value) (string, bool) {
	var v any
	switch value.Type() {
	case pcommon.ValueTypeStr:
		if len(value.Str()) > amplitude.MaxStringLength {
			return "", false
		}
		v = value.Str()
	case pcommon.ValueTypeInt:
		v = value.Int()
	case pcommon.ValueTypeBool:
		v = value.Bool()
	case pcommon.ValueTypeBytes:
		if value.Bytes().Len() > maxBytesValue {
			return "", false
		}
		v = base64.StdEncoding.EncodeToString(value.Bytes().AsRaw())
	default:
		return "", false
	}
	raw, err := json.Marshal(v)
	return string(raw), err == nil
}
