// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

const outcomesYAML = `
outcomes:
  events: [order.placed, "checkout.*"]
  rename: {order.placed: Order Placed}
  insert_id: [order.id]
  properties: [order.items, "cart.*"]
`

func TestOutcomes(t *testing.T) {
	for _, test := range []struct {
		name, yaml, event string
		attributes        map[string]any
		want              map[string]any // nil: no event
		counted           string         // the outcome, or the reason
	}{
		{
			name: "a named record, renamed, with what may travel", event: "order.placed",
			attributes: map[string]any{
				"user.id": "shopper-1", "order.id": "o-1", "order.items": 3, "cart.size": 2, "card.number": "4111", "revenue": 19.5, "currency": "eur",
				"session.id": "1768478400000", "quantity": 3, "price": "6.5",
			},
			want: map[string]any{
				"event_type": "Order Placed", "user_id": "shopper-1", "session_id": int64(1768478400000),
				"event_properties": map[string]any{"order.items": int64(3), "cart.size": int64(2)},
				"revenue":          19.5, "price": 6.5, "quantity": int64(3), "currency": "EUR",
			},
			counted: "outcome_event",
		},
		{
			name: "a pattern keeps the name", event: "checkout.failed",
			attributes: map[string]any{"device.id": "phone-1", "amplitude.groups.org": "acme"},
			want: map[string]any{
				"event_type": "checkout.failed", "device_id": "phone-1", "event_properties": map[string]any{}, "groups": map[string]any{"org": "acme"},
			},
			counted: "outcome_event",
		},
		{
			name: "names that are not configured", event: "order.placed.twice",
			attributes: map[string]any{"user.id": "shopper-1"}, want: map[string]any{
				"event_type": "order.placed.twice", "event_properties": map[string]any{"user.id": "shopper-1"},
			},
			counted: "passed",
		},
		{
			name: "off by default", yaml: "{}", event: "order.placed",
			attributes: map[string]any{"user.id": "shopper-1"}, want: map[string]any{
				"event_type": "order.placed", "event_properties": map[string]any{"user.id": "shopper-1"},
			},
			counted: "passed",
		},
		{
			name: "a tracking call", event: "feature_flag.track",
			attributes: map[string]any{"feature_flag.event_name": "order.placed", "feature_flag.context.id": "shopper-1", "revenue": 5, "value": 5},
			want: map[string]any{
				"event_type": "Order Placed", "user_id": "shopper-1", "event_properties": map[string]any{}, "revenue": 5.0,
			},
			counted: "outcome_event",
		},
		{
			name: "the value of a tracking call, where the configuration says what it is", event: "feature_flag.track",
			yaml:       `{outcomes: {events: [order.placed], revenue: [value], properties: [value]}}`,
			attributes: map[string]any{"feature_flag.tracking.event_name": "order.placed", "user_id": "shopper-1", "value": "12.25"},
			want: map[string]any{
				"event_type": "order.placed", "user_id": "shopper-1", "event_properties": map[string]any{}, "revenue": 12.25,
			},
			counted: "outcome_event",
		},
		{
			name: "a tracking call with another name", event: "feature_flag.track",
			attributes: map[string]any{"feature_flag.event_name": "page.viewed", "user_id": "shopper-1"}, counted: "unlisted_outcome",
		},
		{
			name: "a tracking call must not track Amplitude's own events", event: "feature_flag.track",
			yaml:       `{outcomes: {events: ["*e*"]}}`,
			attributes: map[string]any{"feature_flag.event_name": "$identify", "user_id": "shopper-1"}, counted: "unlisted_outcome",
		},
		{
			name: "a tracking call without a name", event: "feature_flag.track", attributes: map[string]any{"user_id": "shopper-1"}, counted: "no_outcome_name",
		},
		{
			name: "nobody", event: "order.placed", attributes: map[string]any{"order.id": "o-1"}, counted: "no_id",
		},
		{
			name: "invalid amounts are left out, the event is not", event: "order.placed",
			attributes: map[string]any{"user.id": "shopper-1", "revenue": math.NaN(), "price": "cheap", "quantity": 1.5, "currency": "Euro"},
			want:       map[string]any{"event_type": "Order Placed", "user_id": "shopper-1", "event_properties": map[string]any{}},
			counted:    "outcome_event",
		},
		{
			name: "operations and other claims of an application are stripped", event: "order.placed",
			attributes: map[string]any{"user.id": "shopper-1", "amplitude.user_properties.$set.plan": "free", "amplitude.insert_id": "mine", "amplitude.plan": "x", "amplitude.revenue": 2},
			want:       map[string]any{"event_type": "Order Placed", "user_id": "shopper-1", "event_properties": map[string]any{}, "revenue": 2.0},
			counted:    "outcome_event",
		},
		{
			name: "an attribute may hold the name", event: "",
			attributes: map[string]any{"event.name": "checkout.done", "user.id": "shopper-1"},
			want:       map[string]any{"event_type": "checkout.done", "user_id": "shopper-1", "event_properties": map[string]any{}},
			counted:    "outcome_event",
		},
		{
			name: "what the wildcard of properties does not match", event: "order.placed", yaml: `{outcomes: {events: [order.placed], properties: ["*"]}}`,
			attributes: map[string]any{"user.id": "shopper-1", "revenue": 1, "error.message": "no", "[Experiment] f": "on", "coupon": "X"},
			want:       map[string]any{"event_type": "order.placed", "user_id": "shopper-1", "event_properties": map[string]any{"coupon": "X"}, "revenue": 1.0},
			counted:    "outcome_event",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			yaml := test.yaml
			if yaml == "" {
				yaml = outcomesYAML
			}
			r := start(t, configOf(t, yaml), nil)
			got := r.send(t, batch(t, test.event, test.attributes))
			if test.want == nil {
				assert.Empty(t, got)
				n := r.counter(t, "otelcol_processor_amplitude_experiment_skipped", labelReason, test.counted) +
					r.counter(t, "otelcol_processor_amplitude_experiment_rejected", labelReason, test.counted)
				assert.Equal(t, 1, n, test.counted)
				return
			}
			require.Len(t, got, 1)
			assert.Equal(t, test.want, fold(got[0]))
			assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_records", labelOutcome, test.counted))
			if test.counted == "outcome_event" {
				assert.NotEmpty(t, insertIDOf(got[0]))
				assert.Zero(t, got[0].Body().Type())
			}
		})
	}
}

