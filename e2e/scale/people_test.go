// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scale || scalebench

package scale

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

const (
	flagOfPeople = "journey"
	patience     = 60 * time.Second
	pause        = 50 * time.Millisecond // between two looks
)

// person is a user with the variants that three services reported for one flag, in order.
type person struct {
	number  int
	id      string
	reports []string
}

// people report through three services with different resources, each person one report at a time.
type people struct {
	all    []*person
	random []*rand.Rand // one for each sender
	begin  time.Time
	clock  atomic.Int64
	client *http.Client
	// failed counts requests that were refused or not answered, and were retried.
	failed atomic.Int64
}

// newPeople returns n people. All their reports are on one UTC day that began at least minutes ago.
func newPeople(seed uint64, n int) *people {
	p := &people{client: &http.Client{Timeout: 3 * time.Second}, begin: time.Now().Add(-10 * time.Minute).UTC().Truncate(24 * time.Hour)}
	for i := range n {
		p.all = append(p.all, &person{number: i, id: fmt.Sprintf("person-%05d", i)})
	}
	for sender := range clients {
		p.random = append(p.random, rand.New(rand.NewPCG(seed, uint64(sender))))
	}
	return p
}

// report makes everyone report a number of times to these Collectors, and returns once everything is acknowledged.
// change determines what a person reports next.
func (p *people) report(t *testing.T, times int, change func(r *rand.Rand, who *person) string, to ...*harness.Collector) {
	t.Helper()
	var working sync.WaitGroup
	each := len(p.all) / clients
	for sender, r := range p.random {
		working.Go(func() {
			mine := slices.Clone(p.all[sender*each : (sender+1)*each])
			for range times {
				r.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
				for some := range slices.Chunk(mine, batch) {
					body, err := (&plog.ProtoMarshaler{}).MarshalLogs(p.logs(r, some, change))
					if !assert.NoError(t, err) || !p.deliver(t, body, to[sender%len(to)]) {
						return
					}
				}
			}
		})
	}
	working.Wait()
}

// while makes everyone report a number of times while do runs, and returns once both have ended.
func (p *people) while(t *testing.T, times int, do func(), to ...*harness.Collector) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); p.report(t, times, wander, to...) }()
	defer func() { <-done }()
	do()
}

// logs makes the next reports of some people, each from one of the services.
func (p *people) logs(r *rand.Rand, some []*person, change func(*rand.Rand, *person) string) plog.Logs {
	logs := plog.NewLogs()
	var services []plog.LogRecordSlice
	for _, name := range []string{"shop", "search", "checkout"} {
		resource := logs.ResourceLogs().AppendEmpty()
		resource.Resource().Attributes().PutStr("service.name", name)
		resource.Resource().Attributes().PutStr("host.name", fmt.Sprint(name, "-", r.IntN(5)))
		services = append(services, resource.ScopeLogs().AppendEmpty().LogRecords())
	}
	for _, who := range some {
		who.reports = append(who.reports, change(r, who))
		record := services[r.IntN(len(services))].AppendEmpty()
		record.SetEventName("$exposure")
		record.SetTimestamp(pcommon.NewTimestampFromTime(p.begin.Add(time.Duration(p.clock.Add(1)) * time.Millisecond)))
		// The services also use different names for the attribute.
		record.Attributes().PutStr([]string{"user_id", "user.id", "enduser.id"}[r.IntN(3)], who.id)
		record.Attributes().PutStr("flag_key", flagOfPeople)
		record.Attributes().PutStr("variant", who.last())
	}
	return logs
}

// deliver sends a request until it is accepted, with short timeouts, like an SDK.
func (p *people) deliver(t *testing.T, body []byte, to *harness.Collector) bool {
	t.Helper()
	var err error
	for begin := time.Now(); time.Since(begin) < patience; <-time.After(pause) {
		var response *http.Response
		response, err = p.client.Post("http://"+to.OTLPHTTP+"/v1/logs", "application/x-protobuf", bytes.NewReader(body))
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return true
			}
			err = errors.New(response.Status)
		}
		p.failed.Add(1)
	}
	return assert.NoError(t, err, "nobody takes a request within %s", patience)
}

// wander changes a person's variant in one of four reports, possibly back to an earlier one.
func wander(r *rand.Rand, who *person) string {
	if len(who.reports) > 0 && r.IntN(4) > 0 {
		return who.last()
	}
	return []string{"a", "b", "c"}[r.IntN(3)]
}

