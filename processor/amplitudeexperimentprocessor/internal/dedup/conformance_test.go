// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// played drives the Ledger as the rules of a world, as the processor and the exporter do.
type played struct {
	t       require.TestingT
	ledger  *Ledger
	book    *receipts.Book
	kept    *memStorage
	shared  *fakeShared
	clock   *time.Time
	nonce   *int
	victims *[]victim
	kill    kill
	other   *receipts.Book // of a second exporter
	nobody  bool           // claims anything
	swapped func() bool    // reports whether the second exporter is available
}

// kill decides how many of the writes that nobody waited for are lost in a kill.
type kill struct {
	all  bool
	some *rand.Rand
}

// insertID is unique to this world, because others run in the same process.
func (p *played) insertID(e *modelEvent) string { return fmt.Sprintf("%p %s", p.nonce, e.id) }

// victim is what the reference evicted.
type victim struct {
	fact string
	of   *modelRecord
	k    personFlag
}

func newPlayed(t require.TestingT, kept *memStorage, shared *fakeShared, nonce *int, victims *[]victim) *played {
	p := &played{t: t, book: &receipts.Book{}, kept: kept, shared: shared, clock: new(time.Time), nonce: nonce, victims: victims}
	set := Settings{MaxEntries: 1000, Clock: func() time.Time { return *p.clock }}
	if kept != nil {
		set.Storage = &storageID
	}
	var err error
	p.ledger, err = New(set)
	require.NoError(t, err)
	p.ledger.doubtful = 0 // the reference has none
	if shared != nil {
		p.ledger.remote = newRemote(p.ledger, RedisSettings{Timeout: time.Minute})
		p.ledger.remote.store = shared
		p.ledger.remote.up.Store(true)
	}
	*p.clock = time.Unix(100*modelDay, 0)
	require.NoError(t, p.open())
	return p
}

// open starts the ledger without the Redis goroutines: what waits for Redis is done immediately.
func (p *played) open() error {
	l := p.ledger
	if p.kept != nil {
		if err := l.openJournal(context.Background(), p.kept); err != nil {
			return err
		}
		l.journal.patience = wait
	}
	l.users = 1
	l.sink = receipts.Register(l)
	return nil
}

func (p *played) close() {
	p.ledger.remote = nil
	p.book.Close(context.Background(), true)
	if p.other != nil {
		p.other.Close(context.Background(), true)
	}
	require.NoError(p.t, p.ledger.Shutdown(context.Background()))
}

func (p *played) at(now int64, sent int) { *p.clock = time.UnixMilli(now*1000 + int64(min(sent, 999))) }

func flagKey(key string) uint64 { return xxh3.HashString("flag " + key) }

func valueOf(value string) uint64 {
	if value == unset {
		return 0
	}
	return xxh3.HashString("value " + value)
}

func (p *played) record(r *modelRecord) (Record, []Flag) {
	h := xxh3.HashString128(r.subject() + "=" + r.result())
	rec := Record{
		User: UserID(r.user), Device: DeviceID(r.dev), Event: ID{h.Hi, h.Lo}, Day: int32(r.day()), Time: r.t * 1000, To: int32(len(r.flags)),
	}
	flags := make([]Flag, len(r.flags))
	for i, f := range r.flags {
		flags[i] = Flag{flagKey(f.key), valueOf(f.value)}
	}
	return rec, flags
}

type playedTicket struct {
	reservation *Reservation
	verdict     Verdict
	events      []*modelEvent
}

func (p *played) decide(r *modelRecord) (events []*modelEvent, ticket any) {
	rec, flags := p.record(r)
	verdicts, decisions := make([]Verdict, 1), make([]Decision, len(flags))
	reservation := p.ledger.Reserve(context.Background(), []Record{rec}, flags, verdicts, decisions)
	v := verdicts[0]
	if v.Repeat() {
		reservation.Accept()
		return nil, nil
	}
	marked := func(mark Decision) (ops []modelFlag) {
		for i, d := range decisions {
			if d&mark != 0 {
				ops = append(ops, r.flags[i])
			}
		}
		return ops
	}
	t := min(r.t, p.clock.Unix())
	if v.Event != 0 {
		events = append(events, &modelEvent{id: r.fact(), user: r.user, dev: r.dev, fact: r.fact(), ops: marked(Operate), t: t, of: r})
	}
	if v.Identify != 0 {
		*p.nonce++
		events = append(events, &modelEvent{id: fmt.Sprint("identify ", *p.nonce), user: r.user, dev: r.dev, ops: marked(Repair), t: t, of: r})
	}
	return events, &playedTicket{reservation, v, events}
}

