// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chunk

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records/recordstest"
)

func newTestEncoder(sized bool) *Encoder {
	return NewEncoder(event.NewEncoder(event.Settings{Allowed: []string{"[Experiment] *"}, MinIDLength: 5, Version: "1"}), 1000, sized)
}

// told describes each record of parts: the JSON of its event and everything else about it, or why it is not an event.
func told(ps Parts) (all []string) {
	for _, p := range ps {
		for e, json := range p.Events() {
			all = append(all, fmt.Sprint(e.Record(), e.User, e.Device, e.Receipt, e.Happened, e.Billable(), " ", string(json)))
		}
		for r := range p.Rejected() {
			all = append(all, fmt.Sprint(r.Record, r.Receipt, " ", r.Failure))
		}
	}
	return all
}

// TestCutPartsHaveTheSameContent: parts that are cut and merged have every event and every record once, in order.
func TestCutPartsHaveTheSameContent(t *testing.T) {
	encoder := newTestEncoder(true)
	rapid.Check(t, func(t *rapid.T) {
		var whole Parts
		var sent []string
		bytes := 0
		for c := range rapid.IntRange(1, 4).Draw(t, "chunks") {
			logs := plog.NewLogs()
			for i := range rapid.IntRange(1, 20).Draw(t, "records") {
				id := fmt.Sprintf("c%d-%d", c, i)
				record := recordstest.AppendExposure(recordstest.AppendSlice(logs), "user-00001", id)
				sent = append(sent, id)
				switch rapid.SampledFrom([]string{"event", "no event", "too large", "device"}).Draw(t, "kind") {
				case "no event":
					record.SetEventName("other")
				case "too large":
					record.Attributes().PutStr("padding", strings.Repeat("x", 1000))
				case "device":
					record.Attributes().PutStr("amplitude.device_id", "device-1")
				}
			}
			made := encoder.Encode(records.AllAt(logs, int64(100-c)))
			require.NoError(t, made.Pack(logs))
			whole = append(whole, Whole(made)...)
			bytes += (&plog.ProtoMarshaler{}).LogsSize(logs)
		}
		require.Equal(t, bytes, whole.Bytes())
		require.EqualValues(t, 100-len(whole)+1, whole.Arrived())
		size, most := Items, rapid.IntRange(1, 50).Draw(t, "most")
		if rapid.Bool().Draw(t, "by bytes") {
			size, most = Bytes, rapid.IntRange(1, 5000).Draw(t, "bytes")
		}
		var got, ids []string
		for part := range whole.Cut(most, size) {
			require.Positive(t, part.Records())
			if part.Records() > 1 {
				total := 0
				for p := range part.places() {
					total += size(p.chunk, p.record)
				}
				require.LessOrEqual(t, total, most)
			}
			got = append(got, told(part)...)
			logs, err := part.Logs()
			require.NoError(t, err)
			require.Equal(t, part.Records(), logs.LogRecordCount())
			ids = append(ids, recordstest.InsertIDs(logs)...)
		}
		require.Equal(t, sent, ids)
		want := told(whole)
		slices.Sort(want) // within a part, rejected records come after the events
		slices.Sort(got)
		require.Equal(t, want, got)
	})
}

// TestRecordsCanBeDecodedAgain unchanged, in each way in which a chunk can keep them.
func TestRecordsCanBeDecodedAgain(t *testing.T) {
	logs := recordstest.Exposures(3)
	logs.ResourceLogs().At(0).Resource().Attributes().PutStr("service.name", "shop")
	refs := slices.Collect(records.AllAt(logs, 7))
	encoder := newTestEncoder(false)
	for name, encode := range map[string]func() *Chunk{
		"lent": func() *Chunk { return encoder.Lend(slices.Values(refs)) },
		"held": func() *Chunk {
			c := encoder.Encode(slices.Values(refs))
			c.Hold(refs)
			return c
		},
		"packed": func() *Chunk {
			c := encoder.Encode(slices.Values(refs))
			require.NoError(t, c.Pack(logs))
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := encode()
			defer encoder.Return()
			assert.Equal(t, told(Whole(newTestEncoder(false).Encode(slices.Values(refs)))), told(Whole(c)))
			got, err := c.Refs()
			require.NoError(t, err)
			assert.Equal(t, logs, records.Collect(slices.Values(got)))
			for i, ref := range got {
				assert.EqualValues(t, 7, ref.Arrived)
				assert.EqualValues(t, 7, c.Ref(uint32(i)).Arrived)
			}
			some, err := Parts{}.With(c, 0).With(c, 2).Logs()
			require.NoError(t, err)
			assert.Equal(t, 2, some.LogRecordCount())
		})
	}
}

