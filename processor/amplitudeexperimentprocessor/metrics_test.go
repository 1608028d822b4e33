// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// outcome is how many records had an outcome.
func (r *rig) outcome(t testing.TB, name string) int {
	t.Helper()
	return r.counter(t, "otelcol_processor_amplitude_experiment_records", "outcome", name)
}

// sumPoints adds up the data points of a metric whose label has the given value.
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
