// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// queued is an exporter with a queue in front of Amplitude: it claims what it accepts and settles it on demand.
type queued struct {
	*delivered
	book  receipts.Book
	queue []plog.Logs
	// entered and leave, if set, delay the next batch.
	entered, leave chan struct{}
}

func (*queued) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (q *queued) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if entered := q.entered; entered != nil {
		q.entered = nil
		close(entered)
		<-q.leave
	}
	q.book.Claim(ctx, ld)
	q.queue = append(q.queue, copyOf(ld))
	return nil
}

// deliver sends the content of the queue to Amplitude.
func (q *queued) deliver() { q.end(receipts.Delivered) }

// lose drops the content of the queue.
func (q *queued) lose() { q.end(receipts.NotDelivered) }

func (q *queued) end(outcome receipts.Outcome) {
	for _, ld := range q.queue {
		if outcome == receipts.Delivered {
			q.accept(ld)
		}
		for _, r := range recordsOf(ld) {
			q.book.Settle(receipts.Key(insertIDOf(r)), outcome)
		}
	}
	q.queue = nil
}

// limited is a processor with everything behind it, and a clock that the test moves.
type limited struct {
	*queued
	t   *testing.T
	p   consumer.Logs
	end func()
	now *time.Time
}

// startLimited starts a processor in front of an Amplitude, at testTime.
func startLimited(t *testing.T, yaml string, to *delivered) *limited {
	t.Helper()
	now := time.UnixMilli(testTime)
	l := &limited{queued: &queued{delivered: to}, t: t, now: &now}
	p, err := NewFactoryWithOptions(WithClock(func() time.Time { return now })).
		CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), configOf(t, yaml), l.queued)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	l.p = p
	l.end = func() {
		require.NoError(t, p.Shutdown(context.Background()))
		l.book.Close(context.Background(), false)
	}
	t.Cleanup(l.end)
	return l
}

// take hands on an exposure of flag f; ids are the user, which may be empty, and optionally the device.
func (l *limited) take(seconds int64, variant string, ids ...string) {
	l.t.Helper()
	attributes := attrs{"flag_key": "f", "variant": variant}
	for i, name := range []string{"user_id", "device_id"} {
		if i < len(ids) && ids[i] != "" {
			attributes[name] = ids[i]
		}
	}
	ld := plog.NewLogs()
	setMillis(record(l.t, ld, "$exposure", attributes), testTime+seconds*1000)
	require.NoError(l.t, l.p.ConsumeLogs(l.t.Context(), ld))
}

// report does the same and delivers it, shortly after its time.
func (l *limited) report(seconds int64, variant string, ids ...string) {
	l.t.Helper()
	if at := time.UnixMilli(testTime + seconds*1000 + 100); at.After(*l.now) {
		*l.now = at
	}
	l.take(seconds, variant, ids...)
	l.deliver()
}

// settled waits until Redis has everything that was delivered.
func (l *limited) settled() {
	l.t.Helper()
	settled(l.t, l.p)
}

func settled(t *testing.T, p consumer.Logs) {
	t.Helper()
	require.Eventually(t, func() bool { return p.(*replays).Logs.(*experimentProcessor).memory.ledger.Stats().OnWay == 0 }, time.Minute, time.Millisecond)
}

// The tests below show what no rule can achieve, and how large the effect is. docs/deduplication.md lists them.

func TestLimitReplicasThatShareNothing(t *testing.T) {
	to := newDelivered()
	one, other := startLimited(t, "{}", to), startLimited(t, "{}", to)
	one.report(1, "A", "user-1")
	other.report(2, "B", "user-1")
	one.report(3, "A", "user-1")
	assert.Equal(t, "B", to.properties["user-1/f"], "to the first replica it is a repeat")
	assert.Len(t, to.ids, 2)
	one.report(4, "C", "user-1")
	assert.Equal(t, "C", to.properties["user-1/f"])
}

func TestLimitTwoQueuesBehindOneRedis(t *testing.T) {
	server := redistest.Start(t)
	to := newDelivered()
	yaml := fmt.Sprintf("{dedup: {redis: {endpoint: %q, timeout: 5s}}}", server.Address)
	slow, quick := startLimited(t, yaml, to), startLimited(t, yaml, to)
	slow.take(1, "A", "user-1")
	quick.report(2, "B", "user-1")
	quick.settled()
	*slow.now = quick.now.Add(time.Second)
	slow.deliver()
	slow.settled()
	assert.Equal(t, "A", to.properties["user-1/f"], "it was in the slower queue")
	at := int64(2)
	require.Eventually(t, func() bool { // until Redis has it
		at++
		quick.report(at, "B", "user-1")
		return to.properties["user-1/f"] == "B"
	}, time.Minute, time.Millisecond, "the next report corrects it")
}

func TestLimitOverlappingBatches(t *testing.T) {
	l := startLimited(t, "{}", newDelivered())
	*l.now = time.UnixMilli(testTime + 10_000)
	entered := make(chan struct{})
	l.entered, l.leave = entered, make(chan struct{})
	done := make(chan struct{})
	go func() { defer close(done); l.take(1, "A", "user-1") }()
	<-entered
	l.take(2, "B", "user-1")
	close(l.leave)
	<-done
	l.deliver()
	assert.Equal(t, "A", l.properties["user-1/f"], "the older one was accepted last")
	l.report(11, "B", "user-1")
	assert.Equal(t, "B", l.properties["user-1/f"])
	assert.Len(t, l.ids, 2)
}