func (p *played) accepted(ticket any) {
	o := ticket.(*playedTicket)
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, e := range o.events {
		copied := o.verdict.Event
		if e.fact == "" {
			copied = o.verdict.Identify
		}
		o.reservation.Name(copied, receipts.Key(p.insertID(e)))
		records.AppendEmpty().Attributes().PutStr(amplitude.AttrInsertID, p.insertID(e))
	}
	before := p.written()
	ctx := o.reservation.HandOver(context.Background())
	if !p.nobody {
		p.book.Claim(ctx, logs)
	}
	if p.other != nil {
		p.other.Claim(ctx, logs)
	}
	o.reservation.Accept()
	p.writeAll(before)
}

func (p *played) written() int {
	if p.kept == nil {
		return 0
	}
	return p.kept.writeCount()
}

// writeAll writes what nobody waits for, if a kill may lose any part of it. What the ledger waited for is kept.
func (p *played) writeAll(before int) {
	if p.kept == nil || p.kill.some == nil {
		return
	}
	if now := p.written(); now > before {
		p.kept.least = now
	}
	p.ledger.journal.sync(context.Background())
}

func (p *played) refused(ticket any) { ticket.(*playedTicket).reservation.Release() }

func (p *played) settled(e *modelEvent, ok, ambiguous bool) {
	outcome := receipts.Delivered
	if !ok {
		outcome = receipts.NotDelivered
	}
	book := p.book
	if p.other != nil && p.swapped() {
		book = p.other
	}
	if ambiguous {
		book.Unanswered(receipts.Key(p.insertID(e)))
	}
	book.Settle(receipts.Key(p.insertID(e)), outcome)
	p.writeAll(p.written())
	if p.shared != nil {
		p.ledger.remote.flush(context.Background())
	}
}

// failing makes the storage fail or work again.
func (p *played) failing(fails bool) {
	if p.kept == nil {
		return
	}
	if fails {
		p.kept.full = true
		p.kept.fail(storage.ErrStorageFull)
	} else {
		p.kept.fail(nil)
	}
}

func (p *played) reach(up bool) {
	m := p.ledger.remote
	if m == nil || up == m.up.Load() {
		return
	}
	if !up {
		m.mu.Lock()
		m.setDown(context.Canceled)
		m.away = 0
		m.mu.Unlock()
		return
	}
	require.True(p.t, m.recover(context.Background()))
}

func (p *played) evict(int) {
	v := (*p.victims)[0]
	*p.victims = (*p.victims)[1:]
	l := p.ledger
	_, second := l.now()
	if v.fact != "" {
		rec, flags := p.record(v.of)
		home := homeOf(rec.User, rec.Device)
		k := home.fact(rec.Event, rec.Day)
		s := &l.shards[l.shardOf(home)]
		if _, number := s.facts.find(k); number != 0 {
			s.facts.remove(number)
			l.entries.Add(-1)
		}
		for _, f := range flags {
			if e, _ := s.properties.find(home.property(f.Key)); e != nil && e.p.fact == k.Lo {
				e.p.setFact(0, 0)
			}
		}
	}
	if v.k != (personFlag{}) {
		who := ID{}
		if user, ok := strings.CutPrefix(v.k.who, "u:"); ok {
			who = UserID(user)
		} else {
			who = DeviceID(v.k.who[2:])
		}
		s := &l.shards[l.shardOf(who)]
		e, number := s.properties.find(who.property(flagKey(v.k.flag)))
		require.NotNil(p.t, e)
		require.Zero(p.t, e.p.way)
		if e.p.fact != 0 { // the reference evicts one of the two
			l.addFact(s, ID{e.Hi, e.p.fact}, second)
		}
		s.properties.remove(number)
		l.entries.Add(-1)
	}
}

