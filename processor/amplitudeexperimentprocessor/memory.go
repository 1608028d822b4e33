// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

// memory gives the verdicts on events, by what was sent before. Without de-duplication every event goes out.
type memory struct {
	cfg   *DedupConfig
	state *dedup.State // nil if de-duplication is not enabled
	idle  freelist.List[*reservation]
}

func newMemory(cfg *DedupConfig, set processor.Settings, now func() time.Time) (*memory, error) {
	m := &memory{cfg: cfg, idle: freelist.New[*reservation](runtime.GOMAXPROCS(0))}
	if !cfg.Enabled {
		return m, nil
	}
	settings := cfg.settings(set)
	settings.Clock = now
	if cfg.Redis.HasValue() {
		var err error
		if settings.Redis, err = cfg.Redis.Get().settings(); err != nil {
			return nil, fmt.Errorf("dedup::redis: %w", err)
		}
	}
	var err error
	m.state, err = dedup.New(settings)
	return m, err
}

// settings translates the section for the state, all but Redis.
func (cfg *DedupConfig) settings(set processor.Settings) dedup.Settings {
	settings := dedup.Settings{
		MaxEntries: cfg.MaxEntries,
		Owner:      set.ID,
		Storage:    cfg.StorageID,
		Scope:      cfg.Window + " " + cfg.TimeZone,
		Logger:     set.Logger,
	}
	if cfg.Mode == dedupModeUniquePerDay {
		settings.Mode = dedup.UniquePerDay
	}
	return settings
}

// settings translates the section for the state.
func (cfg *RedisConfig) settings() (*dedup.RedisSettings, error) {
	options := redis.UniversalOptions{
		Addrs:            cfg.addresses(),
		IsClusterMode:    cfg.isCluster(),
		MasterName:       cfg.MasterName,
		SentinelUsername: cfg.SentinelUsername,
		SentinelPassword: string(cfg.SentinelPassword),
		Username:         cfg.Username,
		Password:         string(cfg.Password),
		DB:               cfg.DB,
	}
	if cfg.TLS.HasValue() {
		var err error
		if options.TLSConfig, err = cfg.TLS.Get().LoadTLSConfig(context.Background()); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	return &dedup.RedisSettings{Options: options, KeyPrefix: cfg.KeyPrefix, Timeout: cfg.Timeout}, nil
}

func (m *memory) start(ctx context.Context, host component.Host) error {
	if m.state == nil {
		return nil
	}
	return m.state.Start(ctx, host)
}

func (m *memory) shutdown(ctx context.Context) error {
	if m.state == nil {
		return nil
	}
	return m.state.Shutdown(ctx)
}

// reservation is a batch of events between their verdicts and the answer of the next component. Exactly one of commit
// and release ends it. A nil reservation has nothing to remember.
type reservation struct {
	memory   *memory
	batch    *dedup.Reservation
	records  []dedup.Record
	verdicts []dedup.Verdict
}

// reserve gives the verdict on each event of a batch; see [dedup.State.Reserve]. The recorder may be nil.
func (m *memory) reserve(ctx context.Context, events []experiment.Event, recorder *explain.Recorder) *reservation {
	var r *reservation
	if m.state != nil {
		var ok bool
		if r, ok = m.idle.Get(); !ok {
			r = &reservation{memory: m}
		}
		r.decide(ctx, events)
	}
	if recorder != nil {
		for i := range events {
			m.explain(&events[i], recorder.History)
		}
	}
	return r
}

func (r *reservation) decide(ctx context.Context, events []experiment.Event) {
	r.records = slices.Grow(r.records[:0], len(events))[:len(events)]
	r.verdicts = slices.Grow(r.verdicts[:0], len(events))[:len(events)]
	for i := range events {
		e := &events[i]
		r.records[i] = dedup.Record{Subject: e.Subject, Result: e.Result, Bucket: e.Window, Time: e.Time}
	}
	r.batch = r.memory.state.Reserve(ctx, r.records, r.verdicts)
	for i, verdict := range r.verdicts {
		events[i].Verdict = experiment.Verdict{
			Transition: verdict.Transition,
			Repeat:     verdict.Outcome == dedup.Repeat,
			Late:       verdict.Outcome == dedup.Late,
			Changed:    verdict.Changed,
		}
	}
}

// commit remembers what the batch sent.
func (r *reservation) commit(ctx context.Context) {
	if r != nil {
		r.batch.Commit(ctx)
		r.end()
	}
}

// release forgets the batch.
func (r *reservation) release() {
	if r != nil {
		r.batch.Release()
		r.end()
	}
}

// maxPooled is how many events a reservation may have to be used again: one huge batch must not hold memory forever.
const maxPooled = 1 << 14

func (r *reservation) end() {
	if r.batch = nil; cap(r.records) <= maxPooled {
		r.memory.idle.Put(r)
	}
}

// explain puts the verdict on an event into words.
func (m *memory) explain(e *experiment.Event, history *explain.History) {
	told, verdict := e.Told, e.Verdict
	if told == nil {
		return
	}
	result := explain.Result{Subject: e.Subject, Result: e.Result, Window: e.Window, Late: verdict.Late}
	told.Transition, told.Verdict = verdict.Transition, explain.VerdictSend
	last, sameWindow := history.Last(&result)
	same, another := "on the same day", "on another day"
	if m.cfg.Window != experiment.WindowDay {
		same, another = "in the same window", "in another window"
	}
	when := same
	if last > 0 && !sameWindow {
		when = another
	}
	switch {
	case verdict.Repeat:
		told.Verdict, told.SameAs = explain.VerdictRepeat, history.Same(&result)
		told.Because = fmt.Sprintf("%s told the same of the same subject %s", recordName(told.SameAs), same)
		return
	case verdict.Late:
		told.Verdict = explain.VerdictLate
		told.Because = "it is older than the newest record of its subject: the event completes the history and leaves the user property alone"
	case !m.cfg.Enabled:
		told.Because = "dedup.enabled is false"
	case verdict.Changed && m.cfg.Mode != dedupModeUniquePerDay:
		told.ChangedFrom = last
		told.Because = fmt.Sprintf("the result changed: %s told another %s", recordName(last), when)
	case history == nil:
		told.Because = "nothing that is remembered told this result " + same
	case last == 0:
		told.Because = "nothing was sent of this subject before"
	case m.cfg.Mode == dedupModeUniquePerDay:
		told.Because = "nothing told this result " + same
	default:
		told.Because = fmt.Sprintf("record %d told the same, but %s", last, when)
	}
	history.Sent(told.Of, result)
}

// recordName names the record that sent something, if its number is known.
func recordName(number int) string {
	if number == 0 {
		return "an earlier record"
	}
	return fmt.Sprintf("record %d", number)
}