// again repeats the last report.
func again(_ *rand.Rand, who *person) string { return who.last() }

// say makes everyone report this variant.
func say(variant string) func(*rand.Rand, *person) string {
	return func(*rand.Rand, *person) string { return variant }
}

func (p *person) last() string { return p.reports[len(p.reports)-1] }

// events returns the variants in the order in which a person first saw them: one event each.
func (p *person) events() (variants []string) {
	for _, variant := range p.reports {
		if !slices.Contains(variants, variant) {
			variants = append(variants, variant)
		}
	}
	return variants
}

// findings are people with something wrong; disorder has only their ids.
type findings struct {
	lost, doubled, invented, disorder []string
}

// judge compares what was reported with what is stored.
func (p *people) judge(events []harness.Event) (found findings) {
	stored := map[string][]string{}
	for _, event := range events {
		properties, _ := event["event_properties"].(map[string]any)
		variant, _ := properties["[Experiment] Variant"].(string)
		stored[event.Text("user_id")] = append(stored[event.Text("user_id")], variant)
	}
	for _, who := range p.all {
		wanted, is := who.events(), stored[who.id]
		delete(stored, who.id)
		about := fmt.Sprintf("%s reported %v, stored %v", who.id, wanted, is)
		inOrder := slices.Equal(wanted, is)
		slices.Sort(wanted)
		slices.Sort(is)
		switch {
		case inOrder:
		case slices.Equal(wanted, is):
			found.disorder = append(found.disorder, who.id)
		case !slices.Equal(slices.Compact(slices.Clone(is)), is):
			found.doubled = append(found.doubled, about)
		case len(is) < len(wanted):
			found.lost = append(found.lost, about)
		default:
			found.invented = append(found.invented, about)
		}
	}
	for id := range stored {
		found.invented = append(found.invented, id+" is nobody")
	}
	return found
}

// settle waits until everything reported is stored and nothing waits in these Collectors.
func (p *people) settle(t *testing.T, far *harness.Collector, all ...*harness.Collector) {
	t.Helper()
	events := 0
	for _, who := range p.all {
		events += len(who.events())
	}
	require.Eventually(t, func() bool { return far.Stored(t) >= events }, 2*patience, pause,
		"%s of %d events are stored", lateText(func() string { return fmt.Sprint(far.Stored(t)) }), events)
	for _, one := range all {
		one.Drained(t)
	}
}

// nothingLost fails for an event that is not stored exactly once, and returns the people whose events are in another
// order.
func (p *people) nothingLost(t *testing.T, far *harness.Collector) (disorder []string) {
	t.Helper()
	found := p.judge(far.Arrived(t))
	for what, who := range map[string][]string{"lost": found.lost, "stored twice": found.doubled, "invented": found.invented} {
		assert.Empty(t, who[:min(len(who), 10)], "events of %d people are %s", len(who), what)
	}
	return found.disorder
}

// wrong returns the people whose property is not what they reported last.
func (p *people) wrong(t *testing.T, far *harness.Collector) (wrong []*person) {
	t.Helper()
	held := far.Experiments(t)
	for _, who := range p.all {
		if held[who.id][flagOfPeople] != who.last() {
			wrong = append(wrong, who)
		}
	}
	return wrong
}

// awaitWrong waits until only people who may have a wrong property have one, and returns them.
func (p *people) awaitWrong(t *testing.T, far *harness.Collector, may func(*person) bool) (wrong []*person) {
	t.Helper()
	var others []*person
	require.Eventually(t, func() bool {
		wrong = p.wrong(t, far)
		others = slices.DeleteFunc(slices.Clone(wrong), may)
		return len(others) == 0
	}, patience, pause, "properties that nothing excuses are wrong: %s", lateText(func() string { return told(others) }))
	return wrong
}

// told describes some people with what they reported.
func told(some []*person) string {
	var text strings.Builder
	fmt.Fprint(&text, len(some), " people")
	for _, who := range some[:min(len(some), 5)] {
		fmt.Fprintf(&text, ", %s reported %v", who.id, who.reports)
	}
	return text.String()
}

// lateText is made when it is printed.
type lateText func() string

func (l lateText) String() string { return l() }
