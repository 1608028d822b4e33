// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

// hostileShapes are requests of n records, or of one record with n flags, whose parts affect each other.
var hostileShapes = map[string]struct {
	maxEntries int
	add        func(h *hostile, i int)
	refused    bool
}{
	"one user alternates": {add: func(h *hostile, i int) { h.add("u", "", testNow, uint64(1+i%2)) }},
	"one user, a new result each time": {add: func(h *hostile, i int) {
		h.add("u", "", testNow+int64(i), uint64(i))
	}},
	"late records of one subject": {add: func(h *hostile, i int) { h.add("u", "", testNow-int64(i), uint64(i)) }},
	"one user on many devices":    {add: func(h *hostile, i int) { h.add("u", fmt.Sprint("d", i), testNow, uint64(i%2)) }},
	"many users on one device":    {add: func(h *hostile, i int) { h.add(fmt.Sprint("u", i), "d", testNow, 1) }},
	"two users on one device": {add: func(h *hostile, i int) {
		h.add(fmt.Sprint("u", i%2), "d", testNow, uint64(i%2))
	}},
	"one device alone":            {add: func(h *hostile, i int) { h.add("", "d", testNow, uint64(i)) }},
	"one record with many flags":  {add: func(h *hostile, i int) { h.flag("u", i) }},
	"more than may be remembered": {maxEntries: 100, add: func(h *hostile, i int) { h.add(fmt.Sprint("u", i), "", testNow, 1) }},
	"refused":                     {add: func(h *hostile, i int) { h.add("u", "d", testNow, uint64(i)) }, refused: true},
}

// hostile is one batch.
type hostile struct {
	records []Record
	flags   []Flag
}

func (h *hostile) add(user, dev string, at int64, value uint64) {
	from := int32(len(h.flags))
	h.flags = append(h.flags, Flag{7, value})
	h.records = append(h.records, Record{
		User: UserID(user), Device: DeviceID(dev), Event: testHash(value, 1), Day: testDay, Time: at, From: from, To: from + 1,
	})
}

func (h *hostile) flag(user string, i int) {
	h.flags = append(h.flags, Flag{uint64(i), 1})
	h.records = []Record{{User: UserID(user), Event: ID{1, 1}, Day: testDay, Time: testNow, To: int32(len(h.flags))}}
}

// play sends the batch twice, to an exporter that takes all of it at once, and settles it.
func (h *hostile) play(t *testing.T, l *Ledger, refused bool) {
	for range 2 {
		verdicts := make([]Verdict, len(h.records))
		r := l.Reserve(t.Context(), h.records, h.flags, verdicts, make([]Decision, len(h.flags)))
		var keys []uint64
		logs := plog.NewLogs()
		records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		for i, v := range verdicts {
			for _, name := range []int32{v.Event, v.Identify} {
				if name != 0 {
					id := fmt.Sprintf("%p %d %d", l, i, name)
					keys = append(keys, receipts.Key(id))
					r.Name(name, receipts.Key(id))
					records.AppendEmpty().Attributes().PutStr(amplitude.AttrInsertID, id)
				}
			}
		}
		var book receipts.Book
		book.Claim(r.HandOver(t.Context()), logs)
		if refused {
			r.Release()
		} else {
			r.Accept()
		}
		book.SettleAll(keys, receipts.Delivered)
		book.Close(t.Context(), true)
	}
	require.Zero(t, l.Stats().OnWay)
}

// TestHostileShapes plays each shape at 1, 4 and 16 times its size: the steps of all loops grow with the size, not with
// its square. Counting needs the build tag steps; without it, the test runs itself with the tag.
func TestHostileShapes(t *testing.T) {
	if _, counting := stepsSoFar(); !counting {
		command := exec.CommandContext(t.Context(), "go", "test", "-tags=steps", "-run=^TestHostileShapes$", "-count=1", "-v", ".")
		command.Env = cleanenv.Environ()
		output, err := command.CombinedOutput()
		t.Log(string(output))
		require.NoError(t, err)
		return
	}
	const size = 4000
	for name, shape := range hostileShapes {
		t.Run(name, func(t *testing.T) {
			var perRecord []float64
			for _, times := range []int{1, 4, 16} {
				h := &hostile{}
				for i := range times * size {
					shape.add(h, i)
				}
				entries := max(shape.maxEntries, 1)
				if shape.maxEntries == 0 {
					entries = 1_000_000
				}
				l, err := New(Settings{MaxEntries: entries, Clock: func() time.Time { return time.UnixMilli(testNow + 100_000) }})
				require.NoError(t, err)
				require.NoError(t, l.Start(t.Context(), nil))
				before, _ := stepsSoFar()
				h.play(t, l, shape.refused)
				after, _ := stepsSoFar()
				perRecord = append(perRecord, float64(after-before)/float64(times*size))
				require.NoError(t, l.Shutdown(t.Context()))
			}
			t.Logf("%.1f, %.1f and %.1f steps a record at 1, 4 and 16 times %d", perRecord[0], perRecord[1], perRecord[2], size)
			assert.LessOrEqual(t, perRecord[1], 1.3*perRecord[0])
			assert.LessOrEqual(t, perRecord[2], 1.3*perRecord[0])
		})
	}
}
