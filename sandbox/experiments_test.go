// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

type experiment struct {
	Flag          string
	ExperimentKey string `json:"experiment_key"`
	Users         int
	Exposures     int
	Unexposures   int
	Changes       int `json:"variant_changes"`
	Jumpers       int `json:"users_who_changed"`
	Left          int `json:"users_unexposed"`
	Assignments   int
	Unassigned    int `json:"exposures_without_assignment"`
	Variants      []struct {
		Variant    string
		Users      int
		FirstUsers int     `json:"first_users"`
		Expected   float64 `json:"expected_share"`
		Met        int     `json:"users_met"`
		Outcomes   []struct {
			EventType     string `json:"event_type"`
			Events, Users int
			Share         float64
		}
	}
	Diagnostics *struct {
		Persons, Changed, Assigned int
		DeviceOnly                 int `json:"device_only"`
		AssignedExposed            int `json:"assigned_exposed"`
		WithoutAssignment          int `json:"without_assignment"`
		LateExposures              int `json:"late_exposures"`
		Tested, Mismatch           bool
		PValue                     float64 `json:"p_value"`
	}
	Timeline struct {
		From, Step int64
		Variants   map[string][]int
	}
	SRM struct {
		State  string
		PValue float64 `json:"p_value"`
		Chi    float64 `json:"chi_square"`
	}
}

func (s *tester) experiments() []experiment {
	s.t.Helper()
	var read struct{ Experiments []experiment }
	s.get("/_sandbox/experiments", &read)
	return read.Experiments
}

func exposed(user int, flag, variant string) string {
	return fmt.Sprintf(`{"event_type":"$exposure","user_id":"user-%d","event_properties":{"flag_key":%q,"variant":%q}}`, user, flag, variant)
}

// TestSampleRatio compares p-values with the closed forms that exist for 1, 2 and 4 degrees of freedom:
// erfc(sqrt(x/2)), exp(-x/2) and exp(-x/2)(1+x/2).
func TestSampleRatio(t *testing.T) {
	for _, tc := range []struct {
		name    string
		users   map[string]int
		weights map[string]float64
		state   string
		p       float64
	}{
		{name: "too early", users: map[string]int{"a": 90, "b": 9}, state: "too_early", p: 1},
		{name: "even", users: map[string]int{"a": 50, "b": 50}, state: "ok", p: 1},
		{name: "by chance", users: map[string]int{"a": 60, "b": 40}, state: "ok", p: 0.04550026389635857},
		{name: "broken", users: map[string]int{"a": 70, "b": 30}, state: "mismatch", p: 6.334248366623973e-05},
		{name: "three variants", users: map[string]int{"a": 60, "b": 40, "c": 50}, state: "ok", p: 0.1353352832366127},
		{name: "five variants", users: map[string]int{"a": 30, "b": 20, "c": 25, "d": 20, "e": 25}, state: "ok", p: 0.5718664923800112},
		{name: "as weighted", users: map[string]int{"a": 90, "b": 10}, weights: map[string]float64{"a": 9, "b": 1}, state: "ok", p: 1},
		{name: "even against weights", users: map[string]int{"a": 50, "b": 50}, weights: map[string]float64{"a": 9, "b": 1}, state: "mismatch", p: 1.4812825543814188e-40},
		{name: "a variant that never arrived", users: map[string]int{"a": 100}, weights: map[string]float64{"a": 1, "b": 1}, state: "mismatch", p: 1.523970604832105e-23},
		{name: "a variant that nobody expected", users: map[string]int{"a": 100, "z": 1}, weights: map[string]float64{"a": 1}, state: "mismatch", p: 0},
		{name: "one variant", users: map[string]int{"a": 100}, state: "one_variant", p: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) {
				if tc.weights != nil {
					c.Weights = map[string]map[string]float64{"f": tc.weights}
				}
			}))
			var events []string
			for variant, n := range tc.users {
				for range n {
					events = append(events, exposed(len(events), "f", variant))
				}
			}
			s.v2(events...)
			got := s.experiments()
			require.Len(t, got, 1)
			assert.Equal(t, tc.state, got[0].SRM.State)
			assert.InEpsilon(t, tc.p+1e-300, got[0].SRM.PValue+1e-300, 1e-9)
		})
	}
}

