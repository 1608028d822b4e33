// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// TestMinIDLengthBelowTheExporters is logged once at startup, if every exporter in the process leaves out more ids.
func TestMinIDLengthBelowTheExporters(t *testing.T) {
	for _, tc := range []struct {
		name      string
		config    string
		exporters []int
		warns     bool
	}{
		{"no exporter in this process", "identity: {min_id_length: 1}", nil, false},
		{"the same", "identity: {min_id_length: 3}", []int{3}, false},
		{"the defaults", "{}", []int{amplitude.DefaultMinIDLength}, false},
		{"higher than the exporter's", "identity: {min_id_length: 8}", []int{5}, false},
		{"lower", "identity: {min_id_length: 1}", []int{5}, true},
		{"lower than all", "identity: {min_id_length: 2}", []int{5, 3}, true},
		{"lower than one of two", "identity: {min_id_length: 1}", []int{5, 1}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, length := range tc.exporters {
				t.Cleanup(amplitude.Export(length, nil))
			}
			p, _, logs := logged(t, tc.config)
			require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()), "again, for a second pipeline")
			if !tc.warns {
				assert.Empty(t, logs.All())
				return
			}
			require.Equal(t, 1, logs.Len())
			assert.Contains(t, logs.All()[0].Message, "identity::min_id_length is lower than min_id_length of the amplitude exporter")
		})
	}
	stop := amplitude.Export(5, nil)
	stop()
	stop()
	_, running := amplitude.ShortestExportedID()
	assert.False(t, running, "exporters that stopped do not count")
}
