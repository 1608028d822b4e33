// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"bytes"
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

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

func testEncoder(t testing.TB, settings map[string]any) *encoder {
	return newEncoder(newConfig(t, settings), "1.2.3")
}

func TestEncode(t *testing.T) {
	const user = `{"event_type":"[Experiment] Exposure","user_id":"user-1"`
	const library = `,"library":"otelcol-amplitude/1.2.3"`
	long := strings.Repeat("x", 2000)
	hash := xxh3.HashString128(long).Bytes()
	for _, tc := range []struct {
		name       string
		settings   map[string]any
		attributes map[string]any
		want       string
		failed     verdict
		lost       losses
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
			name:       "ids are trimmed, not folded",
			attributes: map[string]any{"amplitude.user_id": "  User-É \n"},
			want:       `{"event_type":"[Experiment] Exposure","user_id":"User-É"` + library + `}`,
		},
		{
			name:       "a refused id is left out when the other one is good",
			attributes: map[string]any{"amplitude.user_id": "anonymous", "amplitude.device_id": "device-1"},
			want:       `{"event_type":"[Experiment] Exposure","device_id":"device-1"` + library + `}`,
			lost:       losses{lossPlaceholderID: 1},
		},
		{
			name:       "a short id counts under a smaller minimum",
			settings:   map[string]any{"min_id_length": 1},
			attributes: map[string]any{"amplitude.user_id": "u"},
			want:       `{"event_type":"[Experiment] Exposure","user_id":"u"` + library + `}`,
		},
		{name: "short id alone", attributes: map[string]any{"amplitude.user_id": "u"}, failed: verdict{reason: reasonInvalidID}, lost: losses{lossShortID: 1}},
		{name: "empty id alone", attributes: map[string]any{"amplitude.user_id": " "}, failed: verdict{reason: reasonInvalidID}, lost: losses{lossEmptyID: 1}},
		{name: "long id alone", attributes: map[string]any{"amplitude.user_id": long}, failed: verdict{reason: reasonInvalidID}, lost: losses{lossLongID: 1}},
		{name: "id of another type", attributes: map[string]any{"amplitude.user_id": true}, failed: verdict{reason: reasonInvalidField, field: "user_id"}},
		{name: "no id", attributes: map[string]any{"amplitude.user_id": nil}, failed: verdict{reason: reasonNoID}},
		{
			name:       "an insert_id longer than Amplitude keeps becomes its hash",
			attributes: map[string]any{"amplitude.insert_id": long},
			want:       user + `,"insert_id":"` + hexString(hash[:]) + `"` + library + `}`,
		},
		{
			name:       "own library and partner",
			settings:   map[string]any{"partner_id": "partner"},
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
		{name: "session that is no number", attributes: map[string]any{"amplitude.session_id": "4f1c"}, failed: verdict{reason: reasonInvalidField, field: "session_id"}},
		{name: "fraction as integer", attributes: map[string]any{"amplitude.quantity": 1.5}, failed: verdict{reason: reasonInvalidField, field: "quantity"}},
		{name: "number not finite", attributes: map[string]any{"amplitude.price": math.NaN()}, failed: verdict{reason: reasonInvalidField, field: "price"}},
		{name: "object that is text", attributes: map[string]any{"amplitude.plan": "p"}, failed: verdict{reason: reasonInvalidField, field: "plan"}},
		{name: "string that is a list", attributes: map[string]any{"amplitude.city": []any{"x"}}, failed: verdict{reason: reasonInvalidField, field: "city"}},
		{name: "insert_id that is a map", attributes: map[string]any{"amplitude.insert_id": map[string]any{}}, failed: verdict{reason: reasonInvalidField, field: "insert_id"}},
		{name: "unknown field", attributes: map[string]any{"amplitude.usr_id": "x"}, failed: verdict{reason: reasonUnknownField, field: "usr_id"}},
		{name: "empty field name", attributes: map[string]any{"amplitude.": "x"}, failed: verdict{reason: reasonUnknownField}},
		{name: "event_type is the record's name", attributes: map[string]any{"amplitude.event_type": "x"}, failed: verdict{reason: reasonUnknownField, field: "event_type"}},
		{name: "unknown operator", attributes: map[string]any{"amplitude.user_properties.$put.x": "y"}, failed: verdict{reason: reasonUnknownField, field: "user_properties.$put.x"}},
		{name: "plain user property", attributes: map[string]any{"amplitude.user_properties.x": "y"}, failed: verdict{reason: reasonUnknownField, field: "user_properties.x"}},
		{name: "operator without a name", attributes: map[string]any{"amplitude.user_properties.$set": "y"}, failed: verdict{reason: reasonUnknownField, field: "user_properties.$set"}},
		{
			name: "operators in Amplitude's order, names with dots",
			attributes: map[string]any{
				"amplitude.user_properties.$set.[Experiment] a.b": "on",
			},
			want: user + library + `,"user_properties":{"$set":{"[Experiment] a.b":"on"}}}`,
		},
		{name: "unset", attributes: map[string]any{"amplitude.user_properties.$unset.x": int64(1)}, want: user + library + `,"user_properties":{"$unset":{"x":"-"}}}`},
		{name: "clear all", attributes: map[string]any{"amplitude.user_properties.$clearAll": "-"}, want: user + library + `,"user_properties":{"$clearAll":"-"}}`},
		{name: "clear all of one", attributes: map[string]any{"amplitude.user_properties.$clearAll.x": "-"}, failed: verdict{reason: reasonUnknownField, field: "user_properties.$clearAll.x"}},
		{name: "add", attributes: map[string]any{"amplitude.user_properties.$add.n": 1.5}, want: user + library + `,"user_properties":{"$add":{"n":1.5}}}`},
		{name: "add text", attributes: map[string]any{"amplitude.user_properties.$add.n": "1"}, failed: verdict{reason: reasonInvalidField, field: "user_properties.$add.n"}},
		{name: "set to null is left out", attributes: map[string]any{"amplitude.user_properties.$set.x": nil}, want: user + library + `}`, lost: losses{lossNull: 1}},
		{name: "set to infinity is left out", attributes: map[string]any{"amplitude.user_properties.$set.x": math.Inf(1)}, want: user + library + `}`, lost: losses{lossNotFinite: 1}},
		{name: "group properties", attributes: map[string]any{"amplitude.group_properties.$set.plan": "pro"}, want: user + library + `,"group_properties":{"$set":{"plan":"pro"}}}`},
		{name: "groups", attributes: map[string]any{"amplitude.groups.org": []any{"a", "b"}}, want: user + library + `,"groups":{"org":["a","b"]}}`},
		{name: "group of a number", attributes: map[string]any{"amplitude.groups.org.id": int64(5)}, want: user + library + `,"groups":{"org.id":"5"}}`},
		{name: "group of a map", attributes: map[string]any{"amplitude.groups.org": map[string]any{}}, failed: verdict{reason: reasonInvalidField, field: "groups.org"}},
		{name: "group of nothing", attributes: map[string]any{"amplitude.groups.org": []any{}}, failed: verdict{reason: reasonInvalidField, field: "groups.org"}},
		{name: "group without a type", attributes: map[string]any{"amplitude.groups.": "x"}, failed: verdict{reason: reasonUnknownField, field: "groups."}},
		{
			name:       "properties may be called anything",
			attributes: map[string]any{"$set": map[string]any{"a\"b": nil}},
			want:       user + library + `,"event_properties":{"$set":{"a\"b":null}}}`,
		},
		{name: "NaN is left out", attributes: map[string]any{"n": math.NaN()}, want: user + library + `,"event_properties":{}}`, lost: losses{lossNotFinite: 1}},
		{name: "NaN in a list is left out", attributes: map[string]any{"n": []any{1.5, math.NaN(), int64(2)}}, want: user + library + `,"event_properties":{"n":[1.5,2]}}`, lost: losses{lossNotFinite: 1}},
		{name: "bytes", attributes: map[string]any{"b": []byte{0xff, 0}}, want: user + library + `,"event_properties":{"b":"/wA="}}`},
		{name: "invalid UTF-8", attributes: map[string]any{"s": "a\xffb"}, want: user + library + `,"event_properties":{"s":"a` + "\ufffd" + `b"}}`},
		{name: "long text is cut", attributes: map[string]any{"s": long}, want: user + library + `,"event_properties":{"s":"` + long[:1024] + `"}}`},
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
			e := testEncoder(t, tc.settings)
			out, user, device, failed := e.encode([]byte("before"), record)
			assert.Equal(t, tc.failed, failed)
			assert.Equal(t, tc.lost, e.lost)
			if tc.failed.reason != 0 {
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
		events []any
		want   reason
	}{
		{"", nil, reasonNotAnEvent},
		{"[Experiment] Exposure", nil, 0},
		{"[Experiment] Assignment", nil, 0},
		{"$exposure", nil, 0},
		{"$identify", nil, 0},
		{"checkout", nil, reasonNotAllowed},
		{"checkout", []any{"*"}, 0},
		{" \t", []any{"*"}, reasonBlankEventType},
		{"[Amplitude] Start Session", []any{"*"}, reasonReservedEventType},
		{"$exposure2", []any{"$exposure"}, reasonNotAllowed},
		{"shop.cart.added", []any{"shop.*.added"}, 0},
		{"shop.added", []any{"shop.*.added"}, reasonNotAllowed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			settings := map[string]any{}
			if tc.events != nil {
				settings["events"] = tc.events
			}
			record := plog.NewLogRecord()
			record.SetEventName(tc.name)
			record.Attributes().PutStr("amplitude.user_id", "user-1")
			e := testEncoder(t, settings)
			for range 2 { // the second time from what it remembers
				_, _, _, failed := e.encode(nil, record)
				assert.Equal(t, tc.want, failed.reason)
			}
		})
	}
}

