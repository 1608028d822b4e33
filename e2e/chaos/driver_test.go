// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

const (
	senderTimeout = 2 * time.Second
	resendPause   = 25 * time.Millisecond
	batchRecords  = 12
	// headroom keeps several changes in one batch, a millisecond apart, from running ahead of the Collector's clock:
	// docs/delivery.md, "A clock ahead of the Collector's".
	headroom = time.Second
)

// exposure is one numbered exposure as intended by an application.
type exposure struct {
	n      int
	user   string // empty if the application only knows the device
	device string // empty for none
	// assigned: the flag was evaluated, which is a separate assignment and sets the same property.
	assigned bool
	flag     string
	variant  string // "off" takes the user out
	at       time.Time
	// acked is set when the Collector accepted it. Nobody else reads it before the driver has ended.
	acked bool
}

// result is what exposures of one person must have in common to be one event.
type result struct {
	assigned                    bool
	user, device, flag, variant string
	day                         int64
}

func (e *exposure) result() result {
	return result{e.assigned, e.user, e.device, e.flag, e.variant, e.at.Unix() / (24 * 60 * 60)}
}

// device is what applications run on. It belongs to the user who last logged in on it; before that, it is anonymous.
type device struct {
	id   string
	last *person
}

// person is a user with all exposures in the order in which they happened, on any device.
type person struct {
	id      string
	devices []*device // empty if there are none
	// wanders: logs in on its own device only during the run, shares another one with a neighbor, and has an application
	// that does not know users.
	wanders bool
	// switches: one flag that goes back and forth, with a steady clock; otherwise, each exposure has a different flag, and
	// the clock jumps.
	switches bool
	skew     time.Duration
	history  []*exposure
	// told are the reported results of the flag that goes back and forth.
	told map[result]bool
	// variant is the current one of that flag, changes how often it has changed.
	variant string
	changes int
}

// maxChanges is how often a property of one person changes in a run. Beyond thirty changes, the Collector only sends
// one per minute, and a crash uses up one for each person.
const maxChanges = 12

// driver is a fleet of applications that send one batch at a time and retry it until it is accepted.
type driver struct {
	url    string
	client *http.Client
	pace   time.Duration // between the batches of one worker
	// records is the maximum number of exposures in a batch; mixed adds records that are not about a flag.
	records int
	mixed   bool
	// remember bounds the history of each person, for runs that are too long to keep all of it; 0 means no bound.
	remember int
	number   atomic.Int64
	// events is how many events all exposures so far amount to.
	events atomic.Int64

	sent, acked, failed, repeats, batches atomic.Int64

	people  []*person
	workers sync.WaitGroup
	mu      sync.Mutex
	refused error
}

func newDriver(address string, seed uint64, workers, peoplePerWorker int, pace time.Duration) *driver {
	d := &driver{
		url: "http://" + address + "/v1/logs", pace: pace, records: batchRecords,
		client: &http.Client{Timeout: senderTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: workers}},
	}
	r := rand.New(rand.NewPCG(seed, 1))
	skews := []time.Duration{0, 0, -3 * time.Hour, -30 * time.Hour, 2 * time.Hour}
	for i := range workers * peoplePerWorker {
		p := &person{id: fmt.Sprintf("person-%04d", i), told: map[result]bool{}, switches: r.IntN(2) == 0, skew: skews[r.IntN(len(skews))]}
		if p.switches {
			// If the clock is ahead of the Collector's, a repeated batch looks like a second change.
			p.skew = min(p.skew, 0)
		}
		if r.IntN(2) == 0 {
			p.devices = []*device{{id: fmt.Sprintf("phone-%04d", i)}, {id: fmt.Sprintf("tablet-%04d", i)}}
		}
		d.people = append(d.people, p)
		if neighbor := i - 1; i%peoplePerWorker%4 == 1 {
			d.people[neighbor].shares(p)
		}
	}
	return d
}

// shares makes two people who share a device, and its clock.
func (p *person) shares(with *person) {
	kiosk := &device{id: "kiosk-" + p.id}
	with.skew, with.told = p.skew, p.told
	for _, one := range []*person{p, with} {
		one.skew = min(p.skew, 0)
		one.wanders, one.switches = true, true
		one.devices = []*device{{id: "phone-" + one.id}, {id: "tablet-" + one.id}, kiosk}
	}
}

// run makes all workers send until ctx ends; each then finishes what it has begun. hurry bounds that.
func (d *driver) run(ctx, hurry context.Context, seed uint64, workers int) {
	each := len(d.people) / workers
	for w := range workers {
		mine := d.people[w*each : (w+1)*each]
		d.workers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)+2))
			pause := time.NewTicker(d.pace)
			defer pause.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-pause.C:
				}
				if !d.step(hurry, r, mine) {
					return
				}
			}
		})
	}
}

// step sends one batch, and now and then the same batch again, like an application's retry.
func (d *driver) step(ctx context.Context, r *rand.Rand, people []*person) bool {
	var batch []*exposure
	size := 1 + r.IntN(d.records)
	for range size {
		p := people[r.IntN(len(people))] // a person may change more than once in one batch
		batch = append(batch, d.next(r, p))
		d.happen(p, batch[len(batch)-1])
	}
	return d.report(ctx, batch, r.IntN(20) == 0)
}

