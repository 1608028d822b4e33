// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scale

package scale

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// TestOneUserOneReplica sends 80 % repeats through the front. If one user's records reached two replicas, both would
// forward them, and there would be more events than users. To make the count exact, one client sends what is new;
// several send the repeats.
func TestOneUserOneReplica(t *testing.T) {
	for _, n := range []int{2, 4} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			c, order := start(t, n), shuffled(t)
			c.spread(t, order, 1)
			c.storedOnce(t)
			each, sum := c.forwarded(t)
			t.Logf("%d records, %d users, forwarded by each replica: %v", total, users, each)
			assert.InDelta(t, users, sum, 0, "each user's records are at one replica")
			for _, forwarded := range each {
				assert.Positive(t, forwarded, "each replica has users")
			}
			c.spread(t, order, clients)
			_, again := c.forwarded(t)
			assert.InDelta(t, sum, again, 0, "repeats stay at the replica that knows them")
		})
	}
}

// TestFirstSightingsAtOnce: several clients send what is new. A record is only dropped as a repeat of what the next
// component has accepted (otherwise a refused batch could hide it), so concurrent batches may each forward a state:
// somewhat more than one event per user is sent, with the same insert_id, and one is stored.
func TestFirstSightingsAtOnce(t *testing.T) {
	c := start(t, 2)
	c.spread(t, shuffled(t), clients)
	_, sum := c.forwarded(t)
	t.Logf("%d users, %.0f events left the replicas", users, sum)
	assert.GreaterOrEqual(t, sum, float64(users))
	c.storedOnce(t)
}

// TestReplicaDiesAndReturns kills a replica: the front refuses its users' records, and the sender retries the whole
// batch until it is back; nothing is lost or stored twice.
func TestReplicaDiesAndReturns(t *testing.T) {
	c, order := start(t, 2), shuffled(t)
	c.spread(t, order[:total/2], clients)
	c.replicas[0].Kill()
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(exposures(order[total/2 : total/2+batch]))
	require.NoError(t, err)
	status, err := c.front.PostLogs("application/x-protobuf", "", body)
	require.Error(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, status, "what a dead replica should have is not acknowledged")

	c.replicas[0] = harness.Start(t, harness.ScaleOut("replica.yaml"), c.options[0])
	require.Eventually(t, func() bool {
		status, err := c.front.PostLogs("application/x-protobuf", "", body)
		return err == nil && status == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "the front finds the replica again")
	c.spread(t, order[total/2:], clients)
	c.storedOnce(t)
}

// TestReplicasAreAdded goes from 2 replicas to 4: users that move are new to their replica, which forwards them again,
// and the equal insert_id makes both one event.
func TestReplicasAreAdded(t *testing.T) {
	c, order := start(t, 2), shuffled(t)
	c.spread(t, order, clients)
	c.storedOnce(t)
	_, before := c.forwarded(t)
	c.front.Stop(t)
	c.add(t, 2, "gateway.yaml")
	c.front = c.startFront(t)
	c.spread(t, order, clients)
	_, after := c.forwarded(t)
	t.Logf("%.0f of %d users moved and were forwarded again", after-before, users)
	assert.Greater(t, after, before)
	assert.Less(t, after, before+users, "users that did not move are not forwarded again")
	c.storedOnce(t)
}
