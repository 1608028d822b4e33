// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

func event(user, insertID string) string {
	return fmt.Sprintf(`{"event_type":"e","user_id":%q,"insert_id":%q}`, user, insertID)
}

// TestRates moves the clock through the averaging window.
func TestRates(t *testing.T) {
	slow := with(func(b *sandbox.Behavior) { b.V2.EPSThreshold, b.EPSWindow = 1, 2*time.Second })
	t.Run("the window passes", func(t *testing.T) {
		s := newTester(t, slow)
		s.v2(event("user-1", "a"), event("user-1", "b"))
		status, _ := s.send("/2/httpapi", event("user-1", "c"))
		assert.Equal(t, http.StatusTooManyRequests, status)
		s.v2(event("user-2", "c"))
		s.Advance(2 * time.Second)
		s.v2(event("user-1", "c"))
		assert.Len(t, s.Events(sandbox.Select{UserID: "user-1"}), 3)
	})
	t.Run("refused requests do not count", func(t *testing.T) {
		s := newTester(t, slow)
		s.v2(event("user-1", "a"))
		for range 3 {
			status, _ := s.send("/2/httpapi", event("user-1", "b"), event("user-1", "c"))
			assert.Equal(t, http.StatusTooManyRequests, status)
		}
		s.v2(event("user-1", "b"))
	})
	t.Run("refused requests count when so configured", func(t *testing.T) {
		s := newTester(t, slow, with(func(b *sandbox.Behavior) { b.CountRejected = true }))
		s.v2(event("user-1", "a"))
		status, _ := s.send("/2/httpapi", event("user-1", "b"), event("user-1", "c"))
		assert.Equal(t, http.StatusTooManyRequests, status)
		status, _ = s.send("/2/httpapi", event("user-1", "b"))
		assert.Equal(t, http.StatusTooManyRequests, status)
	})
	t.Run("endpoints have separate accounts", func(t *testing.T) {
		s := newTester(t, slow)
		s.v2(event("user-1", "a"), event("user-1", "b"))
		status, _ := s.send("/batch", event("user-1", "c"))
		assert.Equal(t, http.StatusOK, status)
	})
	t.Run("more than the window holds never passes", func(t *testing.T) {
		s := newTester(t)
		status, body, _ := s.do(http.MethodPost, "/2/httpapi", manyEvents(901))
		assert.Equal(t, http.StatusTooManyRequests, status)
		assert.Contains(t, body, `"throttled_users":{"user-1":31}`)
		status, _, _ = s.do(http.MethodPost, "/2/httpapi", manyEvents(900))
		assert.Equal(t, http.StatusOK, status)
	})
	t.Run("before validation when so configured", func(t *testing.T) {
		s := newTester(t, slow, with(func(b *sandbox.Behavior) { b.ThrottleBeforeValidation = true }))
		s.v2(event("user-1", "a"), event("user-1", "b"))
		status, _ := s.send("/2/httpapi", `{"event_type":"e","user_id":"user-1","time":"x"}`)
		assert.Equal(t, http.StatusTooManyRequests, status)
	})
	t.Run("the project's window passes", func(t *testing.T) {
		s := newTester(t, with(func(b *sandbox.Behavior) { b.ProjectEPS, b.EPSWindow = 1, 2*time.Second }))
		s.v2(event("user-1", "a"), event("user-2", "b"))
		status, _ := s.send("/2/httpapi", event("user-3", "c"))
		assert.Equal(t, http.StatusTooManyRequests, status)
		s.Advance(2 * time.Second)
		s.v2(event("user-3", "c"))
	})
}

