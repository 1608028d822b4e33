// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// This file is the executable reference: a model of Amplitude, Collectors with a queue, an optional shared Redis,
// applications that report, and the rules of de-duplication in their plainest form. Random interleavings are played
// with the rules, and judged. The same steps are then played with the Ledger itself, which must give the same answers.

const (
	modelDay  = 86400
	modelWeek = 7 * modelDay
	unset     = "" // no variant
)

// modelFlag is a flag with its variant, unset for none.
type modelFlag struct{ key, value string }

type modelRecord struct {
	t                      int64
	user, dev, group, kind string
	run                    int
	flags                  []modelFlag
}

func (r *modelRecord) subject() string {
	keys := make([]string, len(r.flags))
	for i, f := range r.flags {
		keys[i] = f.key
	}
	return fmt.Sprintf("%s|%s|%s|%s|%d|%s", r.user, r.dev, r.group, r.kind, r.run, strings.Join(keys, ","))
}

func (r *modelRecord) result() string {
	values := make([]string, len(r.flags))
	for i, f := range r.flags {
		values[i] = f.value
	}
	return strings.Join(values, ",")
}

func (r *modelRecord) day() int64 { return r.t / modelDay }

// fact is what an event reports: subject, result and day.
func (r *modelRecord) fact() string { return fmt.Sprintf("%s=%s@%d", r.subject(), r.result(), r.day()) }

func (r *modelRecord) same(o *modelRecord) bool { return r.t == o.t && r.fact() == o.fact() }

func userOf(id string) string   { return "u:" + id }
func deviceOf(id string) string { return "d:" + id }

// modelEvent is a copy of an event or, without a fact, of a $identify.
type modelEvent struct {
	id, user, dev, fact string
	ops                 []modelFlag
	t                   int64
	of                  *modelRecord
}

func (e *modelEvent) String() string {
	what := e.fact
	if what == "" {
		what = "$identify"
	}
	return fmt.Sprintf("%s %s/%s %v %d", what, e.user, e.dev, e.ops, e.t)
}

type personFlag struct{ who, flag string }

// ordered is a map that remembers the order of insertion.
type ordered[K comparable, V any] struct {
	m    map[K]V
	keys []K
}

func newOrdered[K comparable, V any]() *ordered[K, V] { return &ordered[K, V]{m: map[K]V{}} }

func (o *ordered[K, V]) set(k K, v V) {
	if _, ok := o.m[k]; !ok {
		o.keys = append(o.keys, k)
	}
	o.m[k] = v
}

func (o *ordered[K, V]) remove(k K) (v V) {
	v = o.m[k]
	delete(o.m, k)
	o.keys = slices.DeleteFunc(o.keys, func(other K) bool { return other == k })
	return v
}

func (o *ordered[K, V]) clone() *ordered[K, V] {
	return &ordered[K, V]{maps.Clone(o.m), slices.Clone(o.keys)}
}

// modelAmplitude drops copies by insert_id and device for seven days, and applies the properties of each person in
// order of arrival.
type modelAmplitude struct {
	seen       map[string]int64
	props      map[string]map[string]string
	owner      map[string]string
	known      map[string]bool
	stored     map[string]int
	sent, dups int
}

func newModelAmplitude() *modelAmplitude {
	return &modelAmplitude{
		seen: map[string]int64{}, props: map[string]map[string]string{}, owner: map[string]string{}, known: map[string]bool{}, stored: map[string]int{},
	}
}

// person returns who an event belongs to; an unknown user takes over the anonymous person of its device.
func (a *modelAmplitude) person(user, dev string) string {
	if user == "" {
		if who, ok := a.owner[dev]; ok {
			return who
		}
		return deviceOf(dev)
	}
	who := userOf(user)
	if !a.known[who] {
		if _, owned := a.owner[dev]; dev != "" && !owned && a.props[deviceOf(dev)] != nil {
			a.props[who] = a.props[deviceOf(dev)]
			delete(a.props, deviceOf(dev))
		}
		a.known[who] = true
	}
	if dev != "" {
		a.owner[dev] = who
	}
	return who
}

func (a *modelAmplitude) receive(e *modelEvent, now int64) {
	a.sent++
	key := cmp.Or(e.dev, "of "+e.user) + " " + e.id
	if at, ok := a.seen[key]; ok && now-at < modelWeek {
		a.dups++
		return
	}
	a.seen[key] = now
	who := a.person(e.user, e.dev)
	if e.fact != "" {
		a.stored[e.fact]++
	}
	for _, f := range e.ops {
		if a.props[who] == nil {
			a.props[who] = map[string]string{}
		}
		a.props[who][f.key] = f.value
	}
}

