// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

// TestWorkloads: of every batch, from the first to the last of a default run, as many records as the workload says become events that set
// their user property. What sets none costs less, and is not what a user has.
func TestWorkloads(t *testing.T) {
	const last = 799
	for _, tc := range []struct {
		w            workload
		events, sets int // of a batch
	}{
		{w1, 1000, 1000},
		{w2, 1000, 10_000},
		{w350, 500, 500},
		{w395, 50, 50},
		{w4, 1000, 0},
		{workload{what: "assignments of 1,000 flags", batch: assignments(1000)}, 10, 10_000},
		{workload{what: "exposures of 1,500 flags", batch: exposuresOf(10, 1500)}, 10, 10},
	} {
		t.Run(tc.w.what, func(t *testing.T) {
			sink := new(consumertest.LogsSink)
			p, err := newProcessor(amplitudeexperimentprocessor.NewFactory(), map[string]any{}, sink)
			require.NoError(t, err)
			random := rand.New(rand.NewPCG(1, 1))
			for _, serial := range []int{0, 1, dayOfAssignments, last} {
				sink.Reset()
				require.NoError(t, p.ConsumeLogs(t.Context(), tc.w.batch(random, serial)))
				events, sets := 0, 0
				for record := range recordsIn(sink.AllLogs()) {
					assert.NotEqual(t, "$identify", record.EventName(), "nothing is repaired")
					events++
					for name := range record.Attributes().All() {
						assert.NotEqual(t, "amplitude.$skip_user_properties_sync", name)
						if strings.HasPrefix(name, "amplitude.user_properties.$set.") {
							sets++
						}
					}
				}
				assert.Equal(t, tc.events, events, "batch %d", serial)
				assert.Equal(t, tc.sets, sets, "batch %d", serial)
			}
			require.NoError(t, p.Shutdown(t.Context()))
		})
	}
}

func recordsIn(all []plog.Logs) func(func(plog.LogRecord) bool) {
	return func(yield func(plog.LogRecord) bool) {
		for _, logs := range all {
			for _, resource := range logs.ResourceLogs().All() {
				for _, scope := range resource.ScopeLogs().All() {
					for _, record := range scope.LogRecords().All() {
						if !yield(record) {
							return
						}
					}
				}
			}
		}
	}
}
