// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scale

package scale

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
)

// moving has replicas behind a front that routes by user, and people who reported a and then b, all delivered.
type moving struct {
	*cluster
	people *people
}

// eachMove runs a test with and without a Redis that the replicas share.
func eachMove(t *testing.T, test func(t *testing.T, m *moving)) {
	t.Helper()
	for _, name := range []string{"without Redis", "with Redis"} {
		t.Run(name, func(t *testing.T) {
			m := &moving{&cluster{far: harness.Start(t, "../testdata/sandbox.yaml", harness.Options{})}, newPeople(seedOf(t), 400)}
			if name == "with Redis" {
				m.redis = redistest.Start(t)
			}
			m.add(t, 2, "gateway.yaml")
			m.front = m.startFront(t)
			m.report(t, say("a"))
			m.settle(t)
			m.report(t, say("b"))
			m.settle(t)
			test(t, m)
		})
	}
}

func (m *moving) report(t *testing.T, change func(*rand.Rand, *person) string) {
	t.Helper()
	m.people.report(t, 1, change, m.front)
}

func (m *moving) settle(t *testing.T) {
	t.Helper()
	m.people.settle(t, m.far, m.replicas...)
}

// onward makes a third stay with b, a third return to a, and a third see c.
func onward(_ *rand.Rand, who *person) string { return []string{"b", "a", "c"}[who.number%3] }

// wrongNow counts the people whose property is wrong, by what they reported last, once it cannot change anymore.
func (m *moving) wrongNow(t *testing.T, may ...string) (by map[string]int) {
	t.Helper()
	by = map[string]int{}
	for _, who := range m.people.awaitWrong(t, m.far, func(who *person) bool { return slices.Contains(may, who.last()) }) {
		by[who.last()]++
	}
	return by
}

// restart restarts a replica at the same address, with a new directory if its volume is lost.
func (m *moving) restart(t *testing.T, i int, volumeLost bool) {
	t.Helper()
	if volumeLost {
		m.options[i].Dir = t.TempDir()
		for at, variable := range m.options[i].Env {
			if strings.HasPrefix(variable, "REPLICA_DIR=") {
				m.options[i].Env[at] = "REPLICA_DIR=" + m.options[i].Dir
			}
		}
	}
	m.replicas[i] = harness.Start(t, harness.ScaleOut("replica.yaml"), m.options[i])
}

// strangers checks the users who moved to a replica that does not know them: nothing is lost or stored twice, and only
// those who return to an earlier variant on the same day keep the wrong property, unless they share a Redis.
func (m *moving) strangers(t *testing.T) {
	t.Helper()
	m.report(t, onward)
	m.settle(t)
	assert.Empty(t, m.people.nothingLost(t, m.far), "the events of all users arrive in order")
	returned := 0
	for _, who := range m.people.all {
		if who.last() == "a" {
			returned++
		}
	}
	for _, when := range []string{"at once", "after the next report"} {
		if m.redis != nil {
			assert.Empty(t, m.wrongNow(t), when)
		} else {
			wrong := m.wrongNow(t, "a")
			t.Logf("%s: of %d who returned, %d moved and have the wrong property", when, returned, wrong["a"])
			assert.Positive(t, wrong["a"], when)
			assert.Less(t, wrong["a"], returned, "people who did not move have the right property %s", when)
		}
		m.report(t, again)
		m.settle(t)
	}
	m.report(t, say("d"))
	m.settle(t)
	assert.Empty(t, m.wrongNow(t), "a variant that is new sets the property anywhere")
}

// TestMoveReplicaJoins: the front gets a third replica.
func TestMoveReplicaJoins(t *testing.T) {
	eachMove(t, func(t *testing.T, m *moving) {
		m.front.Stop(t)
		m.add(t, 1, "gateway.yaml")
		m.front = m.startFront(t)
		m.strangers(t)
	})
}

// TestMoveReplicaLeaves: the front loses a replica whose queue was empty.
func TestMoveReplicaLeaves(t *testing.T) {
	eachMove(t, func(t *testing.T, m *moving) {
		m.front.Stop(t)
		m.replicas[1].Stop(t)
		m.replicas = m.replicas[:1]
		m.front = m.startFront(t)
		m.strangers(t)
	})
}

