// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

var errRefused = errors.New("the queue is full")

// exposureOf makes one exposure of a user, at a time in milliseconds.
type exposureOf struct {
	user, flag, variant string
	at                  int64
}

// startWith creates and starts a processor with this factory and host.
func startWith(t testing.TB, f processor.Factory, host component.Host, cfg *Config) *rig {
	t.Helper()
	r := &rig{sink: &consumertest.LogsSink{}, telemetry: componenttest.NewTelemetry()}
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	p, err := f.CreateLogs(t.Context(), set, cfg, r.sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), host))
	t.Cleanup(func() {
		require.NoError(t, p.Shutdown(context.Background()))
		require.NoError(t, r.telemetry.Shutdown(context.Background()))
	})
	r.Logs = p
	return r
}

func logsOf(t testing.TB, exposures ...exposureOf) plog.Logs {
	t.Helper()
	ld := plog.NewLogs()
	for _, e := range exposures {
		added := record(t, ld, amplitude.EventRawExposure, map[string]any{"flag_key": e.flag, "variant": e.variant, "user_id": e.user})
		setMillis(added, e.at)
	}
	return ld
}

// delivered is what Amplitude has after the accepted batches: it drops events with a known insert_id, and applies user
// properties in order of arrival.
type delivered struct {
	mu         sync.Mutex
	ids        map[string]int
	properties map[string]string
	exposures  map[string]bool   // user, flag and variant with an event
	owners     map[string]string // the last user of a device
	identifies int
}

func newDelivered() *delivered {
	return &delivered{ids: map[string]int{}, properties: map[string]string{}, exposures: map[string]bool{}, owners: map[string]string{}}
}

func (d *delivered) accept(ld plog.Logs) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range recordsOf(ld) {
		text := func(name string) string {
			value, ok := r.Attributes().Get(name)
			if !ok {
				return ""
			}
			return value.AsString()
		}
		person, device := text(amplitude.AttrUserID), text(amplitude.AttrDeviceID)
		switch owner := d.owners[device]; {
		case person != "" && device != "":
			d.owners[device] = person
		case person == "" && owner != "":
			person = owner
		case person == "":
			person = device
		}
		if r.EventName() == amplitude.EventIdentify {
			d.identifies++
			for name, value := range r.Attributes().All() {
				if flag, ok := strings.CutPrefix(name, amplitude.AttrSetPrefix+amplitude.ExperimentPrefix); ok {
					d.properties[person+"/"+flag] = value.Str()
				}
			}
			continue
		}
		id := insertIDOf(r)
		d.ids[id]++
		if d.ids[id] > 1 {
			continue
		}
		of := person + "/" + text(amplitude.PropertyFlagKey)
		variant := text(amplitude.PropertyVariant)
		d.exposures[of+"/"+variant] = true
		if _, late := r.Attributes().Get(amplitude.AttrSkipUserPropertiesSync); !late {
			d.properties[of] = variant
		}
	}
}

func (d *delivered) uniqueIDs() []string { return slices.Sorted(maps.Keys(d.ids)) }

// unreliable is a next component that pauses, then accepts, refuses or panics.
type unreliable struct {
	*delivered
	// before is called with each batch and returns the answer.
	before func() error
}

func (*unreliable) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (u *unreliable) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	if err := u.before(); err != nil {
		return err
	}
	u.accept(ld)
	return nil
}

func TestRefusedBatchIsSentAgain(t *testing.T) {
	answer := errRefused
	next := &unreliable{delivered: newDelivered(), before: func() error { return answer }}
	r := start(t, configOf(t, ""), next)
	exposure := exposureOf{"user-1", "checkout", "on", testTime}
	for range 3 {
		require.ErrorIs(t, r.ConsumeLogs(t.Context(), logsOf(t, exposure)), errRefused)
	}
	answer = nil
	for range 3 {
		require.NoError(t, r.ConsumeLogs(t.Context(), logsOf(t, exposure)))
	}
	require.Len(t, next.ids, 1)
	assert.Equal(t, 1, next.ids[next.uniqueIDs()[0]], "once accepted, it is a repeat")
}