// rules is the memory of one Collector.
type rules interface {
	// at sets the time, in seconds, and what was sent since the beginning of the case.
	at(now int64, sent int)
	decide(r *modelRecord) (events []*modelEvent, ticket any)
	accepted(ticket any)
	refused(ticket any)
	settled(e *modelEvent, ok, ambiguous bool)
	reach(redis bool)
	evict(n int)
	// crash returns the memory of the next process.
	crash(storage bool) rules
}

// modelShared is the content of Redis.
type modelShared struct {
	facts map[string]bool
	base  map[personFlag]*modelBase
	owner map[string]string
}

func newModelShared() *modelShared {
	return &modelShared{facts: map[string]bool{}, base: map[personFlag]*modelBase{}, owner: map[string]string{}}
}

// modelBase is what was last delivered for one (person, flag), in the order of the receipts.
type modelBase struct {
	value          string
	newest         int64
	sure           bool
	told           float64
	tokens, filled int64 // tokens -1: none taken yet
}

func newModelBase() *modelBase { return &modelBase{newest: -1, told: -1, tokens: -1} }

type modelNode struct {
	fact, who, id string
	moves         []modelFlag
	t             int64
	accepted      bool
	crossed       bool // another batch changed one of its properties to another value since the decision
	ownerDev      string
	ownerWho      string
	event         *modelEvent
}

func (n *modelNode) move(f string) (string, bool) {
	for _, m := range n.moves {
		if m.key == f {
			return m.value, true
		}
	}
	return "", false
}

// modelLedger is the rule set. With literal, it is exactly the original one: after a kill, no value is sure and no
// event of the current day is certainly new. Otherwise, what was on its way is kept, and only that is not trusted; and
// a fact of a past day makes room for the next one of its property.
type modelLedger struct {
	literal bool
	shared  *modelShared
	up      bool
	now     int64
	tick    float64 // now, and what was sent since
	facts   *ordered[string, bool]
	base    *ordered[personFlag, *modelBase]
	owner   map[string]string
	bound   map[string]string
	since   map[string]int64
	way     []*modelNode
	former  []*modelNode
	inline  map[personFlag]modelInline
	started int64 // -1: not after a kill
	nonce   *int
	// claims is how many exporters claim each event; halves are events with some of their receipts.
	claims int
	halves map[string]*modelHalf
}

type modelHalf struct {
	receipts          int
	failed, ambiguous bool
}

type modelInline struct {
	fact string
	day  int64
}

const (
	modelBurst  = 30
	modelRefill = 60
)

func newModelLedger(shared *modelShared, literal bool, nonce *int) *modelLedger {
	return &modelLedger{
		literal: literal, shared: shared, up: true, facts: newOrdered[string, bool](), base: newOrdered[personFlag, *modelBase](),
		owner: map[string]string{}, bound: map[string]string{}, since: map[string]int64{}, inline: map[personFlag]modelInline{}, started: -1, nonce: nonce,
		claims: 1, halves: map[string]*modelHalf{},
	}
}

func (l *modelLedger) at(now int64, sent int) { l.now, l.tick = now, float64(now)+float64(sent)*1e-6 }

func (l *modelLedger) redis() *modelShared {
	if l.up {
		return l.shared
	}
	return nil
}

func (l *modelLedger) reach(up bool) {
	back := up && !l.up
	l.up = up
	if !back || l.shared == nil {
		return
	}
	for _, k := range l.base.keys {
		// Including what is not sure, which a receipt from an earlier process may have reported: otherwise, the others would
		// not know about it.
		if b := l.base.m[k]; b.sure || (!l.literal && b.told >= 0) {
			l.tell(k, b)
		}
	}
	for f := range l.facts.m {
		l.shared.facts[f] = true
	}
	maps.Copy(l.shared.owner, l.owner)
}

func (l *modelLedger) tell(k personFlag, b *modelBase) {
	o := l.shared.base[k]
	if o == nil {
		o = newModelBase()
		l.shared.base[k] = o
	}
	if b.told >= o.told {
		o.value, o.sure, o.told = b.value, b.sure, b.told
	}
	o.newest = max(o.newest, b.newest)
}

func (l *modelLedger) ownerOf(dev string) string {
	if r := l.redis(); r != nil {
		if who, ok := r.owner[dev]; ok {
			l.owner[dev], l.bound[dev] = who, who
		}
	}
	if who, ok := l.owner[dev]; ok {
		return who
	}
	return deviceOf(dev)
}

type modelState struct {
	value       string
	newest      int64
	known, sure bool
}

