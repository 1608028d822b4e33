// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scale || scalebench

package scale

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
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
	redis    *redistest.Server // shared by the replicas; nil if none
}

func start(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{far: harness.Start(t, "../testdata/sandbox.yaml", harness.Options{})}
	c.add(t, n, "gateway.yaml")
	c.front = c.startFront(t)
	return c
}

func (c *cluster) add(t *testing.T, n int, more ...string) {
	t.Helper()
	for range n {
		options := harness.ReplicaOptions(t, "http://"+c.far.Sandbox+"/2/httpapi")
		options.Program = program
		for _, file := range more {
			options.More = append(options.More, harness.ScaleOut(file))
		}
		if c.redis != nil {
			shareRedis(&options, c.redis)
		}
		c.options = append(c.options, options)
		c.replicas = append(c.replicas, harness.Start(t, harness.ScaleOut("replica.yaml"), options))
	}
}

// shareRedis makes a replica share a Redis. A test machine may be busy, for which the timeout of 50ms is too short.
func shareRedis(options *harness.Options, redis *redistest.Server) {
	options.More = append(options.More, harness.ScaleOut("redis-replica.yaml"))
	options.Env = append(options.Env, "REDIS_ENDPOINT="+redis.Address)
	options.Sets = append(options.Sets, "processors::amplitude_experiment::dedup::redis::timeout: 5s")
}

// startFront starts a front with the current replicas.
func (c *cluster) startFront(t *testing.T) *harness.Collector {
	t.Helper()
	var names []string
	for _, replica := range c.replicas {
		names = append(names, strconv.Quote(replica.OTLPGRPC))
	}
	a := harness.NewAddresses(t)
	return harness.Start(t, harness.ScaleOut("load-balancing-front.yaml"), harness.Options{
		Program: program, Addresses: a,
		Env:  []string{"FRONT_HTTP=" + a.OTLPHTTP, "FRONT_HEALTH=" + a.Health},
		Sets: []string{"exporters::load_balancing::resolver::static::hostnames: [" + strings.Join(names, ", ") + "]"},
	})
}

// edge starts a Collector of the first tier with changes to its configuration.
func (c *cluster) edge(t *testing.T, config string, sets ...string) *harness.Collector {
	t.Helper()
	a := harness.NewAddresses(t)
	return harness.Start(t, harness.ScaleOut(config), harness.Options{
		Program: program, Addresses: a, Sets: sets,
		Env: []string{"EDGE_HTTP=" + a.OTLPHTTP, "EDGE_HEALTH=" + a.Health, "GATEWAY=http://" + c.replicas[0].OTLPHTTP},
	})
}

// exposures makes records of the users with these numbers.
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

// spread sends all exposures, in this order, from a number of concurrent clients.
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

// forwarded counts the events, as the front shaped them, that left each replica's processor.
func (c *cluster) forwarded(t *testing.T) (each []float64, sum float64) {
	t.Helper()
	for _, replica := range c.replicas {
		n := replica.Metric(t, "otelcol_processor_amplitude_experiment_records", `outcome="already_shaped"`)
		each, sum = append(each, n), sum+n
	}
	return each, sum
}

// storedOnce waits until nothing is on its way, and fails for users who are not stored or are stored twice.
func (c *cluster) storedOnce(t *testing.T) {
	t.Helper()
	for _, replica := range c.replicas {
		replica.Drained(t)
	}
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
	return rand.New(rand.NewPCG(seedOf(t), 0)).Perm(total)
}

// seedOf returns SCALE_SEED, or a random seed.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("SCALE_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64N(1_000_000)
	}
	t.Logf("SCALE_SEED=%d repeats this order", seed)
	return seed
}
