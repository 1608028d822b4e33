// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// said is a record and its verdict: user, device, the values of the flags f, g, ... ("-" leaves one out, "" is unset),
// and the second and day.
type said struct {
	user, device string
	values       []string
	at           int64
	day          int32
	want         string
	operations   string // of the event and of the $identify, as flags
}

func (s said) record(from int32) (rec Record, flags []Flag) {
	var subject strings.Builder
	subject.WriteString(s.user + "|" + s.device)
	for i, value := range s.values {
		if value != "-" {
			flags = append(flags, Flag{uint64('f' + i), valueOf(value)})
			fmt.Fprintf(&subject, "|%d=%s", i, value)
		}
	}
	return Record{
		User: UserID(s.user), Device: DeviceID(s.device), Event: ID{1, valueOf(subject.String())}, Day: testDay + s.day,
		Time: testNow - 1_000_000 + s.at*1000, From: from, To: from + int32(len(flags)),
	}, flags
}

// operationsOf returns the flags whose operations the event carries and, after a slash, those of the $identify.
func operationsOf(flags []Flag, decisions []Decision, v Verdict) string {
	var text strings.Builder
	for _, mark := range []Decision{Operate, Repair} {
		for i, flag := range flags {
			if decisions[i]&mark != 0 && (mark == Repair || v.Event != 0) {
				text.WriteRune(rune(flag.Key))
			}
		}
		if mark == Operate && v.Identify != 0 {
			text.WriteByte('/')
		}
	}
	return text.String()
}

func TestRules(t *testing.T) {
	f := func(values ...string) []string { return values }
	for name, steps := range map[string][]said{
		"a repeat": {
			{"u", "", f("A"), 0, 0, sendsEvent, "f"},
			{"u", "", f("A"), 9, 0, sendsNothing, ""},
		},
		"A, B, A: three changes of the property, two events": {
			{"u", "", f("A"), 0, 0, sendsEvent, "f"},
			{"u", "", f("B"), 1, 0, sendsBoth, "f/f"},
			{"u", "", f("A"), 2, 0, sendsIdentify, "/f"},
			{"u", "", f("A"), 3, 0, sendsNothing, ""},
		},
		"another device of the user": {
			{"u", "one", f("A"), 0, 0, sendsEvent, "f"},
			{"u", "two", f("B"), 1, 0, sendsBoth, "f/f"},
			{"u", "one", f("A"), 2, 0, sendsIdentify, "/f"},
		},
		"the same on a new day": {
			{"u", "", f("A"), 0, 0, sendsEvent, "f"},
			{"u", "", f("A"), 1, 1, sendsEvent, "f"},
			{"u", "", f("A"), 2, 1, sendsNothing, ""},
		},
		// The event sets the property and a $identify follows it, on a later day as well as on the same one.
		"another on a new day": {
			{"u", "", f("A"), 0, 0, sendsEvent, "f"},
			{"u", "", f("B"), 1, 1, sendsBoth, "f/f"},
			{"u", "", f("B"), 2, 1, sendsNothing, ""},
			{"u", "", f("B"), 3, 2, sendsEvent, "f"},
		},
		"a late one completes the history": {
			{"u", "", f("A"), 5, 0, sendsEvent, "f"},
			{"u", "", f("B"), 0, 0, sendsEvent, ""},
			{"u", "", f("B"), 0, 0, sendsNothing, ""},
			{"u", "", f("B"), 6, 0, sendsIdentify, "/f"},
		},
		"a repeat confirms that the value is still current": {
			{"u", "", f("A"), 0, 0, sendsEvent, "f"},
			{"u", "", f("A"), 9, 0, sendsNothing, ""},
			{"u", "", f("B"), 5, 0, sendsEvent, ""},
		},
		// In the original rules, a repeat confirmed a value only if nothing had to be set again: the late g=B changed g.
		"even if another flag has to be set again": {
			{"u", "", f("A", ""), 1, 0, sendsEvent, "fg"},
			{"u", "", f("B"), 2, 0, sendsBoth, "f/f"},
			{"u", "", f("A", ""), 5, 0, sendsIdentify, "/f"},
			{"u", "", f("", "B"), 3, 0, sendsEvent, ""},
		},
		"a replay of yesterday": {
			{"u", "", f("A"), 0, 0, sendsEvent, "f"},
			{"u", "", f("B"), 1, 0, sendsBoth, "f/f"},
			{"u", "", f("A"), 2, 1, sendsBoth, "f/f"},
			{"u", "", f("B"), 1, 0, sendsNothing, ""},
			{"u", "", f("A"), 2, 1, sendsNothing, ""},
		},
		"a device belongs to its last user": {
			{"u", "d", f("A"), 0, 0, sendsEvent, "f"},
			{"", "d", f("B"), 1, 0, sendsBoth, "f/f"},
			{"u", "d", f("A"), 2, 0, sendsIdentify, "/f"},
		},
		"an anonymous device brings its properties along": {
			{"", "d", f("A"), 0, 0, sendsEvent, "f"},
			{"u", "d", f("B"), 1, 0, sendsBoth, "f/f"},
		},
		"from before the login": {
			{"u", "d", f("A"), 5, 0, sendsEvent, "f"},
			{"", "d", f("B"), 0, 0, sendsEvent, ""},
		},
		"some of the flags are late": {
			{"u", "", f("A"), 5, 0, sendsEvent, "f"},
			{"u", "", f("B", "B"), 1, 0, sendsEvent, "g"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			one, all := openLedger(t, nil), openLedger(t, nil)
			var records []Record
			var flags []Flag
			for i, s := range steps {
				rec, own := s.record(0)
				verdicts, decisions := make([]Verdict, 1), make([]Decision, len(own))
				one.Reserve(t.Context(), []Record{rec}, own, verdicts, decisions).Accept()
				assert.Equal(t, s.want, answerOf(verdicts[0]), "step %d", i)
				assert.Equal(t, s.operations, operationsOf(own, decisions, verdicts[0]), "step %d", i)
				rec, own = s.record(int32(len(flags)))
				records, flags = append(records, rec), append(flags, own...)
			}
			verdicts, decisions := make([]Verdict, len(records)), make([]Decision, len(flags))
			all.Reserve(t.Context(), records, flags, verdicts, decisions).Accept()
			for i, s := range steps {
				rec := records[i]
				assert.Equal(t, s.want, answerOf(verdicts[i]), "step %d of one batch", i)
				assert.Equal(t, s.operations, operationsOf(flags[rec.From:rec.To], decisions[rec.From:rec.To], verdicts[i]), "step %d of one batch", i)
			}
			require.NoError(t, one.Shutdown(t.Context()))
			require.NoError(t, all.Shutdown(t.Context()))
		})
	}
}

