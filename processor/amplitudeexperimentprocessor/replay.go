// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/replay"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
)

const (
	// replayWait is how long a request with dead letters waits for their outcomes.
	replayWait = 5 * time.Second
	// maxFlights bounds the letters that are remembered until the replay command asks about them again.
	maxFlights = 100_000
)

// replays reports to otelcol-amplitude-replay what became of each dead letter. All other requests go straight to the
// processor.
type replays struct {
	processor.Logs
	acceptShaped bool

	mu sync.Mutex
	// flights are the letters, by id, whose outcome is not known or not reported yet.
	flights map[string]*flight
	byKey   map[uint64][]*flight
	// claims and early are what exporters took, and the receipts that arrived, while a request was being handed over.
	claims map[uint64]int
	early  map[uint64][]receipt
	// requests counts those being handed over; stop ends the listening.
	requests int
	stop     func()
}

type receipt struct {
	outcome receipts.Outcome
	why     string
}

// flight is a letter whose events the next component accepted.
type flight struct {
	left   int
	letter replay.Letter
	landed chan struct{} // closed when letter is final
}

// ConsumeLogs hands a batch on unchanged, unless it contains dead letters whose sender asks for their outcomes: the
// answer is then always an error that holds them. Only senders on this machine get one, because it reveals what is
// known about a user.
func (p *replays) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if !isReplay(ld) {
		return p.Logs.ConsumeLogs(ctx, ld)
	}
	if !isLocal(ctx) {
		for _, resource := range ld.ResourceLogs().All() {
			takeLetterID(resource)
		}
		return p.Logs.ConsumeLogs(ctx, ld)
	}
	outcomes, flights, err := p.handOver(ctx, ld)
	if err != nil {
		return err
	}
	wait := time.NewTimer(replayWait)
	defer wait.Stop()
waiting:
	for _, f := range flights {
		select {
		case <-f.landed:
		case <-wait.C:
			break waiting
		case <-ctx.Done():
			break waiting
		}
	}
	return consumererror.NewPermanent(&replay.Report{Letters: append(outcomes, p.land(flights)...)})
}

// handOver hands on the letters that are not in flight already. It returns the outcomes known immediately, and the
// flights.
func (p *replays) handOver(ctx context.Context, ld plog.Logs) (outcomes []replay.Letter, flights []*flight, err error) {
	p.listen()
	defer p.listened()
	var sent []sentRecord
	ld.ResourceLogs().RemoveIf(func(resource plog.ResourceLogs) bool {
		id := takeLetterID(resource)
		if f := p.flight(id); f != nil {
			flights = append(flights, f)
			return true
		}
		if id != "" && !p.acceptShaped && !isOwn(resource) {
			outcomes = append(outcomes, replay.Letter{ID: id, Outcome: replay.Untrusted, Why: "its operators and fields would be stripped: " +
				"send it through a pipeline whose processor has accept_shaped: true and the same dedup.memory"})
			return true
		}
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				insertID, _ := record.Attributes().Get(amplitude.AttrInsertID)
				key := receipts.Key(insertID.AsString())
				sent = append(sent, sentRecord{id, insertID.AsString(), record.Timestamp().AsTime(), key, receipts.Pending(key)})
			}
		}
		return false
	})
	if len(sent) == 0 {
		return outcomes, flights, nil
	}
	recorder := &explain.Recorder{}
	if err := p.Logs.ConsumeLogs(explain.NewContext(ctx, recorder), ld); err != nil {
		return nil, nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range recorder.Take() {
		if i >= len(sent) || sent[i].letter == "" {
			continue
		}
		letter, keys := decided(x, &sent[i])
		if letter.Outcome == replay.Repeat && len(keys) == 0 && p.isOnItsWay(&sent[i]) {
			letter = replay.Letter{Outcome: replay.Waiting, Why: "the same event is on its way"}
		}
		if letter.ID = sent[i].letter; len(keys) == 0 {
			outcomes = append(outcomes, letter)
			continue
		}
		flights = append(flights, p.takeOff(letter, keys))
	}
	return outcomes, flights, nil
}

type sentRecord struct {
	letter, insertID string
	time             time.Time
	key              uint64
	// pending: an exporter had it in flight when the request came.
	pending bool
}