func (l *modelLedger) effective(k personFlag) modelState {
	b := l.base.m[k]
	if r := l.redis(); r != nil && r.base[k] != nil {
		o := r.base[k]
		if b == nil {
			b = &modelBase{value: o.value, newest: o.newest, sure: o.sure, told: o.told, tokens: -1}
			l.base.set(k, b)
		} else if o.told >= b.told {
			b.value, b.newest, b.sure, b.told = o.value, max(o.newest, b.newest), o.sure, o.told
		}
	}
	var last *modelNode
	newest := int64(-1)
	if b != nil {
		newest = b.newest
	}
	for _, n := range l.way {
		if _, ok := n.move(k.flag); ok && n.accepted && n.who == k.who {
			last, newest = n, max(newest, n.t)
		}
	}
	if last != nil {
		v, _ := last.move(k.flag)
		return modelState{v, newest, true, true}
	}
	if b == nil {
		return modelState{}
	}
	return modelState{b.value, b.newest, true, b.sure}
}

func (l *modelLedger) effectiveFor(r *modelRecord, who, f string) modelState {
	e := l.effective(personFlag{who, f})
	if _, owned := l.owner[r.dev]; !e.known && r.user != "" && r.dev != "" && !owned {
		d := l.effective(personFlag{deviceOf(r.dev), f})
		d.sure = false
		return d
	}
	return e
}

func (l *modelLedger) mayMove(k personFlag) bool {
	b := l.base.m[k]
	if b == nil {
		return true
	}
	if b.tokens < 0 {
		b.tokens, b.filled = modelBurst, l.now
	}
	gain := (l.now - b.filled) / modelRefill
	b.tokens, b.filled = min(modelBurst, b.tokens+gain), b.filled+gain*modelRefill
	if b.tokens <= 0 {
		return false
	}
	b.tokens--
	return true
}

func (l *modelLedger) sent(fact string) bool {
	if l.redis() == nil || !l.redis().facts[fact] {
		return l.facts.m[fact]
	}
	if !l.literal {
		l.facts.set(fact, true) // also for when Redis is unavailable
	}
	return true
}

func (l *modelLedger) decide(r *modelRecord) (events []*modelEvent, ticket any) {
	t, fact := min(r.t, l.now), r.fact()
	who := ""
	if r.user != "" {
		who = userOf(r.user)
	} else {
		who = l.ownerOf(r.dev)
	}
	known := l.sent(fact)
	for _, n := range l.way {
		known = known || (n.accepted && n.fact == fact)
	}
	certain := l.started < 0 || r.day() > l.started/modelDay
	for _, n := range l.former {
		certain = certain && n.fact != fact
	}
	var ops, repair []modelFlag
	var raised []personFlag
	for _, f := range r.flags {
		k := personFlag{who, f.key}
		e := l.effectiveFor(r, who, f.key)
		switch {
		case l.now-r.t > modelWeek || (r.user == "" && t < l.since[r.dev]):
		case !e.known:
			ops = append(ops, f)
			if known || !certain {
				repair = append(repair, f)
			}
		case t < e.newest:
		case e.value == f.value && (e.sure || (!known && certain)):
			ops = append(ops, f)
			raised = append(raised, k)
		case l.mayMove(k):
			ops = append(ops, f)
			repair = append(repair, f)
		}
	}
	if known && (len(repair) == 0 || !l.literal) {
		// A repeat confirms that the value is still current, even if another of its flags has to be set again. Without this,
		// {f A, g none}, f=B, {f A, g none} at t and a late {f none, g B} from before t left g at B.
		for _, k := range raised {
			b := l.setBase(k)
			b.newest = max(b.newest, t)
		}
	}
	if known && len(repair) == 0 {
		return nil, nil
	}
	if !known {
		events = append(events, &modelEvent{id: fact, user: r.user, dev: r.dev, fact: fact, ops: ops, t: t, of: r})
	}
	if len(repair) > 0 {
		*l.nonce++
		events = append(events, &modelEvent{id: fmt.Sprint("identify ", *l.nonce), user: r.user, dev: r.dev, ops: repair, t: t, of: r})
	}
	var nodes []*modelNode
	for _, e := range events {
		n := &modelNode{fact: e.fact, who: who, id: e.id + " " + e.dev, moves: e.ops, t: t, event: e}
		if r.user != "" && r.dev != "" {
			n.ownerDev, n.ownerWho = r.dev, userOf(r.user)
		}
		nodes = append(nodes, n)
	}
	return events, nodes
}

func (l *modelLedger) setBase(k personFlag) *modelBase {
	b := l.base.m[k]
	if b == nil {
		b = newModelBase()
		l.base.set(k, b)
	}
	return b
}