// TestUnreadableRecordsAreEmpty: Refs returns as many as there were, and the error.
func TestUnreadableRecordsAreEmpty(t *testing.T) {
	c := newTestEncoder(false).Encode(records.All(recordstest.Exposures(3)))
	damaged := errors.New("damaged")
	c.Unpack([]byte("x"), 1, func([]byte) (plog.Logs, error) { return plog.Logs{}, damaged })
	refs, err := c.Refs()
	require.ErrorIs(t, err, damaged)
	assert.Len(t, refs, 3)
	_, err = Whole(c).Logs()
	require.ErrorIs(t, err, damaged)
}

// drawRecords draws records with whatever an encoder remembers of those before: names, seconds, attributes, lists.
func drawRecords(t *rapid.T) plog.Logs {
	logs := plog.NewLogs()
	to := recordstest.AppendSlice(logs)
	text := rapid.SampledFrom([]string{"", " ", "user-00001", "user-2", "a\"b\\", "\xff", "[Experiment] Exposure", "null", strings.Repeat("ж", 1100)})
	attribute := rapid.SampledFrom([]string{
		"a", "", "\xff", "a\"b", "amplitude.user_id", "amplitude.device_id", "amplitude.insert_id", "amplitude.session_id", "amplitude.price", "amplitude.library",
		"amplitude.partner_id", "amplitude.event_json", "amplitude.unknown", "amplitude.groups.org", "amplitude.user_properties.$set.a", "amplitude.user_properties.$add.a",
		"amplitude.user_properties.$unset.b", "amplitude.user_properties.$clearAll", "amplitude.group_properties.$set.c", "amplitude.event_properties.amplitude.d",
	})
	value := rapid.SampledFrom([]any{"", "text", "1763895600000", int64(7), 1.5, math.NaN(), true, nil, []byte{0xff}, []any{"x", nil, int64(1)}, map[string]any{"a": map[string]any{"b": "c"}}, map[string]any{"a\xff": int64(1)}})
	for range rapid.IntRange(0, 12).Draw(t, "records") {
		r := to.AppendEmpty()
		r.SetEventName(rapid.SampledFrom([]string{"[Experiment] Exposure", "[Experiment] Assignment", "", " ", "a\"b", "\xff", "[Amplitude] Start Session", strings.Repeat("n", 2000)}).Draw(t, "event"))
		r.SetTimestamp(pcommon.Timestamp(rapid.SampledFrom([]uint64{0, 1, 999_999_999, 1_000_000_000, 1763895600_000_000_000, 1763895600_999_999_999, 1763895601_000_000_000, math.MaxInt64, math.MaxUint64}).Draw(t, "time")))
		r.SetObservedTimestamp(pcommon.Timestamp(rapid.SampledFrom([]uint64{0, 1763895600_010_000_000}).Draw(t, "observed")))
		if rapid.IntRange(1, 100).Draw(t, "long") == 50 {
			r.Attributes().PutStr(strings.Repeat("n", 300_000), "") // longer than all names that are remembered
		}
		r.Attributes().PutStr("amplitude.user_id", text.Draw(t, "user"))
		for range rapid.IntRange(0, 5).Draw(t, "attributes") {
			_ = r.Attributes().PutEmpty(attribute.Draw(t, "name")).FromRaw(value.Draw(t, "value")) // of any of these types
		}
	}
	return logs
}

// TestEncodersRememberNothingWrong: an encoder that has made other chunks makes of records what a new one makes of them.
func TestEncodersRememberNothingWrong(t *testing.T) {
	begin := func() *Encoder {
		return NewEncoder(event.NewEncoder(event.Settings{Allowed: []string{"*"}, MinIDLength: 5, PartnerID: "partner", Version: "1"}), 1000, false)
	}
	rapid.Check(t, func(t *rapid.T) {
		used := begin()
		for range rapid.IntRange(2, 5).Draw(t, "chunks") {
			logs := drawRecords(t)
			want := begin().Encode(records.All(logs))
			made := used.Lend
			if rapid.Bool().Draw(t, "kept") {
				made = used.Encode
			}
			got := made(records.All(logs))
			require.Equal(t, told(Whole(want)), told(Whole(got)))
			require.Equal(t, want.Lost(), got.Lost())
			used.Return()
		}
	})
}

// TestLossesAreReportedOnce, however often a batch is retried.
func TestLossesAreReportedOnce(t *testing.T) {
	logs := recordstest.Numbered(1)
	logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutDouble("nan", math.NaN())
	e := newTestEncoder(false)
	c := e.Encode(records.All(logs))
	assert.Equal(t, event.Losses{event.LossNotFinite: 1}, c.Lost())
	assert.Zero(t, c.Lost())
	assert.Zero(t, e.Encode(records.All(recordstest.Numbered(1))).Lost(), "those of the chunk before are not counted again")
}

// TestEncodeAllocatesPerChunkOnly, regardless of the number of events.
func TestEncodeAllocatesPerChunkOnly(t *testing.T) {
	e := newTestEncoder(false)
	logs := recordstest.Exposures(1000)
	allocated := testing.AllocsPerRun(20, func() {
		c := e.Encode(records.All(logs))
		require.NoError(t, c.Pack(logs))
	})
	assert.LessOrEqual(t, allocated, 20.0)
}

