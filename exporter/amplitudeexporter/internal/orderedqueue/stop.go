// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/consumer/consumererror"
)

// leavings are the batches of a queue in memory that wait for their next attempt. When exporterhelper stops, it drops
// them and each later batch that fails once. Here, none is dropped before a last attempt, in order.
type leavings struct {
	deliver func(ctx context.Context, r *request) error

	mu       sync.Mutex
	stopping bool
	waiting  map[*Try]*request
}

// send delivers a batch, after earlier ones that would not be retried otherwise.
func (l *leavings) send(ctx context.Context, r *request) error {
	if l.isStopping() {
		l.lastTries(ctx, r.try)
		r.try.Last = true
	}
	err := l.deliver(ctx, r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil || consumererror.IsPermanent(err) || r.try.Last {
		delete(l.waiting, r.try)
		return err
	}
	if l.waiting == nil {
		l.waiting = map[*Try]*request{}
	}
	l.waiting[r.try] = r.OnError(err).(*request)
	return err
}

// lastTries delivers the waiting batches, except for one whose next attempt has come.
func (l *leavings) lastTries(ctx context.Context, but *Try) {
	l.mu.Lock()
	var left []*request
	for try, r := range l.waiting {
		if try != but {
			left = append(left, r)
			delete(l.waiting, try)
		}
	}
	l.mu.Unlock()
	for _, r := range left {
		r.try.Last = true
		_ = l.deliver(ctx, r) // which reports the outcome
	}
}

func (l *leavings) isStopping() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopping
}

func (l *leavings) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopping = true
}
