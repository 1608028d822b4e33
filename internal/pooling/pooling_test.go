// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package pooling

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/featuregate"
)

func TestRefuse(t *testing.T) {
	registry := featuregate.NewRegistry()
	require.NoError(t, Refuse(registry), "a core that does not know the gate")
	registry.MustRegister(Gate, featuregate.StageAlpha)
	require.NoError(t, Refuse(registry), "off by default")
	require.NoError(t, registry.Set(Gate, true))
	assert.ErrorContains(t, Refuse(registry), "pdata.useProtoPooling")
}
