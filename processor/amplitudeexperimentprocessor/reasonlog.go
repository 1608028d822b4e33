// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
)

// logEvery is the minimum time between two log lines about one reason.
const logEvery = time.Minute

// remindEvery is the minimum time for what is not an error and will not change by itself.
const remindEvery = time.Hour

// reasonLog logs what became of records that are not events: each reason immediately, then at most once a minute,
// with the number since the last line.
type reasonLog struct {
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

func newReasonLog(logger *zap.Logger, now func() time.Time) *reasonLog {
	return &reasonLog{logger: logger, now: now}
}

// report logs what happened in a batch.
func (l *reasonLog) report(c *experiment.Counts) {
	if total := l.due(&l.noReason, c.WithoutReason, remindEvery); total > 0 {
		l.logger.Info("Evaluations without a reason count as exposures, even those of flags that give everyone the same value",
			zap.Int("count", total),
			zap.String("example_flag", printable.Text(c.WithoutReasonFlag)),
			zap.String("hint", "record feature_flag.result.reason in the application, or log $exposure where a variant is shown and set evaluation: {enabled: false}"))
	}
	for reason := range experiment.NumRejectReasons {
		if total := l.due(&l.rejected[reason], c.Rejected[reason]+c.FlagsLeftOut[reason], logEvery); total > 0 {
			l.logger.Warn("Records or flags could not become Amplitude events",
				zap.String("reason", reason.String()),
				zap.Int("count", total),
				zap.String("example_flag", printable.Text(c.ExampleFlag[reason])),
				zap.String("hint", reason.Hint()))
		}
	}
	for reason := range experiment.NumSkipReasons {
		if total := l.due(&l.skipped[reason], c.Skipped[reason], logEvery); total > 0 {
			l.logger.Info("Records were skipped: they do not count as exposures or assignments",
				zap.String("reason", reason.String()),
				zap.Int("count", total),
				zap.String("example_flag", printable.Text(c.SkippedFlag[reason])),
				zap.String("hint", reason.Hint()))
		}
	}
	if total := l.due(&l.shaped, c.Claims.Shaped, logEvery); total > 0 {
		l.logger.Warn("Records that look like events from another Collector are read like any other; "+
			"set accept_shaped if only Collectors can write to this processor", zap.Int("count", total))
	}
	for claim := range experiment.NumClaims {
		// Claims of records that look shaped were logged above.
		if total := l.due(&l.claims[claim], c.Claims.Count[claim], logEvery); total > 0 && c.Claims.Shaped == 0 {
			l.logger.Warn("Attributes that applications may not set were stripped",
				zap.String("reason", claim.String()),
				zap.Int("count", total),
				zap.String("example", printable.Text(c.Claims.Example[claim])),
				zap.String("hint", "remove them in the application, or set accept_shaped if only Collectors and replays write to this processor"))
		}
	}
	for kind := range experiment.NumIDSuspects {
		if total := l.due(&l.suspects[kind], c.IDsSuspect[kind], logEvery); total > 0 {
			l.logger.Warn("Ids look different from those that the flags were evaluated with, which moves users between variants",
				zap.String("reason", kind.String()),
				zap.Int("count", total),
				zap.String("hint", kind.Hint()))
		}
	}
	if total := l.due(&l.flapping, c.Flapping, logEvery); total > 0 {
		l.logger.Warn("A user property changes more than once a minute and is left unchanged until its limit allows another change",
			zap.Int("count", total),
			zap.String("example_flag", printable.Text(c.FlappingFlag)),
			zap.String("hint", "several sources report different variants of one flag for the same user: look for devices or services that are bucketed separately"))
	}
	for kind := range experiment.NumNearMisses {
		if total := l.due(&l.nearMisses[kind], c.NearMisses.Count[kind], logEvery); total > 0 {
			near := &c.NearMisses.Example[kind]
			l.logger.Warn("Records look like flag evaluations, exposures or assignments, but are not recognized",
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
func (l *reasonLog) due(reason *tally, n int, every time.Duration) int {
	if n == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	reason.count += n
	now := l.now()
	if now.Before(reason.next) {
		return 0
	}
	total := reason.count
	reason.count, reason.next = 0, now.Add(every)
	return total
}