func TestDailyQuota(t *testing.T) {
	s := newTester(t, with(func(b *sandbox.Behavior) { b.DailyQuota = 2 }))
	status, _ := s.send("/batch", event("user-1", "a"), event("user-1", "b"))
	require.Equal(t, http.StatusOK, status)
	status, body := s.send("/batch", event("user-1", "c"))
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Contains(t, body, `"exceeded_daily_quota_users":{"user-1":3}`)
	s.Advance(23 * time.Hour)
	status, _ = s.send("/batch", event("user-1", "c"))
	assert.Equal(t, http.StatusTooManyRequests, status, "the hour of the first events is still in the day")
	s.Advance(time.Hour)
	status, _ = s.send("/batch", event("user-1", "c"))
	assert.Equal(t, http.StatusOK, status)

	spammy := newTester(t, with(func(b *sandbox.Behavior) { b.DailyQuota, b.DailyRequiresSpammy = 1, true }))
	status, _ = spammy.send("/batch", event("user-1", "a"), event("user-1", "b"))
	assert.Equal(t, http.StatusOK, status, "never throttled, so not counted")
}

func TestForced(t *testing.T) {
	s := newTester(t)
	s.control(http.MethodPost, "/_sandbox/throttle", `{"ids":["user-t"],"until":"+30s"}`)
	status, body := s.send("/2/httpapi", event("user-1", "a"), event("user-t", "b"))
	assert.Equal(t, http.StatusTooManyRequests, status)
	assertText(t, `{"code":429,"error":"Too many requests for some devices and users","eps_threshold":30,"throttled_devices":{},"throttled_users":{"user-t":31},"throttled_events":[1]}`+"\n", body)
	s.control(http.MethodPost, "/_sandbox/clock", `{"advance":"30s"}`)
	s.v2(event("user-t", "b"))

	s.control(http.MethodPost, "/_sandbox/quota", `{"ids":["user-q"]}`)
	status, body = s.send("/batch", event("user-q", "a"))
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Contains(t, body, `"exceeded_daily_quota_users":{"user-q":500001},"exceeded_daily_quota_devices":{},"throttled_events":[0]`)
	s.control(http.MethodDelete, "/_sandbox/quota", "")
	status, _ = s.send("/batch", event("user-q", "a"))
	assert.Equal(t, http.StatusOK, status)

	s.control(http.MethodPost, "/_sandbox/silence", `{"devices":["dev-s"]}`)
	s.Throttle(0, "dev-t")
	status, body = s.send("/2/httpapi", `{"event_type":"e","device_id":"dev-s"}`, `{"event_type":"e","device_id":"dev-t"}`, event("user-1", "z"))
	assert.Equal(t, http.StatusBadRequest, status)
	assertText(t, `{"code":400,"eps_threshold":30,"error":"Events silenced for device_id","exceeded_daily_quota_devices":{},"silenced_devices":["dev-s"],"silenced_events":[0],"throttled_devices":{"dev-t":31},"throttled_events":[1]}`+"\n", body)
}

