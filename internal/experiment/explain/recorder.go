// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package explain // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"
)

// Recorder collects the explanations of the records that it wants. It is not safe for concurrent use.
type Recorder struct {
	// Wants selects the records to explain; nil selects all.
	Wants func(plog.LogRecord) bool
	// History is what was sent before, by record number; without one, explanations name no records.
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

// Take returns the explanations since the last call, in the order of the records.
func (r *Recorder) Take() []*Explanation {
	taken := r.taken
	r.taken = nil
	return taken
}

type contextKey struct{}

// NewContext returns a context that carries a recorder to the mapping of the batch.
func NewContext(ctx context.Context, r *Recorder) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// FromContext returns the recorder that a context carries, or nil.
func FromContext(ctx context.Context) *Recorder {
	r, _ := ctx.Value(contextKey{}).(*Recorder)
	return r
}
