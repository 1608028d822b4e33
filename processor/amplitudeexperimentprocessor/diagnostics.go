// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/bookkeeper"
)

// diagnosis counts what is sent, by flag and person. A nil diagnosis counts nothing.
type diagnosis struct {
	book   *diagnostics.Book
	keeper *bookkeeper.Keeper
	now    func() time.Time
	scope  attribute.KeyValue
	// counts are those of the current metrics collection.
	counts atomic.Pointer[[]diagnostics.Counts]
}

// newDiagnosis returns nil if nothing is to be counted.
func newDiagnosis(cfg *Config, set processor.Settings, now func() time.Time) (*diagnosis, error) {
	if !cfg.Diagnostics.enabled() {
		return nil, nil
	}
	d := &diagnosis{book: cfg.Diagnostics.book(), now: now, scope: attribute.String(labelScope, scopeReplica)}
	settings := bookkeeper.Settings{
		Book: d.book, Owner: set.ID, Storage: cfg.Dedup.StorageID, Forget: cfg.Diagnostics.ForgetAfter, Clock: now, Logger: set.Logger,
	}
	if cfg.Dedup.Redis.HasValue() {
		var err error
		if settings.Redis, err = cfg.Dedup.Redis.Get().settings(); err != nil {
			return nil, fmt.Errorf("dedup::redis: %w", err)
		}
		d.scope = attribute.String(labelScope, scopeFleet)
	}
	d.keeper = bookkeeper.New(settings)
	return d, nil
}

func (d *diagnosis) start(ctx context.Context, host component.Host) error {
	if d == nil {
		return nil
	}
	return d.keeper.Start(ctx, host)
}

func (d *diagnosis) shutdown(ctx context.Context) error {
	if d == nil {
		return nil
	}
	return d.keeper.Shutdown(ctx)
}

// sent counts the events of a batch that the next component accepted. Repeats add nothing.
func (d *diagnosis) sent(events []experiment.Event, arrival time.Time) {
	if d == nil {
		return
	}
	now := arrival.UnixMilli()
	for i := range events {
		e := &events[i]
		switch {
		case e.Verdict.Repeat || len(e.Flags) == 0:
		case e.Exposes():
			flag := &e.Flags[0]
			exposure := diagnostics.Exposure{
				Flag: flag.Key, Run: e.Run(), Person: diagnostics.PersonOf(e.UserID, e.DeviceID),
				Day: e.Window, Time: e.Time, Late: e.Verdict.Late,
			}
			if !flag.Unassigned {
				exposure.Variant = flag.Variant
			}
			d.book.Expose(&exposure, now)
		case e.Assigns():
			who := diagnostics.PersonOf(e.UserID, e.DeviceID)
			for f := range e.Flags {
				if flag := &e.Flags[f]; !flag.Unassigned {
					d.book.Assign(flag.Key, who, e.Window, now)
				}
			}
		}
	}
}

// Labels and their values.
const (
	labelScope   = "scope"
	labelRun     = "experiment_key"
	labelVariant = "variant"
	labelTrait   = "trait"
	labelKind    = "kind"
	labelStore   = "store"

	scopeReplica = "replica"
	scopeFleet   = "fleet"
)