func TestEncodeTime(t *testing.T) {
	for _, tc := range []struct {
		name           string
		time, observed pcommon.Timestamp
		want           string
	}{
		{"its own", 1763895600_123_999_999, 5, `,"time":1763895600123`},
		{"observed", 0, 1763895600_123_000_000, `,"time":1763895600123`},
		{"none", 0, 0, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			record := plog.NewLogRecord()
			record.SetEventName("$exposure")
			record.SetTimestamp(tc.time)
			record.SetObservedTimestamp(tc.observed)
			record.Attributes().PutStr("amplitude.user_id", "user-1")
			out, _, _, _ := testEncoder(t, nil).encode(nil, record)
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
	e := testEncoder(t, nil)
	out, _, _, failed := e.encode(nil, record)
	require.Zero(t, failed)
	assert.Equal(t, 1, e.lost[lossTooDeep])
	// event_properties is level 1; the braces of the event itself do not count.
	assert.Equal(t, amplitude.MaxDepth+1, bytes.Count(out, []byte("{")))
	assert.True(t, json.Valid(out))
}

// repeatedLogs is OTLP in which an attribute is there twice, which the API would not build.
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
		e := testEncoder(t, nil)
		record := repeatedLogs(t, n)
		for range 2 {
			out, user, _, failed := e.encode(nil, record)
			require.Zero(t, failed)
			assert.Equal(t, userIdentity("user-1"), user)
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
		out := appendString(nil, s)
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

// FuzzEncode feeds any record: the result is a valid event with the same properties, or a reason.
func FuzzEncode(f *testing.F) {
	add := func(logs plog.Logs) {
		raw, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		require.NoError(f, err)
		f.Add(raw)
	}
	add(numbered(2))
	odd := plog.NewLogs()
	record := exposure(newRecords(odd), "user-1", "i")
	require.NoError(f, record.Attributes().PutEmpty("deep").FromRaw(map[string]any{"a": []any{int64(1), 2.5, "x\xff", true, nil, []byte{1}, map[string]any{"b": math.Inf(1)}}}))
	record.Attributes().PutStr("amplitude.groups.org", "acme")
	record.Attributes().PutStr("amplitude.user_properties.$unset.a.b", "-")
	record.Attributes().PutInt("amplitude.session_id", -1)
	add(odd)
	e := testEncoder(f, map[string]any{"events": []any{"*"}, "min_id_length": 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(raw)
		if err != nil {
			return
		}
		for p := range places(logs) {
			out, user, device, failed := e.encode(nil, p.record)
			if failed.reason != 0 {
				require.Empty(t, out)
				require.NotEmpty(t, failed.reason.String())
				continue
			}
			require.NotZero(t, uint64(user)|uint64(device))
			var event struct {
				Type       string                     `json:"event_type"`
				Properties map[string]json.RawMessage `json:"event_properties"`
			}
			require.NoError(t, json.Unmarshal(out, &event), "%s", out)
			require.NotEmpty(t, event.Type)
			// Each property that encoding/json can write and that is not cut has the same value.
			seen := map[string]bool{}
			for name, value := range p.record.Attributes().All() {
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

// reference is what encoding/json makes of a scalar that is neither cut nor left out.
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

// TestEncodeEvent: a single event is encoded as one of a batch is, and one that cannot be sent says why.
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
		{name: "a field at fault", event: "$exposure", attributes: map[string]any{"amplitude.colour": "red"}, fails: "unknown_field: colour"},
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
