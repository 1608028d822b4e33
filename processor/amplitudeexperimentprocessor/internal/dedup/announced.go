// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"cmp"
	"slices"
)

// announcement is a change that was written down before it was sent.
type announcement struct {
	result uint64
	oldest int64 // event time in ms of the first record that is it
	newest int64 // the same of the last
	bucket int32
	n      uint32
	// arrived says that it was accepted; of the others nobody knows.
	arrived bool
}

// announcements holds, for the subjects that had changes on their way when the process died, all of
// them in the order of their numbers. A sender that sends them again means the same events, so each
// has to get the number, and by that the insert_id, that it had, also when something newer was
// accepted in between. The entry of the subject knows only the last.
type announcements map[id][]announcement

// add takes up a change that was read from the journal, beside what is known of its subject, if
// anything. It reports whether the change comes after that, so that the entry of the subject becomes it.
func (a *announcements) add(img *image, known *entry) (leads bool) {
	one := announcement{
		result: img.result, oldest: img.newest, newest: img.newest, bucket: img.bucket, n: img.n,
		arrived: img.flags&imageArrived != 0,
	}
	leads = true
	chain := (*a)[img.id]
	if len(chain) > 0 && chain[0].bucket != one.bucket {
		chain = nil
	}
	if known != nil && !known.is(flagUnconfirmed) {
		switch {
		case known.bucket != one.bucket:
			leads = one.newest >= known.newest
		case known.n == one.n && known.result == one.result:
			return false // it was accepted
		default:
			leads = one.n > known.n
			chain = insert(chain, announcement{
				result: known.result, newest: known.newest, bucket: known.bucket, n: known.n, arrived: true,
			})
		}
	}
	if *a == nil {
		*a = announcements{}
	}
	chain = insert(chain, one)
	(*a)[img.id] = chain
	return leads && chain[len(chain)-1].n == one.n
}

func insert(chain []announcement, one announcement) []announcement {
	at, known := slices.BinarySearchFunc(chain, one, func(x, y announcement) int { return cmp.Compare(x.n, y.n) })
	if known {
		if before := &chain[at]; before.result == one.result {
			one.oldest, one.newest = min(one.oldest, before.oldest), max(one.newest, before.newest)
		}
		chain[at] = one
		return chain
	}
	return slices.Insert(chain, at, one)
}

// find returns the announced change that a record of the subject k at time t is: that of its result,
// or the one before, which it repeats. The first result of a bucket is not announced; what came
// before the first change was it. Older tells that the record came before all of them.
func (a announcements) find(k id, rec *Record, t int64) (one announcement, ok, older bool) {
	chain := a[k]
	for i, one := range chain {
		switch {
		case one.bucket != rec.Bucket:
			return announcement{}, false, false
		case t > one.newest:
		case one.result == rec.Result && (i > 0 || one.arrived || t >= one.oldest):
			return one, true, false
		case i > 0:
			return chain[i-1], chain[i-1].result == rec.Result, false
		default:
			return announcement{}, one.n == 1, one.n != 1
		}
	}
	return announcement{}, false, false
}

// arrived notes that a record was accepted, and forgets what no longer awaits an answer.
func (a announcements) arrived(n *node) {
	chain := a[n.id]
	if len(chain) == 0 {
		return
	}
	if first := chain[0]; n.n == 0 && first.n == 1 && first.bucket == n.bucket {
		one := announcement{result: n.result, newest: n.newest, bucket: n.bucket, arrived: true}
		chain = slices.Insert(chain, 0, one)
		a[n.id] = chain
	}
	open := false
	for i := range chain {
		one := &chain[i]
		if one.bucket == n.bucket && one.n == n.n && one.result == n.result {
			one.arrived = true
			one.newest = max(one.newest, n.newest)
		}
		open = open || !one.arrived
	}
	if !open {
		a.forget(n.id)
	}
}

func (a announcements) forget(k id) { delete(a, k) }