// observeDiagnostics publishes the counts. The metric registered first takes a snapshot, which the others report too.
func (t *telemetry) observeDiagnostics(d *diagnosis) error {
	if d == nil {
		return nil
	}
	run := func(c *diagnostics.Counts, more ...attribute.KeyValue) metric.MeasurementOption {
		return labels(append(more, t.id, attribute.String(labelFlag, c.Flag), attribute.String(labelRun, c.Run))...)
	}
	ints := func(register func(metric.Int64Callback) error, read func(c *diagnostics.Counts, observe func(int, ...attribute.KeyValue))) error {
		return register(func(_ context.Context, o metric.Int64Observer) error {
			d.each(func(c *diagnostics.Counts) {
				read(c, func(n int, more ...attribute.KeyValue) { o.Observe(int64(n), run(c, more...)) })
			})
			return nil
		})
	}
	floats := func(register func(metric.Float64Callback) error, read func(c *diagnostics.Counts, observe func(float64, ...attribute.KeyValue))) error {
		return register(func(_ context.Context, o metric.Float64Observer) error {
			d.each(func(c *diagnostics.Counts) {
				read(c, func(n float64, more ...attribute.KeyValue) { o.Observe(n, run(c, more...)) })
			})
			return nil
		})
	}
	scalar := func(register func(metric.Int64Callback) error, label string, read map[string]func() int64) error {
		return register(func(_ context.Context, o metric.Int64Observer) error {
			for word, value := range read {
				o.Observe(value(), labels(t.id, attribute.String(label, word)))
			}
			return nil
		})
	}
	b := t.builder
	kinds := [2]attribute.KeyValue{attribute.String(labelKind, "exposure"), attribute.String(labelKind, "unexposure")}
	return errors.Join(
		ints(func(callback metric.Int64Callback) error {
			return b.RegisterProcessorAmplitudeExperimentDiagnosticsEventsCallback(func(ctx context.Context, o metric.Int64Observer) error {
				d.look()
				return callback(ctx, o)
			})
		}, func(c *diagnostics.Counts, observe func(int, ...attribute.KeyValue)) {
			observe(int(c.Exposures), kinds[0])
			observe(int(c.Unexposures), kinds[1])
		}),
		ints(b.RegisterProcessorAmplitudeExperimentDiagnosticsLateExposuresCallback, func(c *diagnostics.Counts, observe func(int, ...attribute.KeyValue)) {
			observe(int(c.Late))
		}),
		ints(b.RegisterProcessorAmplitudeExperimentDiagnosticsPersonsCallback, func(c *diagnostics.Counts, observe func(int, ...attribute.KeyValue)) {
			for i := range c.Variants {
				observe(c.Variants[i].Persons, d.scope, attribute.String(labelVariant, c.Variants[i].Variant))
			}
		}),
		ints(b.RegisterProcessorAmplitudeExperimentDiagnosticsTraitsCallback, func(c *diagnostics.Counts, observe func(int, ...attribute.KeyValue)) {
			trait := func(n int, word string) { observe(n, d.scope, attribute.String(labelTrait, word)) }
			trait(c.Changed, "changed")
			trait(c.DeviceOnly, "device_only")
			if c.Assigned > 0 {
				trait(c.Assigned, "assigned")
				trait(c.ExposedAssigned, "assigned_exposed")
				trait(c.WithoutAssignment, "without_assignment")
			}
		}),
		floats(b.RegisterProcessorAmplitudeExperimentDiagnosticsSampledShareCallback, func(c *diagnostics.Counts, observe func(float64, ...attribute.KeyValue)) {
			observe(c.SampledShare, d.scope)
		}),
		floats(b.RegisterProcessorAmplitudeExperimentDiagnosticsExpectedShareCallback, func(c *diagnostics.Counts, observe func(float64, ...attribute.KeyValue)) {
			for i := range c.Variants {
				if share := c.Variants[i].Share; share > 0 {
					observe(share, attribute.String(labelVariant, c.Variants[i].Variant))
				}
			}
		}),
		floats(b.RegisterProcessorAmplitudeExperimentDiagnosticsEvidenceCallback, func(c *diagnostics.Counts, observe func(float64, ...attribute.KeyValue)) {
			if c.Verdict.Tested {
				observe(c.Verdict.Evidence, d.scope)
			}
		}),
		floats(b.RegisterProcessorAmplitudeExperimentDiagnosticsPValueCallback, func(c *diagnostics.Counts, observe func(float64, ...attribute.KeyValue)) {
			if c.Verdict.Tested {
				observe(c.Verdict.PValue, d.scope)
			}
		}),
		scalar(b.RegisterProcessorAmplitudeExperimentDiagnosticsNotCountedCallback, labelReason, map[string]func() int64{
			diagnostics.BoundFlags.String():    func() int64 { return d.book.NotCounted(diagnostics.BoundFlags) },
			diagnostics.BoundVariants.String(): func() int64 { return d.book.NotCounted(diagnostics.BoundVariants) },
		}),
		scalar(b.RegisterProcessorAmplitudeExperimentDiagnosticsFailuresCallback, labelStore, map[string]func() int64{
			"storage": d.keeper.StorageFailures, "redis": d.keeper.RedisFailures,
		}),
	)
}

// look takes a snapshot of the counts, and drops what has not been seen for too long.
func (d *diagnosis) look() {
	d.book.Expire(d.now().UnixMilli())
	counts := d.book.Read()
	d.counts.Store(&counts)
}

func (d *diagnosis) each(do func(*diagnostics.Counts)) {
	counts := d.counts.Load()
	if counts == nil {
		return
	}
	for i := range *counts {
		do(&(*counts)[i])
	}
}
