// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// shopper is a user in the test of outcomes, whose number determines the variant.
type shopper int

func (s shopper) id() string { return fmt.Sprintf("shopper-%06d", int(s)) }

func (s shopper) variant() string { return []string{"control", "treatment"}[s%2] }

// told makes a batch of the shoppers' exposures or orders.
func told(of []shopper, orders bool) ([]byte, error) {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, who := range of {
		r := records.AppendEmpty()
		r.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		r.Attributes().PutStr("user.id", who.id())
		if !orders {
			r.SetEventName("$exposure")
			r.Attributes().PutStr("flag_key", "checkout")
			r.Attributes().PutStr("variant", who.variant())
			continue
		}
		r.SetEventName("order.placed")
		r.Attributes().PutStr("order.id", "order of "+who.id())
		r.Attributes().PutDouble("revenue", 10)
		other := records.AppendEmpty() // not configured as an outcome
		other.SetEventName("order.paid")
		other.Attributes().PutStr("user.id", who.id())
	}
	return (&plog.ProtoMarshaler{}).MarshalLogs(logs)
}

// TestOutcomesFollowExposures: several senders report exposures and orders of many users in shuffled batches to a
// Collector that is killed, while Amplitude fails, is unavailable, and throttles some users. Each acknowledged order is
// stored once, after the exposure that was acknowledged before the order was sent. OUTCOME_USERS makes it longer.
func TestOutcomesFollowExposures(t *testing.T) {
	const senders, batchSize, throttled = 4, 25, 20
	users := 400
	if text := os.Getenv("OUTCOME_USERS"); text != "" {
		var err error
		users, err = strconv.Atoi(text)
		require.NoError(t, err, "OUTCOME_USERS")
	}
	far := harness.Start(t, "testdata/sandbox.yaml", harness.Options{})
	options := harness.Options{
		Addresses: harness.NewAddresses(t), Dir: t.TempDir(), Env: []string{"E2E_TARGET=" + far.Sandbox},
		Sets: []string{
			"processors::amplitude_experiment::outcomes: {events: [order.placed], rename: {order.placed: Order Placed}, insert_id: [order.id]}",
			"exporters::amplitude::events: ['[Experiment] *', '$exposure', '$identify', Order Placed]",
		},
	}
	sender := harness.Start(t, "testdata/sender.yaml", options)
	target := harness.Collector{Addresses: options.Addresses}
	far.SandboxPost(t, "/_sandbox/faults", []map[string]any{
		{"times": 2, "action": "ingest_then_reset"},
		{"times": 2, "action": "status", "code": 500},
		{"times": 1, "action": "ingest_then_status", "code": 502},
		{"times": -1, "action": "status", "code": 503}, // unavailable, until the fault is deleted
	})
	var slow []string
	for u := range throttled {
		slow = append(slow, shopper(u).id())
	}
	far.SandboxPost(t, "/_sandbox/throttle", map[string]any{"ids": slow})

	// Each sender has its own users, and only sends a user's order after the exposure was acknowledged.
	acknowledged := make(chan struct{}, 2*users)
	var done sync.WaitGroup
	for s := range senders {
		done.Go(func() {
			r := rand.New(rand.NewPCG(uint64(s), 5))
			post := func(of []shopper, orders bool) {
				body, err := told(of, orders)
				for assert.NoError(t, err) && t.Context().Err() == nil {
					if _, err := target.PostLogs("application/x-protobuf", "", body); err == nil {
						acknowledged <- struct{}{}
						return
					}
				}
			}
			var unexposed, exposed []shopper
			for u := s; u < users; u += senders {
				unexposed = append(unexposed, shopper(u))
			}
			r.Shuffle(len(unexposed), func(i, j int) { unexposed[i], unexposed[j] = unexposed[j], unexposed[i] })
			for len(unexposed)+len(exposed) > 0 && t.Context().Err() == nil {
				if n := min(batchSize, len(unexposed)); n > 0 && (len(exposed) == 0 || r.IntN(2) == 0) {
					post(unexposed[:n], false)
					exposed, unexposed = append(exposed, unexposed[:n]...), unexposed[n:]
					continue
				}
				r.Shuffle(len(exposed), func(i, j int) { exposed[i], exposed[j] = exposed[j], exposed[i] })
				n := 1 + r.IntN(min(batchSize, len(exposed)))
				post(exposed[:n], true)
				if r.IntN(4) == 0 {
					post(exposed[:n], true) // again, as different records of the same orders
				}
				exposed = exposed[n:]
			}
		})
	}
	for range 2 {
		for range users / batchSize / 2 {
			select {
			case <-acknowledged:
			case <-time.After(patience):
				require.Fail(t, "nothing is acknowledged")
			}
		}
		sender.Kill()
		sender = harness.Start(t, "testdata/sender.yaml", options)
	}
	far.SandboxDelete(t, "/_sandbox/faults")
	done.Wait()

	// Only those of the throttled users are in the slow lane; a starting Collector tries them immediately.
	far.WaitForEvents(t, 2*(users-throttled))
	require.Eventually(t, func() bool {
		return sender.Metric(t, "otelcol_exporter_amplitude_slow_lane_events") >= 2*throttled && sender.Metric(t, "otelcol_exporter_queue_size") == 0
	}, patience, 20*time.Millisecond)
	far.SandboxDelete(t, "/_sandbox/throttle")
	sender.Kill()
	sender = harness.Start(t, "testdata/sender.yaml", options)

	far.WaitForEvents(t, 2*users)
	sender.Drained(t)
	type stored struct {
		EventType  string         `json:"event_type"`
		UserID     string         `json:"user_id"`
		Properties map[string]any `json:"event_properties"`
		Sandbox    struct{ Seq int }
	}
	var page struct{ Events []stored }
	require.NoError(t, json.Unmarshal([]byte(sandboxText(t, far, http.MethodGet, "/_sandbox/events?verdict=stored&limit=1000000", "")), &page))
	exposedAt, orders := map[string]int{}, map[string]int{}
	for _, e := range page.Events {
		switch e.EventType {
		case "[Experiment] Exposure":
			assert.Zero(t, exposedAt[e.UserID], "%s is exposed once", e.UserID)
			exposedAt[e.UserID] = e.Sandbox.Seq
		case "Order Placed":
			assert.Zero(t, orders[e.UserID], "the order of %s is stored once", e.UserID)
			orders[e.UserID] = e.Sandbox.Seq
		default:
			assert.Fail(t, "nobody named this event", e.EventType)
		}
	}
	assert.Len(t, exposedAt, users)
	assert.Len(t, orders, users)
	for user, at := range orders {
		assert.Positive(t, exposedAt[user], user)
		assert.Less(t, exposedAt[user], at, "%s was exposed before the order arrived", user)
	}
	for _, who := range []shopper{0, 1, shopper(users - 1)} {
		assert.Equal(t, map[string]any{"[Experiment] checkout": who.variant()}, far.UserProperties(t, who.id()))
	}
}

