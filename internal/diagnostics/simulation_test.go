// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package diagnostics_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
)

const (
	simulatedRuns    = 200
	simulatedPersons = 20_000
	lookEvery        = 100
	simulationSeed   = 29
)

// world has the actual and the expected split of persons.
type world struct {
	name            string
	control, expect float64
	good            bool
}

var worlds = []world{
	{"50/50 as expected", 0.50, 0.50, true},
	{"95/5 as expected", 0.95, 0.95, true},
	{"53/47, expected 50/50", 0.53, 0.50, false},
}

// alarms is the number of persons until the first alarm of each run that had one.
type alarms []int

func (a alarms) share() float64 { return float64(len(a)) / simulatedRuns }

func (a alarms) median() string {
	if len(a) == 0 {
		return "–"
	}
	slices.Sort(a)
	return strconv.Itoa(a[len(a)/2])
}

// simulate looks at each run of a world every hundred persons, by the sequential test and by chi-square.
func simulate(t testing.TB, w world, runs int) (sequential, classic alarms) {
	t.Helper()
	random := rand.New(rand.NewPCG(simulationSeed, uint64(w.control*1000)))
	for i := range runs {
		book := diagnostics.NewBook(diagnostics.Settings{
			Expected: map[string]map[string]float64{"f": {"control": w.expect, "treatment": 1 - w.expect}},
			MaxFlags: 1, MaxVariants: 2, MaxAllVariants: 2, MaxPersons: diagnostics.DefaultPersons,
		})
		bySequential, byClassic := 0, 0
		for n := 1; n <= simulatedPersons && (bySequential == 0 || byClassic == 0); n++ {
			variant := "treatment"
			if random.Float64() < w.control {
				variant = "control"
			}
			book.Expose(&diagnostics.Exposure{
				Flag: "f", Variant: variant, Person: diagnostics.PersonOf(fmt.Sprintf("user-%d-%d", i, n), ""), Time: int64(n),
			}, int64(n))
			if n%lookEvery > 0 {
				continue
			}
			counts := book.Read()
			require.Len(t, counts, 1)
			if bySequential == 0 && counts[0].Verdict.Mismatch() {
				bySequential = n
			}
			if byClassic == 0 && counts[0].ChiSquare < diagnostics.Alpha {
				byClassic = n
			}
		}
		if bySequential > 0 {
			sequential = append(sequential, bySequential)
		}
		if byClassic > 0 {
			classic = append(classic, byClassic)
		}
	}
	return sequential, classic
}

// BenchmarkSimulation simulates all runs and compares the results with the table in docs/diagnostics.md:
//
//	go test ./internal/diagnostics -run none -bench Simulation -benchtime 1x
func BenchmarkSimulation(b *testing.B) {
	page, err := os.ReadFile("../../docs/diagnostics.md")
	require.NoError(b, err)
	for range b.N {
		for _, w := range worlds {
			sequential, classic := simulate(b, w, simulatedRuns)
			row := fmt.Sprintf("| %s | %.1f %% | %s | %.1f %% | %s |", w.name, 100*sequential.share(), sequential.median(), 100*classic.share(), classic.median())
			if !strings.Contains(string(page), row) {
				b.Errorf("docs/diagnostics.md lacks the row\n%s", row)
			}
			if w.good {
				assert.LessOrEqual(b, sequential.share(), 0.02, w.name)
			} else {
				assert.GreaterOrEqual(b, sequential.share(), 0.95, w.name)
			}
		}
	}
}

// TestSimulation simulates a few of the runs of BenchmarkSimulation.
func TestSimulation(t *testing.T) {
	const few = 2
	for _, w := range worlds {
		sequential, _ := simulate(t, w, few)
		if w.good {
			assert.Empty(t, sequential, w.name)
		} else {
			assert.Len(t, sequential, few, w.name)
		}
	}
}
