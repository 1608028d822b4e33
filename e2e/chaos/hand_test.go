// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recoveryTimeout bounds how long nothing may arrive after a fault. The machine may be slow.
const recoveryTimeout = 90 * time.Second

// hand is the fault injector. It causes one fault after the other, in an order that depends only on its seed, and waits
// after each until events arrive again.
type hand struct {
	random *rand.Rand
	world  *world
	driver *driver
	// log has a line for each fault, and counts their number by name.
	log    []string
	counts map[string]int
	// longest is the longest time until events arrived again after a fault, longestWhat the name of that fault.
	longest     time.Duration
	longestWhat string
	// spell is how long a temporary fault lasts, at most a minute.
	spell time.Duration
	// advanced is how far the clock of the local Amplitude was moved ahead.
	advanced time.Duration
}

// fault is one kind of fault. It begins, lasts, and is over when do returns.
type fault struct {
	name string
	// long faults take longer than a short run.
	long bool
	do   func(t *testing.T, h *hand)
}

func faults() []fault {
	return []fault{
		{name: "kill -9", do: func(t *testing.T, h *hand) {
			h.world.sender.Kill()
			h.linger(500)
			h.world.revive(t)
		}},
		{name: "store, then 500", do: func(t *testing.T, h *hand) {
			code := []int{500, 502, 504}[h.random.IntN(3)]
			h.script(t, 1+h.random.IntN(4), map[string]any{"action": "ingest_then_status", "code": code})
		}},
		{name: "cut wire, full queue, kill -9", do: func(t *testing.T, h *hand) {
			h.world.link.cut()
			h.fillQueue(t)
			h.world.sender.Kill()
			h.linger(300)
			h.world.link.repair(t)
			h.world.revive(t)
		}},
		{name: "404 for a minute", do: func(t *testing.T, h *hand) {
			code := []int{404, 401, 405, 403, 410}[h.random.IntN(5)]
			h.during(t, map[string]any{"action": "status", "code": code, "body": "html"}, func() { <-time.After(h.spell) })
		}},
		{name: "poison 5xx", do: func(t *testing.T, h *hand) {
			person := h.driver.people[h.random.IntN(len(h.driver.people))].id
			poison := map[string]any{"action": "status", "code": 500, "body": "html", "match": map[string]any{"contains": `"` + person + `"`}}
			h.during(t, poison, func() {
				<-time.After(h.spell / 2)
				h.world.awaitProgress(t, recoveryTimeout) // of all others
			})
		}},
		{name: "refused events, replay, kill -9", do: func(t *testing.T, h *hand) {
			// One user has new events all the time, the other may be anyone.
			people := h.driver.people
			other, one := people[h.random.IntN(len(people))], people[h.random.IntN(len(people))]
			for one.switches {
				one = people[h.random.IntN(len(people))]
			}
			h.world.control(t, http.MethodPost, "faults", refused(other.id))
			h.during(t, refused(one.id), func() {
				h.world.awaitDeadLetter(t, one.id)
				h.world.awaitProgress(t, recoveryTimeout) // of all others
			})
			replay := h.world.startReplay(t)
			if h.random.IntN(2) == 0 {
				h.linger(200)
				h.world.sender.Kill()
				h.world.revive(t)
			}
			_ = replay.Wait() // the next one sends what it left
		}},
		{name: "black hole", do: func(_ *testing.T, h *hand) {
			h.world.link.swallow()
			h.linger(1000)
		}},
		{name: "slow uplink", do: func(t *testing.T, h *hand) {
			h.world.link.cut()
			h.fillQueue(t)
			h.world.link.slow(20_000)
			h.world.link.repair(t)
			<-time.After(h.spell / 2)
			h.world.awaitProgress(t, recoveryTimeout)
			h.world.link.slow(0)
		}},
		{name: "kill Redis", do: func(_ *testing.T, h *hand) {
			h.world.redis.Kill()
			h.linger(800)
			h.world.redis.Revive()
		}},
		{name: "stop and start", do: func(t *testing.T, h *hand) {
			h.linger(1000) // a Collector reports that it is ready before it handles the signal
			h.world.sender.Stop(t)
			h.world.revive(t)
		}},
		{name: "413", do: func(t *testing.T, h *hand) {
			// A limit that single events do not exceed.
			h.world.control(t, http.MethodPut, "config", map[string]any{"v2": map[string]any{"max_bytes": 2500}})
			h.linger(700)
			h.world.control(t, http.MethodPut, "config", map[string]any{"v2": map[string]any{"max_bytes": 1 << 20}})
		}},
		{name: "5xx", do: func(t *testing.T, h *hand) {
			code := []int{500, 502, 503, 504, 408}[h.random.IntN(5)]
			body := []string{"json", "html", "empty", "truncated"}[h.random.IntN(4)]
			h.script(t, 1+h.random.IntN(6), map[string]any{"action": "status", "code": code, "body": body})
		}},
		{name: "store, then reset", do: func(t *testing.T, h *hand) {
			h.script(t, 1+h.random.IntN(3), map[string]any{"action": "ingest_then_reset"})
		}},
		{name: "reset", do: func(t *testing.T, h *hand) {
			h.script(t, 1+h.random.IntN(4), map[string]any{"action": "reset_before_read"})
		}},
		{name: "outage, stop, start", do: func(t *testing.T, h *hand) {
			h.world.link.cut()
			h.fillQueue(t)
			h.world.sender.Stop(t)
			h.world.revive(t)
			h.linger(300)
			h.world.link.repair(t)
		}},
		{name: "hang", do: func(t *testing.T, h *hand) {
			h.script(t, 1, map[string]any{"action": "hang", "delay": "3s"})
		}},
		{name: "slow answer", do: func(t *testing.T, h *hand) {
			h.script(t, 1+h.random.IntN(3), map[string]any{"action": []string{"slow_headers", "slow_body"}[h.random.IntN(2)], "delay": "400ms"})
		}},
		{name: "stored, answer too late", do: func(t *testing.T, h *hand) {
			h.script(t, 1, map[string]any{"action": "slow_headers", "delay": "2500ms"})
		}},
		{name: "freeze Redis", do: func(_ *testing.T, h *hand) {
			h.world.redis.Signal(syscall.SIGSTOP)
			h.linger(800)
			h.world.redis.Signal(syscall.SIGCONT)
		}},
		{name: "freeze the Collector", do: func(t *testing.T, h *hand) {
			process := h.world.sender.PID()
			require.NoError(t, syscall.Kill(process, syscall.SIGSTOP))
			h.linger(1000)
			require.NoError(t, syscall.Kill(process, syscall.SIGCONT))
		}},
		{name: "far clock ahead", do: func(t *testing.T, h *hand) {
			by := time.Duration(1+h.random.IntN(60)) * time.Minute
			if h.advanced += by; h.advanced < 5*24*time.Hour { // an insert_id counts for seven days
				h.world.control(t, http.MethodPost, "clock", map[string]any{"advance": by.String()})
			}
		}},
		{name: "kill -9 while starting", do: func(t *testing.T, h *hand) {
			for range 2 {
				h.world.sender.Kill()
				h.world.revive(t)
			}
			h.world.sender.Kill()
			h.world.revive(t)
		}},
		{name: "429 for the project, kill -9", do: func(t *testing.T, h *hand) {
			h.script(t, 1, map[string]any{"action": "status", "code": 429})
			h.world.sender.Kill() // otherwise it would pause for a minute, as Amplitude asks
			h.world.revive(t)
		}},
		{name: "429 for some users", long: true, do: func(t *testing.T, h *hand) {
			var ids []string
			for range 3 {
				ids = append(ids, h.driver.people[h.random.IntN(len(h.driver.people))].id)
			}
			h.world.control(t, http.MethodPost, "throttle", map[string]any{"ids": ids, "until": "+5s"})
		}},
	}
}

