// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// pair is an exporter in front of a local Amplitude; both use the same clock.
type pair struct {
	*rig
	amplitude *sandbox.Server
}

func newPair(t *testing.T, settings map[string]any, opts ...sandbox.Option) *pair {
	t.Helper()
	p := &pair{}
	now := func() time.Time {
		if p.rig == nil {
			return newFakeClock().now
		}
		return p.clock.Now()
	}
	p.amplitude = sandbox.New(t, append([]sandbox.Option{sandbox.WithClock(now)}, opts...)...)
	path := "/2/httpapi"
	if settings["api"] == "batch" {
		path = "/batch"
	}
	all := map[string]any{"endpoint": p.amplitude.URL() + path, "api_key": "sandbox", "concurrency": 1}
	for key, value := range settings {
		all[key] = value
	}
	p.rig = newRig(t, all, nil)
	return p
}

// deliver retries until nothing is left, as exporterhelper would, and counts the attempts.
func (p *pair) deliver(t *testing.T, logs plog.Logs) (tries int) {
	t.Helper()
	for tries = 1; ; tries++ {
		var e expectation
		logs = e.try(t, p.rig, logs)
		if logs == (plog.Logs{}) {
			return tries
		}
		require.Less(t, tries, 20, "does not end")
		if wait, err := time.ParseDuration(e.Wait); err == nil {
			p.clock.Advance(wait)
		}
	}
}

// drain advances the clock until the slow lane is empty.
func (p *pair) drain(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { p.clock.Advance(throttleWait); return p.slowLane() == 0 }, patience, poll)
}

// stored returns the insert_ids that Amplitude has, in order of arrival.
func (p *pair) stored() []string {
	ids := []string{}
	for _, e := range p.amplitude.Events(sandbox.Select{}) {
		ids = append(ids, fmt.Sprint(e.Fields["insert_id"]))
	}
	return ids
}

func (p *pair) outcomes() map[string]int { return p.counts("events", "outcome") }

func (p *pair) fault(t *testing.T, faults ...sandbox.Fault) {
	t.Helper()
	_, err := p.amplitude.AddFaults(faults...)
	require.NoError(t, err)
}

func idsWithout(n int, without ...int) []string {
	ids := []string{}
	for i := range n {
		if !slices.Contains(without, i) {
			ids = append(ids, fmt.Sprintf("e%d", i))
		}
	}
	return ids
}

// setUser changes the user of record i.
func setUser(logs plog.Logs, i int, user string) {
	record(logs, i).Attributes().PutStr("amplitude.user_id", user)
}

func record(logs plog.Logs, i int) plog.LogRecord {
	return logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(i)
}

// The rows of the test matrix for an exporter in front of Amplitude, by number. Row 15, the queue after a restart,
// needs a Collector process; for the slow lane, see slowlane_test.go.

func TestMatrix01HappyPath(t *testing.T) {
	for _, api := range []string{"http_v2", "batch"} {
		for _, compression := range []string{"gzip", "none"} {
			t.Run(api+" "+compression, func(t *testing.T) {
				p := newPair(t, map[string]any{"api": api, "compression": compression})
				assert.Equal(t, 1, p.deliver(t, numbered(50)))
				assert.Equal(t, idsWithout(50), p.stored())
				assert.Empty(t, p.counts("unexpected_answers", "kind"))
			})
		}
	}
}

func TestMatrix02WrongKey(t *testing.T) {
	p := newPair(t, map[string]any{"api_key": testKey})
	for range 2 {
		var e expectation
		e.try(t, p.rig, numbered(3))
		assert.Equal(t, "retry", e.Error)
		assert.Len(t, e.Left, 3, "nothing is given up")
	}
	assert.Equal(t, map[string]int{"invalid_api_key": 2}, p.counts("requests", "status"), "one request for each try")
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, p.host.statuses())
	assert.Len(t, p.logs.FilterMessageSnippet("refuses the API key").All(), 1)
	assert.NotContains(t, p.everything(nil), testKey)
}