func TestPanicOfTheNextComponentReleases(t *testing.T) {
	panics := true
	next := &unreliable{delivered: newDelivered(), before: func() error {
		if panics {
			panic("no more disk")
		}
		return nil
	}}
	r := start(t, configOf(t, ""), next)
	ld := logsOf(t, exposureOf{"user-1", "checkout", "on", testTime})
	assert.PanicsWithValue(t, "no more disk", func() { _ = r.ConsumeLogs(t.Context(), ld) })
	panics = false
	require.NoError(t, r.ConsumeLogs(t.Context(), logsOf(t, exposureOf{"user-1", "checkout", "on", testTime})))
	assert.Len(t, next.ids, 1)
}

func TestRepeatOfABatchInFlight(t *testing.T) {
	for name, answer := range map[string]error{"the first is refused": errRefused, "both are accepted": nil} {
		t.Run(name, func(t *testing.T) {
			entered, leave := make(chan struct{}), make(chan error)
			first := true
			next := &unreliable{delivered: newDelivered(), before: func() error {
				if !first {
					return nil
				}
				first = false
				close(entered)
				return <-leave
			}}
			r := start(t, configOf(t, ""), next)
			exposure := exposureOf{"user-1", "checkout", "on", testTime}
			done := make(chan error)
			go func() { done <- r.ConsumeLogs(context.Background(), logsOf(t, exposure)) }()
			<-entered
			require.NoError(t, r.ConsumeLogs(t.Context(), logsOf(t, exposure)))
			assert.Len(t, next.ids, 1, "also sent: it is unknown whether the first one arrives")
			leave <- answer
			require.ErrorIs(t, <-done, answer)
			assert.Len(t, next.ids, 1, "under the same insert_id")
			sent := next.ids[next.uniqueIDs()[0]]
			require.NoError(t, r.ConsumeLogs(t.Context(), logsOf(t, exposure)))
			assert.Equal(t, sent, next.ids[next.uniqueIDs()[0]], "now it is a repeat")
		})
	}
}

// TestNothingIsLostUnderConcurrency: eight senders share a processor whose next component refuses, panics or yields at
// random. Each sender retries a batch until it is accepted.
func TestNothingIsLostUnderConcurrency(t *testing.T) {
	// A property may change thirty times in a row, and then once a minute.
	const senders, rounds, shared = 8, 30, 40
	next := &unreliable{delivered: newDelivered(), before: func() error {
		switch rand.N(10) {
		case 0, 1, 2:
			return errRefused
		case 3:
			panic("next component")
		default:
			return nil
		}
	}}
	r := start(t, configOf(t, "{dedup: {max_entries: 100000}}"), next)
	send := func(exposures []exposureOf) (err error) {
		defer func() {
			if recover() != nil {
				err = errRefused
			}
		}()
		return r.ConsumeLogs(context.Background(), logsOf(t, exposures...))
	}
	want := map[string]bool{}
	last := map[string]string{}
	var working sync.WaitGroup
	for sender := range senders {
		own := fmt.Sprintf("own-user-%d", sender)
		batches := make([][]exposureOf, rounds)
		for round := range batches {
			at := testTime + int64(round)*1000
			// One user's flag flips; every sender reports the users of all senders.
			variant := string(rune('A' + round%3))
			batches[round] = append(batches[round], exposureOf{own, "flips", variant, at})
			want[own+"/flips/"+variant] = true
			last[own+"/flips"] = variant
			for range 5 {
				user := fmt.Sprintf("shared-user-%d", rand.N(shared))
				batches[round] = append(batches[round], exposureOf{user, "steady", "on", at})
				want[user+"/steady/on"] = true
				last[user+"/steady"] = "on"
			}
		}
		working.Go(func() {
			for _, batch := range batches {
				for send(batch) != nil {
				}
			}
		})
	}
	working.Wait()
	assert.Equal(t, want, next.exposures, "every state has an event")
	assert.Equal(t, last, next.properties, "and the last one is current")
	// One event per state, and one $identify per change to the next.
	assert.Len(t, next.ids, len(want))
	assert.Equal(t, senders*(rounds-1), next.identifies)
}

