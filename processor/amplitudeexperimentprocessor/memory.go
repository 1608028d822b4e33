// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/dedup"
)

// memory decides about events by what Amplitude holds. Without de-duplication every event is sent.
type memory struct {
	cfg    *DedupConfig
	ledger *dedup.Ledger // nil if de-duplication is not enabled
	idle   freelist.List[*reservation]

	// source and identifies make each $identify unique.
	source     uint64
	identifies atomic.Uint64
}

func newMemory(cfg *DedupConfig, set processor.Settings, f *factory) (*memory, error) {
	m := &memory{
		cfg: cfg, source: f.random(), idle: freelist.New[*reservation](freelist.Calls()),
	}
	if !cfg.Enabled {
		return m, nil
	}
	settings := cfg.settings(set)
	settings.Clock = f.now
	if cfg.Redis.HasValue() {
		var err error
		if settings.Redis, err = cfg.Redis.Get().settings(); err != nil {
			return nil, fmt.Errorf("dedup::redis: %w", err)
		}
	}
	var err error
	m.ledger, err = dedup.New(settings)
	return m, err
}

// settings returns the settings of the ledger, except Redis.
func (cfg *DedupConfig) settings(set processor.Settings) dedup.Settings {
	settings := dedup.Settings{
		MaxEntries: cfg.MaxEntries,
		History:    cfg.HistoryOlderThan,
		Owner:      set.ID,
		Storage:    cfg.StorageID,
		Scope:      cfg.Window + " " + cfg.TimeZone,
		Logger:     set.Logger,
	}
	if cfg.Mode == dedupModeUniquePerDay {
		settings.Mode = dedup.UniquePerDay
	}
	if length, err := time.ParseDuration(cfg.Window); err == nil { // a day is the default
		settings.Window = length
	}
	return settings
}

// settings returns the Redis settings of the ledger.
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

func (m *memory) start(ctx context.Context, host component.Host, log *zap.Logger) error {
	if m.ledger == nil {
		return nil
	}
	m.warn(log)
	return m.ledger.Start(ctx, host)
}

func (m *memory) shutdown(ctx context.Context) error {
	if m.ledger == nil {
		return nil
	}
	return m.ledger.Shutdown(ctx)
}

// warn logs what the configuration cannot guarantee.
func (m *memory) warn(log *zap.Logger) {
	switch exporters, losing := receipts.Exporters(); {
	case exporters == 0:
		log.Warn("No amplitude exporter runs in this Collector: events count as delivered once the next component accepts them, and the repeats of "+
			"an event lost after that are dropped for the rest of the day. If a gateway sends to Amplitude, de-duplicate there instead",
			zap.String("setting", "dedup: {enabled: false}"), zap.String("see", tiersLink))
	case losing > 0 && (m.cfg.StorageID != nil || m.cfg.Redis.HasValue()):
		log.Warn("The de-duplication state survives a crash but the queue is in memory: events lost from the queue in a crash are "+
			"sent again only when the same result is reported again. Keep the queue on disk, too",
			zap.String("setting", "sending_queue::storage of the amplitude exporter"), zap.String("see", survivesLink))
	}
}

const (
	tiersLink    = "https://github.com/otelcol-amplitude/otelcol-amplitude/blob/main/docs/deduplication.md#one-memory-for-each-processor"
	survivesLink = "https://github.com/otelcol-amplitude/otelcol-amplitude/blob/main/docs/deduplication.md#what-survives-what"
)

// reservation is a batch of events between the decision and the answer of the next component. Exactly one of accept
// and release ends it. A nil reservation has nothing to remember.
type reservation struct {
	memory    *memory
	batch     *dedup.Reservation
	records   []dedup.Record
	flags     []dedup.Flag
	verdicts  []dedup.Verdict
	decisions []dedup.Decision
	// known is what makes each event a repeat; empty unless a tap client is watching.
	known []dedup.Known
}

// reserve decides about each event of a batch; see [dedup.Ledger.Reserve]. The recorder may be nil. watched asks for
// the details of repeats.
func (m *memory) reserve(ctx context.Context, events []experiment.Event, recorder *explain.Recorder, watched bool) *reservation {
	var r *reservation
	if m.ledger != nil {
		var ok bool
		if r, ok = m.idle.Get(); !ok {
			r = &reservation{memory: m}
		}
		r.decide(ctx, events, watched)
	}
	if recorder != nil {
		for i := range events {
			m.explain(&events[i], recorder.History)
		}
	}
	return r
}