func TestOutcomeLosesBadAmountsCounted(t *testing.T) {
	r := start(t, configOf(t, outcomesYAML), nil)
	r.send(t, batch(t, "order.placed", map[string]any{"user.id": "shopper-1", "revenue": []any{1}, "currency": 3}))
	assert.Equal(t, 2, r.counter(t, "otelcol_processor_amplitude_experiment_properties_left_out", "", ""))
}

// The insert_id of an outcome is made from its id, wherever and whenever it is reported, else from the whole record.
func TestOutcomeInsertID(t *testing.T) {
	idOf := func(change func(plog.LogRecord), attributes map[string]any) string {
		r := start(t, configOf(t, outcomesYAML), nil)
		all := map[string]any{"user.id": "shopper-1", "amount": 5, "list": []any{1, "two"}}
		maps.Copy(all, attributes)
		ld := batch(t, "order.placed", all)
		rec := recordsOf(ld)[0]
		rec.SetTraceID([16]byte{1})
		rec.SetSpanID([8]byte{2})
		if change != nil {
			change(rec)
		}
		got := r.send(t, ld)
		require.Len(t, got, 1)
		return insertIDOf(got[0])
	}
	later := func(r plog.LogRecord) { setMillis(r, testTime+86_400_000) }
	order := map[string]any{"order.id": "o-1"}
	assert.Equal(t, idOf(nil, order), idOf(later, order), "the id decides")
	assert.NotEqual(t, idOf(nil, order), idOf(nil, map[string]any{"order.id": "o-2"}))
	assert.Equal(t, idOf(nil, map[string]any{"order.id": 17}), idOf(nil, map[string]any{"order.id": "17"}), "a number is its digits")
	assert.True(t, strings.HasPrefix(idOf(nil, order), "shopper-1  "))

	for _, none := range []any{"null", "undefined", "N/A", " ", true, nil} {
		unnamed := map[string]any{"order.id": none}
		assert.NotEqual(t, idOf(nil, unnamed), idOf(later, unnamed), "%v is no order's id: two orders are two", none)
	}

	plain := idOf(nil, nil)
	assert.Equal(t, plain, idOf(nil, nil))
	assert.Equal(t, plain, idOf(func(r plog.LogRecord) {
		r.SetObservedTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		moved := pcommon.NewMap()
		for _, name := range []string{"list", "user.id", "amount"} { // another order
			value, _ := r.Attributes().Get(name)
			value.CopyTo(moved.PutEmpty(name))
		}
		moved.CopyTo(r.Attributes())
	}, nil), "neither when it was observed nor the order of attributes matters")
	for what, id := range map[string]string{
		"time":      idOf(later, nil),
		"trace":     idOf(func(r plog.LogRecord) { r.SetTraceID([16]byte{9}) }, nil),
		"span":      idOf(func(r plog.LogRecord) { r.SetSpanID([8]byte{9}) }, nil),
		"attribute": idOf(nil, map[string]any{"amount": 6}),
		"type":      idOf(nil, map[string]any{"amount": 5.0}),
		"list":      idOf(nil, map[string]any{"list": []any{"two", 1}}),
		"body":      idOf(func(r plog.LogRecord) { r.Body().SetStr("again") }, nil),
		"user":      idOf(nil, map[string]any{"user.id": "shopper-2"}),
	} {
		assert.NotEqual(t, plain, id, what)
	}
}

