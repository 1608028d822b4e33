// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"

import (
	"cmp"
	"slices"
)

// announcement is a change that was written down before it was sent, and of which the journal does
// not say whether it was accepted.
type announcement struct {
	result uint64
	newest int64
	bucket int32
	n      uint32
}

// announcements holds, for the subjects that had changes on their way when the process died, all of
// them in the order of their numbers. A sender that sends them again means the same events, so each
// has to get the number, and by that the insert_id, that it had. The entry of the subject knows only
// the last.
type announcements map[id][]announcement

// add takes up a change that was read from the journal, and what the state was before the first of
// them. It returns false if a later one of the same bucket is known, to which the entry belongs.
func (a *announcements) add(img image, before *entry) (last bool) {
	if *a == nil {
		*a = announcements{}
	}
	chain := (*a)[img.id]
	if len(chain) == 0 && before != nil && before.bucket == img.bucket && before.n < img.n {
		chain = append(chain, announcement{result: before.result, newest: before.newest, bucket: before.bucket, n: before.n})
	}
	if len(chain) > 0 && chain[0].bucket != img.bucket {
		chain = nil
	}
	one := announcement{result: img.result, newest: img.newest, bucket: img.bucket, n: img.n}
	at, known := slices.BinarySearchFunc(chain, one, func(x, y announcement) int { return cmp.Compare(x.n, y.n) })
	if known {
		chain[at] = one
	} else {
		chain = slices.Insert(chain, at, one)
	}
	(*a)[img.id] = chain
	return at == len(chain)-1
}

// number returns the number that a record of the subject k at time t had when it was announced: that
// of the change that it is, or of the one before, which it repeats. The first result of a bucket is
// not announced; what came before the first change was it.
func (a announcements) number(k id, rec *Record, t int64) (uint32, bool) {
	chain := a[k]
	for i, one := range chain {
		switch {
		case one.bucket != rec.Bucket:
			return 0, false
		case t > one.newest:
		case one.result == rec.Result:
			return one.n, true
		case i > 0:
			return chain[i-1].n, chain[i-1].result == rec.Result
		default:
			return 0, one.n == 1
		}
	}
	return 0, false
}

func (a announcements) forget(k id) { delete(a, k) }
