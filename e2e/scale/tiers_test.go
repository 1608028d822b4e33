// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scale

package scale

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// edge starts a Collector of the first tier, with changes to its configuration.
func (c *cluster) edge(t *testing.T, config string, sets ...string) *harness.Collector {
	t.Helper()
	a := harness.NewAddresses(t)
	return harness.Start(t, harness.ScaleOut(config), harness.Options{
		Program: program, Addresses: a, Sets: sets,
		Env: []string{"EDGE_HTTP=" + a.OTLPHTTP, "EDGE_HEALTH=" + a.Health, "GATEWAY=http://" + c.replicas[0].OTLPHTTP},
	})
}

func oneGateway(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{far: harness.Start(t, "../testdata/sandbox.yaml", harness.Options{})}
	c.add(t, 1, "gateway.yaml")
	return c
}

// TestGatewayDropsWhatSeveralEdgesSend: each of three edges sees every user several times and sends each once; the
// gateway lets one of the three through.
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
	assert.InDelta(t, (edges-1)*users, records("duplicate"), 0, "an edge sends each user once, and the gateway knows what others sent")
}

// TestRecordsGroupedForKafka puts HTTP in the place of Kafka: what kafka-edge.yaml makes of records, with the user on
// the resource, becomes the same events as ever.
func TestRecordsGroupedForKafka(t *testing.T) {
	c := oneGateway(t)
	c.front = c.edge(
		t, "kafka-edge.yaml",
		"exporters::otlp_http: {endpoint: \"http://"+c.replicas[0].OTLPHTTP+"\", sending_queue: {enabled: false}}",
		"service::pipelines::logs::exporters: [otlp_http]",
	)
	c.spread(t, shuffled(t), 1)
	c.storedOnce(t)
}

// TestKafkaConfigurations: no broker runs here, so the Collector's own check has to do.
func TestKafkaConfigurations(t *testing.T) {
	for name, files := range map[string][]string{
		"edge":               {"kafka-edge.yaml"},
		"gateway of edges":   {"replica.yaml", "gateway.yaml"},
		"gateway":            {"replica.yaml", "kafka-gateway.yaml"},
		"gateway with Redis": {"replica.yaml", "kafka-gateway.yaml", "redis-replica.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			arguments := []string{"validate"}
			for _, file := range files {
				arguments = append(arguments, "--config", harness.ScaleOut(file))
			}
			cmd := exec.Command(harness.Binary(t, program), arguments...)
			cmd.Dir = t.TempDir()
			cmd.Env = cleanenv.Environ("AMPLITUDE_API_KEY=0123456789abcdef")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
