// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

const (
	// maxWatchers bounds the concurrent watchers, and maxQueued the unread decisions of each.
	maxWatchers = 8
	maxQueued   = 1000
	// maxFollowed bounds the events that are tracked until their receipts.
	maxFollowed = 4000
	// maxQueuedBytes and maxFollowedBytes bound the approximate memory of the same.
	maxQueuedBytes   = 16 << 20
	maxFollowedBytes = 32 << 20
)

var errTooMany = errors.New("too many clients are watching already: stop one of them")

// hub connects the processors of this process with their watchers.
type hub struct {
	watching atomic.Bool

	mu       sync.Mutex
	watchers []*Watcher
	seq      uint64
	// followed are the events that wait for receipts, by key, and order the same, oldest first.
	followed map[uint64][]follow
	order    []follow
	// bytes is their approximate size.
	bytes int
	// unlisten stops listening to receipts.
	unlisten func()
}

// follow is an event of a decision.
type follow struct {
	decision *sentDecision
	event    int
}

// bytes returns its share of the decision's size.
func (f follow) bytes() int { return f.decision.bytes / len(f.decision.Events) }

// sentDecision is a decision with the watchers that received it.
type sentDecision struct {
	Decision
	to []*Watcher
}

var shared hub

// Watched reports whether anyone watches. If not, nothing else has to be done.
func Watched() bool { return shared.watching.Load() }

// Watcher is a client that watches decisions.
type Watcher struct {
	filter Filter
	limit  *limit

	// Guarded by the hub. queue holds unread decisions, each once; missed counts matching records that are not sent,
	// because there are too many or because the watcher does not read.
	queue  []*sentDecision
	queued map[*sentDecision]struct{}
	bytes  int
	missed uint64
	closed bool

	wake chan struct{}
}

// Watch starts watching records that match the filter, limited to perSecond.
func Watch(filter Filter, perSecond int) (*Watcher, error) {
	h := &shared
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= maxWatchers {
		return nil, errTooMany
	}
	w := &Watcher{filter: filter, limit: newLimit(perSecond), queued: map[*sentDecision]struct{}{}, wake: make(chan struct{}, 1)}
	if h.watchers = append(h.watchers, w); len(h.watchers) == 1 {
		h.followed = map[uint64][]follow{}
		h.unlisten = receipts.Listen(h)
	}
	h.watching.Store(true)
	return w, nil
}

// Close stops watching. It may be called twice.
func (w *Watcher) Close() {
	h := &shared
	h.mu.Lock()
	defer h.mu.Unlock()
	w.closed, w.queue = true, nil
	before := len(h.watchers)
	h.watchers = slices.DeleteFunc(h.watchers, func(one *Watcher) bool { return one == w })
	if before == 1 && len(h.watchers) == 0 {
		h.watching.Store(false)
		h.unlisten()
		h.followed, h.order, h.bytes = nil, nil, 0
	}
}

// Wake returns a channel that receives when there is something to read.
func (w *Watcher) Wake() <-chan struct{} { return w.wake }

// Read returns what is new, in the order in which records were first seen, and how many matching records were left out.
func (w *Watcher) Read() (decisions []Decision, missed uint64) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	decisions = make([]Decision, len(w.queue))
	for i, one := range w.queue {
		decisions[i] = one.Decision
		decisions[i].Events = slices.Clone(one.Events)
	}
	missed = w.missed
	clear(w.queue)
	w.queue, w.bytes, w.missed = w.queue[:0], 0, 0
	clear(w.queued)
	return decisions, missed
}

// send queues a decision for its watchers. The caller holds the lock.
func (t *sentDecision) send() {
	for _, w := range t.to {
		if _, there := w.queued[t]; there || w.closed || !w.filter.takes(t.Outcome) {
			continue
		}
		for len(w.queue) >= maxQueued || (len(w.queue) > 0 && w.bytes+t.bytes > maxQueuedBytes) {
			delete(w.queued, w.queue[0])
			w.bytes -= w.queue[0].bytes
			w.queue = slices.Delete(w.queue, 0, 1)
			w.miss(1)
		}
		w.queue = append(w.queue, t)
		w.bytes += t.bytes
		w.queued[t] = struct{}{}
		w.rouse()
	}
}

// miss counts records that are left out. The caller holds the lock.
func (w *Watcher) miss(n int) {
	w.missed += uint64(n)
	w.rouse()
}

func (w *Watcher) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// follow starts tracking the events of a decision. The caller holds the lock.
func (h *hub) follow(t *sentDecision) {
	for i := range t.Events {
		key := t.Events[i].key
		if key == 0 {
			continue
		}
		one := follow{t, i}
		for len(h.order) >= maxFollowed || (len(h.order) > 0 && h.bytes+one.bytes() > maxFollowedBytes) {
			h.unfollow(h.order[0], StateUnfollowed)
		}
		h.order = append(h.order, one)
		h.bytes += one.bytes()
		h.followed[key] = append(h.followed[key], one)
	}
}

// unfollow stops tracking an event, and sets its state if it is not known. The caller holds the lock.
func (h *hub) unfollow(one follow, state string) {
	e := &one.decision.Events[one.event]
	if left := slices.DeleteFunc(h.followed[e.key], func(f follow) bool { return f == one }); len(left) == 0 {
		delete(h.followed, e.key)
	} else {
		h.followed[e.key] = left
	}
	if at := slices.Index(h.order, one); at >= 0 {
		h.order = slices.Delete(h.order, at, at+1)
		h.bytes -= one.bytes()
	}
	if !e.ended() {
		e.State = state
	}
	one.decision.changed()
}

// changed sends an updated decision. The caller holds the lock.
func (t *sentDecision) changed() {
	t.settleState()
	t.send()
}

// Claimed is called for each event that an exporter takes.
func (h *hub) Claimed(key uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.followed[key]
	if len(all) == 0 {
		return
	}
	one := all[len(all)-1] // the newest of two copies comes now
	e := &one.decision.Events[one.event]
	e.claims++
	if e.State == StateHandedOn {
		e.State = StateTaken
		one.decision.changed()
	}
}

// Answered is called for each request.
func (h *hub) Answered(keys []uint64, answer *receipts.Answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.followed) == 0 {
		return
	}
	for i, key := range keys {
		all := h.followed[key]
		if len(all) == 0 {
			continue
		}
		one := all[0]
		e := &one.decision.Events[one.event]
		tries := 1
		if e.Request != nil {
			tries += e.Request.Tries
		}
		e.Request = &Request{
			Exporter: answer.Exporter, Status: answer.Status, Text: answer.Text, Events: len(keys), Bytes: answer.Bytes,
			TookMS: float64(answer.Took.Microseconds()) / 1000, Tries: tries,
		}
		if e.JSON == nil && one.decision.isOwn() {
			e.JSON = slices.Clone(answer.Event(i))
		}
		one.decision.changed()
	}
}

// Settled is called for each receipt.
func (h *hub) Settled(key uint64, outcome receipts.Outcome, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.followed[key]
	if len(all) == 0 {
		return
	}
	one := all[0]
	e := &one.decision.Events[one.event]
	e.settled++
	if e.worst = max(e.worst, outcome); why != "" {
		e.Why = why
	}
	if e.settled < e.claims {
		return
	}
	switch e.worst {
	case receipts.NotDelivered:
		e.State = StateNotDelivered
	case receipts.Unknown:
		e.State = StateUnknown
	default:
		e.State = StateDelivered
	}
	h.unfollow(one, e.State)
}