// TestOneMemoryForEachProcessor, or for each name; a processor without a named memory cannot be used in two pipelines.
func TestOneMemoryForEachProcessor(t *testing.T) {
	f := newTestFactory()
	host := componenttest.NewNopHost()
	exposure := exposureOf{"user-1", "checkout", "on", testTime}
	for yaml, shared := range map[string]bool{"{}": false, "{dedup: {memory: main}}": true} {
		one, two := startWith(t, f, host, configOf(t, yaml)), startWith(t, f, host, configOf(t, yaml))
		assert.Len(t, one.send(t, logsOf(t, exposure)), 1)
		assert.Equal(t, shared, len(two.send(t, logsOf(t, exposure))) == 0)
		require.NoError(t, one.Shutdown(t.Context()))
		assert.Empty(t, two.send(t, logsOf(t, exposure)), "the other goes on")
		require.NoError(t, two.Shutdown(t.Context()))
		assert.Len(t, startWith(t, f, host, configOf(t, yaml)).send(t, logsOf(t, exposure)), 1, "and a third one starts from scratch")
	}
	startWith(t, f, host, configOf(t, "{dedup: {memory: other}}"))
	_, err := f.CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), configOf(t, "{dedup: {memory: other, mode: unique_per_day}}"), consumertest.NewNop())
	require.ErrorContains(t, err, `share the memory "other" (dedup.memory), but their `+"`dedup` sections differ")

	cfg := configOf(t, "{}")
	var pipelines []processor.Logs
	for range 2 {
		p, err := f.CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
		require.NoError(t, err)
		pipelines = append(pipelines, p)
	}
	require.ErrorContains(t, pipelines[0].Start(t.Context(), host), "is used in 2 pipelines")
	for _, p := range pipelines {
		require.NoError(t, p.Shutdown(t.Context()))
	}
}

// exporterRuns registers an exporter in this process until the test ends, with its queue on disk or in memory.
func exporterRuns(t *testing.T, onDisk bool) {
	t.Helper()
	var book receipts.Book
	book.Open(onDisk)
	t.Cleanup(func() { book.Close(context.Background(), false) })
}

// TestWarningsAtTheStart: each configuration that gives up a guarantee is logged.
func TestWarningsAtTheStart(t *testing.T) {
	host := fileStorage(t, t.TempDir())
	shared := fmt.Sprintf("{dedup: {redis: {endpoint: %q, timeout: 5s}}}", redistest.Start(t).Address)
	for _, tc := range []struct {
		name, config string
		exporters    []bool
		want         string
	}{
		{"all on disk", "{dedup: {storage: file_storage}}", []bool{true}, ""},
		{"all in memory", "{}", []bool{false}, ""},
		{"state that outlives its queue", "{dedup: {storage: file_storage}}", []bool{true, false}, "survives a crash but the queue is in memory"},
		{"Redis that outlives a queue", shared, []bool{false}, "survives a crash but the queue is in memory"},
		{"Redis and queues on disk", shared, []bool{true}, ""},
		{"an edge", "{}", nil, "No amplitude exporter runs in this Collector"},
		{"an edge that leaves it to the gateway", "{dedup: {enabled: false}}", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, onDisk := range tc.exporters {
				exporterRuns(t, onDisk)
			}
			core, logs := observer.New(zap.WarnLevel)
			set := processortest.NewNopSettings(metadata.Type)
			set.Logger = zap.New(core)
			p, err := NewFactory().CreateLogs(t.Context(), set, configOf(t, tc.config), consumertest.NewNop())
			require.NoError(t, err)
			require.NoError(t, p.Start(t.Context(), host))
			require.NoError(t, p.Shutdown(t.Context()))
			if tc.want == "" {
				assert.Empty(t, logs.All())
				return
			}
			require.Equal(t, 1, logs.Len())
			assert.Contains(t, logs.All()[0].Message, tc.want)
		})
	}
}

// TestHistoryOlderThan: an older record becomes an event that leaves the property alone, known or not.
func TestHistoryOlderThan(t *testing.T) {
	l := startLimited(t, "{dedup: {history_older_than: 1h}}", newDelivered())
	l.report(7200, "A", "user-1")
	l.report(3599, "B", "user-2")
	l.report(3601, "C", "user-3")
	assert.Equal(t, map[string]string{"user-1/f": "A", "user-3/f": "C"}, l.properties)
	assert.Len(t, l.ids, 3)
}