// TestExperiment counts what users did with one flag over two days.
func TestExperiment(t *testing.T) {
	s := newTester(t)
	assigned := func(user int, variant string) string {
		return fmt.Sprintf(`{"event_type":"[Experiment] Assignment","user_id":"user-%d","event_properties":{"[Experiment] f.variant":%q,"[Experiment] f.details":"v1"}}`, user, variant)
	}
	s.v2(
		assigned(1, "a"), exposed(1, "f", "a"),
		exposed(2, "f", "b"), assigned(2, "b"), // the assignment came later on the same day
		exposed(3, "f", "a"), exposed(3, "f", "a"), // never assigned
		exposed(1, "f", "b"), exposed(1, "f", "a"), // changes variant, and changes back
		exposed(2, "f", ""), // leaves
	)
	s.Advance(24 * time.Hour)
	s.v2(exposed(1, "f", "a")) // a day without an assignment
	got := s.experiments()
	require.Len(t, got, 1)
	x := got[0]
	assert.Equal(t, 3, x.Users)
	assert.Equal(t, 7, x.Exposures)
	assert.Equal(t, 1, x.Unexposures)
	assert.Equal(t, 2, x.Changes)
	assert.Equal(t, 1, x.Jumpers)
	assert.Equal(t, 2, x.Assignments)
	assert.Equal(t, 2, x.Unassigned, "user 3 on the first day, user 1 on the second")
	require.Len(t, x.Variants, 2)
	assert.Equal(t, []int{2, 0}, []int{x.Variants[0].Users, x.Variants[1].Users}, "users who left do not count under any variant")
	assert.Equal(t, 1, x.Left)
	s.v2(exposed(2, "f", "a"), exposed(4, "f", ""), exposed(4, "f", "b"))
	x = s.experiments()[0]
	assert.Equal(t, []int{3, 1}, []int{x.Variants[0].Users, x.Variants[1].Users}, "back in another variant; in one for the first time")
	assert.Zero(t, x.Left)
	assert.Equal(t, 3, x.Changes)
}

// TestOutcomesByVariant counts other events under the variant that their user is in when they arrive.
func TestOutcomesByVariant(t *testing.T) {
	s := newTester(t)
	bought := func(user int) string { return fmt.Sprintf(`{"event_type":"Order Placed","user_id":"user-%d"}`, user) }
	s.v2(
		bought(1), // not in a variant yet
		exposed(1, "f", "a"), exposed(2, "f", "a"), exposed(3, "f", "b"), exposed(4, "f", "b"),
		bought(1), bought(1), bought(3), bought(5),
		exposed(3, "f", "a"), bought(3), // under both, one after the other
		exposed(4, "f", ""), bought(4), // no longer in the variant
		`{"event_type":"$identify","user_id":"user-2","user_properties":{"$set":{"[Experiment] f":"b"}}}`, bought(2), // the property decides
		`{"event_type":"[Experiment] Impression","user_id":"user-1","event_properties":{"[Experiment] Flag Key":"f"}}`,
		`{"event_type":"$identify","user_id":"user-1","user_properties":{"plan":"pro"}}`,
	)
	got := s.experiments()
	require.Len(t, got, 1)
	require.Len(t, got[0].Variants, 2)
	a, b := got[0].Variants[0], got[0].Variants[1]
	require.Len(t, a.Outcomes, 1)
	assert.Equal(t, "Order Placed", a.Outcomes[0].EventType)
	assert.Equal(t, []int{3, 2, 3}, []int{a.Outcomes[0].Events, a.Outcomes[0].Users, a.Met})
	assert.InDelta(t, 2.0/3, a.Outcomes[0].Share, 1e-9)
	require.Len(t, b.Outcomes, 1)
	assert.Equal(t, []int{2, 2, 3}, []int{b.Outcomes[0].Events, b.Outcomes[0].Users, b.Met})
	assert.InDelta(t, 2.0/3, b.Outcomes[0].Share, 1e-9)
}

func TestRunsAreApart(t *testing.T) {
	s := newTester(t)
	run := func(key, variant string) string {
		return fmt.Sprintf(`{"event_type":"$exposure","user_id":"user-1","event_properties":{"flag_key":"f","variant":%q,"experiment_key":%q}}`, variant, key)
	}
	s.v2(run("run-1", "a"), run("run-2", "b"), exposed(1, "f", ""))
	got := s.experiments()
	require.Len(t, got, 2)
	for _, x := range got {
		assert.Equal(t, 1, x.Users)
		assert.Zero(t, x.Changes, "another run is not a change of variant")
	}
	assert.Equal(t, "run-2", got[1].ExperimentKey)
	assert.Equal(t, 1, got[1].Unexposures, "an un-exposure without a run belongs to the latest one")
}

func TestPropertyBudget(t *testing.T) {
	s := newTester(t)
	s.v2(exposed(1, "f", "a"), exposed(2, "f", "a"), exposed(1, "g", "a"), exposed(1, "g", ""),
		`{"event_type":"e","user_id":"user-1","user_properties":{"plan":"pro"}}`)
	var read struct {
		Properties struct{ Used, Limit int } `json:"experiment_properties"`
	}
	s.get("/_sandbox/experiments", &read)
	assert.Equal(t, 2, read.Properties.Used)
	assert.Equal(t, 1500, read.Properties.Limit)
}