// TestLimitTwoLanes: events that share neither user nor device are delivered in parallel, even if they belong to one
// person.
func TestLimitTwoLanes(t *testing.T) {
	l := startLimited(t, "{}", newDelivered())
	l.report(1, "A", "user-1", "phone-1")
	l.take(2, "B", "user-1", "tablet-1")
	l.take(3, "A", "", "phone-1")
	slices.Reverse(l.queue)
	l.deliver()
	assert.Equal(t, "B", l.properties["user-1/f"], "it arrived last")
	l.report(4, "A", "", "phone-1")
	assert.Equal(t, "A", l.properties["user-1/f"], "the next report sets it right: the receipts came in that order, too")
}

func TestLimitRepeatOfWhatIsLostLater(t *testing.T) {
	l := startLimited(t, "{}", newDelivered())
	*l.now = time.UnixMilli(testTime + 10_000)
	l.take(1, "A", "user-1")
	l.take(2, "A", "user-1")
	assert.Len(t, l.queue, 1, "a repeat, as long as the first one is on its way")
	l.lose()
	assert.Empty(t, l.ids, "and missing until a replay or another report")
	l.report(11, "A", "user-1")
	assert.Len(t, l.ids, 1)
	assert.Equal(t, "A", l.properties["user-1/f"])
}

func TestLimitDeviceAfterLostMemory(t *testing.T) {
	to := newDelivered()
	first := startLimited(t, "{}", to)
	first.report(1, "A", "", "device-1")
	first.report(2, "B", "user-1", "device-1")
	first.end()
	second := startLimited(t, "{}", to)
	second.report(1, "C", "", "device-1")
	assert.Equal(t, "C", to.properties["user-1/f"], "from before the login, which only Amplitude knows about")
	second.report(10, "B", "user-1", "device-1")
	second.report(11, "D", "user-1", "device-1")
	assert.Equal(t, "D", to.properties["user-1/f"])
}

func TestLimitFlapping(t *testing.T) {
	l := startLimited(t, "{}", newDelivered())
	for i := range int64(40) {
		l.report(i, string(rune('A'+i%2)), "user-1")
	}
	assert.Equal(t, "A", l.properties["user-1/f"], "thirty changes, and then no more")
	assert.Equal(t, 30, l.identifies)
	l.report(100, "B", "user-1")
	assert.Equal(t, "B", l.properties["user-1/f"], "the next report that finds a token")
}

func TestLimitClockAhead(t *testing.T) {
	l := startLimited(t, "{}", newDelivered())
	for range 2 {
		*l.now = l.now.Add(time.Second)
		l.take(3600, "A", "user-1")
		l.take(7200, "B", "user-1")
		l.deliver()
	}
	assert.Equal(t, "B", l.properties["user-1/f"])
	assert.Equal(t, 3, l.identifies, "the repeated batch looks like two more changes")
	assert.Len(t, l.ids, 2)
}

func TestLimitForgotten(t *testing.T) {
	l := startLimited(t, "{dedup: {max_entries: 2}}", newDelivered())
	l.report(10, "B", "user-1")
	for i := range 3 {
		l.report(11, "A", fmt.Sprintf("user-%d", 2+i))
	}
	l.report(1, "A", "user-1")
	assert.Equal(t, "A", l.properties["user-1/f"], "late, but nobody remembers")
	l.report(12, "B", "user-1")
	assert.Equal(t, "B", l.properties["user-1/f"])
}

func TestLimitReturnIsNoEvent(t *testing.T) {
	l := startLimited(t, "{}", newDelivered())
	for i, variant := range []string{"A", "B", "A"} {
		l.report(int64(i), variant, "user-1")
	}
	assert.Equal(t, map[string]bool{"user-1/f/A": true, "user-1/f/B": true}, l.exposures)
	assert.Equal(t, "A", l.properties["user-1/f"])
}

func TestLimitEdgeThatDeduplicates(t *testing.T) {
	to := newDelivered()
	gateway := startLimited(t, "{accept_shaped: true}", to)
	report := func(dedup string) (arrived int) {
		edge := startWith(t, NewFactoryWithOptions(WithClock(func() time.Time { return *gateway.now })), componenttest.NewNopHost(), configOf(t, dedup))
		ld := func() plog.Logs { return logsOf(t, exposureOf{"user-" + dedup, "f", "A", testTime}) }
		for range 2 {
			edge.send(t, ld())
			for _, shaped := range edge.sink.AllLogs() {
				require.NoError(t, gateway.p.ConsumeLogs(t.Context(), shaped))
			}
			arrived = len(gateway.queue)
			gateway.lose()
		}
		return arrived
	}
	assert.Zero(t, report("{}"), "the edge treats what the gateway lost as sent")
	assert.Equal(t, 1, report("{dedup: {enabled: false}}"))
}

func TestLimitReturnAfterAStartThatKeptNothing(t *testing.T) {
	to := newDelivered()
	first := startLimited(t, "{}", to)
	first.report(1, "A", "user-1")
	first.report(2, "B", "user-1")
	first.end()
	second := startLimited(t, "{}", to)
	second.report(3, "A", "user-1")
	assert.Equal(t, "B", to.properties["user-1/f"], "the second A has the insert_id of the first")
	second.report(4, "B", "user-1")
	second.report(5, "A", "user-1")
	assert.Equal(t, "A", to.properties["user-1/f"], "from then on it is known")
	assert.Len(t, to.ids, 2)
}