// The memory never treats outcomes as repeats, and they keep their place among exposures.
func TestOutcomesAreNotRemembered(t *testing.T) {
	r := start(t, configOf(t, outcomesYAML), nil)
	ld := plog.NewLogs()
	for range 2 {
		record(t, ld, "$exposure", map[string]any{"flag_key": "f", "variant": "on", "user_id": "shopper-1"})
		record(t, ld, "order.placed", map[string]any{"user_id": "shopper-1", "order.id": "o-1"})
	}
	record(t, ld, "$exposure", map[string]any{"flag_key": "f", "variant": "off", "user_id": "shopper-1"})
	names := func(records []plog.LogRecord) (names []string) {
		for _, one := range records {
			names = append(names, one.EventName())
		}
		return names
	}
	assert.Equal(t, []string{"[Experiment] Exposure", "Order Placed", "Order Placed", "[Experiment] Exposure", "$identify"}, names(r.send(t, ld)))
	assert.Equal(t, []string{"Order Placed"}, names(r.send(t, batch(t, "order.placed", map[string]any{"user_id": "shopper-1", "order.id": "o-1"}))))
}

// An outcome from an edge Collector passes unchanged if shaped events are accepted, and is read again otherwise.
func TestOutcomesOverTwoCollectors(t *testing.T) {
	edge := start(t, configOf(t, outcomesYAML), nil)
	edge.send(t, batch(t, "order.placed", map[string]any{"user_id": "shopper-1", "order.id": "o-1", "order.items": 2, "revenue": 4}))
	shaped := edge.sink.AllLogs()[0]
	again := plog.NewLogs()
	shaped.CopyTo(again)
	want := fold(recordsOf(shaped)[0])
	id := insertIDOf(recordsOf(shaped)[0])

	gateway := start(t, accepting(t, outcomesYAML), nil)
	got := gateway.send(t, shaped)
	require.Len(t, got, 1)
	assert.Equal(t, want, fold(got[0]))
	assert.Equal(t, id, insertIDOf(got[0]))

	careful := start(t, configOf(t, outcomesYAML), nil)
	got = careful.send(t, again)
	require.Len(t, got, 1, "it passes as one of others where nobody trusts its name")
}