// TestRecordsThatAreNoEventsKeepTheirRoom: the memory that one needed before it failed serves the next. Otherwise, each would
// copy all of the JSON before it, into a buffer that nobody keeps.
func TestRecordsThatAreNoEventsKeepTheirRoom(t *testing.T) {
	const n = 1000
	logs := plog.NewLogs()
	to := recordstest.AppendSlice(logs)
	for i := range n {
		a := recordstest.AppendExposure(to, "user-00001", "id").Attributes()
		if i%2 == 0 {
			a.PutStr("padding", strings.Repeat("x", 1000)) // too large
		} else {
			a.PutBool("amplitude.session_id", true)
		}
	}
	e := newTestEncoder(false)
	allocated := testing.AllocsPerRun(1, func() {
		for range Whole(e.Encode(records.All(logs)))[0].Events() {
			t.Error("no record is an event")
		}
		e = newTestEncoder(false) // nothing is kept from the run before
	})
	assert.LessOrEqual(t, allocated, n/10.0)
}

// TestLargeBatchKeepsItsRoom: a batch with almost as much JSON as an idle encoder keeps memory for grows none of its own.
func TestLargeBatchKeepsItsRoom(t *testing.T) {
	logs, e := plog.NewLogs(), newTestEncoder(false)
	to := recordstest.AppendSlice(logs)
	add := func() {
		recordstest.AppendExposure(to, "user-00001", "id").Attributes().PutStr("padding", strings.Repeat("x", 500))
	}
	add()
	each := len(e.Lend(records.All(logs)).json)
	e.Return()
	lend := func() {
		e.Lend(records.All(logs))
		e.Return()
	}
	small := testing.AllocsPerRun(3, lend)
	for range maxKept / each * 9 / 10 {
		add()
	}
	assert.InDelta(t, small, testing.AllocsPerRun(3, lend), 2, "a large batch allocates as often as one of a single record")
}

// FuzzChunk: whatever records come, each is an event or rejected, the records are had again as they came, and encoding them
// again, as the queue on disk does, says the same.
func FuzzChunk(f *testing.F) {
	marshal, unmarshal := (&plog.ProtoMarshaler{}).MarshalLogs, (&plog.ProtoUnmarshaler{}).UnmarshalLogs
	odd := plog.NewLogs()
	a := recordstest.AppendExposure(recordstest.AppendSlice(odd), "user\xff1", "e\xff").Attributes()
	a.PutStr("amplitude.groups.\xc3\x28", "\xff")
	a.PutDouble("nan", math.NaN())
	a.PutEmptyMap("map").PutEmptySlice("list").AppendEmpty().SetEmptyBytes().FromRaw([]byte{0})
	a.PutStr("amplitude.user_id", "again")
	recordstest.AppendSlice(odd).AppendEmpty()
	odd.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for _, logs := range []plog.Logs{plog.NewLogs(), recordstest.Numbered(2), recordstest.Exposures(1), recordstest.Assignments(1), odd} {
		raw, err := marshal(logs)
		require.NoError(f, err)
		f.Add(raw, uint16(1))
	}
	first, second := newTestEncoder(true), newTestEncoder(true)
	f.Fuzz(func(t *testing.T, raw []byte, most uint16) {
		logs, err := unmarshal(raw)
		if err != nil || logs.LogRecordCount() > 100 { // each part decodes the chunk
			return
		}
		c := first.Encode(records.All(logs))
		require.NoError(t, c.Pack(logs))
		whole := Whole(c)
		require.Equal(t, logs.LogRecordCount(), whole.Records())
		require.Len(t, told(whole), whole.Records())
		require.Equal(t, (&plog.ProtoMarshaler{}).LogsSize(logs), whole.Bytes())
		want, err := marshal(logs)
		require.NoError(t, err)
		if _, err := unmarshal(want); err != nil {
			return // nested too deep, which the queue finds out before
		}
		if whole.Records() == 0 {
			return
		}
		refs, err := c.Refs()
		require.NoError(t, err)
		require.Len(t, refs, whole.Records())
		require.Equal(t, told(whole), told(Whole(second.Encode(slices.Values(refs)))))
		count, size := 0, Items
		if most%2 == 0 {
			size = Bytes
		}
		for part := range whole.Cut(max(1, int(most)), size) {
			some, err := part.Logs()
			require.NoError(t, err)
			got, err := marshal(some)
			require.NoError(t, err)
			want, err := marshal(records.Collect(slices.Values(refs[count : count+part.Records()])))
			require.NoError(t, err)
			require.Equal(t, want, got)
			count += part.Records()
		}
		require.Equal(t, whole.Records(), count)
	})
}
