// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scale || scalebench

package scale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

const numberOfPartitions = 12 // of examples/kafka

// broker is a Kafka for one test: the process examples/kafka.
type broker struct {
	address, dir string
	process      *exec.Cmd
}

func startBroker(t *testing.T) *broker {
	t.Helper()
	address, err := loopback.FreeAddress()
	require.NoError(t, err)
	b := &broker{address: address, dir: t.TempDir()}
	b.start(t)
	t.Cleanup(b.kill)
	return b
}

// start starts it, or restarts it with what it had.
func (b *broker) start(t *testing.T) {
	t.Helper()
	var out bytes.Buffer
	b.process = exec.Command(harness.Binary(t, "kafka"), "-address", b.address, "-dir", b.dir)
	b.process.Env = cleanenv.Environ()
	b.process.Stdout, b.process.Stderr = &out, &out
	require.NoError(t, b.process.Start())
	require.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", b.address)
		return err == nil && connection.Close() == nil
	}, patience, 10*time.Millisecond, "no broker listens on %s\n%s", b.address, &out)
}

// kill ends it like kill -9. It does not lose anything acknowledged, as long as the machine keeps running.
func (b *broker) kill() {
	_ = b.process.Process.Kill()
	_ = b.process.Wait()
}

// PID returns the process id.
func (b *broker) PID() int { return b.process.Process.Pid }

// message is a message of the topic.
type message struct {
	Partition int    `json:"partition"`
	Key       string `json:"key"`
	Value     []byte `json:"value"`
}

// read returns the content of the topic.
func (b *broker) read(t *testing.T) (all []message) {
	t.Helper()
	command := exec.CommandContext(t.Context(), harness.Binary(t, "kafka"), "-address", b.address, "-read")
	command.Env = cleanenv.Environ()
	var problems bytes.Buffer
	command.Stderr = &problems
	out, err := command.Output()
	require.NoError(t, err, "%s", &problems)
	for line := range bytes.Lines(out) {
		var one message
		require.NoError(t, json.Unmarshal(line, &one), fmt.Sprintf("%.200s", line))
		all = append(all, one)
	}
	return all
}

// startKafkaEdge starts a Collector that writes to the broker.
func startKafkaEdge(t *testing.T, b *broker) *harness.Collector {
	t.Helper()
	a := harness.NewAddresses(t)
	return harness.Start(t, harness.ScaleOut("kafka-edge.yaml"), harness.Options{
		Program: program, Addresses: a, Env: []string{"EDGE_HTTP=" + a.OTLPHTTP, "EDGE_HEALTH=" + a.Health, "KAFKA=" + b.address},
	})
}

// ownedBy returns how many partitions these gateways have now.
func ownedBy(t *testing.T, gateways ...*harness.Collector) (n int) {
	t.Helper()
	for _, one := range gateways {
		n += int(one.Metric(t, "otelcol_kafka_receiver_partition_start") - one.Metric(t, "otelcol_kafka_receiver_partition_close"))
	}
	return n
}
