// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	testDay = 20_000
	testNow = int64(testDay)*86_400_000 + 43_200_000
)

// openLedger starts a ledger, with a storage unless it is nil; options change its settings.
func openLedger(t require.TestingT, kept *memStorage, options ...func(*Settings)) *Ledger {
	set := Settings{MaxEntries: 100_000, Clock: func() time.Time { return time.UnixMilli(testNow) }, Scope: "day UTC"}
	if kept != nil {
		set.Storage = &storageID
	}
	for _, option := range options {
		option(&set)
	}
	l, err := New(set)
	require.NoError(t, err)
	require.NoError(t, l.Start(context.Background(), kept))
	if l.journal != nil {
		l.journal.patience = wait
	}
	return l
}

// testTime returns a number of seconds after noon.
func testTime(seconds int) time.Time { return time.UnixMilli(testNow + int64(seconds)*1000) }

func clockOf(now *time.Time) func(*Settings) {
	return func(set *Settings) { set.Clock = func() time.Time { return *now } }
}

// exposure makes an exposure of a user, without a device unless the test sets one.
func exposure(user string, value uint64, at int64) Record {
	return Record{User: UserID(user), Event: testHash(value, 1), Day: int32(at / 86_400_000), Time: at, To: 1}
}

// reserveOne decides about one exposure of flag 7.
func reserveOne(l *Ledger, rec Record, value uint64) (*Reservation, Verdict) {
	verdicts := make([]Verdict, 1)
	r := l.Reserve(context.Background(), []Record{rec}, []Flag{{Key: 7, Value: value}}, verdicts, make([]Decision, 1))
	return r, verdicts[0]
}

// Abbreviations of verdicts.
const (
	sendsEvent    = "event"
	sendsIdentify = "$identify"
	sendsBoth     = "event and $identify"
	sendsNothing  = "repeat"
)

func answerOf(v Verdict) string {
	switch {
	case v.Event != 0 && v.Identify != 0:
		return sendsBoth
	case v.Event != 0:
		return sendsEvent
	case v.Identify != 0:
		return sendsIdentify
	default:
		return sendsNothing
	}
}

// report reports one exposure, which is delivered immediately, and returns the verdict.
func report(l *Ledger, user string, value uint64, at int64) string {
	r, v := reserveOne(l, exposure(user, value, at), value)
	r.HandOver(context.Background())
	r.Accept()
	return answerOf(v)
}

// reportMany reports one exposure for each of many users, in one batch, and counts the verdicts.
func reportMany(l *Ledger, from, to int) map[string]int {
	var records []Record
	var flags []Flag
	now, _ := l.now()
	for i := from; i < to; i++ {
		at := int32(len(records))
		records = append(records, Record{User: testHash(uint64(i), userSeed), Event: ID{1, 1}, Day: testDay, Time: now, From: at, To: at + 1})
		flags = append(flags, Flag{Key: 7, Value: 1})
	}
	verdicts := make([]Verdict, len(records))
	r := l.Reserve(context.Background(), records, flags, verdicts, make([]Decision, len(flags)))
	r.HandOver(context.Background())
	r.Accept()
	count := make(map[string]int)
	for _, v := range verdicts {
		count[answerOf(v)]++
	}
	return count
}
