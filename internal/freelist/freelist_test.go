// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package freelist_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"
)

func TestList(t *testing.T) {
	list := freelist.New[*int](1)
	_, ok := list.Get()
	assert.False(t, ok, "nothing is idle")
	first, second := new(int), new(int)
	list.Put(first)
	list.Put(second)
	got, ok := list.Get()
	assert.True(t, ok)
	assert.Same(t, first, got)
	_, ok = list.Get()
	assert.False(t, ok, "the second did not fit")
}

// TestConcurrentUse: a value has one user at a time.
func TestConcurrentUse(*testing.T) {
	list := freelist.New[*int](4)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 1000 {
				value, ok := list.Get()
				if !ok {
					value = new(int)
				}
				*value++ // the race detector sees two users
				list.Put(value)
			}
		})
	}
	group.Wait()
}

func TestNoAllocations(t *testing.T) {
	list := freelist.New[*int](1)
	list.Put(new(int))
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		value, _ := list.Get()
		list.Put(value)
	}))
}