// TestMatrix03And04 are about fields that this exporter would not send, so the sandbox is set up to refuse what it does
// send.
func TestMatrix03And04BadFields(t *testing.T) {
	for _, mode := range []string{sandbox.IndexAll, sandbox.IndexFirst} {
		t.Run(mode, func(t *testing.T) {
			p := newPair(t, nil, sandbox.WithBehavior(func(b *sandbox.Behavior) {
				b.IndexMode = mode
				b.MaxDepth, b.RejectDepth = 3, true
			}))
			logs := numbered(100)
			record(logs, 7).Attributes().PutEmptyMap("a").PutEmptyMap("b").PutEmptyMap("c").PutEmptyMap("d")
			record(logs, 42).Attributes().PutEmptyMap("amplitude.group_properties.$set.a").PutEmptyMap("b").PutEmptyMap("c").PutEmptyMap("d")
			record(logs, 43).Attributes().PutEmptyMap("amplitude.user_properties.$set.a").PutEmptyMap("b").PutEmptyMap("c").PutEmptyMap("d")
			record(logs, 44).Attributes().PutEmptyMap("a").PutEmptyMap("b").PutEmptyMap("c").PutEmptyMap("d")
			p.deliver(t, logs)
			assert.Equal(t, idsWithout(100, 7, 42, 43, 44), p.stored())
			assert.Equal(t, map[string]int{"delivered": 96, "dropped": 4}, p.outcomes())
			assert.LessOrEqual(t, p.counts("requests", "status")["400"], 4)
		})
	}
}

func TestMatrix05ShortID(t *testing.T) {
	for name, tc := range map[string]struct {
		settings map[string]any
		stored   []string
		dropped  int
	}{
		"v2":              {nil, idsWithout(3, 1), 1},
		"batch":           {map[string]any{"api": "batch"}, idsWithout(3, 1), 1},
		"min_id_length 1": {map[string]any{"min_id_length": 1}, idsWithout(3), 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, tc.settings)
			logs := numbered(3)
			setUser(logs, 1, "u1")
			assert.Equal(t, 1, p.deliver(t, logs))
			assert.Equal(t, tc.stored, p.stored())
			assert.Equal(t, tc.dropped, p.outcomes()["dropped"])
			assert.Zero(t, p.counts("requests", "status")["400"], "found before sending")
		})
	}
	t.Run("the project's minimum is larger than the exporter's", func(t *testing.T) {
		p := newPair(t, nil, sandbox.WithBehavior(func(b *sandbox.Behavior) { b.MinIDLength = 10 }))
		logs := numbered(3) // ten characters each
		setUser(logs, 1, "short")
		p.deliver(t, logs)
		assert.Equal(t, idsWithout(3, 1), p.stored())
		assert.Equal(t, map[string]int{"rejected_id": 1}, p.counts("undelivered_events", "reason"))
	})
}

func TestMatrix06InvalidID(t *testing.T) {
	p := newPair(t, nil)
	logs := numbered(20)
	setUser(logs, 3, "anonymous")
	assert.Equal(t, 1, p.deliver(t, logs))
	assert.Equal(t, idsWithout(20, 3), p.stored())
	assert.Equal(t, map[string]int{"200": 1}, p.counts("requests", "status"), "found before sending")

	// A refusal without lists that the exporter could not predict.
	p.amplitude.Reset()
	p.fault(t, sandbox.Fault{Match: sandbox.FaultMatch{Contains: `"e11"`}, Times: -1, Action: sandbox.FaultUnindexed400, Text: "Invalid field values on some events"})
	p.deliver(t, numbered(20))
	assert.Equal(t, idsWithout(20, 11), p.stored())
	assert.Equal(t, map[string]int{"invalid_id": 1, "refused": 1}, p.counts("undelivered_events", "reason"))
}

