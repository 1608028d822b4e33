// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scalebench

package scale

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
)

const (
	subjects, post, senders = 100_000, 1_000, 4

	tick = 10 * time.Millisecond // of the kernel's CPU times
)

// rounds is how often each figure is measured: SCALE_ROUNDS, or 3.
func rounds(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("SCALE_ROUNDS"), "3"))
	require.NoError(t, err)
	return n
}

// sink accepts all events and only counts them, to use little of the machine.
type sink struct {
	*httptest.Server
	events atomic.Int64
	away   atomic.Bool
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || s.away.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		n := bytes.Count(body, []byte(`"insert_id"`))
		s.events.Add(int64(n))
		fmt.Fprintf(w, `{"code":200,"events_ingested":%d,"payload_size_bytes":%d,"server_upload_time":1}`, n, len(body))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sink) wait(t *testing.T, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return s.events.Load() >= n }, 2*time.Minute, 5*time.Millisecond)
}

// requests makes exposures of a number of users, encoded before the clock starts.
func requests(t *testing.T) (bodies [][]byte) {
	t.Helper()
	for first := 0; first < subjects; first += post {
		logs := exposures(make([]int, post))
		records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		for i := range post {
			records.At(i).Attributes().PutStr("user_id", fmt.Sprintf("user-%06d", first+i))
		}
		body, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		require.NoError(t, err)
		bodies = append(bodies, body)
	}
	return bodies
}

// send posts all bodies, each always to the same target.
func send(t *testing.T, bodies [][]byte, targets ...*harness.Collector) {
	t.Helper()
	var working sync.WaitGroup
	for sender := range senders {
		working.Go(func() {
			for i := sender; i < len(bodies); i += senders {
				_, err := targets[i%len(targets)].PostLogs("application/x-protobuf", "", bodies[i])
				assert.NoError(t, err)
			}
		})
	}
	working.Wait()
}

// process is one of those whose CPU time is measured.
type process interface{ PID() int }

// those are Collectors as processes.
func those(all ...*harness.Collector) (processes []process) {
	for _, one := range all {
		processes = append(processes, one)
	}
	return processes
}

// cpu returns the CPU time that the processes have used so far, in seconds.
func cpu(t *testing.T, processes ...process) (seconds float64) {
	t.Helper()
	for _, process := range processes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process.PID()))
		require.NoError(t, err)
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, field := range fields[11:13] { // utime and stime
			ticks, err := strconv.Atoi(field)
			require.NoError(t, err)
			seconds += (time.Duration(ticks) * tick).Seconds()
		}
	}
	return seconds
}

func replicas(t *testing.T, n int, far *sink, change func(*harness.Options), files ...string) (all []*harness.Collector) {
	t.Helper()
	for range n {
		options := harness.ReplicaOptions(t, far.URL+"/2/httpapi")
		options.Program = program
		for _, file := range files {
			options.More = append(options.More, harness.ScaleOut(file))
		}
		if change != nil {
			change(&options)
		}
		all = append(all, harness.Start(t, harness.ScaleOut("replica.yaml"), options))
	}
	return all
}

// figures are the rows of one kind of measurement, one column for each figure.
type figures map[string][][]float64

func (f figures) add(row string, values ...float64) {
	if f[row] == nil {
		f[row] = make([][]float64, len(values))
	}
	for i, value := range values {
		f[row][i] = append(f[row][i], value)
	}
}

// median returns the median of one column.
func (f figures) median(row string, column int) float64 {
	return slices.Sorted(slices.Values(f[row][column]))[len(f[row][column])/2]
}

// layout has what accepts records, what sends events to the sink, and the processes whose time is measured, tier by
// tier.
type layout struct {
	targets, last []*harness.Collector
	tiers         [][]process
}

// measure sends new exposures and then the same as repeats. For both, it returns the records per second, and the CPU
// seconds per million records for each tier. settle waits for what is left to do after the last delivery.
func measure(t *testing.T, far *sink, l layout, settle func()) (values []float64) {
	t.Helper()
	bodies := requests(t)
	taken := func() (n float64) {
		for _, one := range l.last {
			n += one.Metric(t, "otelcol_processor_amplitude_experiment_records")
		}
		return n
	}
	for _, wanted := range []int64{subjects, 0} {
		before := make([]float64, len(l.tiers))
		for i, tier := range l.tiers {
			before[i] = cpu(t, tier...)
		}
		from, already, begin := far.events.Load(), taken(), time.Now()
		send(t, bodies, l.targets...)
		far.wait(t, from+wanted)
		require.Eventually(t, func() bool { return taken() >= already+subjects }, 2*time.Minute, 20*time.Millisecond)
		values = append(values, subjects/time.Since(begin).Seconds())
		settle()
		for i, tier := range l.tiers {
			values = append(values, (cpu(t, tier...)-before[i])*1e6/subjects)
		}
	}
	return values
}

// processes are the numbers of processes that send to Amplitude.
var processes = []int{1, 2, 4}