// refused is a fault: Amplitude permanently refuses the events of a user.
func refused(user string) map[string]any {
	return map[string]any{
		"action": "unindexed_400", "text": "the event is refused", "times": -1, "match": map[string]any{"contains": `"` + user + `"`},
	}
}

// linger lets a fault last, for up to ms milliseconds.
func (h *hand) linger(ms int) {
	<-time.After(time.Duration(ms/4+h.random.IntN(ms)) * time.Millisecond)
}

// script makes the next requests fail and waits until they have.
func (h *hand) script(t *testing.T, times int, f map[string]any) {
	t.Helper()
	f["times"] = times
	h.world.control(t, http.MethodPost, "faults", f)
	require.Eventually(t, func() bool {
		var left struct {
			Faults []struct{} `json:"faults"`
		}
		h.world.read(t, "faults", &left)
		return len(left.Faults) == 0
	}, recoveryTimeout, 5*time.Millisecond, "%d requests meet %v", times, f)
}

// during makes all requests that match a fault fail while do runs.
func (h *hand) during(t *testing.T, f map[string]any, do func()) {
	t.Helper()
	f["times"] = -1
	h.world.control(t, http.MethodPost, "faults", f)
	do()
	h.world.control(t, http.MethodDelete, "faults", nil)
}

// fillQueue waits, with the wire cut, until the Collector accepts nothing more.
func (h *hand) fillQueue(t *testing.T) {
	t.Helper()
	failed := h.driver.failed.Load()
	require.Eventually(t, func() bool { return h.driver.failed.Load() > failed+2 }, recoveryTimeout, 10*time.Millisecond,
		"a full queue makes senders wait")
}

// work causes faults until end, each kind once before any is repeated. A short run leaves out the long ones and begins
// with the worst.
func (h *hand) work(t *testing.T, end time.Time, short bool) {
	t.Helper()
	const essential = 10 // so that a short run includes the worst
	all := faults()
	var deck []fault
	for done := 0; time.Now().Before(end) || done == 0 || short && done < essential; done++ {
		if len(deck) == 0 {
			for _, f := range all {
				if !f.long || !short {
					deck = append(deck, f)
				}
			}
			worst := 0
			if short {
				worst = essential
			}
			h.random.Shuffle(worst, func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			rest := deck[worst:]
			h.random.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		}
		f := deck[0]
		deck = deck[1:]
		begin := time.Now()
		f.do(t, h)
		lasted := time.Since(begin)
		recovery := h.world.awaitProgress(t, recoveryTimeout)
		if recovery > h.longest {
			h.longest, h.longestWhat = recovery, f.name
		}
		h.counts[f.name]++
		h.log = append(h.log, fmt.Sprintf("%-30s lasted %6s, recovered after %6s", f.name, lasted.Round(time.Millisecond), recovery.Round(time.Millisecond)))
		t.Log(h.log[len(h.log)-1])
	}
}