// TestExperimentsSayWhatIsNotCounted: more flags arrive than are kept.
func TestExperimentsSayWhatIsNotCounted(t *testing.T) {
	s := newTester(t)
	var read struct {
		Experiments []struct{ Flag string } `json:"experiments"`
		NotCounted  int                     `json:"not_counted"`
	}
	const kept, more = 5000, 1000
	for first := 0; first < kept+more; first += 500 {
		events := make([]string, 500)
		for i := range events {
			events[i] = exposed(first+i, fmt.Sprint("flag-", first+i), "a")
		}
		s.v2(events...)
	}
	s.get("/_sandbox/experiments", &read)
	assert.Len(t, read.Experiments, kept)
	assert.Equal(t, more, read.NotCounted)
}

// TestPropertiesBeyondLimit: each property beyond the limit gets a warning when it first arrives.
func TestPropertiesBeyondLimit(t *testing.T) {
	s := newTester(t, with(func(b *sandbox.Behavior) { b.ExperimentPropertyLimit = 2 }))
	s.v2(exposed(1, "f", "a"), exposed(2, "g", "a"), exposed(3, "h", "a"), exposed(4, "h", "b"), exposed(5, "f", "b"))
	const too = "[Experiment] h is beyond the 2 experiment user properties of a project: Amplitude supports no more"
	var warned []bool
	for _, e := range s.Events(sandbox.Select{}) {
		warned = append(warned, slices.Contains(e.Meta.Warnings, too))
	}
	assert.Equal(t, []bool{false, false, true, false, false}, warned)
}

// TestDiagnosticsOfTheSandbox: the sandbox reports the same about a run as the processor.
func TestDiagnosticsOfTheSandbox(t *testing.T) {
	s := newTester(t, sandbox.WithConfig(func(c *sandbox.Config) {
		c.Weights = map[string]map[string]float64{"f": {"a": 1, "b": 1}}
	}))
	assigned := func(user int, operator string) string {
		return fmt.Sprintf(`{"event_type":"[Experiment] Assignment","user_id":"user-%d","event_properties":{"[Experiment] f.variant":"a"},"user_properties":{%q:{"[Experiment] f":"a"}}}`, user, operator)
	}
	events := []string{
		assigned(1, "$set"), assigned(2, "$set"), assigned(3, "$unset"),
		exposed(1, "f", "a"), exposed(1, "f", "b"), exposed(1, "f", ""),
		`{"event_type":"$exposure","device_id":"device-1","event_properties":{"flag_key":"f","variant":"b"},"$skip_user_properties_sync":true}`,
	}
	for user := range 200 {
		events = append(events, exposed(1000+user, "f", "a"))
	}
	s.v2(events...)
	d := s.experiments()[0].Diagnostics
	require.NotNil(t, d)
	assert.Equal(t, 202, d.Persons)
	assert.Equal(t, 1, d.Changed)
	assert.Equal(t, 1, d.DeviceOnly)
	assert.Equal(t, 2, d.Assigned)
	assert.Equal(t, 1, d.AssignedExposed)
	assert.Equal(t, 201, d.WithoutAssignment)
	assert.Equal(t, 1, d.LateExposures)
	assert.True(t, d.Tested)
	assert.True(t, d.Mismatch)
	assert.Less(t, d.PValue, 1e-9)
}

// TestTimeline adds up exposures in steps that grow with the time that they cover.
func TestTimeline(t *testing.T) {
	s := newTester(t)
	at := func(variant string, minute int) string {
		return fmt.Sprintf(`{"event_type":"$exposure","user_id":"user-%d","time":%d,"event_properties":{"flag_key":"f","variant":%q}}`,
			1000+minute, start.Add(time.Duration(minute)*time.Minute).UnixMilli(), variant)
	}
	s.v2(at("a", -100), at("a", -300), at("b", -200), at("a", 0), at("b", -1))
	line := s.experiments()[0].Timeline
	require.NotEmpty(t, line.Variants["a"])
	steps := len(line.Variants["a"])
	assert.LessOrEqual(t, steps, 60)
	assert.Greater(t, steps, 20)
	assert.Equal(t, []int{1, 3}, []int{line.Variants["a"][0], line.Variants["a"][steps-1]})
	assert.Equal(t, []int{0, 2}, []int{line.Variants["b"][0], line.Variants["b"][steps-1]})
	assert.True(t, slices.IsSorted(line.Variants["a"]))
	assert.GreaterOrEqual(t, line.Step*int64(steps), (300 * time.Minute).Milliseconds())
}

// TestTimelineLeavesOutInvalidDates: a browser cannot show times outside the range of Date.
func TestTimelineLeavesOutInvalidDates(t *testing.T) {
	const longest = 864e13
	s := newTester(t)
	for i, at := range []string{"1e308", "9000000000000000000", "-9000000000000000000", strconv.FormatInt(start.UnixMilli(), 10)} {
		s.v2(fmt.Sprintf(`{"event_type":"$exposure","user_id":"user-%d","time":%s,"event_properties":{"flag_key":"f","variant":"a"}}`, 1000+i, at))
		line := s.experiments()[0].Timeline
		assert.LessOrEqual(t, line.From+line.Step*int64(len(line.Variants["a"])), int64(longest), at)
		assert.GreaterOrEqual(t, line.From, int64(-longest), at)
	}
}
