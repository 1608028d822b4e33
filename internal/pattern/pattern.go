// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package pattern matches names with patterns in which only * is special.
package pattern // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"

import "strings"

// Star matches any text, including none.
const Star = "*"

// Pattern is a text in which each * matches any text.
type Pattern struct {
	// head is before the first star, tail after the last; without a star, head is all.
	head, tail string
	// between are the texts from one star to the next.
	between []string
	open    bool
}

// New parses a pattern; every text is valid.
func New(text string) Pattern {
	parts := strings.Split(text, Star)
	last := len(parts) - 1
	if last == 0 {
		return Pattern{head: text}
	}
	return Pattern{head: parts[0], between: parts[1:last], tail: parts[last], open: true}
}

// Head is the text that every match starts with.
func (p *Pattern) Head() string { return p.head }

// Match reports whether the pattern matches all of name. It takes time proportional to the length of name for each
// star.
func (p *Pattern) Match(name string) bool {
	if !p.open {
		return name == p.head
	}
	end := len(name) - len(p.tail)
	if end < len(p.head) || name[:len(p.head)] != p.head || name[end:] != p.tail {
		return false
	}
	rest := name[len(p.head):end]
	for _, text := range p.between {
		at := strings.Index(rest, text)
		if at < 0 {
			return false
		}
		rest = rest[at+len(text):]
	}
	return true
}

// Capture does the same, and returns what the star matched; for several stars, everything from the first to the last.
func (p *Pattern) Capture(name string) (starred string, ok bool) {
	switch {
	case !p.Match(name):
		return "", false
	case !p.open:
		return "", true
	default:
		return name[len(p.head) : len(name)-len(p.tail)], true
	}
}

// List is a list of patterns.
type List []Pattern

// NewList parses patterns.
func NewList(texts []string) List {
	list := make(List, len(texts))
	for i, text := range texts {
		list[i] = New(text)
	}
	return list
}

// Match reports whether one of the patterns matches name.
func (l List) Match(name string) bool {
	for i := range l {
		if l[i].Match(name) {
			return true
		}
	}
	return false
}