func (l *modelLedger) accepted(ticket any) {
	nodes := ticket.([]*modelNode)
	repairs := slices.ContainsFunc(nodes, func(n *modelNode) bool { return n.fact == "" })
	defer func() {
		for _, n := range nodes {
			if l.claims == 0 {
				l.conclude(n.event, true, false)
			}
		}
	}()
	for _, n := range nodes {
		for _, m := range n.moves {
			e := l.effective(personFlag{n.who, m.key})
			n.crossed = n.crossed || (!repairs && !l.literal && e.known && e.value != m.value)
		}
		n.accepted = true
		l.way = append(l.way, n)
		if n.ownerDev != "" && l.owner[n.ownerDev] != n.ownerWho {
			l.owner[n.ownerDev], l.since[n.ownerDev] = n.ownerWho, n.t
		}
		for _, m := range n.moves {
			b := l.setBase(personFlag{n.who, m.key})
			b.newest = max(b.newest, n.t)
		}
	}
}

func (*modelLedger) refused(any) {}

// settled handles the receipt of one exporter.
func (l *modelLedger) settled(e *modelEvent, ok, ambiguous bool) {
	if l.claims == 1 {
		l.conclude(e, ok, ambiguous)
		return
	}
	if l.claims == 0 {
		return // delivered when it was handed over
	}
	h := l.halves[e.id]
	if h == nil {
		h = &modelHalf{}
		l.halves[e.id] = h
	}
	h.receipts++
	h.failed, h.ambiguous = h.failed || !ok, h.ambiguous || ambiguous
	if h.receipts == l.claims {
		delete(l.halves, e.id)
		l.conclude(e, !h.failed, h.failed || h.ambiguous)
	}
}

func (l *modelLedger) conclude(e *modelEvent, ok, ambiguous bool) {
	same := func(n *modelNode) bool { return n.id == e.id+" "+e.dev }
	own, way := false, false
	if i := slices.IndexFunc(l.way, same); i >= 0 {
		if !l.literal {
			e = l.way[i].event // if there are two copies, the receipt is for the one that this process remembers
		}
		own, way = !l.way[i].crossed, true
		l.way = slices.Delete(l.way, i, i+1)
	} else if i := slices.IndexFunc(l.former, same); i >= 0 {
		if !l.literal {
			e = l.former[i].event
		}
		l.former = slices.Delete(l.former, i, i+1)
	} else if !l.literal {
		return // from an earlier process that kept nothing
	}
	who := ""
	if e.user != "" {
		who = userOf(e.user)
	} else if who = l.bound[e.dev]; who == "" {
		who = deviceOf(e.dev)
	}
	shared := l.redis()
	// Amplitude drops the second copy of an event before it looks up whose device it is.
	second := !l.literal && e.fact != "" && l.facts.m[e.fact]
	if e.user != "" && e.dev != "" {
		if ok && !second {
			l.owner[e.dev], l.bound[e.dev] = who, who
			if shared != nil {
				shared.owner[e.dev] = who
			}
		} else {
			delete(l.owner, e.dev)
			if b, ok := l.bound[e.dev]; ok {
				l.owner[e.dev] = b
			}
		}
	}
	doubt := func() {
		for _, m := range e.ops {
			k := personFlag{who, m.key}
			if b := l.base.m[k]; b != nil && b.value != m.value {
				b.sure = false
			}
			if shared != nil && shared.base[k] != nil && shared.base[k].value != m.value {
				shared.base[k].sure = false
			}
		}
	}
	if !ok {
		// The result of an attempt without an answer is unknown: A, B, A are delivered, another B gets no answer and is given
		// up; the next A must be sent.
		if ambiguous && !l.literal && way {
			doubt()
		}
		return
	}
	again := e.fact != "" && l.sent(e.fact)
	if e.fact != "" {
		l.facts.set(e.fact, true)
		if shared != nil {
			shared.facts[e.fact] = true
		}
	}
	if again {
		doubt()
		return
	}
	for _, m := range e.ops {
		k := personFlag{who, m.key}
		b := l.setBase(k)
		b.value, b.newest, b.told = m.value, max(b.newest, e.t), l.tick
		b.sure = own && (!ambiguous || l.shared == nil)
		if shared != nil {
			l.tell(k, b)
		}
	}
	if !l.literal && e.fact != "" && len(e.of.flags) == 1 && len(e.ops) == 1 {
		l.keep(e)
	}
}

