// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

func identify(ops string) string {
	return `{"event_type":"$identify","user_id":"user-1","user_properties":` + ops + `}`
}

func TestOperators(t *testing.T) {
	for _, tc := range []struct {
		name   string
		before string // plain properties that the user has
		ops    string
		want   string
		warned string
	}{
		{name: "set", before: `{"a":1}`, ops: `{"$set":{"a":2,"b":"x"}}`, want: `{"a":2,"b":"x"}`},
		{name: "setOnce", before: `{"a":1}`, ops: `{"$setOnce":{"a":2,"b":"x"}}`, want: `{"a":1,"b":"x"}`},
		{name: "add", before: `{"a":1}`, ops: `{"$add":{"a":2,"b":-3,"c":0.5}}`, want: `{"a":3,"b":-3,"c":0.5}`},
		{name: "add is exact beyond 2^53", before: `{"a":9007199254740993}`, ops: `{"$add":{"a":2}}`, want: `{"a":9007199254740995}`},
		{name: "add overflows to a float", before: `{"a":9223372036854775807}`, ops: `{"$add":{"a":1}}`, want: `{"a":9.223372036854775807e18}`},
		{name: "add to text", before: `{"a":"x"}`, ops: `{"$add":{"a":2}}`, want: `{"a":"x"}`, warned: "not a number"},
		{name: "add text", before: `{"a":1}`, ops: `{"$add":{"a":"2"}}`, want: `{"a":1}`, warned: "not a number"},
		{name: "append", before: `{"a":["x"],"s":"one"}`, ops: `{"$append":{"a":["y","x"],"b":"z","s":"two"}}`, want: `{"a":["x","y","x"],"b":["z"],"s":["one","two"]}`},
		{name: "prepend", before: `{"a":["x"]}`, ops: `{"$prepend":{"a":["y","z"],"b":1}}`, want: `{"a":["y","z","x"],"b":[1]}`},
		{name: "preInsert", before: `{"a":["x","y"]}`, ops: `{"$preInsert":{"a":["z","y"],"b":"v"}}`, want: `{"a":["z","x","y"],"b":["v"]}`},
		{name: "postInsert", before: `{"a":["x","y"]}`, ops: `{"$postInsert":{"a":["y","z"],"b":"v"}}`, want: `{"a":["x","y","z"],"b":["v"]}`},
		{name: "postInsert compares deeply", before: `{"a":[{"k":[1]}]}`, ops: `{"$postInsert":{"a":[{"k":[1]},{"k":[2]}]}}`, want: `{"a":[{"k":[1]},{"k":[2]}]}`},
		{name: "remove", before: `{"a":["x","y","x"],"s":"x"}`, ops: `{"$remove":{"a":"x","s":"x","none":"x"}}`, want: `{"a":["y"],"s":"x"}`},
		{name: "unset", before: `{"a":1,"b":2}`, ops: `{"$unset":{"a":"-","none":"-"}}`, want: `{"b":2}`},
		{name: "unset and set of one key ends set", before: `{"a":1}`, ops: `{"$set":{"a":2},"$unset":{"a":"-"}}`, want: `{"a":2}`},
		{name: "clearAll comes first", before: `{"a":1,"b":2}`, ops: `{"$set":{"a":3},"$clearAll":"-"}`, want: `{"a":3}`},
		{name: "clearAll in the Go SDK's form", before: `{"a":1}`, ops: `{"$clearAll":{"-":null}}`, want: `{}`},
		{name: "plain keys come last", before: `{}`, ops: `{"a":"plain","$set":{"a":"set"}}`, want: `{"a":"plain"}`},
		{name: "all in order", before: `{}`, ops: `{"$remove":{"a":4},"$postInsert":{"a":4},"$preInsert":{"a":3},"$prepend":{"a":2},"$append":{"a":1},"$set":{"a":[0]}}`, want: `{"a":[3,2,0,1]}`},
		{name: "plain null is ignored", before: `{"a":1}`, ops: `{"a":null}`, want: `{"a":1}`, warned: "is null"},
		{name: "unknown operator", before: `{"a":1}`, ops: `{"$delete":{"a":1}}`, want: `{"a":1}`, warned: "unknown operator"},
		{name: "wrong shape", before: `{"a":1}`, ops: `{"$set":"x","$unset":["a"],"$append":null}`, want: `{"a":1}`, warned: "must be an object"},
		{name: "empty operators", before: `{"a":1}`, ops: `{"$set":{},"$unset":{}}`, want: `{"a":1}`},
		{name: "long text is truncated", before: `{}`, ops: `{"$set":{"a":"` + strings.Repeat("x", 1030) + `"}}`, want: `{"a":"` + strings.Repeat("x", 1024) + `"}`, warned: "cut"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTester(t)
			s.v2(identify(tc.before))
			s.v2(identify(tc.ops))
			assert.JSONEq(t, tc.want, s.properties("user-1"))
			assert.Empty(t, s.Events(sandbox.Select{}), "an identify is not an event")
			identifies := s.Events(sandbox.Select{Verdicts: []sandbox.Verdict{sandbox.Identify}})
			require.Len(t, identifies, 2)
			if tc.warned != "" {
				assert.Contains(t, strings.Join(identifies[1].Meta.Warnings, "\n"), tc.warned)
			}
		})
	}
}