// TestDedupe covers the seven-day window and what identifies a copy.
func TestDedupe(t *testing.T) {
	const day = 24 * time.Hour
	t.Run("within the window", func(t *testing.T) {
		s := newTester(t)
		s.v2(event("user-1", "a"))
		s.Advance(7*day - time.Second)
		status, body := s.send("/2/httpapi", event("user-1", "a"))
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, body, `"events_ingested":1`)
		assert.Len(t, s.Events(sandbox.Select{}), 1)
		copies := s.Events(sandbox.Select{Verdicts: []sandbox.Verdict{sandbox.Duplicate}})
		require.Len(t, copies, 1)
		assert.Equal(t, uint64(1), copies[0].Meta.FirstSeq)
		assert.Equal(t, (7*day - time.Second).Milliseconds(), copies[0].Meta.FirstAgeMS)
	})
	t.Run("a copy does not extend the window", func(t *testing.T) {
		s := newTester(t)
		s.v2(event("user-1", "a"))
		s.Advance(6 * day)
		s.v2(event("user-1", "a"))
		s.Advance(day)
		s.v2(event("user-1", "a"))
		assert.Len(t, s.Events(sandbox.Select{}), 2)
		s.Advance(day)
		s.v2(event("user-1", "a"))
		assert.Len(t, s.Events(sandbox.Select{}), 2, "the second copy started a new window")
	})
	t.Run("inside one request, properties once", func(t *testing.T) {
		s := newTester(t)
		add := `{"event_type":"e","user_id":"user-1","insert_id":"a","user_properties":{"$add":{"n":1}}}`
		s.v2(add, add)
		s.v2(add)
		assert.JSONEq(t, `{"n":1}`, s.properties("user-1"))
		assert.Equal(t, 2, s.Stats().Duplicates)
	})
	t.Run("other device, other event", func(t *testing.T) {
		s := newTester(t)
		s.v2(`{"event_type":"e","device_id":"device-1","insert_id":"a"}`, `{"event_type":"e","device_id":"device-2","insert_id":"a"}`)
		assert.Len(t, s.Events(sandbox.Select{}), 2)
	})
	t.Run("insert id alone when so configured", func(t *testing.T) {
		s := newTester(t, with(func(b *sandbox.Behavior) { b.DedupeKey = sandbox.DedupeInsert }))
		s.v2(`{"event_type":"e","device_id":"device-1","insert_id":"a"}`, `{"event_type":"e","device_id":"device-2","insert_id":"a"}`)
		assert.Len(t, s.Events(sandbox.Select{}), 1)
	})
	t.Run("without insert id nothing is a copy", func(t *testing.T) {
		s := newTester(t)
		s.v2(`{"event_type":"e","user_id":"user-1"}`, `{"event_type":"e","user_id":"user-1"}`, `{"event_type":"e","user_id":"user-1","insert_id":""}`)
		events := s.Events(sandbox.Select{})
		require.Len(t, events, 3)
		assert.Contains(t, events[0].Meta.Warnings[0], "no insert_id")
	})
	t.Run("event id when so configured", func(t *testing.T) {
		s := newTester(t, with(func(b *sandbox.Behavior) { b.DedupeEventID = true }))
		one := `{"event_type":"e","user_id":"user-1","time":1795340000000,"event_id":7,"insert_id":`
		s.v2(one+`"a"}`, one+`"b"}`)
		assert.Len(t, s.Events(sandbox.Select{}), 1)
	})
	t.Run("duplicates not counted as ingested", func(t *testing.T) {
		s := newTester(t, with(func(b *sandbox.Behavior) { b.DedupeCountsAsIngested = false }))
		_, body := s.send("/2/httpapi", event("user-1", "a"), event("user-1", "a"))
		assert.Contains(t, body, `"events_ingested":1`)
	})
	t.Run("identifies", func(t *testing.T) {
		add := `{"event_type":"$identify","user_id":"user-1","insert_id":"a","user_properties":{"$add":{"n":1}}}`
		s := newTester(t)
		s.v2(add, add)
		assert.JSONEq(t, `{"n":1}`, s.properties("user-1"))
		s = newTester(t, with(func(b *sandbox.Behavior) { b.DedupeIdentify = false }))
		s.v2(add, add)
		assert.JSONEq(t, `{"n":2}`, s.properties("user-1"))
	})
	t.Run("a separate project", func(t *testing.T) {
		s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) { c.APIKeys = append(c.APIKeys, "second") }))
		s.v2(event("user-1", "a"))
		status, _, _ := s.do(http.MethodPost, "/2/httpapi", strings.Replace(payload(event("user-1", "a")), "sandbox", "second", 1))
		assert.Equal(t, http.StatusOK, status)
		assert.Len(t, s.Events(sandbox.Select{}), 2)
	})
	t.Run("an unambiguous key", func(t *testing.T) {
		s := newTester(t)
		s.v2(`{"event_type":"e","device_id":"device","insert_id":"-1x"}`, `{"event_type":"e","device_id":"device-1","insert_id":"x"}`)
		assert.Len(t, s.Events(sandbox.Select{}), 2)
	})
}

