// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package diagnostics // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
)

const (
	// Alpha is the probability that a split as expected is ever reported as a mismatch.
	Alpha = 0.01
	// concentration is the weight of the prior in persons: it expects splits that are off by a few percentage points.
	concentration = 200
)

// Shares are the expected shares of the variants of a flag.
type Shares struct {
	// Of has each variant's share; they add up to 1.
	Of map[string]float64
	// text describes the weights, and tag is a hash of it that is never 0.
	text string
	tag  uint16
}

// NewShares returns the shares for positive weights; nil if there are none.
func NewShares(weights map[string]float64) *Shares {
	if len(weights) == 0 {
		return nil
	}
	sum := 0.0
	for _, weight := range weights {
		sum += weight
	}
	s := &Shares{Of: make(map[string]float64, len(weights))}
	var text []string
	for _, variant := range slices.Sorted(maps.Keys(weights)) {
		s.Of[variant] = weights[variant] / sum
		text = append(text, strconv.Quote(variant)+": "+strconv.FormatFloat(s.Of[variant], 'g', 10, 64))
	}
	s.text = strings.Join(text, ", ")
	s.tag = max(1, uint16(xxh3.HashString(s.text)))
	return s
}

// String returns the shares, sorted by variant.
func (s *Shares) String() string {
	if s == nil {
		return ""
	}
	return s.text
}

// of returns the share of a variant, if it is expected.
func (s *Shares) of(variant string) (share float64, expected bool) {
	if s == nil {
		return 0, false
	}
	share, expected = s.Of[variant]
	return share, expected
}

func (s *Shares) tagOf() uint16 {
	if s == nil {
		return 0
	}
	return s.tag
}

// Evidence returns the natural logarithm of the Bayes factor against the expected shares, given how many persons saw
// each variant first. Variants without a share do not count. If the shares hold, it ever exceeds log(1/alpha) with a
// probability of at most alpha.
func Evidence(shares *Shares, persons map[string]int) float64 {
	total, evidence := 0.0, 0.0
	for variant, share := range shares.Of {
		n := float64(persons[variant])
		prior := concentration * share
		evidence += lgamma(prior+n) - lgamma(prior) - n*math.Log(share)
		total += n
	}
	return evidence + lgamma(concentration) - lgamma(concentration+total)
}

func lgamma(x float64) float64 {
	value, _ := math.Lgamma(x)
	return value
}

// levelPrice is subtracted from the evidence of a sample of a level, so that the tests of all levels together report a
// good split as bad with the probability of a single test.
func levelPrice(level uint8) float64 {
	return math.Log(float64(level)+1) + math.Log(float64(level)+2)
}

// PValue returns the p-value of evidence, which is valid if the evidence is the highest of all looks.
func PValue(evidence float64) float64 { return math.Exp(-max(0, evidence)) }
