// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
)

// session explains inputs, one after the other, with one configuration and one memory of what was sent before.
type session struct {
	sections  *sections
	spans     *spanReader
	explainer *explainer
}

func newSession(ctx context.Context, o *options) (*session, error) {
	s := &session{}
	var err error
	if s.sections, err = readSections(ctx, o); err != nil {
		return nil, err
	}
	if s.spans, err = newSpanReader(ctx, s.sections.connector); err != nil {
		return nil, err
	}
	s.explainer, err = newExplainer(ctx, *s.sections.processor, o.now)
	return s, err
}

// read yields an explanation of each record of an input, in order.
func (s *session) read(ctx context.Context, name string, from io.Reader, yield func(explanation) error) error {
	return readLogs(ctx, name, from, s.spans, func(in document) error {
		explanations, err := s.explainer.explain(ctx, in.logs)
		if err != nil {
			return err
		}
		for _, x := range explanations {
			if err := yield(complete(x, in, s.sections.exporter)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *session) end(ctx context.Context) error { return s.explainer.shutdown(ctx) }
