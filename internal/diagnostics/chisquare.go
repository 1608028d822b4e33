// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package diagnostics // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"

import "math"

// ChiSquare returns Pearson's statistic of counts against expected shares, and its p-value, which is only valid for a
// single look. Variants without a share do not count.
func ChiSquare(counts, shares []float64) (statistic, p float64) {
	total, sum, tested := 0.0, 0.0, 0
	for i, share := range shares {
		if share > 0 {
			total, sum = total+counts[i], sum+share
			tested++
		}
	}
	for i, share := range shares {
		if want := share / sum * total; want > 0 {
			difference := counts[i] - want
			statistic += difference * difference / want
		}
	}
	if tested < 2 || total == 0 {
		return 0, 1
	}
	return statistic, chiSquareTail(statistic, tested-1)
}

// chiSquareTail returns the probability of a chi-square of at least x with the given degrees of freedom: the
// regularized upper incomplete gamma function Q(df/2, x/2), by series below its mean and by continued fraction above.
func chiSquareTail(x float64, df int) float64 {
	const terms, precision = 500, 1e-15
	a, z := float64(df)/2, x/2
	if z <= 0 {
		return 1
	}
	logGamma, _ := math.Lgamma(a)
	front := math.Exp(a*math.Log(z) - z - logGamma)
	if z < a+1 {
		term := 1 / a
		sum := term
		for n := 1; n < terms && math.Abs(term) > math.Abs(sum)*precision; n++ {
			term *= z / (a + float64(n))
			sum += term
		}
		return max(0, 1-front*sum)
	}
	const tiny = 1e-300
	b := z + 1 - a
	c, d := 1/tiny, 1/b
	h := d
	for n := 1; n < terms; n++ {
		an := -float64(n) * (float64(n) - a)
		b += 2
		d = an*d + b
		if math.Abs(d) < tiny {
			d = tiny
		}
		c = b + an/c
		if math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		step := d * c
		h *= step
		if math.Abs(step-1) < precision {
			break
		}
	}
	return front * h
}
