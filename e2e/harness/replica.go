// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package harness // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"

import (
	"net"
	"path/filepath"
	"testing"
)

// ScaleOut returns the path of a file of examples/scale-out.
func ScaleOut(name string) string { return filepath.Join(Root(), "examples", "scale-out", name) }

// ReplicaOptions are what examples/scale-out/replica.yaml needs to run beside others and send to endpoint.
func ReplicaOptions(t testing.TB, endpoint string) Options {
	t.Helper()
	a, dir := NewAddresses(t), t.TempDir()
	_, port, _ := net.SplitHostPort(a.Metrics)
	return Options{
		Addresses: a, Dir: dir,
		Env: []string{
			"REPLICA_GRPC=" + a.OTLPGRPC, "REPLICA_HTTP=" + a.OTLPHTTP, "REPLICA_HEALTH=" + a.Health, "REPLICA_DIR=" + dir,
			"AMPLITUDE_API_KEY=e2e-key", "AMPLITUDE_ENDPOINT=" + endpoint,
		},
		Sets: []string{"service::telemetry::metrics::readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: " + port + "}}}}]"},
	}
}
