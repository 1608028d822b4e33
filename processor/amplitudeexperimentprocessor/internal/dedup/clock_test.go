// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestClockOfTheCollectorIsSetBack between two changes of a user, whose own clock goes on: each change
// is sent, and what repeats it is not.
func TestClockOfTheCollectorIsSetBack(t *testing.T) {
	for name, back := range map[string]time.Duration{"seconds": time.Second, "minutes": 5 * time.Minute, "days": 10 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			off := time.Duration(0)
			state := newState(t, Settings{Clock: func() time.Time { return time.UnixMilli(testNow).Add(off) }})
			var got []Verdict
			for i, result := range []uint64{1, 2, 1, 1, 2, 2, 1} {
				if i == 2 {
					off = -back
				}
				rec := Record{Subject: Key{1}, Result: result, Bucket: 1, Time: testNow - 100 + int64(i)*10}
				verdict := decideOne(t, state, rec)
				verdict.Changed = false
				got = append(got, verdict)
			}
			assert.Equal(t, []Verdict{
				{Outcome: Send},
				{Outcome: Send, Transition: 1},
				{Outcome: Send, Transition: 2},
				{Outcome: Repeat},
				{Outcome: Send, Transition: 3},
				{Outcome: Repeat},
				{Outcome: Send, Transition: 4},
			}, got)
		})
	}
}