func (p *played) crash(stored bool) rules {
	kept := p.kept
	if kept != nil {
		if !p.kill.all {
			p.ledger.writeRaised()
			for failures := int64(-1); !p.ledger.journal.lacks() && failures != p.ledger.journal.failures.Load(); { // on a busy machine it may time out
				failures = p.ledger.journal.failures.Load()
				p.ledger.journal.sync(context.Background())
			}
		}
		kept = kept.after()
		if p.kill.some != nil {
			kept.data = p.kept.cut(p.kill.some)
		}
	}
	p.close()
	if !stored {
		kept = nil
	}
	next := newPlayed(p.t, kept, p.shared, p.nonce, p.victims)
	next.kill, next.nobody, next.ledger.doubtful = p.kill, p.nobody, p.ledger.doubtful
	return next
}

// fakeShared is a Redis in memory without delays.
type fakeShared struct {
	values map[string]string
}

func (s *fakeShared) get(_ context.Context, keys []string) ([]string, error) {
	values := make([]string, len(keys))
	for i, key := range keys {
		values[i] = s.values[key]
	}
	return values, nil
}

func (s *fakeShared) add(_ context.Context, keys []string) ([]bool, error) {
	existed := make([]bool, len(keys))
	for i, key := range keys {
		_, existed[i] = s.values[key]
		s.values[key] = redisMagic
	}
	return existed, nil
}

func (s *fakeShared) update(_ context.Context, updates []update) error {
	for _, u := range updates {
		before, known := readTold(s.values[u.key])
		switch {
		case u.fact:
			s.values[u.key] = redisMagic
		case u.user != ID{}:
			s.values[u.key] = redisMagic + string(appendID(nil, u.user))
		case u.doubt:
			if known && before.value != u.value {
				before.sure = false
				s.values[u.key] = before.encode()
			}
		default:
			now := told{u.value, u.sure, u.told, u.newest}
			if known {
				now.newest = max(now.newest, before.newest)
				if now.told < before.told {
					now.value, now.sure, now.told = before.value, before.sure, before.told
				}
			}
			s.values[u.key] = now.encode()
		}
	}
	return nil
}

func (*fakeShared) probe(context.Context) error { return nil }
func (*fakeShared) close() error                { return nil }

// recording is the reference, recording its evictions.
type recording struct {
	*modelLedger
	victims *[]victim
	of      map[string]*modelRecord
}

func (r *recording) decide(rec *modelRecord) ([]*modelEvent, any) {
	r.of[rec.fact()] = rec
	return r.modelLedger.decide(rec)
}

func (r *recording) evict(n int) {
	fact, k := r.modelLedger.victims(n)
	*r.victims = append(*r.victims, victim{fact, r.of[fact], k})
	r.modelLedger.evict(n)
}

func (r *recording) crash(storage bool) rules {
	return &recording{r.modelLedger.crash(storage).(*modelLedger), r.victims, r.of}
}

func playReference(kind string, steps []step, literal bool, victims *[]victim) (*world, []string) {
	set := setupOf(kind, steps)
	var shared *modelShared
	if set.redis {
		shared = newModelShared()
	}
	nonce := 0
	mem := make([]rules, set.replicas)
	for i := range mem {
		mem[i] = &recording{newModelLedger(shared, literal, &nonce), victims, map[string]*modelRecord{}}
	}
	w := newWorld(mem, set.disk, set.storage)
	for _, m := range mem {
		m.(*recording).claims = claimsOf(kind)
	}
	w.fanOut(kind)
	return w, play(w, kind, steps)
}

// claimsOf returns how many exporters claim an event.
func claimsOf(kind string) int {
	switch kind {
	case "fan-out":
		return 2
	case "gateway": // in another process
		return 0
	default:
		return 1
	}
}

func (w *world) fanOut(kind string) {
	if kind == "fan-out" {
		w.other = &otherExporter{amp: newModelAmplitude(), unsure: map[string]bool{}}
	}
}

func playLedger(t require.TestingT, kind string, steps []step, victims *[]victim, kill kill) (*world, []string) {
	set := setupOf(kind, steps)
	var shared *fakeShared
	if set.redis {
		shared = &fakeShared{values: map[string]string{}}
	}
	nonce := 0
	mem := make([]rules, set.replicas)
	for i := range mem {
		var kept *memStorage
		if set.storage && slices.ContainsFunc(steps, func(s step) bool { return s.What == "crash" }) {
			kept = newMemStorage()
			kept.recorded = kill.some != nil
		}
		p := newPlayed(t, kept, shared, &nonce, victims)
		p.kill = kill
		p.nobody = claimsOf(kind) == 0
		mem[i] = p
	}
	w := newWorld(mem, set.disk, set.storage)
	if w.fanOut(kind); w.other != nil {
		p, first := mem[0].(*played), w.amp
		p.other, p.swapped = &receipts.Book{}, func() bool { return w.amp != first }
	}
	if kind == "failing storage" {
		mem[0].(*played).ledger.doubtful = defaultDoubtful
	}
	bad := play(w, kind, steps)
	for _, m := range w.mem {
		m.(*played).close()
	}
	return w, bad
}

