// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package event // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"

import "strings"

// patterns are names in which only * is special: it stands for any text, also none.
type patterns []string

func (ps patterns) match(name string) bool {
	for _, p := range ps {
		if matchPattern(p, name) {
			return true
		}
	}
	return false
}

// matchPattern needs time in proportion to the name's length for each * of the pattern.
func matchPattern(pattern, name string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], next
	}
}
