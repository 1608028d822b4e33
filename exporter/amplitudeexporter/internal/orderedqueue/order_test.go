// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records/recordstest"
)

// exposures makes encoded events of a user.
func exposures(t *testing.T, ids ...string) chunk.Parts {
	logs := plog.NewLogs()
	for _, id := range ids {
		recordstest.AppendExposure(recordstest.AppendSlice(logs), "user-00001", id)
	}
	c := chunk.NewEncoder(event.NewEncoder(event.Settings{Allowed: []string{"*"}}), math.MaxInt, true).Encode(records.All(logs))
	require.NoError(t, c.Pack(logs))
	return chunk.Whole(c)
}

func insertIDs(t *testing.T, parts chunk.Parts) []string {
	logs, err := parts.Logs()
	require.NoError(t, err)
	return recordstest.InsertIDs(logs)
}

// helper stands in for exporterhelper's batcher and retries, whose goroutines cannot be interleaved on demand.
type helper struct {
	t       *testing.T
	order   *batchOrder
	pushed  []string
	answers []error
}

// batch makes a batch of requests with one event each.
func (h *helper) batch(ids ...string) *request {
	h.t.Helper()
	parts := h.split(0, exporterhelper.RequestSizerTypeItems, ids...)
	require.Len(h.t, parts, 1)
	return parts[0]
}

func (h *helper) split(size int, sizer exporterhelper.RequestSizerType, ids ...string) (parts []*request) {
	h.t.Helper()
	merged := []xexporterhelper.Request{}
	for i, id := range ids {
		next := newPart(exposures(h.t, id), h.order)
		var err error
		if i == 0 {
			merged, err = next.MergeSplit(h.t.Context(), 0, sizer, nil)
		} else {
			limit := 0
			if i == len(ids)-1 {
				limit = size
			}
			merged, err = merged[0].MergeSplit(h.t.Context(), limit, sizer, next)
		}
		require.NoError(h.t, err)
	}
	for _, part := range merged {
		parts = append(parts, part.(*request))
	}
	return parts
}

// send hands over a batch and retries it as long as the error allows.
func (h *helper) send(r *request) error {
	for {
		err := h.order.deliver(h.t.Context(), r, func(_ context.Context, parts chunk.Parts, _ Try) error {
			h.pushed = append(h.pushed, insertIDs(h.t, parts)...)
			if len(h.answers) == 0 {
				return nil
			}
			answer := h.answers[0]
			h.answers = h.answers[1:]
			return answer
		})
		if err == nil || consumererror.IsPermanent(err) || errors.Is(err, errStopped) {
			return err
		}
		r = r.OnError(err).(*request)
	}
}

var (
	errStopped = errors.New("shutting down")
	errBusy    = errors.New("busy")
	errRefused = consumererror.NewPermanent(errors.New("refused"))
)

// TestBatchesArriveInTheOrderOfTheirBeginnings, regardless of the order in which the batcher hands them over.
func TestBatchesArriveInTheOrderOfTheirBeginnings(t *testing.T) {
	left := func(ids ...string) error { return NewLeft(errBusy, exposures(t, ids...)) }
	for name, tc := range map[string]struct {
		arrivals []int
		answers  []error
		pushed   []string
		results  []error
	}{
		"in order":                  {[]int{0, 1, 2}, nil, []string{"a", "b", "c", "d"}, []error{nil, nil, nil}},
		"the second first":          {[]int{1, 0, 2}, nil, []string{"a", "b", "c", "d"}, []error{nil, nil, nil}},
		"the last first":            {[]int{2, 0, 1}, nil, []string{"a", "b", "c", "d"}, []error{nil, nil, nil}},
		"backwards":                 {[]int{2, 1, 0}, nil, []string{"a", "b", "c", "d"}, []error{nil, nil, nil}},
		"retried as a whole":        {[]int{1, 0, 2}, []error{errBusy}, []string{"a", "b", "a", "b", "c", "d"}, []error{nil, nil, nil}},
		"retried in part":           {[]int{2, 0, 1}, []error{left("b", "c")}, []string{"a", "b", "c", "d", "b", "c"}, []error{nil, nil, nil}},
		"one that can never arrive": {[]int{1, 0, 2}, []error{errRefused}, []string{"a", "b", "c", "d"}, []error{errRefused, errRefused, nil}},
		// At shutdown, the events of the second batch stay in the queue; the first batch is attempted once more with its own.
		"given up at shutdown": {[]int{1, 0}, []error{left("b"), errStopped}, []string{"a", "b", "b", "a"}, []error{errStopped, nil}},
		// Even then, a third one must not overtake the first.
		"a stop, then the third": {[]int{1, 2, 0}, []error{errStopped}, []string{"a", "b", "a", "c", "d"}, []error{errStopped, nil, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &helper{t: t, order: &batchOrder{}, answers: tc.answers}
			batches := []*request{h.batch("a"), h.batch("b"), h.batch("c", "d")}
			var results []error
			for _, at := range tc.arrivals {
				results = append(results, h.send(batches[at]))
			}
			assert.Equal(t, tc.pushed, h.pushed)
			assert.Equal(t, tc.results, results)
			assert.Len(t, h.order.coming, 3-len(tc.arrivals), "nothing is kept for longer than needed")
		})
	}
}

// TestPartsOfABatchKeepTheirOrder: batch::max_size splits a batch, and its last part may be handed over first.
func TestPartsOfABatchKeepTheirOrder(t *testing.T) {
	for name, tc := range map[string]struct {
		sizer exporterhelper.RequestSizerType
		size  int
		want  [][]string
	}{
		"items":         {exporterhelper.RequestSizerTypeItems, 2, [][]string{{"a", "b"}, {"c", "d"}, {"e"}}},
		"one item":      {exporterhelper.RequestSizerTypeItems, 1, [][]string{{"a"}, {"b"}, {"c"}, {"d"}, {"e"}}},
		"large enough":  {exporterhelper.RequestSizerTypeItems, 5, [][]string{{"a", "b", "c", "d", "e"}}},
		"bytes":         {exporterhelper.RequestSizerTypeBytes, 600, [][]string{{"a", "b"}, {"c", "d"}, {"e"}}},
		"too few bytes": {exporterhelper.RequestSizerTypeBytes, 1, [][]string{{"a"}, {"b"}, {"c"}, {"d"}, {"e"}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &helper{t: t, order: &batchOrder{}}
			parts := h.split(tc.size, tc.sizer, "a", "b", "c", "d", "e")
			var got [][]string
			for _, part := range parts {
				got = append(got, insertIDs(t, part.parts))
				assert.Equal(t, part.parts.Records(), part.ItemsCount())
			}
			assert.Equal(t, tc.want, got)
			for _, part := range slices.Backward(parts) {
				require.NoError(t, h.send(part))
			}
			assert.Equal(t, []string{"a", "b", "c", "d", "e"}, h.pushed)
			assert.Empty(t, h.order.coming)
		})
	}
}