func TestMatrix07TooLarge(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		p := newPair(t, nil, sandbox.WithBehavior(func(b *sandbox.Behavior) { b.V2.MaxBytes = 4000; b.HTMLErrors = true }))
		logs := numbered(100)
		record(logs, 50).Attributes().PutEmptySlice("list")
		list, _ := record(logs, 50).Attributes().Get("list")
		for range 6 {
			list.Slice().AppendEmpty().SetStr(strings.Repeat("x", 1000))
		}
		p.deliver(t, logs)
		assert.Equal(t, idsWithout(100, 50), p.stored(), "split in order; the one that is too large alone is out")
		assert.Equal(t, map[string]int{"too_large": 1}, p.counts("undelivered_events", "reason"))
	})
	t.Run("count", func(t *testing.T) {
		p := newPair(t, nil, sandbox.WithBehavior(func(b *sandbox.Behavior) { b.V2.MaxEvents = 30 }))
		p.deliver(t, numbered(100))
		assert.Equal(t, idsWithout(100), p.stored())
	})
	t.Run("the documented limits are never passed", func(t *testing.T) {
		p := newPair(t, nil)
		logs := plog.NewLogs()
		records := newRecords(logs)
		for i := range 4500 {
			exposure(records, fmt.Sprintf("user-%05d", i), fmt.Sprintf("e%d", i)).Attributes().PutStr("pad", strings.Repeat("é", i%500))
		}
		p.deliver(t, logs)
		assert.Len(t, p.stored(), 4500)
		assert.Empty(t, p.counts("undelivered_events", "reason"))
		assert.Equal(t, []string{"200"}, keys(p.counts("requests", "status")))
	})
	t.Run("an event larger than a request is found before sending", func(t *testing.T) {
		p := newPair(t, nil)
		logs := numbered(3)
		list := record(logs, 1).Attributes().PutEmptySlice("list")
		for range 1100 {
			list.AppendEmpty().SetStr(strings.Repeat("x", 1000))
		}
		p.deliver(t, logs)
		assert.Equal(t, idsWithout(3, 1), p.stored())
		assert.Equal(t, map[string]int{"200": 1}, p.counts("requests", "status"))
	})
}

func keys(counts map[string]int) []string {
	var all []string
	for key := range counts {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

func TestMatrix08Throttled(t *testing.T) {
	p := newPair(t, nil)
	p.amplitude.Throttle(30*time.Second, "user-00001", "user-00003")
	logs := numbered(6)
	setUser(logs, 5, "user-00001")
	assert.Equal(t, 1, p.deliver(t, logs))
	assert.Equal(t, []string{"e0", "e2", "e4"}, p.stored(), "the others arrive at once")
	p.drain(t)
	assert.Equal(t, []string{"e0", "e2", "e4", "e1", "e3", "e5"}, p.stored())
	assert.LessOrEqual(t, p.counts("requests", "status")["429"], 2, "nothing was sent in the meantime")
}

func TestMatrix09ProjectThrottled(t *testing.T) {
	p := newPair(t, nil, sandbox.WithBehavior(func(b *sandbox.Behavior) { b.ProjectEPS = 1; b.EPSWindow = 30 * time.Second }))
	assert.Equal(t, 1, p.deliver(t, numbered(30)))
	late := plog.NewLogs()
	exposure(newRecords(late), "user-late", "late")
	assert.Equal(t, 2, p.deliver(t, late), "once refused, once after the pause")
	assert.Len(t, p.stored(), 31)
}

func TestMatrix10DailyQuota(t *testing.T) {
	p := newPair(t, map[string]any{"api": "batch"})
	p.amplitude.ExceedQuota(time.Hour, "user-00002")
	assert.Equal(t, 1, p.deliver(t, numbered(4)))
	assert.Equal(t, idsWithout(4, 2), p.stored())
	assert.Equal(t, 1, p.slowLane())
	requests := p.counts("requests", "status")
	require.Eventually(t, p.clock.waiting, patience, poll)
	p.clock.Advance(59 * time.Minute)
	assert.Equal(t, requests, p.counts("requests", "status"))
	p.drain(t)
	assert.Len(t, p.stored(), 4)
}

func TestMatrix11SilencedAndThrottled(t *testing.T) {
	p := newPair(t, nil)
	p.amplitude.Silence("device-s")
	p.amplitude.Throttle(30*time.Second, "user-00001")
	logs := numbered(4)
	record(logs, 2).Attributes().PutStr("amplitude.device_id", "device-s")
	assert.Equal(t, 1, p.deliver(t, logs))
	assert.Equal(t, []string{"e0", "e3"}, p.stored())
	assert.Equal(t, map[string]int{"silenced": 1}, p.counts("undelivered_events", "reason"))
	p.drain(t)
	assert.Equal(t, []string{"e0", "e3", "e1"}, p.stored())
}

func TestMatrix12FailureAfterIngestion(t *testing.T) {
	for name, fault := range map[string]sandbox.Fault{
		"500":   {Action: sandbox.FaultIngestThenStatus, Code: 500},
		"502":   {Action: sandbox.FaultIngestThenStatus, Code: 502, Body: sandbox.BodyHTML},
		"504":   {Action: sandbox.FaultIngestThenStatus, Code: 504, Body: sandbox.BodyEmpty},
		"reset": {Action: sandbox.FaultIngestThenReset},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, nil)
			p.fault(t, fault)
			assert.Equal(t, 2, p.deliver(t, numbered(5)))
			assert.Equal(t, idsWithout(5), p.stored(), "stored once")
			assert.Equal(t, 5, p.amplitude.Stats().Duplicates)
		})
	}
}

