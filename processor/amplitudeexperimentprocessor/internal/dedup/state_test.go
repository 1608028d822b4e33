// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReturnToAnEarlierResultIsSent(t *testing.T) {
	s, err := New(Settings{MaxEntries: 100, Clock: func() time.Time { return time.UnixMilli(1 << 40) }})
	require.NoError(t, err)
	records := []Record{{Result: 1, Time: 1}, {Result: 1, Time: 2}, {Result: 2, Time: 3}, {Result: 1, Time: 4}}
	want := []Verdict{{}, {Outcome: Repeat}, {Transition: 1, Changed: true}, {Transition: 2, Changed: true}}
	verdicts := make([]Verdict, len(records))
	s.Reserve(t.Context(), records, verdicts).Release()
	assert.Equal(t, want, verdicts)
	s.Reserve(t.Context(), records, verdicts).Commit(t.Context())
	assert.Equal(t, want, verdicts)
	s.Reserve(t.Context(), records, verdicts).Commit(t.Context())
	for _, v := range verdicts {
		assert.Equal(t, Repeat, v.Outcome)
	}
}