// tell puts the verdicts into words for tap clients.
func (m *memory) tell(events []experiment.Event, r *reservation) {
	for i := range events {
		if told := events[i].Told; told != nil && told.Verdict == "" {
			m.explain(&events[i], nil)
		}
	}
	for i, e := range remembered(events) {
		if told := e.Told; r != nil && told != nil && told.Verdict == explain.VerdictRepeat {
			told.Because += knownWords(r.known[i])
		}
	}
}

// knownWords says since when an event is known, and where it is.
func knownWords(known dedup.Known) string {
	at := time.UnixMilli(known.At).UTC()
	switch known.State {
	case dedup.Delivered:
		return ": it was delivered, and last reported at " + at.Format("2006-01-02T15:04:05Z")
	case dedup.OnItsWay:
		return ": it is on its way, with the time " + at.Format("2006-01-02T15:04:05.000Z")
	case dedup.SameBatch:
		return ": it is in the same request"
	default:
		return ""
	}
}

func (r *reservation) decide(ctx context.Context, events []experiment.Event, watched bool) {
	r.records, r.flags = r.records[:0], r.flags[:0]
	for _, e := range remembered(events) {
		r.add(e)
	}
	r.verdicts = slices.Grow(r.verdicts[:0], len(r.records))[:len(r.records)]
	r.decisions = slices.Grow(r.decisions[:0], len(r.flags))[:len(r.flags)]
	r.known = r.known[:0]
	if watched {
		r.known = slices.Grow(r.known, len(r.records))[:len(r.records)]
		clear(r.known)
	}
	r.batch = r.memory.ledger.ReserveKnowing(ctx, r.records, r.flags, r.verdicts, r.decisions, r.known)
	at := 0
	for i, e := range remembered(events) {
		at += r.answer(e, r.verdicts[i], r.decisions[at:])
	}
}

// remembered yields the events that the ledger decides about, each with its index: all but outcomes, which Amplitude
// alone de-duplicates by insert_id.
func remembered(events []experiment.Event) iter.Seq2[int, *experiment.Event] {
	return func(yield func(int, *experiment.Event) bool) {
		place := 0
		for i := range events {
			if events[i].IsOutcome() {
				continue
			}
			if !yield(place, &events[i]) {
				return
			}
			place++
		}
	}
}

// add appends an event to the records to be decided.
func (r *reservation) add(e *experiment.Event) {
	from := int32(len(r.flags))
	for i := range e.Flags {
		flag := &e.Flags[i]
		if !e.SetsProperty(flag) {
			continue
		}
		one := dedup.Flag{Key: xxh3.HashString(flag.Key)}
		if !flag.Unassigned {
			one.Value = max(1, xxh3.HashString(flag.Variant)) // 0 is unset
		}
		r.flags = append(r.flags, one)
	}
	record := dedup.Record{
		User: dedup.UserID(e.UserID), Device: dedup.DeviceID(e.DeviceID), Day: e.Window, Time: e.Time, From: from, To: int32(len(r.flags)),
	}
	if !e.OnlyProperties() {
		key := e.Key()
		record.Event = dedup.ID{Hi: key.Hi, Lo: key.Lo}
	}
	r.records = append(r.records, record)
}

// answer stores the decision in its event, and returns the number of flags it covered.
func (r *reservation) answer(e *experiment.Event, verdict dedup.Verdict, decisions []dedup.Decision) (decided int) {
	only := e.OnlyProperties()
	carries := dedup.Operate
	if only {
		carries = dedup.Repair
	}
	carried, old := 0, false
	var all dedup.Decision
	for i := range e.Flags {
		flag := &e.Flags[i]
		if !e.SetsProperty(flag) {
			continue
		}
		decision := decisions[decided]
		decided++
		all |= decision
		old = old || decision == 0
		flag.LeftOut = decision&carries == 0
		flag.Repair = decision&dedup.Repair != 0
		if !flag.LeftOut {
			carried++
		}
		if decision&dedup.Flapping != 0 {
			e.Verdict.Flapping = flag.Key
		}
	}
	e.Verdict.Repeat = verdict.Event == 0
	e.Verdict.Changed = all&dedup.Changed != 0
	e.Verdict.Old = old
	e.Verdict.Late = verdict.Event != 0 && decided > 0 && carried == 0
	switch {
	case verdict.Identify == 0:
		return decided
	case only:
		e.Verdict.Repeat = false
	default:
		e.Verdict.Identify = true
	}
	e.Verdict.IdentifySource, e.Verdict.IdentifyNumber = r.memory.source, r.memory.identifies.Add(1)
	return decided
}