func TestMatrix13Overload(t *testing.T) {
	p := newPair(t, nil)
	p.fault(t, sandbox.Fault{Action: sandbox.FaultStatus, Code: 503, Times: 4})
	assert.Equal(t, 5, p.deliver(t, numbered(5)))
	assert.Equal(t, idsWithout(5), p.stored())
	assert.Zero(t, p.amplitude.Stats().Duplicates)
}

func TestMatrix14Filter(t *testing.T) {
	for _, html := range []bool{false, true} {
		t.Run(fmt.Sprint("html ", html), func(t *testing.T) {
			p := newPair(t, nil, sandbox.WithBehavior(func(b *sandbox.Behavior) {
				b.WAFPatterns = []string{"DROP TABLE"}
				b.HTMLErrors = html
			}))
			logs := numbered(64)
			record(logs, 20).Attributes().PutStr("note", "'; DROP TABLE users; --")
			assert.Equal(t, 1, p.deliver(t, logs))
			assert.Equal(t, idsWithout(64, 20), p.stored())
			assert.Equal(t, map[string]int{"forbidden": 1}, p.counts("undelivered_events", "reason"))
			assert.LessOrEqual(t, p.counts("requests", "status")["403"], 7)
		})
	}
}

func TestMatrix16ReplayAfterTheWindow(t *testing.T) {
	p := newPair(t, nil)
	p.deliver(t, numbered(2))
	p.deliver(t, numbered(2))
	assert.Equal(t, idsWithout(2), p.stored(), "within seven days insert_id collapses")
	p.amplitude.Advance(7*24*time.Hour + time.Second)
	p.deliver(t, numbered(2))
	assert.Len(t, p.stored(), 4, "later it does not: the documented limit")
}

func TestMatrix17Operators(t *testing.T) {
	p := newPair(t, nil)
	logs := plog.NewLogs()
	records := newRecords(logs)
	identify := func(id string, properties map[string]any) {
		record := records.AppendEmpty()
		record.SetEventName("$identify")
		record.Attributes().PutStr("amplitude.user_id", "user-1")
		record.Attributes().PutStr("amplitude.insert_id", id)
		for name, value := range properties {
			require.NoError(t, record.Attributes().PutEmpty("amplitude.user_properties."+name).FromRaw(value))
		}
	}
	identify("1", map[string]any{"$set.gone": "x", "$set.kept": "x"})
	identify("2", map[string]any{"$clearAll": "-", "$set.a": int64(1), "$setOnce.b": "first", "$add.n": int64(2), "$append.l": "one"})
	identify("3", map[string]any{"$unset.a": "-", "$set.a": int64(5), "$setOnce.b": "second", "$add.n": 1.5, "$append.l": "two", "$prepend.l": "zero", "$preInsert.l": "one", "$postInsert.l": "three", "$remove.l": "zero"})
	p.deliver(t, logs)
	user, ok := p.amplitude.User("user-1")
	require.True(t, ok)
	assert.Equal(t, "map[a:5 b:first l:[one two three] n:3.5]", fmt.Sprint(user.UserProperties))
}