// keep replaces a fact of a past day by the next one of its property.
func (l *modelLedger) keep(e *modelEvent) {
	home := deviceOf(e.dev)
	if e.user != "" {
		home = userOf(e.user)
	}
	k := personFlag{home, e.ops[0].key}
	if l.base.m[k] == nil {
		return
	}
	old, ok := l.inline[k]
	switch {
	case !ok:
	case e.of.day() > old.day && e.t == e.of.t:
		l.facts.remove(old.fact)
	default:
		return
	}
	l.inline[k] = modelInline{e.fact, e.of.day()}
}

// onWay reports whether anything accepted changes the property.
func (l *modelLedger) onWay(k personFlag) bool {
	return slices.ContainsFunc(l.way, func(n *modelNode) bool {
		_, ok := n.move(k.flag)
		return ok && n.who == k.who
	})
}

func (l *modelLedger) evict(n int) {
	fact, k := l.victims(n)
	if fact != "" {
		l.facts.remove(fact)
		maps.DeleteFunc(l.inline, func(_ personFlag, i modelInline) bool { return i.fact == fact })
	}
	if k != (personFlag{}) {
		l.base.remove(k)
		delete(l.inline, k)
	}
}

func (l *modelLedger) victims(n int) (fact string, k personFlag) {
	if len(l.facts.keys) > 0 {
		fact = l.facts.keys[n%len(l.facts.keys)]
	}
	if len(l.base.keys) > 0 {
		// Entries that something on its way refers to are kept.
		if k = l.base.keys[n%len(l.base.keys)]; !l.literal && l.onWay(k) {
			k = personFlag{}
		}
	}
	return fact, k
}

func (l *modelLedger) crash(storage bool) rules {
	next := newModelLedger(l.shared, l.literal, l.nonce)
	next.now, next.claims = l.now, l.claims
	if !storage {
		return next
	}
	next.facts = l.facts.clone()
	for _, k := range l.base.keys {
		b := *l.base.m[k]
		if l.literal {
			b.sure = false
		} else {
			b.tokens = -1
		}
		next.base.set(k, &b)
	}
	next.owner, next.bound, next.since = maps.Clone(l.bound), maps.Clone(l.bound), maps.Clone(l.since)
	next.inline = maps.Clone(l.inline)
	if l.literal {
		next.started = l.now
		return next
	}
	next.former = append(slices.Clone(l.former), l.way...)
	for _, n := range next.former {
		who := n.who
		if n.event.user == "" {
			if who = next.bound[n.event.dev]; who == "" {
				who = deviceOf(n.event.dev)
			}
		}
		for _, m := range n.moves {
			b := next.setBase(personFlag{who, m.key})
			b.sure = false
			b.newest = max(b.newest, n.t)
		}
	}
	return next
}

// ------------------------------------------------------------------------------------------------------ world

type modelTruth struct {
	at int64
	v  string
	r  *modelRecord
}

// world has the applications, the Collectors and the model of Amplitude.
type world struct {
	amp      *modelAmplitude
	now      int64
	mem      []rules
	queue    [][]*modelEvent
	disk     bool
	storage  bool
	pending  []modelPending
	dead     []*modelEvent
	acked    []*modelRecord
	lost     map[string]bool
	unsure   map[string]bool
	truth    *ordered[personFlag, modelTruth]
	owner    map[string]string
	known    map[string]bool
	allowed  map[string]int
	answers  []string
	identify int
	other    *otherExporter // nil except in a fan-out
}

// otherExporter also gets all events, for a separate Amplitude.
type otherExporter struct {
	amp    *modelAmplitude
	queue  []*modelEvent
	unsure map[string]bool
}

type modelPending struct {
	c      int
	r      *modelRecord
	events []*modelEvent
	ticket any
	mem    rules
}

func newWorld(mem []rules, disk, storage bool) *world {
	return &world{
		amp: newModelAmplitude(), now: 100*modelDay + modelDay/2, mem: mem, queue: make([][]*modelEvent, len(mem)), disk: disk, storage: storage,
		lost: map[string]bool{}, unsure: map[string]bool{}, truth: newOrdered[personFlag, modelTruth](), owner: map[string]string{},
		known: map[string]bool{}, allowed: map[string]int{},
	}
}

func (w *world) who(r *modelRecord) string {
	if r.user != "" {
		return userOf(r.user)
	}
	if who, ok := w.owner[r.dev]; ok {
		return who
	}
	return deviceOf(r.dev)
}

