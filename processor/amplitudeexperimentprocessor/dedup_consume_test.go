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
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

var errRefused = errors.New("the queue is full")

// exposureOf is one exposure of a user, at a time in milliseconds.
type exposureOf struct {
	user, flag, variant string
	at                  int64
}

// startWith makes and starts a processor of a given factory, in a Collector with a given host.
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

// delivered is what Amplitude has after the batches that were accepted: it drops an insert_id that it
// knows, and applies user properties in the order of arrival.
type delivered struct {
	mu         sync.Mutex
	ids        map[string]int
	properties map[string]string
	exposures  map[string]bool // user, flag and variant that have an event
}

func newDelivered() *delivered {
	return &delivered{ids: map[string]int{}, properties: map[string]string{}, exposures: map[string]bool{}}
}

func (d *delivered) accept(ld plog.Logs) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range recordsOf(ld) {
		id := insertIDOf(r)
		d.ids[id]++
		if d.ids[id] > 1 {
			continue
		}
		text := func(name string) string {
			value, _ := r.Attributes().Get(name)
			return value.AsString()
		}
		of := text(amplitude.AttrUserID) + "/" + text(amplitude.PropertyFlagKey)
		variant := text(amplitude.PropertyVariant)
		d.exposures[of+"/"+variant] = true
		if _, late := r.Attributes().Get(amplitude.AttrSkipUserPropertiesSync); !late {
			d.properties[of] = variant
		}
	}
}

func (d *delivered) uniqueIDs() []string { return slices.Sorted(maps.Keys(d.ids)) }

// unreliable is a next component that accepts, refuses, or panics, after a pause.
type unreliable struct {
	*delivered
	// before is called with each batch; what it returns is the answer.
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
	assert.Equal(t, 1, next.ids[next.uniqueIDs()[0]], "once it was accepted, it is a repeat")
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
			go func() { done <- r.ConsumeLogs(context.Background(), logsOf(t, exposure)) }() //nolint:testifylint // asserts nothing there
			<-entered
			require.NoError(t, r.ConsumeLogs(t.Context(), logsOf(t, exposure)))
			assert.Len(t, next.ids, 1, "sent too: nobody knows whether the first arrives")
			leave <- answer
			require.ErrorIs(t, <-done, answer)
			assert.Len(t, next.ids, 1, "under the same insert_id")
			sent := next.ids[next.uniqueIDs()[0]]
			require.NoError(t, r.ConsumeLogs(t.Context(), logsOf(t, exposure)))
			assert.Equal(t, sent, next.ids[next.uniqueIDs()[0]], "now it is a repeat")
		})
	}
}

// TestNothingIsLostUnderConcurrency lets eight senders share a processor whose next component
// refuses, panics or yields at random. Each sender sends a batch again until it is accepted.
func TestNothingIsLostUnderConcurrency(t *testing.T) {
	const senders, rounds, shared = 8, 60, 40
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
			// One user's flag flips; the users of all senders are seen by every sender.
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
	assert.Equal(t, want, next.exposures, "every state is there")
	assert.Equal(t, last, next.properties, "and the last one is the present one")
	// One event per state of the shared users, one per change of the flipping ones.
	steady := len(last) - senders
	assert.Len(t, next.ids, steady+senders*rounds)
}

func TestTwoPipelinesShareOneState(t *testing.T) {
	cfg := configOf(t, "")
	f := NewFactory()
	one, two := startWith(t, f, componenttest.NewNopHost(), cfg), startWith(t, f, componenttest.NewNopHost(), cfg)
	exposure := exposureOf{"user-1", "checkout", "on", testTime}
	assert.Len(t, one.send(t, logsOf(t, exposure)), 1)
	assert.Empty(t, two.send(t, logsOf(t, exposure)))
	require.NoError(t, one.Shutdown(t.Context()))
	assert.Empty(t, two.send(t, logsOf(t, exposure)), "the other pipeline goes on")
	require.NoError(t, two.Shutdown(t.Context()))
	assert.Len(t, startWith(t, f, componenttest.NewNopHost(), cfg).send(t, logsOf(t, exposure)), 1, "and a third starts from scratch")

	other := configOf(t, "")
	assert.Len(t, startWith(t, f, componenttest.NewNopHost(), other).send(t, logsOf(t, exposure)), 1, "another configuration, another state")
}

func TestDedupNotEnabled(t *testing.T) {
	r := start(t, configOf(t, "{dedup: {enabled: false}}"), nil)
	exposure := exposureOf{"user-1", "checkout", "on", testTime}
	first, second := r.send(t, logsOf(t, exposure)), r.send(t, logsOf(t, exposure))
	require.Len(t, first, 1)
	require.Len(t, second, 1)
	assert.Equal(t, insertIDOf(first[0]), insertIDOf(second[0]))
}