func TestMatrix18RawExposure(t *testing.T) {
	p := newPair(t, nil)
	logs := plog.NewLogs()
	records := newRecords(logs)
	for i, variant := range []string{"treatment", ""} {
		record := records.AppendEmpty()
		record.SetEventName("$exposure")
		record.Attributes().PutStr("amplitude.user_id", "user-1")
		record.Attributes().PutStr("amplitude.insert_id", strconv.Itoa(i))
		record.Attributes().PutStr("flag_key", "checkout")
		if variant != "" {
			record.Attributes().PutStr("variant", variant)
		}
	}
	first := plog.NewLogs()
	record(logs, 0).CopyTo(newRecords(first).AppendEmpty())
	p.deliver(t, first)
	user, _ := p.amplitude.User("user-1")
	assert.Equal(t, map[string]any{"[Experiment] checkout": "treatment"}, user.UserProperties)
	p.deliver(t, logs)
	user, _ = p.amplitude.User("user-1")
	assert.Empty(t, user.UserProperties)
	for _, e := range p.amplitude.Events(sandbox.Select{}) {
		assert.Equal(t, "[Experiment] Exposure", e.Fields["event_type"])
	}
}

func TestMatrix19SkipUserProperties(t *testing.T) {
	p := newPair(t, nil)
	logs := numbered(1)
	record(logs, 0).Attributes().PutBool("amplitude.$skip_user_properties_sync", true)
	p.deliver(t, logs)
	assert.Len(t, p.stored(), 1)
	user, _ := p.amplitude.User("user-00000")
	assert.Empty(t, user.UserProperties)
}

func TestMatrix20OddValues(t *testing.T) {
	p := newPair(t, nil, sandbox.WithBehavior(func(b *sandbox.Behavior) { b.RejectDepth = true }))
	logs := numbered(6)
	record(logs, 0).Attributes().PutDouble("x", math.NaN())
	record(logs, 1).Attributes().PutDouble("x", math.Inf(-1))
	record(logs, 2).Attributes().PutStr("x", "\xff\xfe")
	record(logs, 3).Attributes().PutStr("x", strings.Repeat("x", 2000))
	nested := record(logs, 4).Attributes().PutEmptyMap("x")
	for range 100 {
		nested = nested.PutEmptyMap("x")
	}
	deepSet := record(logs, 5).Attributes().PutEmptyMap("amplitude.user_properties.$set.x")
	for range 100 {
		deepSet = deepSet.PutEmptyMap("x")
	}
	assert.Equal(t, 1, p.deliver(t, logs))
	assert.Equal(t, idsWithout(6), p.stored(), "the events survive")
	assert.Equal(t, map[string]int{"not_finite": 2, "too_deep": 2}, p.counts("dropped_values", "cause"))
	assert.Equal(t, map[string]int{"200": 1}, p.counts("requests", "status"))
}

func TestMatrix21WrongRegion(t *testing.T) {
	p := newPair(t, map[string]any{"api_key": "european"}, sandbox.WithConfig(func(c *sandbox.Config) {
		c.Projects = []sandbox.Project{{APIKey: "european", Region: sandbox.RegionEU}}
	}))
	var e expectation
	e.try(t, p.rig, numbered(2))
	assert.Len(t, e.Left, 2)
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, p.host.statuses())
}

func TestMatrix22PropertyUpdates(t *testing.T) {
	p := newPair(t, nil, sandbox.WithBehavior(func(b *sandbox.Behavior) { b.V2.EPSThreshold = 100_000 }))
	logs := plog.NewLogs()
	records := newRecords(logs)
	for i := range 1801 {
		exposure(records, "user-1", strconv.Itoa(i)).Attributes().PutInt("amplitude.user_properties.$set.n", int64(i))
	}
	assert.Equal(t, 1, p.deliver(t, logs))
	assert.Len(t, p.stored(), 1801, "all answered with success")
	user, _ := p.amplitude.User("user-1")
	assert.Equal(t, "1799", fmt.Sprint(user.UserProperties["n"]), "the property stands still, silently")
}

func TestMatrix23NoUploadTime(t *testing.T) {
	p := newPair(t, nil)
	logs := numbered(1)
	at := p.clock.Now().Add(-48 * time.Hour).UnixMilli()
	record(logs, 0).SetTimestamp(pcommon.NewTimestampFromTime(time.UnixMilli(at)))
	p.fault(t, sandbox.Fault{Action: sandbox.FaultStatus, Code: 503})
	p.deliver(t, logs)
	events := p.amplitude.Events(sandbox.Select{})
	require.Len(t, events, 1)
	assert.Equal(t, at, events[0].Meta.EventTime, "a retry does not move the event's time")
	assert.NotContains(t, events[0].JSON, "client_upload_time")
}
