// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
)

// TestLimit: no second has more than the limit, and rare outcomes get through.
func TestLimit(t *testing.T) {
	const (
		perSecond        = 20
		frequent, scarce = uint8(1), uint8(2)
	)
	l := newLimit(perSecond)
	begin := time.Unix(1_700_000_000, 0)
	var let []time.Time
	scarceLet, scarceSeen := 0, 0
	for i := range 50_000 { // ten per millisecond, for five seconds
		now := begin.Add(time.Duration(i) * 100 * time.Microsecond)
		if l.allows(frequent, 1, now) {
			let = append(let, now)
		}
		if i%2500 == 1234 { // four per second
			scarceSeen++
			if l.allows(scarce, 1, now) {
				let = append(let, now)
				scarceLet++
			}
		}
	}
	assert.Equal(t, scarceSeen, scarceLet, "rare outcomes get through")
	assert.GreaterOrEqual(t, len(let), 4*perSecond, "the limit is used up")
	for i := perSecond; i < len(let); i++ {
		require.GreaterOrEqual(t, let[i].Sub(let[i-perSecond]), time.Second)
	}
	one := newLimit(1)
	assert.True(t, one.allows(frequent, 1, begin))
	assert.False(t, one.allows(scarce, 1, begin.Add(time.Millisecond)))
	assert.True(t, one.allows(scarce, 1, begin.Add(time.Second)))
}

func TestMask(t *testing.T) {
	masked := Mask("user-12345")
	assert.Regexp(t, `^id:[0-9a-f]{8}$`, masked)
	assert.Equal(t, masked, Mask(" user-12345 "), "as Amplitude trims it")
	assert.NotEqual(t, masked, Mask("user-12346"))
	assert.Regexp(t, `^id:[0-9a-f]{8}\(2 characters\)$`, Mask("42"), "it is refused because it is short")
	for _, nobody := range []string{"", " ", "null", "Anonymous", "00000000-0000-0000-0000-000000000000"} {
		assert.Equal(t, nobody, Mask(nobody))
	}
}

// TestMaskedEvent: no id is left in what an exporter sent, however JSON writes it; similar text stays.
func TestMaskedEvent(t *testing.T) {
	d := Decision{
		User: &ID{Value: "ab"}, Device: &ID{Value: `de"vice-1`}, ids: []string{`de"vice-1`, "1700000000000", "acme-inc", "ab"},
		explanation: &explain.Explanation{},
		Events: []Event{{
			InsertID: `ab de"vice-1 0f 20468`,
			JSON: json.RawMessage(`{"user_id":"ab","device_id":"de\"vice-1","session_id":1700000000000,"time":1700000000001,` +
				`"insert_id":"ab de\u0022vice-1 0f 20468","groups":{"company":["acme-inc"]},"event_properties":{"note":"about","by":"acme-inc: you"}}`),
		}},
	}
	m := d.masked()
	text := string(m.Events[0].JSON)
	require.True(t, json.Valid(m.Events[0].JSON), text)
	for _, id := range []string{"vice-1", "1700000000000", "acme-inc", `"ab"`, `"ab `} {
		assert.NotContains(t, text, id)
	}
	assert.Contains(t, text, `"note":"about"`)
	assert.Contains(t, text, `"time":1700000000001`)
	assert.Contains(t, text, `"by":"`+Mask("acme-inc")+`: you"`)
	assert.Equal(t, Mask("ab")+" "+Mask(`de"vice-1`)+" 0f 20468", m.Events[0].InsertID)
	assert.Equal(t, "ab", d.User.Value, "the decision itself is as it was")
}

// TestWatcherThatDoesNotRead: its queue is bounded, and losses are counted.
func TestWatcherThatDoesNotRead(t *testing.T) {
	w, err := Watch(Filter{}, maxQueued*2)
	require.NoError(t, err)
	defer w.Close()
	b := NewBatch("p", time.Now())
	for range maxQueued + 10 {
		tellOne(b, "user-12345")
	}
	b.HandOver()
	b.Accepted()
	decisions, missed := w.Read()
	assert.Len(t, decisions, maxQueued)
	assert.EqualValues(t, 10, missed)
	assert.Equal(t, decisions[0].Seq+maxQueued-1, decisions[maxQueued-1].Seq, "the newest are there")
}

func tellOne(b *Batch, user string) {
	one := experiment.Decided{Outcome: experiment.Skipped, Reason: "static", Resource: pcommon.NewMap(), Identity: experiment.Identity{UserID: user}}
	if b.Wants(&one) {
		b.Explains(&one, &explain.Explanation{Outcome: one.Outcome.String(), Reason: one.Reason})
	}
}

func TestWatchers(t *testing.T) {
	require.False(t, Watched())
	assert.Nil(t, NewBatch("p", time.Now()))
	assert.False(t, receipts.Listened(), "nobody listens to receipts while nobody watches")
	var all []*Watcher
	for range maxWatchers {
		w, err := Watch(Filter{}, 1)
		require.NoError(t, err)
		all = append(all, w)
	}
	_, err := Watch(Filter{}, 1)
	require.ErrorIs(t, err, errTooMany)
	for _, w := range all {
		assert.True(t, Watched())
		w.Close()
		w.Close()
	}
	assert.False(t, Watched())
	assert.False(t, receipts.Listened())
}

