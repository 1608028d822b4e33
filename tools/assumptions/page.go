// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/assumptions"

import (
	_ "embed"
	"strings"
)

//go:embed page.md
var pageHead string

// renderPage returns docs/assumptions.md.
func renderPage() string {
	var out strings.Builder
	out.WriteString(pageHead)
	for _, section := range []struct {
		title, lead string
		has         func(r *row) bool
	}{
		{"What is stored", "Needs `SECRET_KEY`.", func(r *row) bool { return r.read != nil }},
		{"What is answered", "The API key is enough.", func(r *row) bool { return r.ask != nil && !r.heavy }},
		{"Checks that send thousands of events, or may trigger a firewall", "The API key is enough; needs `HEAVY=1`.", func(r *row) bool { return r.ask != nil && r.heavy }},
		{"What no program can check", "", func(r *row) bool { return !r.asks() }},
	} {
		out.WriteString("\n## " + section.title + "\n\n")
		if section.lead != "" {
			out.WriteString(section.lead + "\n\n")
		}
		var asked bool
		for i := range rows {
			asked = asked || section.has(&rows[i]) && rows[i].asks()
		}
		head, line := "| row | we assume | source | if we are wrong |", "|---|---|---|---|"
		if asked {
			head, line = head+" sandbox: the opposite with |", line+"---|"
		}
		out.WriteString(head + "\n" + line + "\n")
		for i := range rows {
			r := &rows[i]
			if !section.has(r) {
				continue
			}
			cells := []string{"`" + r.id + "`", r.what, r.source, r.otherwise}
			if asked {
				cells = append(cells, shownTurn(r.turn))
			}
			for i, cell := range cells {
				cells[i] = strings.ReplaceAll(cell, "|", `\|`)
			}
			out.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		}
	}
	return out.String()
}

// shownTurn is the switch of a row as one writes it under `behavior`, or empty if there is none.
func shownTurn(turn string) string {
	if turn == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(turn, "{"), "}"), `"`, "") + "`"
}
