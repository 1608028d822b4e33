// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"
)

// helper plays exporterhelper's batcher and retries, whose goroutines cannot be made to meet at will.
type helper struct {
	t       *testing.T
	order   *batchOrder
	pushed  []string
	answers []error
}

// batch makes a batch of requests with one event each.
func (h *helper) batch(ids ...string) *queueRequest {
	h.t.Helper()
	parts := h.split(0, exporterhelper.RequestSizerTypeItems, ids...)
	require.Len(h.t, parts, 1)
	return parts[0]
}

func (h *helper) split(size int, sizer exporterhelper.RequestSizerType, ids ...string) (parts []*queueRequest) {
	h.t.Helper()
	merged := []xexporterhelper.Request{}
	for i, id := range ids {
		logs := plog.NewLogs()
		exposure(newRecords(logs), "user-00001", id)
		next := newQueueRequest(logs, h.order)
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
		parts = append(parts, part.(*queueRequest))
	}
	return parts
}

// send hands a batch over and repeats it as long as the error allows.
func (h *helper) send(r *queueRequest) error {
	for {
		err := h.order.deliver(h.t.Context(), r, func(_ context.Context, logs plog.Logs) error {
			h.pushed = append(h.pushed, insertIDs(logs)...)
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
		r = r.OnError(err).(*queueRequest)
	}
}

var (
	errStopped = errors.New("shutting down")
	errBusy    = errors.New("busy")
	errRefused = consumererror.NewPermanent(errors.New("refused"))
)

// TestBatchesArriveInTheOrderOfTheirBeginnings, whatever the order in which the batcher hands them over.
func TestBatchesArriveInTheOrderOfTheirBeginnings(t *testing.T) {
	left := func(ids ...string) error {
		logs := plog.NewLogs()
		for _, id := range ids {
			exposure(newRecords(logs), "user-00001", id)
		}
		return consumererror.NewLogs(errBusy, logs)
	}
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
		"tried again as a whole":    {[]int{1, 0, 2}, []error{errBusy}, []string{"a", "b", "a", "b", "c", "d"}, []error{nil, nil, nil}},
		"tried again in part":       {[]int{2, 0, 1}, []error{left("b", "c")}, []string{"a", "b", "c", "d", "b", "c"}, []error{nil, nil, nil}},
		"one that can never arrive": {[]int{1, 0, 2}, []error{errRefused}, []string{"a", "b", "c", "d"}, []error{errRefused, errRefused, nil}},
		// Stopping: the second's events stay in the queue; the first, which has its own, is tried once more.
		"given up by a stop": {[]int{1, 0}, []error{left("b"), errStopped}, []string{"a", "b", "b", "a"}, []error{errStopped, nil}},
		// A third one must not overtake the first even then.
		"a stop, then the third": {[]int{1, 2, 0}, []error{errStopped}, []string{"a", "b", "a", "c", "d"}, []error{errStopped, nil, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &helper{t: t, order: &batchOrder{}, answers: tc.answers}
			batches := []*queueRequest{h.batch("a"), h.batch("b"), h.batch("c", "d")}
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

// TestPartsOfABatchKeepTheirOrder: batch::max_size cuts, and the last part may be handed over first.
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
				got = append(got, insertIDs(part.logs))
				assert.Equal(t, part.logs.LogRecordCount(), part.ItemsCount())
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

// TestFlushMeetsFill makes batches whose time is up in the moment in which the next one is full.
func TestFlushMeetsFill(t *testing.T) {
	for name, batch := range map[string]map[string]any{
		"whole": {"flush_timeout": "1ms", "min_size": 5},
		"split": {"flush_timeout": "1ms", "min_size": 3, "max_size": 4},
	} {
		t.Run(name, func(t *testing.T) {
			const rounds = 200
			server := newScript(t)
			r := newRig(t, map[string]any{
				"endpoint":      server.url(),
				"sending_queue": map[string]any{"enabled": true, "batch": batch},
			}, nil)
			garbage := makeGarbage()
			defer garbage()
			var want []string
			for round := range rounds {
				for _, size := range []int{1, 5} {
					logs := plog.NewLogs()
					records := newRecords(logs)
					for range size {
						id := strconv.Itoa(len(want))
						exposure(records, "user-00001", id)
						want = append(want, id)
					}
					require.NoError(t, r.ConsumeLogs(t.Context(), logs))
					if size == 1 {
						// The second comes about when the time of the first is up.
						for at := time.Now().Add(980*time.Microsecond + time.Duration(round%60)*time.Microsecond); time.Now().Before(at); {
						}
					}
				}
			}
			require.NoError(t, r.Shutdown(t.Context()))
			assert.Equal(t, want, delivered(server))
		})
	}
}

// makeGarbage keeps the collector of garbage busy, so that goroutines stop in odd records.All.
func makeGarbage() (stop func()) {
	done := make(chan struct{})
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for kept := [][]byte{}; ; kept = append(kept, make([]byte, 1000)) {
				select {
				case <-done:
					return
				default:
				}
				if len(kept) > 2000 {
					kept = nil
				}
			}
		})
	}
	return func() { close(done); workers.Wait() }
}