// Whatever the records are, only events with configured names are sent, and none have operations on user properties.
func TestUnnamedOutcomesNeverLeave(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	words := []string{"order", "placed", "checkout", "failed", "$identify", "[Experiment] Exposure", "feature_flag.track", "Order Placed", "", "*", "."}
	word := func() string {
		var parts []string
		for range 1 + rng.IntN(3) {
			parts = append(parts, words[rng.IntN(len(words))])
		}
		return strings.Join(parts, []string{".", " ", ""}[rng.IntN(3)])
	}
	r := start(t, configOf(t, outcomesYAML+"other_records: drop\n"), nil)
	outcomes := 0
	for range 300 {
		ld := plog.NewLogs()
		for range 20 {
			record(t, ld, word(), map[string]any{
				"user.id": fmt.Sprint("shopper-", rng.IntN(5)), "event.name": word(), "feature_flag.event_name": word(), "name": word(),
				"amplitude.user_properties.$set.plan": "free", "amplitude.event_type": word(),
			})
		}
		for _, got := range r.send(t, ld) {
			outcomes++
			assert.True(t, got.EventName() == "Order Placed" || strings.HasPrefix(got.EventName(), "checkout."), got.EventName())
			for name := range got.Attributes().All() {
				assert.False(t, strings.HasPrefix(name, "amplitude.user_properties"), name)
			}
		}
	}
	assert.Positive(t, outcomes, "some are outcomes")
	assert.Equal(t, outcomes, r.counter(t, "otelcol_processor_amplitude_experiment_records", labelOutcome, "outcome_event"))
}

func TestOutcomesPerMinute(t *testing.T) {
	now := time.UnixMilli(testTime)
	begin := func(yaml string, next *switchable) (send func(n int) error, r *rig) {
		r = &rig{sink: next.sink, telemetry: componenttest.NewTelemetry()}
		set := processortest.NewNopSettings(metadata.Type)
		set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
		p, err := NewFactoryWithOptions(WithClock(func() time.Time { return now })).CreateLogs(t.Context(), set, configOf(t, yaml), next)
		require.NoError(t, err)
		require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
		t.Cleanup(func() { require.NoError(t, p.Shutdown(t.Context())) })
		return func(n int) error {
			ld := plog.NewLogs()
			record(t, ld, "$exposure", map[string]any{"flag_key": "f", "variant": "on", "user_id": fmt.Sprint("shopper-", rand.Uint64())})
			for i := range n {
				record(t, ld, "order.placed", map[string]any{"user_id": "shopper-1", "n": i})
			}
			return p.ConsumeLogs(t.Context(), ld)
		}, r
	}
	sent := func(r *rig) int {
		n := r.sink.LogRecordCount()
		r.sink.Reset()
		return n
	}
	const limited = "outcomes: {events: [order.placed], max_per_minute: 3, over_limit: "

	t.Run("drop", func(t *testing.T) {
		next := &switchable{sink: &consumertest.LogsSink{}}
		send, r := begin(limited+"drop}", next)
		require.NoError(t, send(2))
		assert.Equal(t, 3, sent(r))
		require.NoError(t, send(2))
		assert.Equal(t, 2, sent(r), "an exposure and the third")
		assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_rejected", labelReason, "outcome_limit"))
		now = now.Add(time.Minute)
		next.err = assert.AnError
		require.Error(t, send(3))
		next.err = nil
		require.NoError(t, send(3))
		assert.Equal(t, 4, sent(r), "what the next component refuses does not count")
	})
	t.Run("wait", func(t *testing.T) {
		next := &switchable{sink: &consumertest.LogsSink{}}
		send, r := begin(limited+"wait}", next)
		require.NoError(t, send(2))
		err := send(2)
		require.ErrorContains(t, err, "max_per_minute is 3")
		assert.False(t, consumererror.IsPermanent(err), "it must be retried")
		require.NoError(t, send(1), "a smaller one fits")
		now = now.Add(time.Minute)
		require.NoError(t, send(7), "more than a minute's limit is sent alone")
		require.Error(t, send(1))
		now = now.Add(time.Minute)
		require.Error(t, send(1), "and counts against the following minutes")
		now = now.Add(2 * time.Minute)
		require.NoError(t, send(1))
		assert.Equal(t, 15, sent(r))
		require.NoError(t, send(0), "exposures have no limit")
	})
	t.Run("a clock that was ahead", func(t *testing.T) {
		next := &switchable{sink: &consumertest.LogsSink{}}
		send, r := begin(limited+"drop}", next)
		now = now.AddDate(10, 0, 0)
		require.NoError(t, send(3))
		now = now.AddDate(-10, 0, 0)
		for range 2 {
			require.NoError(t, send(3))
			now = now.Add(time.Minute)
		}
		assert.Equal(t, 12, sent(r), "an exposure and three orders each time")
	})
}

