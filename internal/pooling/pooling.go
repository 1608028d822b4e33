// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package pooling refuses the Collector's experimental memory pools for telemetry. With them, a component that keeps a
// record after handing it on, as a queue or a batch does, would read memory that is already reused.
package pooling // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/pooling"

import (
	"fmt"

	"go.opentelemetry.io/collector/featuregate"
)

// Gate is the feature gate that enables the pools.
const Gate = "pdata.useProtoPooling"

// Refuse returns an error if the gate is enabled in the registry. Collectors without the gate are fine.
func Refuse(registry *featuregate.Registry) (err error) {
	registry.VisitAll(func(gate *featuregate.Gate) {
		if gate.ID() == Gate && gate.IsEnabled() {
			err = fmt.Errorf("the feature gate %s is enabled, and with it the Collector itself loses and mixes up log records: "+
				"start without it (remove it from --feature-gates)", Gate)
		}
	})
	return err
}
