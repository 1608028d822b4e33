// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap/taptest"
)

// watch starts watching with ids shown; decisions made after it returns are received.
func watch(t *testing.T, query string) *taptest.Stream {
	t.Helper()
	h := tap.NewHandler(tap.Settings{MaxPerSecond: 1000, ShowIDs: true, Logger: zap.NewNop()})
	server := httptest.NewServer(h)
	response, err := http.Get(server.URL + "?" + query + "&detail=json")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	t.Cleanup(func() {
		_ = response.Body.Close()
		h.Close()
		server.Close()
	})
	return taptest.NewStream(response.Body)
}

// TestWatchedAsExplained: tap clients receive what otelcol-amplitude-explain prints about the same records.
func TestWatchedAsExplained(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(emitters, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		family := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(family, func(t *testing.T) {
			cfg, ld := emitter(t, family)
			recorder := &explain.Recorder{}
			require.NoError(t, start(t, cfg, nil).ConsumeLogs(explain.NewContext(t.Context(), recorder), ld))
			want := recorder.Take()

			cfg, ld = emitter(t, family)
			w := watch(t, "")
			require.NoError(t, start(t, cfg, nil).ConsumeLogs(t.Context(), ld))
			shown := w.Until(t, taptest.AtLeast(len(want)))
			require.Len(t, shown, len(want))
			for i := range shown {
				assert.Equal(t, want[i].Outcome, shown[i].Outcome)
				assert.Equal(t, comparable(t, want[i]), comparable(t, shown[i].Explanation))
			}
		})
	}
}

// comparable returns an explanation without its number, and without how the de-duplication knows about a repeat.
func comparable(t *testing.T, x *explain.Explanation) map[string]any {
	t.Helper()
	text, err := json.Marshal(x)
	require.NoError(t, err)
	var all map[string]any
	require.NoError(t, json.Unmarshal(text, &all))
	delete(all, "record")
	events, _ := all["events"].([]any)
	for _, one := range events {
		event := one.(map[string]any)
		event["because"], _, _ = strings.Cut(stringOf(event["because"]), ": it ")
	}
	return all
}

func stringOf(v any) string {
	text, _ := v.(string)
	return text
}

// TestWatchedOutcomes: outcomes are reported as they are explained, with their names in Amplitude, and why other
// records are not outcomes.
func TestWatchedOutcomes(t *testing.T) {
	const yaml = outcomesYAML + "  max_per_minute: 3\n"
	orders := func() plog.Logs {
		ld := plog.NewLogs()
		record(t, ld, "order.placed", map[string]any{"user.id": "shopper-1", "order.id": "o-1", "order.items": 3, "revenue": "much", "card.number": "4111"})
		record(t, ld, "feature_flag.track", map[string]any{"feature_flag.event_name": "checkout.failed", "feature_flag.context.id": "shopper-1"})
		record(t, ld, "feature_flag.track", map[string]any{"feature_flag.event_name": "page.viewed", "feature_flag.context.id": "shopper-1"})
		record(t, ld, "feature_flag.track", map[string]any{"feature_flag.context.id": "shopper-1"})
		record(t, ld, "order.placed", map[string]any{"order.id": "o-2"})
		record(t, ld, "order.placed", map[string]any{"user.id": "shopper-2", "order.id": "o-3", "revenue": 7.5})
		record(t, ld, "order.placed", map[string]any{"user.id": "shopper-3", "order.id": "o-4"})
		return ld
	}
	recorder := &explain.Recorder{}
	require.NoError(t, start(t, configOf(t, yaml), nil).ConsumeLogs(explain.NewContext(t.Context(), recorder), orders()))
	want := recorder.Take()

	before := tap.Totals()
	w := watch(t, "")
	r := start(t, configOf(t, yaml), nil)
	require.NoError(t, r.ConsumeLogs(t.Context(), orders()))
	shown := w.Until(t, taptest.AtLeast(len(want)))
	require.Len(t, shown, 7)
	for i, expected := range []struct{ outcome, reason, eventType string }{
		{"outcome_event", "", "Order Placed"},
		{"outcome_event", "", "checkout.failed"},
		{"skipped", "unlisted_outcome", ""},
		{"skipped", "no_outcome_name", ""},
		{"rejected", "no_id", ""},
		{"outcome_event", "", "Order Placed"},
		{"rejected", "outcome_limit", ""},
	} {
		assert.Equal(t, expected.outcome, shown[i].Outcome, i)
		assert.Equal(t, expected.reason, shown[i].Reason, i)
		assert.Equal(t, comparable(t, want[i]), comparable(t, shown[i].Explanation), i)
		if expected.eventType == "" {
			continue
		}
		if assert.Len(t, shown[i].Events, 1, i) {
			assert.Equal(t, expected.eventType, shown[i].Events[0].Type, i)
			assert.Empty(t, shown[i].Events[0].Properties, "an outcome changes no user property")
		}
	}
	after := tap.Totals()
	for _, outcome := range []string{"outcome_event", "skipped", "rejected"} {
		assert.EqualValues(t, r.outcome(t, outcome), after.Records[outcome]-before.Records[outcome], outcome)
	}
}