func TestNullPropertiesSet(t *testing.T) {
	s := newTester(t, with(func(b *sandbox.Behavior) { b.NullProperties = sandbox.NullSet }))
	s.v2(identify(`{"a":null}`))
	assert.JSONEq(t, `{"a":null}`, s.properties("user-1"))
}

func TestExposure(t *testing.T) {
	exposure := func(properties string) string {
		return `{"event_type":"$exposure","user_id":"user-1","event_properties":` + properties + `}`
	}
	for _, tc := range []struct {
		name, event, stored, user string
	}{
		{
			"variant", exposure(`{"flag_key":"f","variant":"on","experiment_key":"run-1","metadata":{"a":1}}`),
			`{"[Experiment] Flag Key":"f","[Experiment] Variant":"on","[Experiment] Experiment Key":"run-1","metadata":{"a":1}}`, `{"[Experiment] f":"on"}`,
		},
		{"missing variant", exposure(`{"flag_key":"g"}`), `{"[Experiment] Flag Key":"g"}`, `{}`},
		{"null variant", exposure(`{"flag_key":"g","variant":null}`), `{"[Experiment] Flag Key":"g"}`, `{}`},
		{"empty variant", exposure(`{"flag_key":"g","variant":""}`), `{"[Experiment] Flag Key":"g"}`, `{}`},
		{"no flag", exposure(`{"variant":"on"}`), `{"[Experiment] Variant":"on"}`, `{"[Experiment] g":"old"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTester(t)
			s.v2(exposure(`{"flag_key":"g","variant":"old"}`))
			s.v2(tc.event)
			stored := s.Events(sandbox.Select{})
			require.Len(t, stored, 2)
			text, err := json.Marshal(stored[1].Fields["event_properties"])
			require.NoError(t, err)
			assert.JSONEq(t, tc.stored, string(text))
			assert.Equal(t, "[Experiment] Exposure", stored[1].Fields["event_type"])
			before, err := json.Marshal(stored[1].Meta.TransformedFrom)
			require.NoError(t, err)
			assert.JSONEq(t, tc.event, string(before))
			want := map[string]any{}
			require.NoError(t, json.Unmarshal([]byte(tc.user), &want))
			if tc.name == "variant" {
				want["[Experiment] g"] = "old"
			}
			user, ok := s.User("user-1")
			require.True(t, ok)
			assert.Equal(t, want, user.UserProperties)
		})
	}
}

// TestUnassignedExposure covers both interpretations of what Amplitude does with a raw exposure without a variant.
func TestUnassignedExposure(t *testing.T) {
	for behavior, want := range map[string]struct {
		events   int
		verdicts []sandbox.Verdict
	}{
		sandbox.UnassignedEvent: {2, []sandbox.Verdict{sandbox.Stored, sandbox.Stored}},
		sandbox.UnassignedUnset: {1, []sandbox.Verdict{sandbox.Stored, sandbox.Identify}},
	} {
		t.Run(behavior, func(t *testing.T) {
			s := newTester(t, with(func(b *sandbox.Behavior) { b.UnassignedExposure = behavior }))
			s.v2(`{"event_type":"$exposure","user_id":"user-1","event_properties":{"flag_key":"f","variant":"on"}}`)
			status, answer := s.send("/2/httpapi", `{"event_type":"$exposure","user_id":"user-1","event_properties":{"flag_key":"f"}}`)
			require.Equal(t, http.StatusOK, status)
			assert.Contains(t, answer, `"events_ingested":1`)
			assert.JSONEq(t, `{}`, s.properties("user-1"))
			user, _ := s.User("user-1")
			assert.Equal(t, want.events, user.Events)
			var verdicts []sandbox.Verdict
			for _, e := range s.Events(sandbox.Select{Verdicts: sandbox.Verdicts}) {
				verdicts = append(verdicts, e.Meta.Verdict)
			}
			assert.Equal(t, want.verdicts, verdicts)
		})
	}
}

func TestImpression(t *testing.T) {
	for behavior, properties := range map[string]string{sandbox.ImpressionSet: `{"[Experiment] hero":"v1"}`, sandbox.ImpressionNone: `{}`} {
		t.Run(behavior, func(t *testing.T) {
			s := newTester(t, with(func(b *sandbox.Behavior) { b.ImpressionProperty = behavior }))
			s.v2(`{"event_type":"$impression","user_id":"user-1","event_properties":{"flag_key":"hero","variant":"v1","experiment_key":"run-1","time":7}}`)
			stored := s.Events(sandbox.Select{Flag: "hero"})
			require.Len(t, stored, 1)
			assert.Equal(t, "[Experiment] Impression", stored[0].Fields["event_type"])
			assert.Equal(t, map[string]any{
				"[Experiment] Flag Key": "hero", "[Experiment] Variant": "v1", "[Experiment] Experiment Key": "run-1", "time": json.Number("7"),
			}, stored[0].Fields["event_properties"])
			assert.JSONEq(t, properties, s.properties("user-1"))
		})
	}
}

func TestSkipUserPropertiesSync(t *testing.T) {
	s := newTester(t)
	s.v2(`{"event_type":"e","user_id":"user-1","user_properties":{"$set":{"a":1}}}`)
	s.v2(`{"event_type":"e","user_id":"user-1","$skip_user_properties_sync":true,"user_properties":{"$set":{"a":2}},"os_name":"iOS"}`)
	assert.JSONEq(t, `{"a":1}`, s.properties("user-1"))
	user, _ := s.User("user-1")
	assert.Empty(t, user.Fields)
	assert.Len(t, s.Events(sandbox.Select{}), 2)
}

// TestHistory follows a property through its changes, and the profile after each event.
func TestHistory(t *testing.T) {
	s := newTester(t)
	for i, variant := range []string{`"a"`, `"a"`, `"b"`, `null`} {
		s.v2(fmt.Sprintf(`{"event_type":"$exposure","user_id":"user-1","insert_id":"i%d","event_properties":{"flag_key":"f","variant":%s}}`, i, variant))
	}
	user, ok := s.User("user-1")
	require.True(t, ok)
	require.Len(t, user.History, 3, "setting the same value is not a change")
	assert.Equal(t, "a", user.History[0].After)
	assert.False(t, user.History[0].Jump)
	assert.Equal(t, []any{"a", "b"}, []any{user.History[1].Before, user.History[1].After})
	assert.True(t, user.History[1].Jump)
	assert.Equal(t, "$unset", user.History[2].Operation)
	assert.Equal(t, uint64(4), user.History[2].Seq)
	assert.Equal(t, 1, user.Jumps)
	for seq, want := range map[int]map[string]any{1: {"[Experiment] f": "a"}, 2: {"[Experiment] f": "a"}, 3: {"[Experiment] f": "b"}, 4: {}} {
		var detail struct {
			After map[string]any `json:"user_properties_after"`
		}
		s.get(fmt.Sprintf("/_sandbox/events/%d", seq), &detail)
		assert.Equal(t, want, detail.After, "after event %d", seq)
	}
}

func TestPropertyUpdateLimit(t *testing.T) {
	s := newTester(t, with(func(b *sandbox.Behavior) { b.PropUpdateLimit = 3 }))
	for i := range 5 {
		s.v2(fmt.Sprintf(`{"event_type":"e","user_id":"user-1","user_properties":{"n":%d}}`, i))
	}
	assert.JSONEq(t, `{"n":2}`, s.properties("user-1"))
	events := s.Events(sandbox.Select{})
	require.Len(t, events, 5, "the events are kept")
	assert.Contains(t, strings.Join(events[4].Meta.Warnings, "\n"), "3 property updates")
	s.Advance(time.Hour)
	s.v2(`{"event_type":"e","user_id":"user-1","user_properties":{"n":9}}`)
	assert.JSONEq(t, `{"n":9}`, s.properties("user-1"))
}

func TestFieldGroupsReset(t *testing.T) {
	s := newTester(t)
	s.v2(`{"event_type":"e","user_id":"user-1","os_name":"iOS","os_version":"19","country":"Norway","language":"en-GB"}`)
	s.v2(`{"event_type":"e","user_id":"user-1","os_name":"Android"}`)
	user, _ := s.User("user-1")
	assert.Equal(t, "Android", user.Fields["os_name"])
	assert.Nil(t, user.Fields["os_version"], "not sent again: reset")
	assert.Equal(t, "Norway", user.Fields["country"], "no field of its group was sent")
	assert.Equal(t, "English", user.Fields["language"])
	assert.Contains(t, strings.Join(s.Events(sandbox.Select{})[1].Meta.Warnings, "\n"), "only 1 of the 7 fields")
}

func TestGroups(t *testing.T) {
	s := newTester(t)
	s.v2(
		`{"event_type":"$groupidentify","device_id":"device-1","groups":{"company":["acme","globex"]},"group_properties":{"$set":{"plan":"pro"},"$add":{"seats":3}}}`,
		`{"event_type":"$groupidentify","device_id":"device-1","groups":{"company":"acme"},"group_properties":{"$add":{"seats":4},"$unset":{"plan":"-"}}}`,
		`{"event_type":"e","user_id":"user-1","groups":{"company":"acme"},"group_properties":{"$set":{"ignored":true}}}`,
	)
	acme, ok := s.Group("company", "acme")
	require.True(t, ok)
	assert.Equal(t, map[string]any{"seats": json.Number("7")}, acme)
	globex, ok := s.Group("company", "globex")
	require.True(t, ok)
	assert.Equal(t, map[string]any{"plan": "pro", "seats": json.Number("3")}, globex)
	user, _ := s.User("user-1")
	assert.Equal(t, map[string]any{"company": "acme"}, user.Groups)
	var read struct {
		Properties map[string]any `json:"group_properties"`
	}
	s.get("/_sandbox/groups/company/acme", &read)
	assert.Equal(t, map[string]any{"seats": 7.0}, read.Properties)
}

func TestBlockedEventTypes(t *testing.T) {
	s := newTester(t, with(func(b *sandbox.Behavior) {
		b.BlockedEventTypes, b.DeletedEventTypes = []string{"noise"}, []string{"old"}
	}))
	status, body := s.send("/2/httpapi", `{"event_type":"noise","user_id":"user-1"}`, `{"event_type":"old","user_id":"user-1"}`, `{"event_type":"e","user_id":"user-1"}`)
	assert.Equal(t, 200, status)
	assert.Contains(t, body, `"events_ingested":3`)
	assert.Len(t, s.Events(sandbox.Select{}), 1)
	var dropped struct {
		Events []struct {
			Sandbox struct {
				Reason string `json:"reason"`
			} `json:"sandbox"`
		} `json:"events"`
	}
	s.get("/_sandbox/dropped", &dropped)
	require.Len(t, dropped.Events, 2)
	assert.Equal(t, "the event type is blocked", dropped.Events[0].Sandbox.Reason)
	assert.Equal(t, "the event type is deleted", dropped.Events[1].Sandbox.Reason)
}

func TestClientClock(t *testing.T) {
	for _, tc := range []struct {
		name, uploaded string
		moved          int64
	}{
		{"fresh", "2026-11-22T11:59:30.000Z", 0},
		{"stale", "2026-11-22T11:00:00.000Z", 3_600_000},
		{"ahead", "2026-11-22T12:02:00.000Z", -120_000},
		{"no time", "yesterday", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTester(t)
			s.do("POST", "/2/httpapi", `{"api_key":"sandbox","client_upload_time":"`+tc.uploaded+`","events":[{"event_type":"e","user_id":"user-1","time":1795340000000}]}`)
			events := s.Events(sandbox.Select{})
			require.Len(t, events, 1)
			assert.Equal(t, 1795340000000+tc.moved, events[0].Meta.EventTime)
		})
	}
}

func TestBigNumbers(t *testing.T) {
	const event = `{"event_type":"e","user_id":"user-1","user_properties":{"n":9007199254740993}}`
	s := newTester(t)
	s.v2(event)
	assert.JSONEq(t, `{"n":9007199254740993}`, s.properties("user-1"))
	assertText(t, event, s.Events(sandbox.Select{})[0].JSON)
	s = newTester(t, with(func(b *sandbox.Behavior) { b.BigNumbers = sandbox.NumbersFloat64 }))
	s.v2(event)
	assert.JSONEq(t, `{"n":9007199254740992}`, s.properties("user-1"))
}