// witness records what should be, according to the acknowledged records alone.
func (w *world) witness(r *modelRecord, sent bool) {
	who, at := w.who(r), min(r.t, w.now)
	if r.user != "" && !w.known[who] {
		w.known[who] = true
		if _, owned := w.owner[r.dev]; r.dev != "" && !owned {
			for _, k := range slices.Clone(w.truth.keys) {
				if k.who == deviceOf(r.dev) {
					w.truth.set(personFlag{who, k.flag}, w.truth.remove(k))
				}
			}
		}
	}
	if r.user != "" && r.dev != "" && sent {
		w.owner[r.dev] = who
	}
	_, seen := w.allowed[r.fact()]
	moved := !seen
	again := r.user == "" && slices.ContainsFunc(w.acked, r.same) // resent after a login: still reported by the device
	if w.now-r.t <= modelWeek && !again {
		for _, f := range r.flags {
			k := personFlag{who, f.key}
			was, ok := w.truth.m[k]
			if !ok || at >= was.at {
				moved = moved || !ok || was.v != f.value
				w.truth.set(k, modelTruth{at, f.value, r})
			}
		}
	}
	if moved {
		w.allowed[r.fact()]++
	}
	w.acked = append(w.acked, r)
}

func (w *world) decide(c int, r *modelRecord) ([]*modelEvent, any) {
	w.mem[c].at(w.now, 0)
	events, ticket := w.mem[c].decide(r)
	answer := "repeat"
	if len(events) > 0 {
		answer = fmt.Sprint(events)
	}
	for _, e := range events {
		if e.fact == "" {
			w.identify++
		}
	}
	w.answers = append(w.answers, answer)
	return events, ticket
}

// report is a record that arrives and is immediately decided, handed over and acknowledged.
func (w *world) report(c int, r *modelRecord) {
	events, ticket := w.decide(c, r)
	if ticket != nil {
		w.mem[c].accepted(ticket)
		w.enqueue(c, events)
	}
	w.witness(r, len(events) > 0)
}

func (w *world) enqueue(c int, events []*modelEvent) {
	w.queue[c] = append(w.queue[c], events...)
	if w.other != nil {
		w.other.queue = append(w.other.queue, events...)
	}
}

// swap makes the other exporter and its Amplitude the current ones.
func (w *world) swap() {
	if o := w.other; o != nil {
		w.amp, o.amp = o.amp, w.amp
		w.queue[0], o.queue = o.queue, w.queue[0]
		w.unsure, o.unsure = o.unsure, w.unsure
	}
}

func (w *world) begin(c int, r *modelRecord) {
	events, ticket := w.decide(c, r)
	w.pending = append(w.pending, modelPending{c, r, events, ticket, w.mem[c]})
}

func (w *world) end(i int, accept bool) {
	if len(w.pending) == 0 {
		return
	}
	i %= len(w.pending)
	p := w.pending[i]
	w.pending = slices.Delete(w.pending, i, i+1)
	if p.mem != w.mem[p.c] {
		return // died in the meantime: never acknowledged
	}
	if p.ticket != nil {
		if accept {
			p.mem.accepted(p.ticket)
		} else {
			p.mem.refused(p.ticket)
		}
	}
	if accept {
		w.enqueue(p.c, p.events)
		w.witness(p.r, len(p.events) > 0)
	}
}

func (w *world) export(c int, how string) {
	if len(w.queue[c]) == 0 {
		return
	}
	e := w.queue[c][0]
	if how != "dead" {
		w.amp.receive(e, w.now)
	}
	if how == "late answer" {
		w.unsure[tried(c, e)] = true
		return // stored, but the answer is lost: retried
	}
	w.queue[c] = w.queue[c][1:]
	w.mem[c].at(w.now, w.amp.sent)
	if how == "dead" {
		w.dead = append(w.dead, e)
	}
	w.mem[c].settled(e, how == "ok", w.unsure[tried(c, e)])
	delete(w.unsure, tried(c, e))
}

// tried reports an event that was sent without an answer.
func tried(c int, e *modelEvent) string { return fmt.Sprint(c, " ", e.id, " ", e) }

func (w *world) crash(c int) {
	w.mem[c].at(w.now, 0)
	w.mem[c] = w.mem[c].crash(w.storage)
	if !w.disk {
		for _, e := range w.queue[c] {
			w.lost[e.fact] = true
		}
		w.queue[c] = nil
	}
}

func (w *world) replay(c int) {
	dead := w.dead
	w.dead = nil
	for _, e := range dead {
		if e.fact != "" {
			again := *e.of
			again.t = e.t
			w.report(c, &again)
		}
	}
}

func (w *world) drain() {
	for len(w.pending) > 0 {
		w.end(0, true)
	}
	for c := range w.queue {
		for len(w.queue[c]) > 0 {
			w.export(c, "ok")
		}
	}
	w.swap()
	for w.other != nil && len(w.queue[0]) > 0 {
		w.export(0, "ok")
	}
	w.swap()
}

