// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"pgregory.net/rapid"
)

// unrelated are configurations in which a batch changes nothing for a later one.
var unrelated = []string{
	"{dedup: {enabled: false}}",
	`{dedup: {enabled: false}, accept_shaped: true, event_properties: {include: ["*"]}, identity: {min_id_length: 1, normalize: [unquote]}, outcomes: {events: ["http.*", "exception"]}}`,
	`{dedup: {enabled: false}, exposure: {custom_events: ["*"]}, impression: {enabled: true}, identity: {context_id_as: device_id, groups: {company: org.id, team: feature_flag.context.id}}}`,
	"{dedup: {enabled: false}, assignment: {emit: both}, evaluation: {prefer_value: true, preset: flagd}, insert_id: {format: sdk}, other_records: drop}",
}

// collected keeps what each call hands on.
type collected struct {
	mu   sync.Mutex
	sent map[any][]string
}

func newCollected() *collected { return &collected{sent: map[any][]string{}} }

// callKey is the context key of a call's name.
type callKey struct{}

func (*collected) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (c *collected) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[ctx.Value(callKey{})] = append(c.sent[ctx.Value(callKey{})], string(body))
	return err
}

// count adds the counters of a processor to those of others.
func (r *rig) count(t testing.TB, to map[string]int64) {
	t.Helper()
	for name, one := range r.metrics(t) {
		sum, ok := one.Data.(metricdata.Sum[int64])
		if !ok || !sum.IsMonotonic {
			continue
		}
		for _, point := range sum.DataPoints {
			to[name+" "+point.Attributes.Encoded(attribute.DefaultEncoder())] += point.Value
		}
	}
}

// TestBatchIsIndependentOfOthers: a processor that has seen other batches, and one that sees others at the same time, makes
// of each batch what a new one makes of it, byte for byte, and counts the same.
func TestBatchIsIndependentOfOthers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		yaml := rapid.SampledFrom(unrelated).Draw(rt, "configuration")
		now := time.UnixMilli(testTime)
		begin := func(next consumer.Logs) *rig {
			return startOf(t, NewFactoryWithOptions(WithClock(func() time.Time { return now }), alike), configOf(t, yaml), next)
		}
		alone, one := newCollected(), newCollected()
		ofAlone, ofOne := map[string]int64{}, map[string]int64{}
		used := begin(one)
		together := rapid.Bool().Draw(rt, "together")
		var calls sync.WaitGroup
		for i := range rapid.IntRange(2, 6).Draw(rt, "batches") {
			batch := drawLogs(rt)
			if together {
				dropOlder(batch)
			} else {
				now = now.Add(twinsForgotten)
			}
			ctx := context.WithValue(t.Context(), callKey{}, i)
			again := copyOf(batch)
			fresh := begin(alone)
			require.NoError(rt, fresh.ConsumeLogs(ctx, batch))
			fresh.count(t, ofAlone)
			call := func() { assert.NoError(t, used.ConsumeLogs(ctx, again)) }
			if together {
				calls.Go(call)
			} else {
				call()
			}
		}
		calls.Wait()
		used.count(t, ofOne)
		require.Equal(rt, alone.sent, one.sent)
		require.Equal(rt, ofAlone, ofOne)
	})
}

// twinsForgotten is longer than evaluations with the newer of two names are remembered.
const twinsForgotten = 2 * time.Hour

// dropOlder removes the evaluations with the older name: those with the newer one in other batches matter for them.
func dropOlder(batch plog.Logs) {
	for _, resource := range batch.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			scope.LogRecords().RemoveIf(func(r plog.LogRecord) bool { return r.EventName() == "feature_flag" })
		}
	}
}
