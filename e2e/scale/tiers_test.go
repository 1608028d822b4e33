// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scale

package scale

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

func oneGateway(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{far: harness.Start(t, "../testdata/sandbox.yaml", harness.Options{})}
	c.add(t, 1, "gateway.yaml")
	return c
}

// TestGatewayDropsWhatSeveralEdgesSend: each of three edges sees every user several times and, without a memory, sends
// everything; the gateway forwards one of them.
func TestGatewayDropsWhatSeveralEdgesSend(t *testing.T) {
	const edges = 3
	c, order := oneGateway(t), shuffled(t)
	for range edges {
		c.front = c.edge(t, "edge.yaml")
		c.spread(t, order, 1)
	}
	c.storedOnce(t)
	records := func(outcome string) float64 {
		return c.replicas[0].Metric(t, "otelcol_processor_amplitude_experiment_records", `outcome="`+outcome+`"`)
	}
	assert.InDelta(t, users, records("already_shaped"), 0, "the gateway forwards each event once, as its edge shaped it")
	assert.InDelta(t, edges*total-users, records("duplicate"), 0, "and drops what it has sent")
}