// TestIdentity resolves ids as Amplitude tracks unique users.
func TestIdentity(t *testing.T) {
	for _, tc := range []struct {
		name   string
		events [][2]string // user_id, device_id
		users  []int       // which user each event belongs to
	}{
		{"one user, two devices", [][2]string{{"user-1", "device-1"}, {"user-1", "device-2"}}, []int{0, 0}},
		{"anonymous, then known", [][2]string{{"", "device-1"}, {"user-1", "device-1"}, {"", "device-1"}}, []int{0, 0, 0}},
		{"two users of one device stay two", [][2]string{{"user-1", "device-1"}, {"user-2", "device-1"}, {"", "device-1"}}, []int{0, 1, 1}},
		{"anonymous device of a user known from elsewhere", [][2]string{{"user-1", "device-1"}, {"", "device-2"}, {"user-1", "device-2"}, {"", "device-2"}}, []int{0, 1, 0, 0}},
		{"user without a device", [][2]string{{"user-1", ""}, {"user-1", "device-1"}}, []int{0, 0}},
		{"case matters", [][2]string{{"user-a", ""}, {"USER-A", ""}}, []int{0, 1}},
		{"spaces do not", [][2]string{{"user-a", ""}, {"  user-a ", ""}}, []int{0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTester(t)
			for _, e := range tc.events {
				text := `{"event_type":"e"`
				if e[0] != "" {
					text += fmt.Sprintf(`,"user_id":%q`, e[0])
				}
				if e[1] != "" {
					text += fmt.Sprintf(`,"device_id":%q`, e[1])
				}
				s.v2(text + "}")
			}
			ids := map[int]int64{}
			for i, e := range s.Events(sandbox.Select{}) {
				if known, seen := ids[tc.users[i]]; seen {
					assert.Equal(t, known, e.Meta.AmplitudeID, "event %d", i)
				}
				ids[tc.users[i]] = e.Meta.AmplitudeID
			}
			distinct := map[int64]bool{}
			for _, id := range ids {
				distinct[id] = true
			}
			assert.Len(t, distinct, len(ids))
		})
	}
	s := newTester(t)
	s.v2(`{"event_type":"e","user_id":"user-1","device_id":"device-1"}`, `{"event_type":"e","device_id":"device-2"}`, `{"event_type":"e","user_id":"user-1","device_id":"device-2"}`)
	user, ok := s.User("user-1")
	require.True(t, ok)
	assert.Equal(t, []string{"device-1", "device-2"}, user.Devices)
	require.Len(t, user.MergedFrom, 1)
	anonymous, ok := s.User(strconv.FormatInt(user.MergedFrom[0], 10))
	require.True(t, ok)
	assert.Equal(t, user.AmplitudeID, anonymous.MergedInto)
	derived := newTester(t)
	derived.v2(event("user-1", "a"))
	assert.True(t, derived.Events(sandbox.Select{})[0].Meta.DerivedDeviceID)
}

func TestFormAPIs(t *testing.T) {
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	s := newTester(t)
	status, body, _ := s.do(http.MethodPost, "/identify", `api_key=sandbox&identification=%7B%22user_id%22%3A%22user-1%22%2C%22user_properties%22%3A%7B%22%24set%22%3A%7B%22a%22%3A1%7D%7D%7D`, form...)
	assert.Equal(t, 200, status)
	assert.Equal(t, "success", body)
	assert.JSONEq(t, `{"a":1}`, s.properties("user-1"))
	status, body, _ = s.do(http.MethodPost, "/identify", `api_key=sandbox&identification=%5B%7B%22user_id%22%3A%22user-2%22%2C%22user_properties%22%3A%7B%22b%22%3A2%7D%7D%5D`, form...)
	assert.Equal(t, 200, status, body)
	assert.JSONEq(t, `{"b":2}`, s.properties("user-2"))
	status, body, _ = s.do(http.MethodPost, "/groupidentify", `api_key=sandbox&identification=%7B%22group_type%22%3A%22org%22%2C%22group_value%22%3A%22acme%22%2C%22group_properties%22%3A%7B%22%24set%22%3A%7B%22a%22%3A1%7D%7D%7D`, form...)
	assert.Equal(t, 200, status, body)
	acme, ok := s.Group("org", "acme")
	require.True(t, ok)
	assert.Contains(t, acme, "a")
	for name, tc := range map[string]struct{ body, want string }{
		"none":        {"api_key=sandbox", "missing_event"},
		"not JSON":    {"api_key=sandbox&identification=%7B", "missing_event"},
		"a number":    {"api_key=sandbox&identification=7", "missing_event"},
		"wrong key":   {"api_key=wrong&identification=%7B%7D", "invalid_api_key"},
		"no identity": {"api_key=sandbox&identification=%7B%7D", "invalid_event"},
	} {
		status, body, _ = s.do(http.MethodPost, "/identify", tc.body, form...)
		assert.Equal(t, http.StatusBadRequest, status, name)
		assert.Equal(t, tc.want, body, name)
	}
}

