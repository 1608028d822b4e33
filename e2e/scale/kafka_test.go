// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scale

package scale

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
)

// tiers has edges that write to Kafka and gateways that read from it and send to Amplitude, all with the shipped
// configurations.
type tiers struct {
	far      *harness.Collector
	broker   *broker
	edges    []*harness.Collector
	gateways map[string]*harness.Collector
	options  map[string]harness.Options
	redis    *redistest.Server
	// readBy are the names of all gateways that ever had a partition; noted is how much of a gateway's log has been
	// processed.
	readBy map[int]map[string]bool
	noted  map[string]int
}

func startTiers(t *testing.T, withRedis bool, edges int, gateways ...string) *tiers {
	t.Helper()
	k := &tiers{
		far:      harness.Start(t, "../testdata/sandbox.yaml", harness.Options{}),
		broker:   startBroker(t),
		gateways: map[string]*harness.Collector{}, options: map[string]harness.Options{}, readBy: map[int]map[string]bool{}, noted: map[string]int{},
	}
	if withRedis {
		k.redis = redistest.Start(t)
	}
	for range edges {
		k.edges = append(k.edges, startKafkaEdge(t, k.broker))
	}
	for _, name := range gateways {
		k.gateway(t, name)
	}
	return k
}

// gateway starts a gateway with this name, or restarts it at the same address with its disk.
func (k *tiers) gateway(t *testing.T, name string) {
	t.Helper()
	options, again := k.options[name]
	if !again {
		options = harness.ReplicaOptions(t, "http://"+k.far.Sandbox+"/2/httpapi")
		options.Program = program
		options.Env = append(options.Env, "KAFKA="+k.broker.address, "REPLICA_NAME="+name)
		options.More = []string{harness.ScaleOut("kafka-gateway.yaml")}
		// Members that are gone are given up sooner than in production, so that the test does not take minutes.
		options.Sets = append(options.Sets, "receivers::kafka::session_timeout: 5s", "receivers::kafka::heartbeat_interval: 500ms")
		if k.redis != nil {
			shareRedis(&options, k.redis)
		}
		k.options[name] = options
	}
	k.gateways[name], k.noted[name] = harness.Start(t, harness.ScaleOut("replica.yaml"), options), 0
}

var assigned = regexp.MustCompile(`(?m)\tsynced\t.*"assigned": "exposures\[([\d ]+)\]"`)

// note records which partitions a gateway has had since the last note, by its log, and has now.
func (k *tiers) note(t *testing.T, name string) {
	t.Helper()
	log := k.gateways[name].Logs()
	for _, found := range assigned.FindAllStringSubmatch(log[k.noted[name]:], -1) {
		for text := range strings.FieldsSeq(found[1]) {
			partition, err := strconv.Atoi(text)
			require.NoError(t, err)
			if k.readBy[partition] == nil {
				k.readBy[partition] = map[string]bool{}
			}
			k.readBy[partition][name] = true
		}
	}
	// The line with its current partitions is read again next time.
	k.noted[name] = max(k.noted[name], strings.LastIndex(log, "\tsynced\t"))
}

// remove removes a gateway permanently: what waits in its queue is on its volume, so it is restarted without Kafka.
func (k *tiers) remove(t *testing.T, name string) {
	t.Helper()
	k.gateways[name].Stop(t)
	k.note(t, name)
	delete(k.gateways, name)
	options := k.options[name]
	options.Sets = append(slices.Clone(options.Sets), "service::pipelines::logs::receivers: [otlp]")
	last := harness.Start(t, harness.ScaleOut("replica.yaml"), options)
	last.Drained(t)
	last.Stop(t)
}

// await waits until each of these gateways has partitions and together they have all, and records which.
func (k *tiers) await(t *testing.T, names ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		sum := 0
		for _, name := range names {
			n := ownedBy(t, k.gateways[name])
			if n == 0 {
				return false
			}
			sum += n
		}
		return sum == numberOfPartitions
	}, patience, pause, "%v share the partitions", names)
	for _, name := range names {
		k.note(t, name)
	}
}

func (k *tiers) running() []*harness.Collector { return slices.Collect(maps.Values(k.gateways)) }

// content returns the topic's messages for each user.
type content map[string]*written

type written struct {
	partitions map[int]bool
	variants   map[string]bool
}