// TestPropertiesOfOneKind: the ledger only covers the properties that this Collector sets.
func TestPropertiesOfOneKind(t *testing.T) {
	assigned := func(variant string, seconds int64) plog.Logs {
		ld := batch(t, "$assignment", attrs{"user_id": "user-1", "variants": attrs{"f": variant}})
		setMillis(recordsOf(ld)[0], testTime+seconds*1000)
		return ld
	}
	exposed := func(variant string, seconds int64) plog.Logs {
		return logsOf(t, exposureOf{"user-1", "f", variant, testTime + seconds*1000})
	}
	operations := func(records []plog.LogRecord) (sets []any) {
		for _, r := range records {
			sets = append(sets, fold(r)["user_properties"])
		}
		return sets
	}
	set := func(variant string) any { return map[string]any{"$set": map[string]any{"[Experiment] f": variant}} }
	r := start(t, configOf(t, "{exposure: {set_user_properties: false}}"), nil)
	assert.Equal(t, []any{set("A")}, operations(r.send(t, assigned("A", 0))))
	assert.Equal(t, []any{nil}, operations(r.send(t, exposed("B", 1))), "an event without an operation")
	assert.Empty(t, r.send(t, assigned("A", 2)), "and nothing to correct")
	r = start(t, configOf(t, "{assignment: {set_user_properties: false}}"), nil)
	assert.Equal(t, []any{nil}, operations(r.send(t, assigned("A", 0))))
	assert.Equal(t, []any{set("B")}, operations(r.send(t, exposed("B", 1))))
	assert.Equal(t, []any{nil}, operations(r.send(t, assigned("C", 2))))
	assert.Empty(t, r.send(t, exposed("B", 3)))
	r = start(t, configOf(t, "{set_user_properties: false, exposure: {set_user_properties: true}, assignment: {set_user_properties: true}}"), nil)
	assert.Equal(t, []any{nil}, operations(r.send(t, assigned("A", 0))), "the key of the processor turns both off")
	assert.Equal(t, []any{nil}, operations(r.send(t, exposed("B", 1))))
}

// TestLedgerWithOtherSettings plays a day under settings that change which properties the ledger covers, and checks the
// events and $identify that are sent, and what Amplitude has at the end.
func TestLedgerWithOtherSettings(t *testing.T) {
	for _, c := range []struct {
		name, config string
		variants     []string
		sent         []int // from each
		identifies   int
		property     string
	}{
		{name: "the default", config: "{}", variants: []string{"A", "B", "A", "A"}, sent: []int{1, 2, 1, 0}, identifies: 2, property: "A"},
		{
			name: "the SDK's insert_id", config: "{insert_id: {format: sdk}}",
			variants: []string{"A", "B", "A", "A"}, sent: []int{1, 2, 1, 0}, identifies: 2, property: "A",
		},
		{
			name: "the SDK's insert_id, taken out and in", config: "{insert_id: {format: sdk}}",
			variants: []string{"A", "off", "A", "off"}, sent: []int{1, 2, 1, 1}, identifies: 3, property: "",
		},
		{
			name: "no properties", config: "{set_user_properties: false}",
			variants: []string{"A", "B", "A", "B"}, sent: []int{1, 1, 0, 0}, property: "none",
		},
		{
			name: "un-exposures dropped", config: "{exposure: {unassigned: drop}}",
			variants: []string{"A", "off", "A", "B", "off", "B"}, sent: []int{1, 0, 0, 2, 0, 0}, identifies: 1, property: "B",
		},
		{
			name: "un-exposures as $identify", config: "{exposure: {unassigned: identify}}",
			variants: []string{"A", "off", "off", "A"}, sent: []int{1, 1, 0, 1}, identifies: 2, property: "A",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, configOf(t, c.config), nil)
			var sent []int
			identifies, property := 0, "none"
			seen := map[string]bool{}
			for i, variant := range c.variants {
				out := r.send(t, logsOf(t, exposureOf{"user-1", "f", variant, testTime + int64(i)*1000}))
				sent = append(sent, len(out))
				for _, record := range out {
					if record.EventName() == amplitude.EventIdentify {
						identifies++
					}
					id := insertIDOf(record)
					if seen[id] {
						continue // Amplitude drops it, including its property
					}
					seen[id] = true
					operations, _ := fold(record)["user_properties"].(map[string]any)
					if set, ok := operations["$set"].(map[string]any); ok {
						property = fmt.Sprint(set["[Experiment] f"])
					} else if operations["$unset"] != nil {
						property = ""
					}
				}
			}
			assert.Equal(t, c.sent, sent)
			assert.Equal(t, c.identifies, identifies)
			assert.Equal(t, c.property, property)
		})
	}
}