// gone reports whether this anonymous person does not exist anymore.
func (w *world) gone(who string) bool {
	dev, ok := strings.CutPrefix(who, "d:")
	_, owned := w.amp.owner[dev]
	return ok && owned
}

func (w *world) wrong() (bad []string) {
	for _, k := range w.truth.keys {
		if w.gone(k.who) {
			continue
		}
		if got := w.amp.props[k.who][k.flag]; got != w.truth.m[k].v {
			bad = append(bad, fmt.Sprintf("property %v: is %q, should be %q", k, got, w.truth.m[k].v))
		}
	}
	return bad
}

func (w *world) hidden() (bad []string) {
	seen := map[string]bool{}
	for _, r := range w.acked {
		if f := r.fact(); !seen[f] && w.amp.stored[f] == 0 {
			bad = append(bad, "hidden "+f)
			seen[f] = true
		}
	}
	return bad
}

func (w *world) doubled() (bad []string) {
	for f, n := range w.amp.stored {
		if n > 1 {
			bad = append(bad, fmt.Sprintf("stored %d times %s", n, f))
		}
	}
	return bad
}

// heal makes the applications report their current state again.
func (w *world) heal() {
	w.now += 3600
	w.owner = maps.Clone(w.amp.owner)
	for _, k := range slices.Clone(w.truth.keys) {
		if w.gone(k.who) {
			continue
		}
		now := *w.truth.m[k].r
		now.t = w.now
		if user, ok := strings.CutPrefix(k.who, "u:"); ok && now.user == "" {
			now.user, now.dev = user, ""
		}
		w.report(0, &now)
		w.now++
	}
	w.drain()
}

// ----------------------------------------------------------------------------------------------------- search

// step is one thing that happens: what, at which replica, and the details.
type step struct {
	What string
	At   int
	N    int
	How  string
	On   bool
	Rec  *stepRecord
}

type stepRecord struct {
	Late             int64
	User, Dev, Group string
	Run              int
	Kind             string
	Flags            [][2]string
}