// TestWatchedCounts: the counts are those of the metrics, whether or not anyone watches, and a refused batch is
// reported as refused.
func TestWatchedCounts(t *testing.T) {
	before := tap.Totals()
	fails := errors.New("sending queue is full")
	var failing error
	next, err := consumer.NewLogs(func(context.Context, plog.Logs) error { return failing }, consumer.WithCapabilities(consumer.Capabilities{MutatesData: true}))
	require.NoError(t, err)
	r := start(t, configOf(t, "other_records: drop"), next)
	batch := func() plog.Logs {
		ld := plog.NewLogs()
		record(t, ld, "$exposure", map[string]any{"user_id": "user-12345", "flag_key": "checkout", "variant": "on"})
		record(t, ld, "$exposure", map[string]any{"user_id": "user-12345", "flag_key": "checkout", "variant": "on"})
		record(t, ld, "$exposure", map[string]any{"user_id": "42", "flag_key": "checkout", "variant": "on"})
		record(t, ld, "feature_flag.evaluation", map[string]any{
			"feature_flag.context.id": "user-12345", "feature_flag.key": "banner", "feature_flag.result.variant": "on", "feature_flag.result.reason": "static",
		})
		record(t, ld, "exception", map[string]any{"secret": "what is not read"})
		return ld
	}
	w := watch(t, "")
	failing = fails
	require.ErrorIs(t, r.ConsumeLogs(t.Context(), batch()), fails)
	shown := w.Until(t, func(all []tap.Shown) bool {
		return len(all) == 5 && !slices.ContainsFunc(all, func(one tap.Shown) bool { return one.Outcome != tap.OutcomeRefused })
	})
	require.Len(t, shown, 5)
	for _, one := range shown {
		assert.Equal(t, tap.OutcomeRefused, one.Outcome)
		assert.Contains(t, one.Why, fails.Error())
		assert.True(t, one.Ended)
	}
	failing = nil
	require.NoError(t, r.ConsumeLogs(t.Context(), batch()))
	shown = w.Until(t, taptest.AtLeast(5))
	require.Len(t, shown, 5)
	text, err := json.Marshal(shown)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "what is not read")
	for i, want := range []struct{ outcome, reason, why string }{
		{"exposure", "", ""},
		{"duplicate", "", "it is in the same request"},
		{"rejected", "short_id", `user_id 42 from user_id is refused: short_id`},
		{"skipped", "static", `"static" is in evaluation.skip_reasons`},
		{"dropped", "", "its event name is not in any event_names"},
	} {
		assert.Equal(t, want.outcome, shown[i].Outcome)
		assert.Equal(t, want.reason, shown[i].Reason)
		assert.Contains(t, shown[i].Why, want.why)
	}
	assert.Equal(t, []tap.Property{{Operator: "$set", Name: "[Experiment] checkout", Value: "on"}}, shown[0].Events[0].Properties)
	assert.Equal(t, &tap.ID{Value: "user-12345", From: "user_id"}, shown[0].User)
	assert.Contains(t, shown[2].LookedFor, "enduser.id")

	after := tap.Totals()
	for _, outcome := range []string{"exposure", "duplicate", "rejected", "skipped", "dropped", "refused"} {
		assert.EqualValues(t, r.outcome(t, outcome), after.Records[outcome]-before.Records[outcome], outcome)
	}
	assert.EqualValues(t, 1, after.Reasons["short_id"]-before.Reasons["short_id"])
	assert.EqualValues(t, 1, after.Reasons["static"]-before.Reasons["static"])
}

