// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"sync"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
	"go.uber.org/zap"
)

// explainEvery is the minimum time between two log lines about one reason.
const explainEvery = time.Minute

// remindEvery is the same for what is not an error and will not change by itself.
const remindEvery = time.Hour

// explainer logs what became of records that are not events: each reason immediately, then at most once a minute,
// with the number since the last line.
type explainer struct {
	logger *zap.Logger
	now    func() time.Time

	mu         sync.Mutex
	rejected   [experiment.NumRejectReasons]tally
	skipped    [experiment.NumSkipReasons]tally
	suspects   [experiment.NumIDSuspects]tally
	nearMisses [experiment.NumNearMisses]tally
	shaped     tally
	noReason   tally
	flapping   tally
	claims     [experiment.NumClaims]tally
}

// tally counts what has not been logged yet.
type tally struct {
	count int
	next  time.Time
}

func newExplainer(logger *zap.Logger, now func() time.Time) *explainer {
	return &explainer{logger: logger, now: now}
}

// explain logs what happened in a batch.
func (e *explainer) explain(c *experiment.Counts) {
	if total := e.due(&e.noReason, c.WithoutReason, remindEvery); total > 0 {
		e.logger.Info("Evaluations without a reason count as exposures, even those of flags that give everyone the same value",
			zap.Int("count", total),
			zap.String("example_flag", printable.Text(c.WithoutReasonFlag)),
			zap.String("hint", "record feature_flag.result.reason in the application, or log $exposure where a variant is shown and set evaluation: {enabled: false}"))
	}
	for reason := range experiment.NumRejectReasons {
		if total := e.due(&e.rejected[reason], c.Rejected[reason]+c.FlagsLeftOut[reason], explainEvery); total > 0 {
			e.logger.Warn("Records or flags could not become Amplitude events",
				zap.String("reason", reason.String()),
				zap.Int("count", total),
				zap.String("example_flag", printable.Text(c.ExampleFlag[reason])),
				zap.String("hint", reason.Hint()))
		}
	}
	for reason := range experiment.NumSkipReasons {
		if total := e.due(&e.skipped[reason], c.Skipped[reason], explainEvery); total > 0 {
			e.logger.Info("Records were skipped: they do not count as exposures or assignments",
				zap.String("reason", reason.String()),
				zap.Int("count", total),
				zap.String("example_flag", printable.Text(c.SkippedFlag[reason])),
				zap.String("hint", reason.Hint()))
		}
	}
	if total := e.due(&e.shaped, c.Claims.Shaped, explainEvery); total > 0 {
		e.logger.Warn("Records that look like events from another Collector are read like any other; "+
			"set accept_shaped if only Collectors can write to this processor", zap.Int("count", total))
	}
	for claim := range experiment.NumClaims {
		// Claims of records that look shaped were logged above.
		if total := e.due(&e.claims[claim], c.Claims.Count[claim], explainEvery); total > 0 && c.Claims.Shaped == 0 {
			e.logger.Warn("Attributes that applications may not set were stripped",
				zap.String("reason", claim.String()),
				zap.Int("count", total),
				zap.String("example", printable.Text(c.Claims.Example[claim])),
				zap.String("hint", "remove them in the application, or set accept_shaped if only Collectors and replays write to this processor"))
		}
	}
	for kind := range experiment.NumIDSuspects {
		if total := e.due(&e.suspects[kind], c.IDsSuspect[kind], explainEvery); total > 0 {
			e.logger.Warn("Ids look different from those that the flags were evaluated with, which moves users between variants",
				zap.String("reason", kind.String()),
				zap.Int("count", total),
				zap.String("hint", kind.Hint()))
		}
	}
	if total := e.due(&e.flapping, c.Flapping, explainEvery); total > 0 {
		e.logger.Warn("A user property changes more than once a minute and is left unchanged until its limit allows another change",
			zap.Int("count", total),
			zap.String("example_flag", printable.Text(c.FlappingFlag)),
			zap.String("hint", "several sources report different variants of one flag for the same user: look for devices or services that are bucketed separately"))
	}
	for kind := range experiment.NumNearMisses {
		if total := e.due(&e.nearMisses[kind], c.NearMisses.Count[kind], explainEvery); total > 0 {
			near := &c.NearMisses.Example[kind]
			e.logger.Warn("Records look like flag evaluations, exposures or assignments, but are not recognized",
				zap.String("reason", kind.String()),
				zap.Int("count", total),
				zap.String("service", printable.Text(near.Service)),
				zap.String("found", printable.Text(near.Found)),
				zap.String("did_you_mean", near.Meant),
				zap.String("hint", kind.Hint()))
		}
	}
}

// due adds to the count of a reason, and returns and resets the total when it is time to log it, else 0.
func (e *explainer) due(reason *tally, n int, every time.Duration) int {
	if n == 0 {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	reason.count += n
	now := e.now()
	if now.Before(reason.next) {
		return 0
	}
	total := reason.count
	reason.count, reason.next = 0, now.Add(every)
	return total
}
