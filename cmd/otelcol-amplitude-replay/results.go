// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/replay"
)

// results are what became of the letters of a file.
type results struct {
	all []result
	// places finds them by line and number.
	places map[[2]int]int
}

// result is what became of one letter; number 0 is its whole line.
type result struct {
	line, number int
	what         replay.Letter
}

func (r *results) add(line, number int, what replay.Letter) {
	what.ID = ""
	if r.places == nil {
		r.places = map[[2]int]int{}
	}
	r.places[[2]int{line, number}] = len(r.all)
	r.all = append(r.all, result{line, number, what})
}

func (r *results) of(l *letter) (replay.Letter, bool) {
	i, ok := r.places[[2]int{l.line, l.number}]
	if !ok {
		return replay.Letter{}, false
	}
	return r.all[i].what, true
}

// allHandled reports whether nothing has to be sent again.
func (r *results) allHandled() bool {
	return !slices.ContainsFunc(r.all, func(one result) bool { return !one.what.Outcome.Handled() && one.what.Outcome != handledBefore })
}

// print writes what became of each letter, grouping letters of a line with the same outcome, and the totals.
func (r *results) print(out io.Writer) {
	slices.SortStableFunc(r.all, func(a, b result) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.number, b.number)) })
	r.places = nil
	var sums []string
	counts := map[string]int{}
	for i := 0; i < len(r.all); {
		first, n := r.all[i], 1
		for i+n < len(r.all) && r.all[i+n].line == first.line && r.all[i+n].what == first.what && r.all[i+n].number == first.number+n {
			n++
		}
		where := fmt.Sprintf("line %d", first.line)
		switch {
		case first.number > 0 && n > 1:
			where += fmt.Sprintf(", letters %d to %d", first.number, first.number+n-1)
		case first.number > 0:
			where += fmt.Sprintf(", letter %d", first.number)
		}
		why := first.what.Why
		if why != "" {
			why = " (" + why + ")"
		}
		fmt.Fprintf(out, "%s: %s%s\n", where, first.what.Outcome, why)
		word := string(first.what.Outcome)
		if counts[word] == 0 {
			sums = append(sums, word)
		}
		counts[word] += n
		i += n
	}
	fmt.Fprintf(out, "%d letter%s", len(r.all), map[bool]string{false: "s"}[len(r.all) == 1])
	for i, word := range sums {
		fmt.Fprintf(out, "%s%d %s", map[bool]string{true: ": ", false: ", "}[i == 0], counts[word], word)
	}
	fmt.Fprintln(out)
}