// layouts returns those of docs/scaling.md with n processes that send to Amplitude.
var layouts = []struct {
	name, tiers string
	start       func(t *testing.T, n int, far *sink) layout
}{
	{"one tier, users divided by the senders", "", func(t *testing.T, n int, far *sink) layout {
		all := replicas(t, n, far, nil)
		return layout{all, all, [][]process{those(all...)}}
	}},
	{"a front that routes by user, and replicas", "front + replicas", func(t *testing.T, n int, far *sink) layout {
		c := &cluster{replicas: replicas(t, n, far, nil, "gateway.yaml")}
		front := []*harness.Collector{c.startFront(t)}
		return layout{front, c.replicas, [][]process{those(front...), those(c.replicas...)}}
	}},
	{"edges, each with a gateway", "edges + gateways", func(t *testing.T, n int, far *sink) layout {
		all := replicas(t, n, far, nil, "gateway.yaml")
		var edges []*harness.Collector
		for _, gateway := range all {
			edges = append(edges, (&cluster{replicas: []*harness.Collector{gateway}}).edge(t, "edge.yaml"))
		}
		return layout{edges, all, [][]process{those(edges...), those(all...)}}
	}},
	{"an edge, Kafka, and gateways", "edge + broker + gateways", func(t *testing.T, n int, far *sink) layout {
		b := startBroker(t)
		edge := []*harness.Collector{startKafkaEdge(t, b)}
		all := replicas(t, n, far, func(options *harness.Options) {
			options.Env = append(options.Env, "KAFKA="+b.address, fmt.Sprintf("REPLICA_NAME=gateway-%s", options.Addresses.Health))
		}, "kafka-gateway.yaml")
		require.Eventually(t, func() bool { return ownedBy(t, all...) == numberOfPartitions }, patience, pause, "all partitions have a gateway")
		return layout{edge, all, [][]process{those(edge...), {b}, those(all...)}}
	}},
}

// TestFigures measures everything, and updates the page in the folder SCALE_DOCS.
func TestFigures(t *testing.T) {
	watch, page := docblock.StartWatch(), newPage()
	for round := range rounds(t) {
		for i, l := range layouts {
			for _, n := range processes {
				t.Run(fmt.Sprint(l.name, round, n), func(t *testing.T) {
					far := newSink(t)
					page.add(i, n, measure(t, far, l.start(t, n, far), func() {}))
				})
			}
		}
		for _, n := range processes {
			t.Run(fmt.Sprint("redis", round, n), func(t *testing.T) { redisFigures(t, page, n) })
		}
	}
	t.Run("queue", func(t *testing.T) { queueFigures(t, page) })
	t.Run("topic", func(t *testing.T) { topicFigures(t, page) })
	if t.Failed() {
		return
	}
	page.stamp = watch.Stamp("make scale-bench", rounds(t))
	fmt.Println(page.figures(), page.sizing())
	if folder := os.Getenv("SCALE_DOCS"); folder != "" {
		path := filepath.Join(folder, "scaling.md")
		require.NoError(t, docblock.Renew(path, "make scale-bench", "figures", page.figures()))
		require.NoError(t, docblock.Renew(path, "make scale-bench", "sizing", page.sizing()))
	}
}

// topicFigures returns the size of an event in Kafka.
func topicFigures(t *testing.T, page *page) {
	b := startBroker(t)
	edge := startKafkaEdge(t, b)
	send(t, requests(t), edge)
	messages, size := b.read(t), int64(0)
	require.NoError(t, filepath.WalkDir(b.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".dat" {
			return err
		}
		file, err := entry.Info()
		size += file.Size()
		return err
	}))
	bytes := 0
	for _, one := range messages {
		bytes += len(one.Value)
	}
	page.eventsOfMessage = subjects / float64(len(messages))
	page.topic, page.topicPacked = float64(bytes)/subjects, float64(size)/subjects
}

// redisFigures returns those of n replicas that share a Redis.
func redisFigures(t *testing.T, page *page, n int) {
	server, far := redistest.Start(t), newSink(t)
	client := redis.NewClient(&redis.Options{Addr: server.Address})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	info := func(section, name string) float64 {
		text, err := client.Info(t.Context(), section).Result()
		require.NoError(t, err)
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, name+":"); ok {
				value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
				require.NoError(t, err)
				return value
			}
		}
		require.FailNow(t, "Redis does not tell "+name)
		return 0
	}
	all := replicas(t, n, far, func(options *harness.Options) { shareRedis(options, server) })
	memory := info("memory", "used_memory")
	require.NoError(t, client.ConfigResetStat(t.Context()).Err())
	busy := info("cpu", "used_cpu_user") + info("cpu", "used_cpu_sys")
	var keys int64
	published := func() { // deliveries are published after they are confirmed: an event and a property for each subject
		require.Eventually(t, func() bool {
			var err error
			keys, err = client.DBSize(t.Context()).Result()
			return err == nil && keys >= 2*subjects
		}, patience, pause)
	}
	values := measure(t, far, layout{all, all, [][]process{those(all...)}}, published)
	used := (info("cpu", "used_cpu_user") + info("cpu", "used_cpu_sys") - busy) * 1e6 / (2 * subjects)
	page.addRedis(n, append(values, used, float64(keys)/subjects, (info("memory", "used_memory")-memory)/subjects))
	for _, replica := range all {
		assert.Zero(t, replica.Metric(t, "otelcol_processor_amplitude_experiment_dedup_redis_failures"))
	}
}

// queueFigures fills the queue while Amplitude is unavailable.
func queueFigures(t *testing.T, page *page) {
	far := newSink(t)
	far.away.Store(true)
	var directory string
	all := replicas(t, 1, far, func(options *harness.Options) {
		directory = options.Dir
		options.Sets = append(options.Sets, "exporters::amplitude::sending_queue::queue_size: 1000000")
	})
	send(t, requests(t), all...)
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, entry := range entries {
		file, err := os.Stat(filepath.Join(directory, entry.Name()))
		require.NoError(t, err)
		switch size := float64(file.Size()) / subjects; {
		case strings.HasPrefix(entry.Name(), "exporter_") && strings.HasSuffix(entry.Name(), "_logs"):
			page.queue = size
		case strings.HasPrefix(entry.Name(), "processor_"):
			page.memory = size
		}
	}
	require.NotZero(t, page.queue)
	require.NotZero(t, page.memory)
	far.away.Store(false)
	far.wait(t, subjects)
}