// TestMoveLeavesItsQueueBehind: a replica leaves while Amplitude is unavailable. What waits on its volume is delivered
// when it runs again, after what its users reported elsewhere in the meantime.
func TestMoveLeavesItsQueueBehind(t *testing.T) {
	eachMove(t, func(t *testing.T, m *moving) {
		m.far.SandboxPost(t, "/_sandbox/faults", map[string]any{"times": -1, "action": "status", "code": 503})
		m.report(t, say("c"))
		m.front.Stop(t)
		gone := m.replicas[1]
		gone.Stop(t)
		m.replicas = m.replicas[:1]
		m.front = m.startFront(t)
		m.far.SandboxDelete(t, "/_sandbox/faults")
		m.report(t, say("d"))
		require.Eventually(t, func() bool { return len(m.people.wrong(t, m.far)) == 0 }, patience, pause, "all have d")
		m.replicas[0].Drained(t)

		last := harness.Start(t, harness.ScaleOut("replica.yaml"), m.options[1])
		last.Drained(t)
		m.settle(t)
		assert.NotEmpty(t, m.people.nothingLost(t, m.far), "events of people who moved change places")
		rolledBack := m.wrongNow(t, "d")["d"]
		t.Logf("%d of %d properties were rolled back", rolledBack, len(m.people.all))
		assert.Positive(t, rolledBack)
		assert.Less(t, rolledBack, len(m.people.all))
		m.report(t, again)
		m.settle(t)
		if m.redis != nil {
			assert.Empty(t, m.wrongNow(t), "the next report repairs it")
			return
		}
		assert.Equal(t, rolledBack, m.wrongNow(t, "d")["d"], "the replica that has them now does not know")
		m.report(t, say("e"))
		m.settle(t)
		assert.Empty(t, m.wrongNow(t), "the next change repairs it")
	})
}

// TestMoveRollingRestart: replicas restart one after the other, with the same volume and address, while people report.
// Nobody moves.
func TestMoveRollingRestart(t *testing.T) {
	eachMove(t, func(t *testing.T, m *moving) {
		m.people.while(t, 3, func() {
			for i := range m.replicas {
				m.replicas[i].Stop(t)
				m.restart(t, i, false)
			}
		}, m.front)
		m.settle(t)
		assert.Empty(t, m.people.nothingLost(t, m.far), "the events of all users arrive in order")
		assert.Empty(t, m.wrongNow(t), "nobody has the wrong property")
		m.report(t, onward)
		m.settle(t)
		assert.Empty(t, m.wrongNow(t), "nor after a return")
	})
}

// TestMoveKilled: a replica is killed while people report, and comes back with its volume.
func TestMoveKilled(t *testing.T) {
	eachMove(t, func(t *testing.T, m *moving) {
		m.people.while(t, 3, func() {
			m.replicas[1].Kill()
			m.restart(t, 1, false)
		}, m.front)
		m.settle(t)
		assert.Empty(t, m.people.nothingLost(t, m.far), "the events of all users arrive in order")
		m.report(t, again)
		m.settle(t)
		assert.Empty(t, m.wrongNow(t), "the next report sets what the kill left open")
	})
}

// TestMoveVolumeLost: a replica comes back without its volume. The content of its queue is lost, and it does not know
// its users; what they report next is new to it, and is sent.
func TestMoveVolumeLost(t *testing.T) {
	eachMove(t, func(t *testing.T, m *moving) {
		m.far.SandboxPost(t, "/_sandbox/faults", map[string]any{"times": -1, "action": "status", "code": 503})
		m.report(t, say("c"))
		m.replicas[1].Kill()
		m.far.SandboxDelete(t, "/_sandbox/faults")
		m.replicas[0].Drained(t)
		found := m.people.judge(m.far.Arrived(t))
		assert.Empty(t, found.doubled)
		assert.Empty(t, found.invented)
		assert.NotEmpty(t, found.lost, "what waited on the volume")
		assert.Less(t, len(found.lost), len(m.people.all))
		m.restart(t, 1, true)
		m.report(t, again)
		m.settle(t)
		assert.Empty(t, m.people.nothingLost(t, m.far), "people who report c again have it")
		assert.Empty(t, m.wrongNow(t), "and the property")
		m.report(t, onward)
		m.settle(t)
		assert.Empty(t, m.wrongNow(t), "from there on the replica knows whom it tells something else")
	})
}
