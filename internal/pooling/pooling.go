// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package pooling refuses the Collector's experimental memory pools for telemetry. A component that keeps a
// record after it has handed it on, as a queue or a batch does, would read memory that is already somebody else's.
package pooling // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/pooling"

import (
	"fmt"

	"go.opentelemetry.io/collector/featuregate"
)

// Gate is the feature gate that switches the pools on.
const Gate = "pdata.useProtoPooling"

// Refuse returns an error when the gate of the registry is on. Collectors without the gate pass.
func Refuse(registry *featuregate.Registry) (err error) {
	registry.VisitAll(func(gate *featuregate.Gate) {
		if gate.ID() == Gate && gate.IsEnabled() {
			err = fmt.Errorf("the feature gate %s is on: with it the Collector itself loses and mixes up log records; "+
				"start without it (take it out of --feature-gates)", Gate)
		}
	})
	return err
}