func (k *tiers) read(t *testing.T) content {
	t.Helper()
	all := content{}
	for _, one := range k.broker.read(t) {
		logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(one.Value)
		require.NoError(t, err)
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					user, ok := record.Attributes().Get("amplitude.user_id")
					require.True(t, ok)
					variant, ok := record.Attributes().Get("[Experiment] Variant")
					require.True(t, ok)
					of := all[user.Str()]
					if of == nil {
						of = &written{map[int]bool{}, map[string]bool{}}
						all[user.Str()] = of
					}
					of.partitions[one.Partition] = true
					of.variants[variant.Str()] = true
				}
			}
		}
	}
	return all
}

// TestKafka: 5,000 people report 50,000 exposures through three services while a gateway is killed, the broker and
// Amplitude are unavailable, and a gateway joins and leaves. Nothing is lost and everything is stored once. Without
// Redis, people who move between gateways are unknown to the new one: the first row of the list of what no rule can
// prevent.
func TestKafka(t *testing.T) {
	for _, withRedis := range []bool{false, true} {
		t.Run(map[bool]string{false: "without Redis", true: "with Redis"}[withRedis], func(t *testing.T) { kafka(t, withRedis) })
	}
}

func kafka(t *testing.T, withRedis bool) {
	t.Helper()
	n := 5_000
	if testing.Short() {
		n = 1_000
	}
	k := startTiers(t, withRedis, 2, "gateway-0", "gateway-1")
	p := newPeople(seedOf(t), n)
	report := func(times int) { p.report(t, times, wander, k.edges...) }
	during := func(times int, do func()) { p.while(t, times, do, k.edges...) }

	k.await(t, "gateway-0", "gateway-1")
	clear(k.readBy) // nothing was there to read before
	report(1)
	during(1, func() { // the same gateway comes back with its volume: its partitions wait for it
		k.gateways["gateway-0"].Kill()
		k.note(t, "gateway-0")
		k.gateway(t, "gateway-0")
		k.await(t, "gateway-0", "gateway-1")
	})
	k.broker.kill()
	during(1, func() {
		before := p.failed.Load()
		require.Eventually(t, func() bool { return p.failed.Load() > before }, patience, pause, "an edge says yes while the broker is away")
		k.broker.start(t)
	})
	k.far.SandboxPost(t, "/_sandbox/faults", map[string]any{"times": -1, "action": "status", "code": 503})
	report(2)
	k.far.SandboxDelete(t, "/_sandbox/faults")
	during(1, func() {
		k.gateway(t, "gateway-2")
		k.await(t, "gateway-0", "gateway-1", "gateway-2")
	})
	report(1)
	during(1, func() { k.remove(t, "gateway-2") })
	k.await(t, "gateway-0", "gateway-1")
	report(2)

	topic, used := k.read(t), map[int]bool{}
	for _, who := range p.all {
		of := topic[who.id]
		require.NotNil(t, of, who.id)
		assert.Len(t, of.partitions, 1, "%s has one partition, whatever the resource", who.id)
		assert.Len(t, of.variants, len(who.events()), "the broker has what %s reported: %v", who.id, of.variants)
		maps.Copy(used, of.partitions)
	}
	assert.Len(t, used, numberOfPartitions, "all partitions have users")
	p.settle(t, k.far, k.running()...)
	for name := range k.gateways {
		k.note(t, name)
	}
	moved := func(id string) bool {
		for partition := range topic[id].partitions {
			return len(k.readBy[partition]) > 1
		}
		return false
	}

	disorder := p.nothingLost(t, k.far)
	assert.Empty(t, slices.DeleteFunc(slices.Clone(disorder), moved), "only events of who moved may change places")
	t.Logf("%d exposures of %d people, %d requests not taken and sent again; partitions read by %v; %d people in another order",
		p.clock.Load(), len(p.all), p.failed.Load(), k.readBy, len(disorder))
	p.report(t, 1, again, k.edges...)
	p.settle(t, k.far, k.running()...)
	// Without Redis, the new gateway does not know people who have moved. It may read again what the previous one has
	// already read, and set an old value after what the previous one sends.
	wrong := p.awaitWrong(t, k.far, func(who *person) bool { return !withRedis && moved(who.id) && len(who.events()) > 1 })
	t.Logf("after the next report the properties of %s are wrong", told(wrong))
}
