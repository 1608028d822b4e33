// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const dayMS = 24 * 60 * 60 * 1000

// drawExposures draws exposures of a few users over three days, each at a different time, in any order.
func drawExposures(t *rapid.T) []exposureOf {
	times := rapid.SliceOfNDistinct(rapid.Int64Range(0, 3*dayMS), 1, 30, rapid.ID[int64]).Draw(t, "times")
	exposures := make([]exposureOf, len(times))
	for i, at := range times {
		exposures[i] = exposureOf{
			user:    fmt.Sprintf("user-%d", rapid.IntRange(1, 2).Draw(t, "user")),
			flag:    rapid.SampledFrom([]string{"checkout", "banner"}).Draw(t, "flag"),
			variant: rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "variant"),
			at:      testTime - 3*dayMS + at,
		}
	}
	return exposures
}

// pass sends exposures in batches of random sizes.
func pass(t testing.TB, rt *rapid.T, r *rig, exposures []exposureOf) {
	for rest := exposures; len(rest) > 0; {
		size := rapid.IntRange(1, len(rest)).Draw(rt, "batch")
		require.NoError(rt, r.ConsumeLogs(t.Context(), logsOf(t, rest[:size]...)))
		rest = rest[size:]
	}
}

// deliver passes exposures through a new processor.
func deliver(t testing.TB, rt *rapid.T, exposures []exposureOf) (*rig, *delivered) {
	next := &unreliable{delivered: newDelivered(), before: func() error { return nil }}
	r := start(t, configOf(t, ""), next)
	pass(t, rt, r, exposures)
	return r, next.delivered
}

func TestHowABatchIsSplitChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		exposures := drawExposures(rt)
		_, one := deliver(t, rt, exposures)
		_, other := deliver(t, rt, exposures)
		require.Equal(rt, one.uniqueIDs(), other.uniqueIDs())
		require.Equal(rt, one.properties, other.properties)
	})
}

func TestOrderBetweenUsersChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		exposures := drawExposures(rt)
		_, one := deliver(t, rt, exposures)
		sorted := slices.Clone(exposures)
		slices.SortStableFunc(sorted, func(a, b exposureOf) int {
			return strings.Compare(b.user+b.flag, a.user+a.flag)
		})
		_, other := deliver(t, rt, sorted)
		require.Equal(rt, one.uniqueIDs(), other.uniqueIDs())
	})
}

func TestAnyOrderGivesTheSameInsertIDsIfNobodyChanges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		exposures := drawExposures(rt)
		for i := range exposures {
			e := &exposures[i]
			e.variant = fmt.Sprintf("%s of %s on day %d", e.flag, e.user, e.at/dayMS)
		}
		_, one := deliver(t, rt, exposures)
		_, other := deliver(t, rt, rapid.Permutation(exposures).Draw(rt, "order"))
		require.Equal(rt, one.uniqueIDs(), other.uniqueIDs())
	})
}

func TestReplayGivesNothingNew(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		exposures := drawExposures(rt)
		r, sent := deliver(t, rt, exposures)
		before := sent.uniqueIDs()
		for range 2 {
			pass(t, rt, r, exposures)
			require.Equal(rt, before, sent.uniqueIDs())
		}
		_, again := deliver(t, rt, exposures)
		require.Equal(rt, before, again.uniqueIDs(), "another replica, or the same without its memory")
	})
}

func TestInAnyOrderNothingIsLostOrRolledBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		exposures := drawExposures(rt)
		_, sent := deliver(t, rt, exposures)
		want, newest := map[string]string{}, map[string]int64{}
		for _, e := range exposures {
			of := e.user + "/" + e.flag
			require.True(rt, sent.exposures[of+"/"+e.variant], "%+v has no event", e)
			if e.at > newest[of] {
				newest[of], want[of] = e.at, e.variant
			}
		}
		require.Equal(rt, want, sent.properties)
	})
}
