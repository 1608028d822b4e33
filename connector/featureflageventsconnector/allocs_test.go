// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package featureflageventsconnector

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelcol-amplitude/otelcol-amplitude/connector/featureflageventsconnector/internal/metadata"
)

// manySpans returns traces of n spans, each with an event that is not an evaluation, and with an evaluation in every
// span whose number is divisible by each; 0 means in none.
func manySpans(n, each int) ptrace.Traces {
	traces := ptrace.NewTraces()
	spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		s := spans.AppendEmpty()
		s.SetName("GET /cart")
		s.Attributes().PutStr("user.id", "user-1")
		s.Events().AppendEmpty().SetName("exception")
		if each > 0 && i%each == 0 {
			addEvent(s, "feature_flag.evaluation", 1, map[string]any{
				"feature_flag.key": "checkout", "feature_flag.result.variant": "one-page", "feature_flag.context.id": "user-1",
			})
		}
	}
	return traces
}

func TestNoAllocationForSpansWithoutEvaluation(t *testing.T) {
	c := newConnector(t, connectortest.NewNopSettings(metadata.Type), presets(t), consumertest.NewNop())
	allocations := func(traces ptrace.Traces) float64 {
		return testing.AllocsPerRun(3, func() {
			if err := c.ConsumeTraces(context.Background(), traces); err != nil {
				panic(err)
			}
		})
	}
	assert.Zero(t, allocations(manySpans(100_000, 0)), "none with an evaluation")
	assert.InDelta(t, allocations(manySpans(1_000, 100)), allocations(manySpans(100_000, 10_000)), 0.5,
		"10 evaluations cost the same among 1,000 and among 100,000 spans")
}

func BenchmarkConsumeTraces(b *testing.B) {
	for _, each := range []int{0, 1_000, 10} {
		b.Run(fmt.Sprintf("spans=100000/evaluation_every=%d", each), func(b *testing.B) {
			c := newConnector(b, connectortest.NewNopSettings(metadata.Type), nil, consumertest.NewNop())
			traces := manySpans(100_000, each)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.ConsumeTraces(b.Context(), traces); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
