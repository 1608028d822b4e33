// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// The maximum cost of a request: a number of steps per byte, and per flag that its records may inherit.
const (
	maxStepsPerByte = 16
	maxStepsPerFlag = 16
)

// FuzzSteps looks for requests whose cost is not proportional to their size. The fuzzer keeps inputs that reach new
// code, and each doubling of the steps per byte is a separate branch, so it climbs to ever more of them.
func FuzzSteps(f *testing.F) {
	marshaler := &plog.ProtoMarshaler{}
	for _, shape := range hostileShapes {
		raw, err := marshaler.MarshalLogs(shape.make(min(shape.n, 40)))
		require.NoError(f, err)
		f.Add(raw)
	}
	p := start(f, configOf(f, `{event_properties: {include: ["*"]}, identity: {groups: {org: org}}, limits: {inherited_mib: 1}, dedup: {enabled: false}}`), nil)
	accepting := start(f, configOf(f, `{accept_shaped: true, limits: {inherited_mib: 1}, dedup: {enabled: false}}`), nil)
	exposing := start(f, configOf(f, `{assignment: {emit: both}, insert_id: {format: sdk}, event_properties: {include: ["*"]}, limits: {inherited_mib: 1}, dedup: {enabled: false}}`), nil)
	const inheritedFlags = 1 << 20 / 200
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, r := range []*rig{p, accepting, exposing} {
			ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(raw)
			if err != nil {
				return
			}
			n := int(steps.Count(func() { require.NoError(t, r.ConsumeLogs(t.Context(), ld)) }))
			r.sink.Reset()
			require.LessOrEqual(t, n, maxStepsPerByte*len(raw)+maxStepsPerFlag*inheritedFlags)
			reached(bits.Len(uint(4 * n / (len(raw) + 1))))
		}
	})
}

// climbed counts how often each level was reached. Nobody reads it; all that matters is that each level is a separate
// branch.
var climbed [12]int

func reached(height int) {
	switch height {
	case 0:
		climbed[0]++
	case 1:
		climbed[1]++
	case 2:
		climbed[2]++
	case 3:
		climbed[3]++
	case 4:
		climbed[4]++
	case 5:
		climbed[5]++
	case 6:
		climbed[6]++
	case 7:
		climbed[7]++
	case 8:
		climbed[8]++
	case 9:
		climbed[9]++
	case 10:
		climbed[10]++
	default:
		climbed[11]++
	}
}