func TestFilters(t *testing.T) {
	resource := pcommon.NewMap()
	resource.PutStr("service.name", "shop")
	one := experiment.Decided{
		Outcome: experiment.Skipped, Reason: "static", Resource: resource,
		Identity: experiment.Identity{UserID: "user-12345", DeviceID: "device-1"}, Flags: []experiment.Flag{{Key: "checkout"}},
	}
	for _, tc := range []struct {
		filter Filter
		want   bool
	}{
		{Filter{}, true},
		{Filter{Outcomes: []string{"rejected", "skipped"}}, true},
		{Filter{Outcomes: []string{"exposure"}}, false},
		{Filter{Outcomes: []string{"refused"}}, true}, // it may still be
		{Filter{Reasons: []string{"static"}}, true},
		{Filter{Reasons: []string{"error"}}, false},
		{Filter{Service: "shop"}, true},
		{Filter{Service: "Shop"}, false},
		{Filter{Flag: "checkout"}, true},
		{Filter{Flag: "check"}, false},
		{Filter{User: "user-12345"}, true},
		{Filter{User: "device-1"}, true},
		{Filter{User: Mask("device-1")}, true},
		{Filter{User: "user-1"}, false},
	} {
		got := tc.filter.takesClass(one.Outcome.String(), one.Reason) && tc.filter.matches(&one)
		assert.Equal(t, tc.want, got, "%+v", tc.filter)
	}
	f := filterOf(map[string][]string{"outcome": {"skipped, rejected"}, "user": {" user-12345 "}})
	assert.Equal(t, Filter{Outcomes: []string{"skipped", "rejected"}, User: "user-12345"}, f)
	assert.Equal(t, "outcome=skipped%2Crejected&user=%2A", f.String(), "the log does not name users")
}

// TestClassWords: a class is one outcome with one reason, and counts use the same words.
func TestClassWords(t *testing.T) {
	seen := map[string]bool{}
	for class := range experiment.NumClasses {
		outcome, reason := experiment.ClassWords(uint8(class))
		assert.NotEmpty(t, outcome+reason)
		assert.False(t, seen[outcome+" "+reason])
		seen[outcome+" "+reason] = true
	}
}

// TestLargeRecordsAreBounded: fewer large records, such as assignments of ten thousand flags, are reported and kept.
func TestLargeRecordsAreBounded(t *testing.T) {
	const large, small = uint8(1), uint8(2)
	l, now := newLimit(100), time.Unix(1_700_000_000, 0)
	assert.True(t, l.allows(large, 10_000, now))
	assert.False(t, l.allows(large, 10_000, now))
	assert.True(t, l.allows(small, 20, now), "rare outcomes get through next to it")
	assert.True(t, l.allows(large, 10_000, now.Add(time.Second)))
	assert.True(t, newLimit(1).allows(large, 10_000, now))

	w, err := Watch(Filter{}, 1000)
	require.NoError(t, err)
	defer w.Close()
	const records = 20
	var decided []*sentDecision
	for i := range records {
		b := NewBatch("p", time.Now())
		record := plog.NewLogRecord()
		record.Attributes().PutStr("amplitude.insert_id", fmt.Sprint("id ", i))
		record.Attributes().PutStr("note", strings.Repeat("x", 1<<20))
		one := experiment.Decided{Outcome: experiment.Exposure, Resource: pcommon.NewMap(), Parts: 2}
		require.True(t, b.Wants(&one))
		b.Explains(&one, &explain.Explanation{Outcome: "exposure", Events: []explain.Event{{Sent: true, Record: record}}})
		decided = append(decided, b.sent...)
		b.HandOver()
	}
	each := decided[0].bytes
	require.Greater(t, each, 1<<20)
	assert.Len(t, shared.order, maxFollowedBytes/each)
	assert.Equal(t, StateUnfollowed, decided[0].Events[0].State)
	assert.True(t, decided[0].Ended)
	assert.Equal(t, StateHandedOn, decided[records-1].Events[0].State)
	decisions, missed := w.Read()
	assert.LessOrEqual(t, len(decisions), maxQueuedBytes/each)
	assert.NotEmpty(t, decisions)
	assert.Positive(t, missed)
	shared.unfollow(shared.order[0], StateUnknown)
	assert.Len(t, shared.order, maxFollowedBytes/each-1)
	for len(shared.order) > 0 {
		shared.unfollow(shared.order[0], StateUnknown)
	}
	assert.Zero(t, shared.bytes)

	assert.Equal(t, "short\n", cut([]byte("short\n")))
	long := cut(bytes.Repeat([]byte("line\n"), maxText))
	assert.LessOrEqual(t, len(long), maxText+200)
	assert.Regexp(t, `line\n… \d+ bytes more: otelcol-amplitude-explain shows all of it\n$`, long)
}
