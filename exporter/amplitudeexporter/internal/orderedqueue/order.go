// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/chunk"
)

// batchOrder keeps batches in the order in which they were begun. exporterhelper's batcher hands over full batches and
// timed-out ones in two goroutines, and the later one can reach the exporter first. Such a batch then carries the
// earlier ones: they are delivered just before it, and find their work done when they arrive.
type batchOrder struct {
	mu sync.Mutex
	// coming are the batches that were begun but have not arrived, in order.
	coming []*ticket
}

// ticket is a batch's place in the order.
type ticket struct {
	request *request
	// arrived is set once the batch was handed to the exporter, which happens again for retries.
	arrived bool
	// carried are the earlier batches that are delivered with this one.
	carried []*ticket
	// done is set when the batch that carried this one has ended; err is its result.
	done bool
	err  error
}

// begin takes the next place. The request may grow until another place is taken.
func (o *batchOrder) begin(r *request) *ticket {
	t := &ticket{request: r}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.coming = append(o.coming, t)
	return t
}

// deliver pushes a batch after all that were begun before it.
func (o *batchOrder) deliver(ctx context.Context, r *request, push func(context.Context, chunk.Parts, Try) error) error {
	if r.try.Number == 0 {
		r.try.Since = time.Now()
	}
	try := *r.try
	r.try.Number++
	if o == nil || r.ticket == nil {
		return push(ctx, r.parts, try)
	}
	if o.arrive(r) {
		return r.ticket.err
	}
	err := push(ctx, r.parts, try)
	if err == nil || consumererror.IsPermanent(err) {
		o.finish(r.ticket, err)
	}
	return err
}

// arrive removes the batch from those to come, and reports whether another one carried it. Earlier ones that have not
// arrived are put before it.
func (o *batchOrder) arrive(r *request) (done bool) {
	t := r.ticket
	o.mu.Lock()
	defer o.mu.Unlock()
	if t.done || t.arrived {
		return t.done
	}
	t.arrived = true
	at := slices.Index(o.coming, t)
	t.carried = slices.Clone(o.coming[:at])
	o.coming = slices.Delete(o.coming, at, at+1)
	if at == 0 {
		return false
	}
	var together chunk.Parts
	for _, earlier := range t.carried {
		// Should this batch not get through, the earlier one still has its own.
		together = append(together, earlier.request.parts...)
	}
	r.parts = append(together, r.parts...)
	return false
}

// finish ends the batches that were carried.
func (o *batchOrder) finish(t *ticket, err error) {
	if len(t.carried) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, earlier := range t.carried {
		earlier.done, earlier.err = true, err
		o.coming = slices.DeleteFunc(o.coming, func(other *ticket) bool { return other == earlier })
	}
}