// TestHostsWithDifferentClocksAroundMidnight: just before midnight, the Collector receives A dated tomorrow, B dated
// today, and A dated tomorrow again.
func TestHostsWithDifferentClocksAroundMidnight(t *testing.T) {
	const midnight = testTime/1000 + 12*60*60
	l := startLimited(t, "{}", newDelivered())
	for i, c := range []struct {
		ahead   int64 // seconds
		variant string
	}{{1, "A"}, {0, "B"}, {1, "A"}} {
		*l.now = time.UnixMilli((midnight-1)*1000 + 500 + int64(i)*100)
		ld := logsOf(t, exposureOf{"user-1", "f", c.variant, l.now.UnixMilli() + c.ahead*1000})
		require.NoError(t, l.p.ConsumeLogs(t.Context(), ld))
		l.deliver()
	}
	assert.Equal(t, "A", l.properties["user-1/f"])
	assert.Len(t, l.exposures, 2)
	assert.Equal(t, 2, l.identifies)
}

// TestRecordThatSkipsProperties: the flag on a raw record is honored, and the ledger does not rely on its property.
func TestRecordThatSkipsProperties(t *testing.T) {
	r := start(t, configOf(t, "{}"), nil)
	require.Len(t, r.send(t, logsOf(t, exposureOf{"user-1", "f", "A", testTime})), 1)
	out := r.send(t, batch(t, "$exposure", attrs{"user_id": "user-1", "flag_key": "f", "variant": "B", "amplitude.$skip_user_properties_sync": true}))
	require.Len(t, out, 1)
	assert.Equal(t, true, fold(out[0])["$skip_user_properties_sync"])
	assert.NotContains(t, fold(out[0]), "user_properties")
	assert.Empty(t, r.send(t, logsOf(t, exposureOf{"user-1", "f", "A", testTime + 1000})), "the property is still A")
}

// TestGatewayJudgesIdentify by its own ledger: an old one is dropped, a current one is sent.
func TestGatewayJudgesIdentify(t *testing.T) {
	identify := func(variant string, seconds int64) plog.Logs {
		ld := batch(t, "$identify", attrs{"amplitude.user_id": "user-1", "amplitude.insert_id": fmt.Sprint("id ", seconds), "amplitude.user_properties.$set.[Experiment] f": variant})
		setMillis(recordsOf(ld)[0], testTime+seconds*1000)
		return ld
	}
	r := start(t, accepting(t, "{}"), nil)
	require.Len(t, r.send(t, logsOf(t, exposureOf{"user-1", "f", "A", testTime})), 1)
	assert.Len(t, r.send(t, identify("B", 2)), 1, "it changes the property")
	assert.Empty(t, r.send(t, identify("A", 1)), "a late dead letter")
	assert.Len(t, r.send(t, logsOf(t, exposureOf{"user-1", "f", "A", testTime + 3000})), 1, "back to A, by a $identify")
}

// TestLateRawExposure is sent transformed and without its operation, because Amplitude would set the property of a raw
// one.
func TestLateRawExposure(t *testing.T) {
	r := start(t, configOf(t, "{exposure: {wire: raw}}"), nil)
	first := r.send(t, logsOf(t, exposureOf{"user-1", "f", "A", testTime}))
	require.Len(t, first, 1)
	assert.Equal(t, "$exposure", first[0].EventName())
	late := r.send(t, logsOf(t, exposureOf{"user-1", "f", "B", testTime - 1000}))
	require.Len(t, late, 1)
	event := fold(late[0])
	assert.Equal(t, "[Experiment] Exposure", event["event_type"])
	assert.Equal(t, true, event["$skip_user_properties_sync"])
	assert.NotContains(t, event, "user_properties")
}

func TestDedupNotEnabled(t *testing.T) {
	r := start(t, configOf(t, "{dedup: {enabled: false}}"), nil)
	exposure := exposureOf{"user-1", "checkout", "on", testTime}
	first, second := r.send(t, logsOf(t, exposure)), r.send(t, logsOf(t, exposure))
	require.Len(t, first, 1)
	require.Len(t, second, 1)
	assert.Equal(t, insertIDOf(first[0]), insertIDOf(second[0]))
}
