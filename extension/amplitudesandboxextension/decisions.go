// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudesandboxextension // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension"

import (
	"net"

	"go.opentelemetry.io/collector/component"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"
)

// recordsPerSecond bounds the records that the page shows if there is no amplitude_tap with its own limit.
const recordsPerSecond = 100

// mountDecisions lets the page show what the processors of this Collector decide about records, with the settings of an
// amplitude_tap in the same Collector; without one, ids are shown only if only this machine can reach the page. If the
// amplitude_tap requires authentication, the page shows nothing.
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
