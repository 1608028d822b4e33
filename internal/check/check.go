// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package check makes the errors of a configuration: each names the key and says what was found. The Collector prefixes
// them with the section. An address that is in use when a component starts is such an error, too.
package check // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/check"

import (
	"fmt"
	"slices"
	"strings"
)

// Number is any type of a numeric key.
type Number interface {
	~int | ~int64 | ~float64
}

// OneOf requires one of the allowed values. The configuration reference extracts them from the call.
func OneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("`%s` must be %s (got %q)", key, either(allowed), value)
}

// either lists words as in "a, b or c".
func either(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Positive requires a number above 0.
func Positive[N Number](key string, value N) error {
	if value > 0 {
		return nil
	}
	return fmt.Errorf("`%s` must be positive (got %v)", key, value)
}

// NotNegative requires a number that is at least 0, and not NaN.
func NotNegative[N Number](key string, value N) error {
	if value >= 0 {
		return nil
	}
	return fmt.Errorf("`%s` must not be negative (got %v)", key, value)
}

// Between requires a number from low to high, both included.
func Between[N Number](key string, value, low, high N) error {
	if value >= low && value <= high {
		return nil
	}
	return fmt.Errorf("`%s` must be between %v and %v (got %v)", key, low, high, value)
}

// Names requires a list without blank or duplicate entries.
func Names(key string, names []string) error {
	seen := make(map[string]struct{}, len(names))
	for _, name := range names {
		if strings.TrimSpace(name) == "" {
			return fmt.Errorf("`%s` must not contain a blank entry (got %q)", key, name)
		}
		if _, twice := seen[name]; twice {
			return fmt.Errorf("`%s` must not contain a duplicate entry (got %q)", key, name)
		}
		seen[name] = struct{}{}
	}
	return nil
}
