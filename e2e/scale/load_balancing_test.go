// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scale

package scale

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

const (
	users, total, batch, clients = 2_000, 10_000, 250, 4

	program = "otelcol-amplitude-scale"
)

// cluster is a front, its replicas, and the Amplitude they send to.
type cluster struct {
	far      *harness.Collector
	front    *harness.Collector
	replicas []*harness.Collector
	options  []harness.Options
}

func example(name string) string { return filepath.Join(harness.Root(), "examples", "scale-out", name) }

func start(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{far: harness.Start(t, "../testdata/sandbox.yaml", harness.Options{})}
	c.add(t, n)
	c.front = c.startFront(t)
	return c
}

func (c *cluster) add(t *testing.T, n int) {
	t.Helper()
	for range n {
		a := harness.NewAddresses(t)
		_, port, _ := strings.Cut(a.Metrics, ":")
		options := harness.Options{
			Program: program, Addresses: a, Dir: t.TempDir(),
			Sets: []string{"service::telemetry::metrics::readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: " + port + "}}}}]"},
		}
		options.Env = []string{
			"REPLICA_GRPC=" + a.OTLPGRPC, "REPLICA_HEALTH=" + a.Health, "REPLICA_DIR=" + options.Dir,
			"AMPLITUDE_API_KEY=e2e-key", "AMPLITUDE_ENDPOINT=http://" + c.far.Sandbox + "/2/httpapi",
		}
		c.options = append(c.options, options)
		c.replicas = append(c.replicas, harness.Start(t, example("replica.yaml"), options))
	}
}

// startFront starts a front that knows the replicas there are now.
func (c *cluster) startFront(t *testing.T) *harness.Collector {
	t.Helper()
	var names []string
	for _, replica := range c.replicas {
		names = append(names, strconv.Quote(replica.OTLPGRPC))
	}
	a := harness.NewAddresses(t)
	return harness.Start(t, example("load-balancing-front.yaml"), harness.Options{
		Program: program, Addresses: a,
		Env:  []string{"FRONT_HTTP=" + a.OTLPHTTP, "FRONT_HEALTH=" + a.Health},
		Sets: []string{"exporters::load_balancing::resolver::static::hostnames: [" + strings.Join(names, ", ") + "]"},
	})
}

func exposures(numbers []int) plog.Logs {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, number := range numbers {
		record := records.AppendEmpty()
		record.SetEventName("$exposure")
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		record.Attributes().PutStr("user_id", fmt.Sprintf("user-%06d", number%users))
		record.Attributes().PutStr("flag_key", "scale")
		record.Attributes().PutStr("variant", "treatment")
	}
	return logs
}

// spread sends all exposures, in this order, from so many clients at once.
func (c *cluster) spread(t *testing.T, order []int, clients int) {
	t.Helper()
	var working sync.WaitGroup
	for client := range clients {
		working.Go(func() {
			for from := client * batch; from < len(order); from += clients * batch {
				c.front.SendLogs(t, exposures(order[from:from+batch]))
			}
		})
	}
	working.Wait()
}

// forwarded counts the events that left each replica's processor.
func (c *cluster) forwarded(t *testing.T) (each []float64, sum float64) {
	t.Helper()
	for _, replica := range c.replicas {
		n := replica.Metric(t, "otelcol_processor_amplitude_experiment_records", `outcome="exposure"`)
		each, sum = append(each, n), sum+n
	}
	return each, sum
}

// storedOnce waits until each user is stored and fails for one that is stored twice.
func (c *cluster) storedOnce(t *testing.T) {
	t.Helper()
	stored := map[string]int{}
	for _, event := range c.far.WaitForEvents(t, users) {
		stored[event.Text("user_id")]++
	}
	assert.Len(t, stored, users)
	for user, n := range stored {
		assert.Equal(t, 1, n, "%s is stored more than once", user)
	}
}

func shuffled(t *testing.T) []int {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("SCALE_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64() //nolint:gosec // a test's order is no secret
	}
	t.Logf("SCALE_SEED=%d repeats this order", seed)
	return rand.New(rand.NewPCG(seed, 0)).Perm(total) //nolint:gosec // a test's order is no secret
}

// TestOneUserOneReplica sends 80 % repeats through the front. Were one user's records at two replicas,
// both would forward them, and more events than users would leave. One client sends first, because
// batches that are under way at once may each forward a state; then several do, and add nothing.
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

// TestReplicaDiesAndReturns kills a replica: the front refuses what is its users', and the sender, who
// sends the whole batch again once it is back, neither loses nor doubles one.
func TestReplicaDiesAndReturns(t *testing.T) {
	c, order := start(t, 2), shuffled(t)
	c.spread(t, order[:total/2], clients)
	c.replicas[0].Kill()
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(exposures(order[total/2 : total/2+batch]))
	require.NoError(t, err)
	status, err := c.front.PostLogs("application/x-protobuf", "", body)
	require.Error(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, status, "what a dead replica should have is not acknowledged")

	c.replicas[0] = harness.Start(t, example("replica.yaml"), c.options[0])
	require.Eventually(t, func() bool {
		status, err := c.front.PostLogs("application/x-protobuf", "", body)
		return err == nil && status == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "the front finds the replica again")
	c.spread(t, order[total/2:], clients)
	c.storedOnce(t)
}

// TestReplicasAreAdded goes from 2 replicas to 4: users that move are new to their replica, which
// forwards them once more, and the equal insert_id makes one event of both.
func TestReplicasAreAdded(t *testing.T) {
	c, order := start(t, 2), shuffled(t)
	c.spread(t, order, clients)
	c.storedOnce(t)
	_, before := c.forwarded(t)
	c.front.Stop(t)
	c.add(t, 2)
	c.front = c.startFront(t)
	c.spread(t, order, clients)
	_, after := c.forwarded(t)
	t.Logf("%.0f of %d users moved and were forwarded again", after-before, users)
	assert.Greater(t, after, before)
	assert.Less(t, after, before+users, "users that did not move are not forwarded again")
	for _, replica := range c.replicas {
		replica.Stop(t) // delivers what its queue holds
	}
	c.storedOnce(t)
}
