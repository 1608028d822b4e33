// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Summary is what the shop did and what Amplitude should show. It is written independently of the components, from two
// rules: equal results of a user within one UTC day are one event, and the property holds the last result.
type Summary struct {
	// Records is how many log records were written.
	Records int `json:"records"`
	// Exposures and Assignments are the events that should arrive, un-exposures included.
	Exposures   int `json:"exposures"`
	Assignments int `json:"assignments"`
	// Repeats are the records with the same result as an earlier event of the day.
	Repeats int `json:"repeats"`
	// Skipped are evaluations of flags that are the same for everyone.
	Skipped int `json:"skipped"`
	// Orders is the number of orders, OrdersByVariant the number by users in each variant of checkout-flow.
	Orders          int            `json:"orders"`
	OrdersByVariant map[string]int `json:"orders_by_variant"`
	// Users maps each user_id to the experiment properties that it should end with.
	Users map[string]map[string]string `json:"users"`
}

// left is the state of a user who left an experiment; no variant has an empty name.
const left = ""

type subject struct{ kind, user, flag string }

type result struct {
	subject
	day  int64
	says string
}

type books struct {
	mu      sync.Mutex
	summary Summary
	told    map[result]bool
}

func newBooks() *books {
	return &books{told: map[result]bool{}, summary: Summary{Users: map[string]map[string]string{}, OrdersByVariant: map[string]int{}}}
}

func (b *books) evaluated(user, flag, variant string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Contains(experiments, flag) {
		b.summary.Records++
		b.summary.Skipped++
		return
	}
	b.exposed(user, flag, variant, at)
}

func (b *books) ordered(variant string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.summary.Records++
	b.summary.Orders++
	b.summary.OrdersByVariant[variant]++
}

func (b *books) unexposed(user, flag string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.exposed(user, flag, left, at)
}

func (b *books) exposed(user, flag, variant string, at time.Time) {
	if b.isNew(subject{"exposure", user, flag}, variant, at) {
		b.summary.Exposures++
	}
	b.set(user, flag, variant)
}

func (b *books) assigned(user string, variants map[string]string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var says strings.Builder
	for _, flag := range slices.Sorted(maps.Keys(variants)) {
		fmt.Fprintf(&says, "%q=%q ", flag, variants[flag])
	}
	if b.isNew(subject{"assignment", user, "*"}, says.String(), at) {
		b.summary.Assignments++
	}
	for flag, variant := range variants {
		if variant == "off" { // in an assignment, Amplitude reserves this name for "not assigned"
			variant = left
		}
		b.set(user, flag, variant)
	}
}

func (b *books) isNew(who subject, says string, at time.Time) bool {
	b.summary.Records++
	this := result{who, at.UnixMilli() / (24 * time.Hour).Milliseconds(), says}
	if b.told[this] {
		b.summary.Repeats++
		return false
	}
	b.told[this] = true
	return true
}

func (b *books) set(user, flag, variant string) {
	properties := b.summary.Users[user]
	if properties == nil {
		properties = map[string]string{}
		b.summary.Users[user] = properties
	}
	if variant == left {
		delete(properties, "[Experiment] "+flag)
		return
	}
	properties["[Experiment] "+flag] = variant
}

func (b *books) close() Summary {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.summary
}