// TestWatchedRepeats: the de-duplication explains how it knows about a repeat.
func TestWatchedRepeats(t *testing.T) {
	r := start(t, configOf(t, "{}"), nil)
	send := func() {
		ld := plog.NewLogs()
		record(t, ld, "$exposure", map[string]any{"user_id": "user-12345", "flag_key": "checkout", "variant": "on"})
		require.NoError(t, r.ConsumeLogs(t.Context(), ld))
	}
	send()
	w := watch(t, "outcome=duplicate&flag=checkout&user=user-12345")
	send()
	shown := w.Until(t, taptest.AtLeast(1))
	require.Len(t, shown, 1)
	assert.Contains(t, shown[0].Why, "it was delivered, and last reported at 2026-01-15T12:00:0")
	assert.True(t, shown[0].Ended)
}

// TestWatchedClaims: tap clients learn what was stripped from a foreign record, and that such a record is not tracked.
func TestWatchedClaims(t *testing.T) {
	batch := func() plog.Logs {
		ld := plog.NewLogs()
		record(t, ld, "cart.viewed", map[string]any{"amplitude.insert_id": "mine", "total": 3})
		record(t, ld, "$exposure", exposure(nil))
		record(t, ld, "cart.paid", map[string]any{"amplitude.user_properties.$set.plan": "gold", "amplitude.revenue": 7, "total": 3})
		return ld
	}
	recorder := &explain.Recorder{}
	require.NoError(t, start(t, configOf(t, "{}"), nil).ConsumeLogs(explain.NewContext(t.Context(), recorder), batch()))
	w := watch(t, "outcome=passed")
	require.NoError(t, start(t, configOf(t, "{}"), nil).ConsumeLogs(t.Context(), batch()))
	shown := w.Until(t, taptest.AtLeast(2))
	want := recorder.Take()
	require.Len(t, shown, 2)
	assert.Equal(t, want[0].NotCarried, shown[0].Explanation.NotCarried)
	assert.Equal(t, want[2].NotCarried, shown[1].Explanation.NotCarried)
	assert.Len(t, shown[1].Explanation.NotCarried, 2)
	for _, one := range shown {
		assert.True(t, one.Ended)
		require.Len(t, one.Events, 1)
		assert.Equal(t, tap.StateUnfollowed, one.Events[0].State)
		assert.Contains(t, one.Events[0].Hint, "no amplitude.insert_id")
	}
}