// modelKinds are the kinds of cases that the Python model also has, kinds all that the reference has.
var (
	modelKinds = []string{"sound", "overlap", "dead", "volatile", "redis", "evict", "forgetful", "login", "replicas"}
	kinds      = append(slices.Clone(modelKinds), "fan-out", "gateway")
)

// canFail are the kinds in which something goes wrong that no rule can prevent.
var canFail = map[string]bool{"evict": true, "forgetful": true, "login": true, "replicas": true}

// ordinaryCases is the number of cases of each kind in every run. LEDGER_CASES sets another number (make ledger
// CASES=100000), and makes the measurements run at full size.
const ordinaryCases = 60

func casesOf(t *testing.T, short int) int {
	if text := os.Getenv("LEDGER_CASES"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err)
		return n
	}
	return short
}

func seedOf(t *testing.T) uint64 {
	if text := os.Getenv("LEDGER_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		return n
	}
	return 1
}

// TestConformance plays random cases with the reference and with the Ledger: both give the same answers, Amplitude has
// the same in the end, and nothing is wrong except what no rule can prevent.
func TestConformance(t *testing.T) {
	cases, seed := casesOf(t, ordinaryCases), seedOf(t)
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, xxh3.HashString(kind)))
			failing, identify, events := 0, 0, 0
			for i := range cases {
				steps := scenario(rng, kind)
				var victims []victim
				want, wrong := playReference(kind, steps, false, &victims)
				got, bad := playLedger(t, kind, steps, &victims, kill{})
				text, _ := json.Marshal(steps)
				require.Equal(t, want.answers, got.answers, "seed %d, case %d: %s", seed, i, text)
				require.Equal(t, want.amp.props, got.amp.props, "case %d: %s", i, text)
				require.Equal(t, want.amp.stored, got.amp.stored, "case %d: %s", i, text)
				slices.Sort(wrong)
				slices.Sort(bad)
				require.Equal(t, wrong, bad)
				if len(bad) > 0 {
					failing++
					require.True(t, canFail[kind], "case %d: %s: %v", i, text, bad)
				}
				identify += got.identify
				events += len(got.amp.stored)
			}
			t.Logf("seed %d: %d cases, %d of them with what no rule can do; %d events stored, %d $identify", seed, cases, failing, events, identify)
		})
	}
}

// TestSecondCopyDoesNotTakeTheDevice: an event of U on a device is sent twice, by overlapping batches. The second copy
// is accepted after the event of V, who has the device by then.
func TestSecondCopyDoesNotTakeTheDevice(t *testing.T) {
	var steps []step
	require.NoError(t, json.Unmarshal([]byte(`[
		{"What": "begin", "Rec": {"User": "U", "Dev": "E", "Run": 2, "Kind": "E", "Flags": [["f", "B"]]}},
		{"What": "rec", "Rec": {"User": "U", "Dev": "E", "Run": 2, "Kind": "E", "Flags": [["f", "B"]]}},
		{"What": "begin", "Rec": {"Dev": "E", "Run": 1, "Kind": "A", "Flags": [["f", ""]]}},
		{"What": "rec", "Rec": {"User": "V", "Run": 1, "Kind": "E", "Flags": [["f", "B"]]}},
		{"What": "rec", "Rec": {"User": "V", "Dev": "E", "Run": 1, "Kind": "E", "Flags": [["f", "B"]]}}
	]`), &steps))
	var victims []victim
	_, bad := playLedger(t, "overlap", steps, &victims, kill{})
	assert.Empty(t, bad)
}

// TestBeyondTheReference plays what the reference lacks: entries that are forgotten after seven days, kills with Redis,
// and a storage that fails now and then. A storage that cannot even record its failure has separate tests.
func TestBeyondTheReference(t *testing.T) {
	for _, kind := range []string{"week", "redis kills", "failing storage"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seedOf(t), xxh3.HashString(kind)))
			cases := casesOf(t, ordinaryCases)
			for i := range cases {
				steps := scenario(rng, kind)
				var victims []victim
				_, bad := playLedger(t, kind, steps, &victims, kill{})
				text, _ := json.Marshal(steps)
				require.Empty(t, bad, "seed %d, case %d: %s", seedOf(t), i, text)
			}
			t.Logf("seed %d: %d cases", seedOf(t), cases)
		})
	}
}