func TestWarnings(t *testing.T) {
	for _, tc := range []struct {
		name, event, want string
		header            []string
		path              string
	}{
		{name: "seconds", event: `{"event_type":"e","user_id":"user-1","insert_id":"a","time":1795340000}`, want: "looks like seconds"},
		{name: "future", event: `{"event_type":"e","user_id":"user-1","insert_id":"a","time":1796000000000}`, want: "in the future"},
		{name: "key in the URL", path: "/2/httpapi?api_key=sandbox", event: event("user-1", "a"), want: "API key is in the URL"},
		{name: "key in a header", header: []string{"X-Api-Key", "sandbox"}, event: event("user-1", "a"), want: "API key is in the URL or in a header"},
		{name: "constant event_id", event: `{"event_type":"e","user_id":"user-1","insert_id":"a","event_id":1},{"event_type":"e","user_id":"user-1","insert_id":"b","event_id":1}`, want: "event_id 1 repeats"},
		{name: "starter plan", event: strings.TrimSuffix(strings.Repeat(event("user-1", "a")+",", 11), ","), want: "starter plan"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTester(t, with(func(b *sandbox.Behavior) { b.StarterPlan = true }))
			if tc.path == "" {
				tc.path = "/2/httpapi"
			}
			status, body, _ := s.do(http.MethodPost, tc.path, payload(tc.event), tc.header...)
			require.Equal(t, http.StatusOK, status, body)
			var read struct {
				Warnings []struct {
					Text string `json:"warning"`
				} `json:"warnings"`
			}
			s.get("/_sandbox/warnings", &read)
			require.Len(t, read.Warnings, 1)
			assert.Contains(t, read.Warnings[0].Text, tc.want)
		})
	}
	s := newTester(t)
	for i := range 11 {
		s.v2(fmt.Sprintf(`{"event_type":"e","user_id":"user-%d","device_id":"host-name","insert_id":"%d"}`, i, i))
	}
	events := s.Events(sandbox.Select{})
	assert.Empty(t, events[9].Meta.Warnings)
	require.NotEmpty(t, events[10].Meta.Warnings)
	assert.Contains(t, events[10].Meta.Warnings[0], "used by 11 users")
}

// TestConcurrentDevice sends an event of a device while the answer to another one is pending.
func TestConcurrentDevice(t *testing.T) {
	s := newTester(t)
	_, err := s.AddFaults(sandbox.Fault{Action: sandbox.FaultHang, Match: sandbox.FaultMatch{Contains: "nothing"}},
		sandbox.Fault{Action: sandbox.FaultSlowHeaders, Delay: sandbox.Duration(time.Second), Match: sandbox.FaultMatch{Contains: "first"}})
	require.NoError(t, err)
	answered := make(chan error, 1)
	go func() {
		_, _, _, err := s.try(http.MethodPost, "/2/httpapi", payload(event("user-1", "first")))
		answered <- err
	}()
	_, err = s.AwaitEvents(t.Context(), sandbox.Select{}, 1)
	require.NoError(t, err)
	s.v2(event("user-2", "a"))
	s.v2(event("user-1", "second"))
	require.NoError(t, <-answered)
	assert.Equal(t, 2, s.Stats().ByEndpoint["/2/httpapi"].MaxConcurrency)
	var read struct {
		Warnings []struct {
			Text string `json:"warning"`
		} `json:"warnings"`
	}
	s.get("/_sandbox/warnings", &read)
	require.Len(t, read.Warnings, 1)
	assert.Contains(t, read.Warnings[0].Text, "two concurrent requests have the same device")
}
