// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudesandboxextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension"

import (
	"net"

	"go.opentelemetry.io/collector/component"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
)

// recordsPerSecond bounds what the page shows of records where no amplitude_tap says how much.
const recordsPerSecond = 100

// mountDecisions lets the page show what the processors of this Collector decide about records: as an amplitude_tap of the
// same Collector has it; without one, with ids only where nobody but this machine reaches the page. Of an amplitude_tap
// that asks who is there, the page shows nothing.
func (e *sandboxExtension) mountDecisions(host component.Host) {
	for _, other := range host.GetExtensions() {
		if tapped, ok := other.(interface{ Decisions() *tap.Handler }); ok {
			if decisions := tapped.Decisions(); decisions != nil {
				e.server.Mount(decisions)
			}
			return
		}
	}
	name, _, _ := net.SplitHostPort(e.config.Endpoint)
	e.server.Mount(tap.NewHandler(tap.Settings{MaxPerSecond: recordsPerSecond, ShowIDs: loopback.IsHost(name), Logger: e.set.Logger}))
}
