// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// explainEvery is how often one kind of rejection is explained in the log.
const explainEvery = time.Minute

// explainer tells an operator why records were rejected: each reason at once, then at most once a
// minute, with the number since the last time.
type explainer struct {
	logger *zap.Logger
	now    func() time.Time

	mu      sync.Mutex
	reasons [numRejectReasons]struct {
		count int
		next  time.Time
	}
}

func newExplainer(logger *zap.Logger, now func() time.Time) *explainer {
	return &explainer{logger: logger, now: now}
}

// explain is told what happened in a batch.
func (e *explainer) explain(c *counts) {
	for reason := range c.rejected {
		n := c.rejected[reason] + c.flagsLeftOut[reason]
		if n == 0 {
			continue
		}
		if total := e.due(reason, n); total > 0 {
			e.logger.Warn("records or flags could not become Amplitude events",
				zap.String("reason", rejectNames[reason]),
				zap.Int("count", total),
				zap.String("example_flag", c.example[reason]),
				zap.String("hint", rejectHints[reason]))
		}
	}
}

// due adds to the count of a reason and returns all of it when it is time to tell, else 0.
func (e *explainer) due(reason, n int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &e.reasons[reason]
	r.count += n
	now := e.now()
	if now.Before(r.next) {
		return 0
	}
	total := r.count
	r.count, r.next = 0, now.Add(explainEvery)
	return total
}
