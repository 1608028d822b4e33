// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package explain // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"
)

// Recorder collects the explanations of the records that it wants. It is not safe for concurrent use.
type Recorder struct {
	// Wants chooses the records that are explained; nil means all of them.
	Wants func(plog.LogRecord) bool
	// History knows what was sent before, by the number of its record; without one, explanations name no records.
	History *History

	records int
	taken   []*Explanation
}

// Begin returns the explanation of a record to be filled in, or nil if it is not wanted.
func (r *Recorder) Begin(record plog.LogRecord) *Explanation {
	if r.Wants != nil && !r.Wants(record) {
		return nil
	}
	r.records++
	x := &Explanation{Record: r.records}
	r.taken = append(r.taken, x)
	return x
}

// Take returns the explanations since the last time, in the order of the records.
func (r *Recorder) Take() []*Explanation {
	taken := r.taken
	r.taken = nil
	return taken
}

type contextKey struct{}

// NewContext returns a context that carries a recorder to whoever maps the batch.
func NewContext(ctx context.Context, r *Recorder) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// FromContext returns the recorder that a context carries, or nil.
func FromContext(ctx context.Context) *Recorder {
	r, _ := ctx.Value(contextKey{}).(*Recorder)
	return r
}
