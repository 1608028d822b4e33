// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package pattern_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// patterns are also the seeds of the fuzz test.
var patterns = []struct {
	pattern, name string
	match         bool
	starred       string
}{
	{"checkout", "checkout", true, ""},
	{"checkout", "checkout ", false, ""},
	{"", "", true, ""},
	{"", "a", false, ""},
	{"*", "", true, ""},
	{"*", "anything", true, "anything"},
	{"shop.*", "shop.", true, ""},
	{"shop.*", "shop.cart.size", true, "cart.size"},
	{"shop.*", "Shop.cart", false, ""},
	{"*.id", "user.id", true, "user"},
	{"*.id", "user.ids", false, ""},
	{"evaluate *!", "evaluate checkout!", true, "checkout"},
	{"aba*aba", "aba", false, ""},
	{"aba*aba", "abaaba", true, ""},
	{"a*b*c", "a1b2c", true, "1b2"},
	{"a*b*c", "acb", false, ""},
	{"a*b*b", "ab", false, ""},
	{"**", "x", true, "x"},
	{"*a*a*a*a*b", strings.Repeat("a", 1000), false, ""},
	{"[a].(b)?*", "[a].(b)?x", true, "x"},
	{"[a].(b)?", "aab", false, ""},
}

func TestPattern(t *testing.T) {
	for _, tc := range patterns {
		p := pattern.New(tc.pattern)
		starred, ok := p.Capture(tc.name)
		assert.Equal(t, tc.match, ok, "%q of %q", tc.pattern, tc.name)
		assert.Equal(t, tc.starred, starred, "%q of %q", tc.pattern, tc.name)
		assert.Equal(t, tc.match, p.Match(tc.name), "%q of %q", tc.pattern, tc.name)
	}
}

func TestList(t *testing.T) {
	list := pattern.NewList([]string{"a", "b*"})
	assert.True(t, list.Match("a"))
	assert.True(t, list.Match("bee"))
	assert.False(t, list.Match("ab"))
	assert.False(t, pattern.NewList(nil).Match(""))
}

// FuzzPattern compares with regular expressions.
func FuzzPattern(f *testing.F) {
	for _, seed := range patterns {
		f.Add(seed.pattern, seed.name)
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		parts := strings.Split(text, pattern.Star)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		same, err := regexp.Compile("(?s)^" + strings.Join(parts, ".*") + "$")
		if err != nil {
			t.Skip("not UTF-8, of which no regular expression is made")
		}
		p := pattern.New(text)
		assert.Equal(t, same.MatchString(name), p.Match(name), "%q of %q", text, name)
	})
}

func BenchmarkList(b *testing.B) {
	list := pattern.NewList([]string{"[Experiment] *", "$exposure", "$identify"})
	b.ReportAllocs()
	for b.Loop() {
		if !list.Match("[Experiment] Exposure") || list.Match("session_start") {
			b.Fatal("a wrong answer")
		}
	}
}