// TestFactOfAPastDayMakesRoom for the next one of its property: yesterday's record is sent again, which Amplitude drops
// by its insert_id, and changes nothing because it is late.
func TestFactOfAPastDayMakesRoom(t *testing.T) {
	const day = 86_400_000
	l := openLedger(t, nil)
	assert.Equal(t, sendsEvent, report(l, "u", 1, testNow-day))
	assert.Equal(t, sendsEvent, report(l, "u", 1, testNow))
	assert.EqualValues(t, 1, l.Stats().Entries)
	r, v := reserveOne(l, exposure("u", 1, testNow-day), 1)
	assert.Equal(t, sendsEvent, answerOf(v))
	assert.True(t, v.Late)
	r.Accept()
	assert.Equal(t, sendsNothing, report(l, "u", 1, testNow-day))
	require.NoError(t, l.Shutdown(t.Context()))
}

// TestGivenUpWithoutAnAnswer: Amplitude may have a change that got no answer and was given up, or that only one of two
// exporters delivered. Either way, the earlier value must be sent when it is next reported.
func TestGivenUpWithoutAnAnswer(t *testing.T) {
	for name, settle := range map[string]func(one, other *queue){
		"no answer": func(one, other *queue) {
			for _, key := range one.keys {
				one.book.Unanswered(key)
			}
			one.book.SettleAll(one.keys, receipts.NotDelivered)
			other.book.SettleAll(other.keys, receipts.NotDelivered)
		},
		"one of two": func(one, other *queue) {
			one.book.SettleAll(one.keys, receipts.NotDelivered)
			other.book.SettleAll(other.keys, receipts.Delivered)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLedger(t, nil)
			for i, value := range []uint64{1, 2, 1} {
				report(l, "u", value, testNow-100+int64(i))
			}
			r, v := reserveOne(l, exposure("u", 2, testNow-50), 2)
			require.Equal(t, sendsIdentify, answerOf(v))
			one, other := &queue{}, &queue{}
			logs := one.name(r, v)
			ctx := r.HandOver(t.Context())
			one.book.Claim(ctx, logs)
			if name == "one of two" {
				other.book.Claim(ctx, logs)
				other.keys = one.keys
			}
			r.Accept()
			settle(one, other)
			assert.Equal(t, sendsIdentify, report(l, "u", 1, testNow-40))
			assert.Equal(t, sendsNothing, report(l, "u", 1, testNow-30))
			one.book.Close(t.Context(), true)
			other.book.Close(t.Context(), true)
			require.NoError(t, l.Shutdown(t.Context()))
		})
	}
}

// TestFlapping: a property that changes too often is left alone until there is a token, and is corrected by the next
// report after that.
func TestFlapping(t *testing.T) {
	now := testTime(0)
	l := openLedger(t, nil, clockOf(&now))
	count := map[string]int{}
	for i := range 100 {
		now = testTime(i)
		count[report(l, "u", uint64(1+i%2), now.UnixMilli())]++
	}
	assert.Equal(t, map[string]int{sendsEvent: 1, sendsBoth: 1, sendsIdentify: burst, sendsNothing: 100 - 2 - burst}, count)
	assert.Positive(t, l.Stats().Flaps)
	now = testTime(100 + refill)
	assert.Equal(t, sendsIdentify, report(l, "u", 1+uint64(count[sendsIdentify]%2), now.UnixMilli()))
	require.NoError(t, l.Shutdown(t.Context()))
}
