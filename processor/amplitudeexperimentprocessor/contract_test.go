// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"testing"

	"go.opentelemetry.io/collector/processor/processortest"
)

// TestVerifyShutdown is the core's own test of processors: what was consumed before Shutdown is handed on.
func TestVerifyShutdown(t *testing.T) {
	processortest.VerifyShutdown(t, NewFactory(), createDefaultConfig())
}