// TestBillableEventsAreCounted: the exporter's count of billable events matches what the sandbox stores.
func TestBillableEventsAreCounted(t *testing.T) {
	far := harness.Start(t, "testdata/sandbox.yaml", harness.Options{})
	sender := harness.Start(t, "testdata/sender.yaml", harness.Options{
		Dir: t.TempDir(), Env: []string{"E2E_TARGET=" + far.Sandbox},
		Sets: []string{
			"processors::amplitude_experiment::outcomes: {events: ['order.*'], max_per_minute: 1000}",
			"exporters::amplitude::events: ['[Experiment] *', '$exposure', '$identify', 'order.*']",
		},
	})
	assert.Contains(t, sender.Logs(), "Outcomes are sent; each counts toward the event volume")
	assert.Contains(t, sender.Logs(), `"at_most_per_month": 43200000`)
	far.SandboxPost(t, "/_sandbox/faults", []map[string]any{{"times": 2, "action": "status", "code": 503}})
	const users = 50
	var all []shopper
	for u := range users {
		all = append(all, shopper(u))
	}
	for _, orders := range []bool{false, true} {
		body, err := told(all, orders)
		require.NoError(t, err)
		_, err = sender.PostLogs("application/x-protobuf", "", body)
		require.NoError(t, err)
	}
	billable := 0
	for _, e := range far.WaitForEvents(t, 3*users) {
		if e.Text("event_type") != "[Experiment] Exposure" {
			billable++
		}
	}
	assert.Equal(t, 2*users, billable)
	require.Eventually(t, func() bool {
		return sender.Metric(t, "otelcol_exporter_amplitude_billable_events") == float64(billable)
	}, patience, 20*time.Millisecond)
}