func TestOutcomeEventTypes(t *testing.T) {
	cfg := configOf(t, outcomesYAML+"  \n")
	assert.Equal(t, []string{"Order Placed", "checkout.*"}, cfg.Outcomes.EventTypes())
	cfg = configOf(t, `{outcomes: {events: ["order.*"], rename: {order.placed: Order Placed}}}`)
	assert.Equal(t, []string{"Order Placed", "order.*"}, cfg.Outcomes.EventTypes())
}

// At startup, the processor logs which outcomes are sent and how many there can be, and warns about those that no
// exporter sends.
func TestOutcomesAreSaidAtTheStart(t *testing.T) {
	for _, test := range []struct {
		name, yaml string
		exporters  [][]string // what each of them sends
		said       []any      // the events that are logged as sent
		month      any
		warned     []any // the events that are warned about
	}{
		{name: "no outcomes", yaml: "{}", exporters: [][]string{{"[Experiment] *"}}},
		{
			name: "the exporter's defaults allow none", yaml: outcomesYAML, exporters: [][]string{{"[Experiment] *", "$exposure", "$identify"}},
			said: []any{"Order Placed", "checkout.*"}, month: "no limit: set outcomes::max_per_minute", warned: []any{"Order Placed", "checkout.*"},
		},
		{
			name: "one of them, by the name that Amplitude knows", yaml: outcomesYAML + "  max_per_minute: 10\n", exporters: [][]string{{"[Experiment] *", "Order Placed"}},
			said: []any{"Order Placed", "checkout.*"}, month: int64(432_000), warned: []any{"checkout.*"},
		},
		{
			name: "the record's name does not matter", yaml: outcomesYAML, exporters: [][]string{{"[Experiment] *", "order.placed", "checkout.*"}},
			said: []any{"Order Placed", "checkout.*"}, month: "no limit: set outcomes::max_per_minute", warned: []any{"Order Placed"},
		},
		{
			name: "several exporters share them", yaml: outcomesYAML, exporters: [][]string{{"Order Placed"}, {"checkout.*"}},
			said: []any{"Order Placed", "checkout.*"}, month: "no limit: set outcomes::max_per_minute",
		},
		{
			name: "no exporter of this Collector: another one sends", yaml: outcomesYAML,
			said: []any{"Order Placed", "checkout.*"}, month: "no limit: set outcomes::max_per_minute",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, events := range test.exporters {
				t.Cleanup(amplitude.Export(5, events))
			}
			core, lines := observer.New(zap.InfoLevel)
			set := processortest.NewNopSettings(metadata.Type)
			set.Logger = zap.New(core)
			p, err := NewFactory().CreateLogs(t.Context(), set, configOf(t, test.yaml), consumertest.NewNop())
			require.NoError(t, err)
			require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
			t.Cleanup(func() { require.NoError(t, p.Shutdown(context.Background())) })

			said := lines.FilterMessageSnippet("Outcomes are sent").All()
			if test.said == nil {
				assert.Empty(t, said)
			} else if assert.Len(t, said, 1) {
				assert.Equal(t, test.said, said[0].ContextMap()["events"])
				assert.Equal(t, test.month, said[0].ContextMap()["at_most_per_month"])
			}
			warned := lines.FilterMessageSnippet("sends these outcomes").All()
			if test.warned == nil {
				assert.Empty(t, warned)
			} else if assert.Len(t, warned, 1) {
				assert.Equal(t, zap.WarnLevel, warned[0].Level)
				assert.Equal(t, test.warned, warned[0].ContextMap()["events"])
				assert.Contains(t, warned[0].ContextMap()["hint"], "`events` of the exporter")
			}
		})
	}
}