func (s *stepRecord) record(now int64) *modelRecord {
	r := &modelRecord{t: now - s.Late, user: s.User, dev: s.Dev, group: s.Group, run: s.Run, kind: s.Kind}
	for _, f := range s.Flags {
		r.flags = append(r.flags, modelFlag{f[0], f[1]})
	}
	return r
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// scenario makes the steps of a random case.
func scenario(rng *rand.Rand, kind string) (steps []step) {
	two := kind == "redis" || kind == "replicas" || kind == "redis kills"
	shared := rng.Float64() < 0.3
	anonymous := kind == "login" || (kind != "replicas" && rng.Float64() < 0.5)
	// Only the kinds login and replicas contain what nobody can know.
	anonymous = anonymous && kind != "redis" && kind != "volatile" && kind != "forgetful" && kind != "evict"
	shared = shared && (!anonymous || (kind != "sound" && kind != "dead"))
	switch kind { // what the Python model does not have
	case "fan-out", "week", "redis kills", "failing storage":
		anonymous = false
	}
	crashes := slices.Contains([]string{"login", "volatile", "forgetful", "dead", "overlap", "week", "redis kills", "failing storage"}, kind) ||
		(kind == "sound" && !anonymous)
	for range 3 + rng.IntN(12) {
		x, c := rng.Float64(), 0
		if two {
			c = rng.IntN(2)
		}
		switch {
		case x < 0.62:
			r := &stepRecord{User: "U", Dev: pick(rng, "D", "E", ""), Group: pick(rng, "", "", "G"), Run: pick(rng, 1, 1, 2), Kind: "A"}
			if shared {
				r.User = pick(rng, "U", "U", "U", "V")
			}
			if r.Dev != "" && anonymous && rng.Float64() < 0.3 {
				r.User = ""
			}
			flags := pick(rng, []string{"f"}, []string{"f"}, []string{"f", "g"})
			if len(flags) == 1 && rng.Float64() < 0.7 {
				r.Kind = "E"
			}
			r.Late = pick[int64](rng, 0, 0, 0, 0, 0, 1, 2, 40, -1, modelDay, modelDay/2+5)
			if anonymous && kind != "login" {
				r.Late = 0
			}
			for _, f := range flags {
				r.Flags = append(r.Flags, [2]string{f, pick(rng, "A", "B", unset)})
			}
			what := "rec"
			if kind == "overlap" && rng.Float64() < 0.5 {
				what = "begin"
			}
			steps = append(steps, step{What: what, At: c, Rec: r})
		case x < 0.68:
			steps = append(steps, step{What: "again", At: c, N: rng.IntN(8)})
		case x < 0.82:
			how := pick(rng, "ok", "ok", "late answer")
			if (kind == "dead" || kind == "volatile" || kind == "forgetful") && rng.IntN(4) == 0 {
				how = "dead"
			}
			exporter := 0
			if kind == "fan-out" {
				exporter = rng.IntN(2)
				how = pick(rng, "ok", "ok", "late answer", "dead")
			}
			steps = append(steps, step{What: "export", At: c, How: how, N: exporter})
		case x < 0.87:
			sleep := pick(rng, 10, 3600, modelDay/2, modelDay)
			if kind == "week" {
				sleep = pick(rng, modelDay, 3*modelDay, modelWeek-1, modelWeek+1)
			}
			steps = append(steps, step{What: "sleep", N: sleep})
		case x < 0.92 && crashes:
			steps = append(steps, step{What: "crash", At: c})
		case kind == "evict":
			steps = append(steps, step{What: "evict", N: rng.IntN(9)})
		case kind == "overlap":
			steps = append(steps, step{What: "end", N: rng.IntN(3), On: rng.Float64() < 0.7})
		case x < 0.97 && kind == "failing storage":
			steps = append(steps, step{What: "storage", On: rng.Float64() < 0.4})
		case x < 0.95 && kind == "dead":
			steps = append(steps, step{What: "replay", At: c})
		case (kind == "redis" || kind == "redis kills") && rng.Float64() < 0.5:
			steps = append(steps, step{What: "redis", On: rng.Float64() < 0.5})
		}
	}
	return steps
}

// setup is what a kind of case needs.
type setup struct {
	replicas             int
	disk, storage, redis bool
}

func setupOf(kind string, steps []step) setup {
	s := setup{replicas: 1, disk: true, storage: true}
	switch kind {
	case "redis", "replicas", "redis kills":
		s.replicas, s.redis = 2, kind != "replicas"
	case "volatile":
		s.disk = false
	case "forgetful":
		s.disk, s.storage = len(steps)%2 == 0, false
	}
	return s
}

// play plays the steps and describes what is wrong.
func play(w *world, kind string, steps []step) (bad []string) {
	for _, s := range steps {
		w.now++
		switch s.What {
		case "rec":
			w.report(s.At, s.Rec.record(w.now))
		case "begin":
			w.begin(s.At, s.Rec.record(w.now))
		case "again":
			if n := len(w.acked); n > 0 {
				w.report(s.At, w.acked[(n-1-s.N%n+n)%n])
			}
		case "export":
			if s.N == 1 {
				w.swap()
			}
			w.export(s.At, s.How)
			if s.N == 1 {
				w.swap()
			}
		case "storage":
			w.mem[s.At].(*played).failing(!s.On)
		case "sleep":
			w.now += int64(s.N)
		case "crash":
			w.crash(s.At)
		case "evict":
			w.mem[s.At].at(w.now, 0)
			w.mem[s.At].evict(s.N)
		case "end":
			w.end(s.N, s.On)
		case "replay":
			w.replay(0)
		case "redis":
			for _, m := range w.mem {
				m.at(w.now, 0)
				m.reach(s.On)
			}
		}
	}
	for _, m := range w.mem {
		m.at(w.now, 0)
		m.reach(true)
	}
	w.drain()
	if kind == "sound" || kind == "login" || kind == "gateway" {
		return slices.Concat(w.wrong(), w.hidden(), w.doubled())
	}
	if kind == "dead" || kind == "volatile" || kind == "forgetful" || kind == "fan-out" {
		w.replay(0)
		w.drain()
	}
	if slices.Contains([]string{"redis", "replicas", "overlap", "evict", "week", "redis kills", "failing storage"}, kind) {
		bad = append(bad, w.hidden()...)
	}
	w.heal()
	for _, b := range w.wrong() {
		bad = append(bad, "after the next report: "+b)
	}
	if w.other != nil {
		w.swap()
		bad = slices.Concat(bad, w.wrong(), w.hidden(), w.doubled())
		w.swap()
	}
	switch kind {
	case "week":
		return bad // Amplitude forgets an insert_id after seven days
	case "dead", "fan-out":
		bad = append(bad, w.hidden()...)
	case "volatile", "forgetful":
		// What a queue in memory lost may be missing, but not a repeat of it.
		for _, k := range w.truth.keys {
			if f := w.truth.m[k].r.fact(); !w.gone(k.who) && w.amp.stored[f] == 0 {
				bad = append(bad, "repeat hidden "+f)
			}
		}
	}
	return append(bad, w.doubled()...)
}