// TestKilledBeforeItIsWritten plays the cases with a kill at the worst moment: the storage has nothing that it did not
// have to write. Excluded, because no rule can handle them, are late records (which include replayed dead letters),
// records with only a device whose user was not written, and a second kill as unlucky as the first.
func TestKilledBeforeItIsWritten(t *testing.T) {
	playKills(t, func(*rand.Rand) kill { return kill{all: true} })
}

// TestKilledAtAnyWrite plays the same cases with a kill between any two writes of the storage.
func TestKilledAtAnyWrite(t *testing.T) {
	playKills(t, func(rng *rand.Rand) kill { return kill{some: rng} })
}

func playKills(t *testing.T, how func(*rand.Rand) kill) {
	for _, kind := range []string{"sound", "overlap", "dead", "volatile"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seedOf(t), xxh3.HashString("behind "+kind)))
			cases := casesOf(t, ordinaryCases)
			for i := range cases {
				steps := withOneKill(scenario(rng, kind))
				var victims []victim
				_, bad := playLedger(t, kind, steps, &victims, how(rng))
				text, _ := json.Marshal(steps)
				require.Empty(t, bad, "seed %d, case %d: %s", seedOf(t), i, text)
			}
			t.Logf("seed %d: %d cases", seedOf(t), cases)
		})
	}
}

// withOneKill leaves out what no rule can handle after a kill that loses something.
func withOneKill(steps []step) []step {
	kills := 0
	steps = slices.DeleteFunc(steps, func(s step) bool {
		if s.What == "crash" {
			kills++
		}
		return s.What == "replay" || kills > 1 && s.What == "crash"
	})
	for i, s := range steps {
		if s.Rec != nil {
			s.Rec.Late = 0
			s.Rec.User = cmp.Or(s.Rec.User, "U")
		}
		if s.What == "again" {
			steps[i].N = 0
		}
	}
	return steps
}

// TestReferenceIsTheModel compares the reference, in its literal form, with the Python model if it is available.
func TestReferenceIsTheModel(t *testing.T) {
	model := cmp.Or(os.Getenv("LEDGER_MODEL"), filepath.Join("..", "..", "..", "..", "..", "shared", "model"))
	if _, err := os.Stat(filepath.Join(model, "model.py")); err != nil {
		t.Skip("LEDGER_MODEL names the folder of model.py")
	}
	type oneCase struct {
		Kind  string
		Set   map[string]any
		Steps []step
	}
	type answer struct {
		Answers []string
		Bad     []string
		Props   map[string]map[string]string
	}
	var cases []oneCase
	rng := rand.New(rand.NewPCG(seedOf(t), 2))
	for _, kind := range modelKinds {
		for range casesOf(t, ordinaryCases) {
			steps := scenario(rng, kind)
			set := setupOf(kind, steps)
			cases = append(cases, oneCase{kind, map[string]any{
				"replicas": set.replicas, "disk": set.disk, "storage": set.storage, "redis": set.redis,
			}, steps})
		}
	}
	input, err := json.Marshal(cases)
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), "python3", "testdata/play.py", model)
	command.Stdin = bytes.NewReader(input)
	command.Stderr = os.Stderr
	output, err := command.Output()
	require.NoError(t, err)
	var answers []answer
	require.NoError(t, json.Unmarshal(output, &answers))
	require.Len(t, answers, len(cases))
	for i, c := range cases {
		var victims []victim
		w, bad := playReference(c.Kind, c.Steps, true, &victims)
		text, _ := json.Marshal(c.Steps)
		assert.Equal(t, answers[i].Answers, append([]string{}, w.answers...), "%s case %d: %s", c.Kind, i, text)
		assert.Equal(t, answers[i].Props, w.amp.props, "%s case %d: %s", c.Kind, i, text)
		assert.Equal(t, len(answers[i].Bad) > 0, len(bad) > 0, "%s case %d: %s: %v %v", c.Kind, i, text, answers[i].Bad, bad)
		if t.Failed() {
			return
		}
	}
	t.Logf("seed %d: %d cases", seedOf(t), len(cases))
}