// TestWatchedTextIsSafe: whatever a record contains, what is reported about it is plain text to a terminal.
func TestWatchedTextIsSafe(t *testing.T) {
	const hostile = "\x1b[2J\u202e\u009b31m\x00\r<script>alert(1)</script>\xff"
	w := watch(t, "detail=text")
	r := start(t, configOf(t, `{event_properties: {include: ["*"]}, identity: {groups: {org: org}}}`), nil)
	ld := plog.NewLogs()
	for _, event := range []string{"$exposure", "$assignment", "feature_flag.evaluation", "[Experiment] Exposure", hostile, "$exposure" + hostile, ""} {
		record(t, ld, event, attrs{
			"user_id": "user" + hostile, "device_id": "device" + hostile, "flag_key": "flag" + hostile, "variant": "a" + hostile, "org": "org" + hostile,
			"feature_flag.key": "flag" + hostile, "feature_flag.result.variant": "b" + hostile, "variants": attrs{"flag" + hostile: "c" + hostile},
			"metadata": attrs{"segmentName" + hostile: hostile, "segmentName": hostile}, "key" + hostile: "value" + hostile, "amplitude.user_properties.$set." + hostile: hostile,
		})
		record(t, ld, event, attrs{"user_id": "\x1b", "flag_key": "flag", "variant": "{" + hostile + "}", "variants": hostile, "metadata": hostile, "feature_flag.result.reason": hostile})
	}
	for _, rl := range ld.ResourceLogs().All() {
		rl.Resource().Attributes().PutStr("service.name", "shop"+hostile)
	}
	require.NoError(t, r.ConsumeLogs(t.Context(), ld))
	shown := w.Until(t, taptest.AtLeast(14))
	require.Len(t, shown, 14)
	for _, one := range shown {
		texts := []string{strings.ReplaceAll(one.Text, "\n", ""), one.Service, one.EventName, one.Reason, one.Why, one.Hint, strings.Join(one.LookedFor, "")}
		texts = append(texts, one.Became...)
		for _, flag := range one.Flags {
			texts = append(texts, flag.Key, flag.Variant)
		}
		for _, id := range []*tap.ID{one.User, one.Device} {
			if id != nil {
				texts = append(texts, id.Value, id.From)
			}
		}
		for _, event := range one.Events {
			texts = append(texts, event.Type, event.Why)
			for _, property := range event.Properties {
				texts = append(texts, property.Operator, property.Name, property.Value)
			}
		}
		for _, text := range texts {
			for _, char := range text {
				assert.True(t, strconv.IsPrint(char), "%q in %q", char, text)
			}
		}
	}
}

// TestWatchedAmongOthers: foreign records are reported in order, or counted if there is no room for them; with a filter
// for a flag or user, none are missed.
func TestWatchedAmongOthers(t *testing.T) {
	r := start(t, configOf(t, "{}"), nil)
	var want []string
	mixed := func() plog.Logs {
		want = nil
		ld := plog.NewLogs()
		for resource, counts := range [][]int{{0, 3, 0}, {}, {2, 0, 1, 4}} {
			rl := ld.ResourceLogs().AppendEmpty()
			for scope, others := range counts {
				records := rl.ScopeLogs().AppendEmpty().LogRecords()
				for i := range others {
					one := records.AppendEmpty()
					one.SetEventName(fmt.Sprintf("other.%d.%d.%d", resource, scope, i))
					want = append(want, one.EventName())
					if i%2 == 1 {
						continue
					}
					one = records.AppendEmpty()
					one.SetEventName("$exposure")
					setMillis(one, testTime)
					require.NoError(t, one.Attributes().FromRaw(exposure(attrs{"user_id": fmt.Sprintf("user-%d%d%d", resource, scope, i)})))
					want = append(want, "$exposure")
				}
			}
		}
		return ld
	}
	shown := func(filter tap.Filter, perSecond int) (names []string, missed uint64) {
		w, err := tap.Watch(filter, perSecond)
		require.NoError(t, err)
		defer w.Close()
		require.NoError(t, r.ConsumeLogs(t.Context(), mixed()))
		decisions, missed := w.Read()
		for i := range decisions {
			names = append(names, decisions[i].EventName)
		}
		return names, missed
	}
	names, missed := shown(tap.Filter{}, 1000)
	assert.Equal(t, want, names)
	assert.Zero(t, missed)
	names, missed = shown(tap.Filter{}, 1)
	assert.Len(t, names, 1)
	assert.EqualValues(t, len(want)-1, missed)
	names, missed = shown(tap.Filter{Flag: "my-flag", User: "user-232"}, 1000)
	assert.Equal(t, []string{"$exposure"}, names)
	assert.Zero(t, missed, "other records do not have this flag")
}