// handOver names the copies that the batch sends, and returns the context to hand it on with.
func (r *reservation) handOver(ctx context.Context, events []experiment.Event) context.Context {
	if r == nil || r.batch.Copies() == 0 {
		return ctx
	}
	for i, e := range remembered(events) {
		verdict := r.verdicts[i]
		if verdict.Event != 0 {
			r.batch.Name(verdict.Event, receipts.Key(e.InsertID()))
		}
		switch {
		case verdict.Identify == 0:
		case e.OnlyProperties():
			r.batch.Name(verdict.Identify, receipts.Key(e.InsertID()))
		default:
			r.batch.Name(verdict.Identify, receipts.Key(e.IdentifyID()))
		}
	}
	return r.batch.HandOver(ctx)
}

// accept remembers what the batch sent.
func (r *reservation) accept() {
	if r != nil {
		r.batch.Accept()
		r.end()
	}
}

// release discards the reservation.
func (r *reservation) release() {
	if r != nil {
		r.batch.Release()
		r.end()
	}
}

// maxPooled is the largest number of events a reservation may have to be reused: one huge batch must not hold its
// memory forever.
const maxPooled = 1 << 14

func (r *reservation) end() {
	if r.batch = nil; cap(r.records) <= maxPooled {
		r.memory.idle.Put(r)
	}
}

// explain puts the decision about an event into words.
func (m *memory) explain(e *experiment.Event, history *explain.History) {
	told, verdict := e.Told, e.Verdict
	if told == nil {
		return
	}
	if e.IsOutcome() {
		told.Verdict = explain.VerdictSend
		told.Because = "outcomes are not remembered: Amplitude drops a second event with the same insert_id"
		return
	}
	result := explain.Result{Subject: e.Subject, Result: e.Result, Window: e.Window, Late: verdict.Late}
	told.Verdict = explain.VerdictSend
	told.Property = explainProperty(&verdict)
	last, sameResult, sameWindow := history.Last(&result)
	same, another := "on the same day", "on another day"
	if m.cfg.Window != experiment.WindowDay {
		same, another = "in the same window", "in another window"
	}
	switch {
	case verdict.Repeat:
		told.Verdict, told.SameAs = explain.VerdictRepeat, history.Same(&result)
		told.Because = fmt.Sprintf("%s reported the same result for the same subject %s", recordName(told.SameAs), same)
		return
	case verdict.Late && verdict.Old:
		told.Verdict = explain.VerdictLate
		told.Because = "it is older than dedup.history_older_than, or from a device before its user appeared there: " + leavesAlone
	case verdict.Late && verdict.Flapping == "":
		told.Verdict = explain.VerdictLate
		told.Because = "a newer result is known for the same user and flag: " + leavesAlone
	case !m.cfg.Enabled:
		told.Because = "dedup.enabled is false"
	case verdict.Changed && last > 0 && !sameResult:
		told.ChangedFrom = last
		told.Because = fmt.Sprintf("the result changed: record %d reported a different one", last)
		if !sameWindow {
			told.Because += " " + another
		}
	case verdict.Changed:
		told.Because = "the result changed: an earlier record, perhaps of another subject, reported a different one"
	case history == nil:
		told.Because = "no remembered record reported this result " + same
	case last == 0:
		told.Because = "nothing was sent for this subject before"
	case sameResult && !sameWindow:
		told.Because = fmt.Sprintf("record %d reported the same, but %s", last, another)
	default:
		told.Because = "no record reported this result " + same
	}
	history.Sent(told.Of, result)
}

const leavesAlone = "the event completes the history and leaves the user property alone"

// explainProperty says what happens to the user properties in addition to the event.
func explainProperty(verdict *experiment.Verdict) string {
	switch {
	case verdict.Flapping != "":
		return "left unchanged: it has changed thirty times, and then more than once a minute"
	case verdict.Identify && verdict.Repeat:
		return "set by a $identify: the value last sent to Amplitude is different, or may be"
	case verdict.Identify:
		return "also set by a $identify: if Amplitude already has the event, it drops this one"
	}
	return ""
}

// recordName names the record that sent something, if its number is known.
func recordName(number int) string {
	if number == 0 {
		return "an earlier record"
	}
	return fmt.Sprintf("record %d", number)
}