// decided returns what the processor made of a letter: its outcome, or the keys of its events in flight.
func decided(x *explain.Explanation, sent *sentRecord) (letter replay.Letter, keys []uint64) {
	repeat := ""
	for _, e := range x.Events {
		switch {
		case e.Verdict == explain.VerdictRepeat:
			repeat = "the same result of " + sent.time.UTC().Format(time.DateOnly) + " was sent before"
		case e.InsertID != nil:
			if key := receipts.Key(e.InsertID.Value); !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	switch x.Outcome {
	case experiment.Passed.String():
		if sent.insertID != "" {
			keys = append(keys, sent.key)
		}
		letter = replay.Letter{Outcome: replay.Waiting, Why: "without amplitude.insert_id nobody can tell"}
	case experiment.Dropped.String():
		letter = replay.Letter{Outcome: replay.Rejected, Why: "it is not recognized, and other_records is drop"}
	case experiment.Skipped.String(), experiment.Rejected.String():
		letter = replay.Letter{Outcome: replay.Rejected, Why: strings.TrimSuffix(x.Reason+": "+x.Hint, ": ")}
	default:
		letter = replay.Letter{Outcome: replay.Repeat, Why: repeat}
	}
	return letter, keys
}

// isOnItsWay reports whether the event that a repeat repeats may still fail to be delivered. The caller holds the
// lock.
func (p *replays) isOnItsWay(r *sentRecord) bool {
	return r.pending || receipts.Pending(r.key) ||
		slices.ContainsFunc(p.early[r.key], func(r receipt) bool { return r.outcome == receipts.NotDelivered })
}

// takeOff notes which receipts decide about a letter: one from each exporter that took an event. The caller holds the
// lock.
func (p *replays) takeOff(letter replay.Letter, keys []uint64) *flight {
	f := &flight{letter: replay.Letter{ID: letter.ID, Outcome: replay.Delivered}, landed: make(chan struct{})}
	for _, key := range keys {
		// Without a claim, it goes to another process, which may never report back.
		f.left += max(1, p.claims[key])
	}
	if len(p.flights) < maxFlights {
		p.flights[letter.ID] = f
	}
	for _, key := range keys {
		early := p.early[key]
		for range max(1, p.claims[key]) {
			if len(early) > 0 {
				f.settle(early[0])
				early = early[1:]
				continue
			}
			p.byKey[key] = append(p.byKey[key], f)
		}
		delete(p.claims, key)
	}
	return f
}

func (f *flight) settle(r receipt) {
	if r.outcome == receipts.NotDelivered {
		f.letter.Outcome, f.letter.Why = replay.NotDelivered, r.why
	}
	if f.left--; f.left == 0 {
		close(f.landed)
	}
}

// Claimed is called for each event that an exporter takes.
func (p *replays) Claimed(key uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.requests > 0 {
		p.claims[key]++
	}
}

// Answered is called for each request; its events are settled afterward.
func (*replays) Answered([]uint64, *receipts.Answer) {}

// Settled is called for each receipt.
func (p *replays) Settled(key uint64, outcome receipts.Outcome, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := receipt{outcome, why}
	flights := p.byKey[key]
	if len(flights) == 0 {
		if p.requests > 0 {
			p.early[key] = append(p.early[key], r)
		}
		return
	}
	flights[0].settle(r)
	if p.byKey[key] = flights[1:]; len(flights) == 1 {
		delete(p.byKey, key)
	}
}

// land reports flights, and forgets those that are over.
func (p *replays) land(flights []*flight) (outcomes []replay.Letter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range flights {
		letter := f.letter
		if f.left > 0 {
			letter = replay.Letter{ID: f.letter.ID, Outcome: replay.Waiting, Why: "on its way in the exporter"}
		} else {
			delete(p.flights, letter.ID)
		}
		outcomes = append(outcomes, letter)
	}
	p.rest()
	return outcomes
}

func (p *replays) flight(id string) *flight {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flights[id]
}

// listen starts listening for receipts before a request is handed over.
func (p *replays) listen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop == nil {
		p.flights, p.byKey, p.claims, p.early = map[string]*flight{}, map[uint64][]*flight{}, map[uint64]int{}, map[uint64][]receipt{}
		p.stop = receipts.Listen(p)
	}
	p.requests++
}

func (p *replays) listened() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.requests--; p.requests == 0 {
		clear(p.early)
		clear(p.claims)
	}
	p.rest()
}

// rest stops listening when nothing is left to listen for. The caller holds the lock.
func (p *replays) rest() {
	if p.requests == 0 && len(p.byKey) == 0 && len(p.flights) == 0 && p.stop != nil {
		p.stop()
		p.stop = nil
	}
}

// Shutdown stops listening.
func (p *replays) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	if p.stop != nil {
		p.stop()
	}
	p.mu.Unlock()
	return p.Logs.Shutdown(ctx)
}

func isReplay(ld plog.Logs) bool {
	for _, resource := range ld.ResourceLogs().All() {
		if _, ok := resource.Resource().Attributes().Get(replay.AttributeID); ok {
			return true
		}
	}
	return false
}

// takeLetterID removes the dead letter attributes from a resource, and returns its id, if it has one.
func takeLetterID(resource plog.ResourceLogs) (id string) {
	resource.Resource().Attributes().RemoveIf(func(name string, value pcommon.Value) bool {
		if name == replay.AttributeID {
			id = value.AsString()
		}
		return strings.HasPrefix(name, replay.AttributePrefix)
	})
	return id
}

// isOwn reports whether the records are events that the processor makes, and remakes from their content.
func isOwn(resource plog.ResourceLogs) bool {
	own := []string{amplitude.EventExposure, amplitude.EventAssignment, amplitude.EventRawExposure}
	for _, scope := range resource.ScopeLogs().All() {
		for _, record := range scope.LogRecords().All() {
			if !slices.Contains(own, record.EventName()) {
				return false
			}
		}
	}
	return true
}

// isLocal reports whether a request comes from this machine.
func isLocal(ctx context.Context) bool {
	addr := client.FromContext(ctx).Addr
	if addr == nil {
		return false
	}
	host := addr.String()
	if one, _, err := net.SplitHostPort(host); err == nil {
		host = one
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
