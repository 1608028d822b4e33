// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// outcome returns how many records had an outcome.
func (r *rig) outcome(t testing.TB, name string) int {
	t.Helper()
	return r.counter(t, "otelcol_processor_amplitude_experiment_records", "outcome", name)
}

// sumPoints adds up the data points of a metric with this label value.
func sumPoints(m metricdata.Metrics, label, value string) int {
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	sum := 0
	for _, point := range points {
		if label != "" {
			if got, ok := point.Attributes.Value(attribute.Key(label)); !ok || got.AsString() != value {
				continue
			}
		}
		sum += int(point.Value)
	}
	return sum
}

// metricsByName returns all current metrics by name.
type metricsByName map[string]metricdata.Metrics

func (r *rig) metrics(t testing.TB) metricsByName {
	t.Helper()
	var read metricdata.ResourceMetrics
	require.NoError(t, r.telemetry.Reader.Collect(t.Context(), &read))
	m := metricsByName{}
	for _, scope := range read.ScopeMetrics {
		for _, one := range scope.Metrics {
			m[one.Name] = one
		}
	}
	return m
}

// sum adds up the data points of one of the processor's metrics.
func (m metricsByName) sum(name, label, value string) int {
	return sumPoints(m["otelcol_processor_amplitude_experiment_"+name], label, value)
}
