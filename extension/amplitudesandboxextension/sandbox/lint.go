// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/sandbox"

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// secondsBound is the time, in ms, below which a value is more likely seconds.
const secondsBound = 1e11

// lint records what real Amplitude accepts in silence although it is most likely a mistake.
func (s *Server) lint(p *project, e *event, u *user, now time.Time, insertID string, warn func(string)) {
	if insertID == "" {
		warn("no insert_id: a retry would be stored twice")
	}
	if n, ok := e.fields[amplitude.FieldTime].(json.Number); ok {
		switch ms, _ := n.Float64(); {
		case ms < secondsBound:
			warn("time looks like seconds; it must be milliseconds")
		case ms > float64(now.Add(24*time.Hour).UnixMilli()):
			warn("time is more than a day in the future")
		}
	}
	for _, group := range propertyGroups {
		sent := 0
		for _, field := range group {
			if e.fields[field] != nil {
				sent++
			}
		}
		if sent > 0 && sent < len(group) {
			warn("only " + strconv.Itoa(sent) + " of " + strconv.Itoa(len(group)) + " fields of the group of " + group[0] + ": the others are reset")
		}
	}
	_, _ = p, u
}