// report sends a batch, and resends it if the application thinks that it has to.
func (d *driver) report(ctx context.Context, batch []*exposure, again bool) bool {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, e := range batch {
		record := records.AppendEmpty()
		record.SetEventName("$exposure")
		if e.assigned {
			record.SetEventName("$assignment")
			record.Attributes().PutEmptyMap("variants").PutStr(e.flag, e.variant)
		} else {
			record.Attributes().PutStr("flag_key", e.flag)
			record.Attributes().PutStr("variant", e.variant)
		}
		record.SetTimestamp(pcommon.NewTimestampFromTime(e.at))
		if e.user != "" {
			record.Attributes().PutStr("user_id", e.user)
		}
		if e.device != "" {
			record.Attributes().PutStr("device_id", e.device)
		}
		record.Attributes().PutInt("chaos.n", int64(e.n))
	}
	if d.mixed {
		for i := range 5 {
			foreign := records.AppendEmpty()
			foreign.SetEventName([]string{"", "page.view", "feature_flag.evaluation"}[i%3])
			foreign.Body().SetStr("not about a flag, or without a user")
		}
	}
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	if err != nil {
		d.refuse(err)
		return false
	}
	d.batches.Add(1)
	d.sent.Add(int64(len(batch)))
	if !d.deliver(ctx, body) {
		return false
	}
	for _, e := range batch {
		e.acked = true
	}
	d.acked.Add(int64(len(batch)))
	if again {
		d.repeats.Add(int64(len(batch)))
		return d.deliver(ctx, body)
	}
	return true
}

// reportPresent makes applications report the current state of some holders again.
func (d *driver) reportPresent(ctx context.Context, some func(holder) bool) bool {
	held, whose := truth(d.people), whoseAre(d.people)
	keys := slices.SortedFunc(maps.Keys(held), func(a, b heldProperty) int { return held[a].n - held[b].n })
	keys = slices.DeleteFunc(keys, func(k heldProperty) bool { return !some(k.holder) })
	for part := range slices.Chunk(keys, batchRecords) {
		var batch []*exposure
		for _, k := range part {
			was := held[k]
			e := &exposure{user: k.holder.user, device: was.device, assigned: was.assigned, flag: was.flag, variant: was.variant}
			d.date(whose[was.n], e)
			d.happen(whose[was.n], e)
			batch = append(batch, e)
		}
		if !d.report(ctx, batch, false) {
			return false
		}
	}
	return true
}

// happen adds an exposure to the history of a person.
func (d *driver) happen(p *person, e *exposure) {
	if what := e.result(); !p.switches || !p.told[what] {
		d.events.Add(1)
		if p.switches {
			p.told[what] = true
		}
	}
	p.history = append(p.history, e)
	if n := len(p.history); d.remember > 0 && n > 2*d.remember {
		p.history = slices.Delete(p.history, 0, n-d.remember)
	}
}

// next makes the next exposure of a person.
func (d *driver) next(r *rand.Rand, p *person) *exposure {
	if p.variant == "" || (p.changes < maxChanges && r.IntN(4) == 0) {
		p.variant = []string{"control", "treatment", "off"}[r.IntN(3)]
		p.changes++
	}
	e := &exposure{flag: "switch", variant: p.variant, user: p.id}
	if len(p.devices) > 0 {
		p.chooseDevice(r, e)
	}
	d.date(p, e)
	e.assigned = p.switches && r.IntN(4) == 0
	if !p.switches {
		e.flag, e.variant = fmt.Sprintf("flag-%d", e.n), "treatment"
		// A clock that jumps, within the day that Amplitude and the Collector tolerate.
		e.at = e.at.Add(time.Duration(r.IntN(7200)-3600) * time.Second)
	}
	return e
}

// date numbers an exposure, and gives it the time of the person's clock.
func (d *driver) date(p *person, e *exposure) {
	e.n, e.at = int(d.number.Add(1)), time.Now().Add(p.skew-headroom)
	if n := len(p.history); n > 0 && p.switches && !e.at.After(p.history[n-1].at) {
		e.at = p.history[n-1].at
	}
	e.at = e.at.Truncate(time.Millisecond).Add(time.Millisecond) // nobody changes twice in a millisecond
}

// chooseDevice decides where an exposure happens, and whether the application there knows the user.
func (p *person) chooseDevice(r *rand.Rand, e *exposure) {
	const logIn, knowsNoUsers = 12, 4 // one time in so many
	where := p.devices[r.IntN(len(p.devices))]
	e.device = where.id
	if !p.wanders {
		return
	}
	shared := where == p.devices[len(p.devices)-1]
	switch {
	case where.last == p && r.IntN(knowsNoUsers) == 0:
		e.user = ""
	case where.last == nil && !shared && r.IntN(logIn) > 0:
		e.user = ""
		if r.IntN(2) == 0 {
			e.flag = "welcome" // only for those who are not logged in
		}
	default:
		where.last = p
	}
}

// deliver posts until the Collector accepts the batch.
func (d *driver) deliver(ctx context.Context, body []byte) bool {
	for {
		status, err := d.post(ctx, body)
		switch {
		case err == nil && status/100 == 2:
			return true
		case err == nil && status/100 == 4 && status != http.StatusTooManyRequests:
			d.refuse(fmt.Errorf("the Collector answered %d to a good batch", status))
			return false
		}
		d.failed.Add(1)
		select {
		case <-ctx.Done():
			d.refuse(fmt.Errorf("the Collector did not take a batch in time: status %d, %w", status, err))
			return false
		case <-time.After(resendPause):
		}
	}
}

func (d *driver) post(ctx context.Context, body []byte) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := d.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

func (d *driver) refuse(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refused == nil {
		d.refused = err
	}
}

// wait returns when all workers have ended.
func (d *driver) wait(t *testing.T) {
	t.Helper()
	d.workers.Wait()
	d.client.CloseIdleConnections()
	d.mu.Lock()
	defer d.mu.Unlock()
	require.NoError(t, d.refused)
}
