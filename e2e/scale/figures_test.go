// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build scalebench

package scale

import (
	"bytes"
	"fmt"
	"io"
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
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
)

const (
	subjects, post, rounds, senders = 100_000, 1_000, 3, 4

	tick = 10 * time.Millisecond // of the kernel's CPU times
)

// sink takes all events and only counts them, so that little of the machine goes to it.
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

// requests are exposures of that many users, encoded before the clock starts.
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

// cpu is the processor time that the processes have used so far, in seconds.
func cpu(t *testing.T, processes ...*harness.Collector) (seconds float64) {
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

// print writes the median of each figure, with the lowest and the highest.
func (f figures) print(title string) {
	fmt.Println("\n" + title)
	rows := make([]string, 0, len(f))
	for row := range f {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	for _, row := range rows {
		fmt.Printf("| %s |", row)
		for _, values := range f[row] {
			slices.Sort(values)
			fmt.Printf(" %.4g (%.4g..%.4g) |", values[len(values)/2], values[0], values[len(values)-1])
		}
		fmt.Println()
	}
}

// measure sends new exposures and then the same as repeats; it returns each's records per second and what CPU
// seconds a million of them take of each group of processes.
func measure(t *testing.T, far *sink, targets []*harness.Collector, groups ...[]*harness.Collector) (values []float64) {
	t.Helper()
	bodies := requests(t)
	for _, wanted := range []int64{subjects, 0} {
		begin, before := time.Now(), make([]float64, len(groups))
		for i, group := range groups {
			before[i] = cpu(t, group...)
		}
		from := far.events.Load()
		send(t, bodies, targets...)
		far.wait(t, from+wanted)
		values = append(values, subjects/time.Since(begin).Seconds())
		for i, group := range groups {
			values = append(values, (cpu(t, group...)-before[i])*1e6/subjects)
		}
	}
	return values
}

func TestFigures(t *testing.T) {
	t.Run("processes", func(t *testing.T) {
		table := figures{}
		for round := range rounds {
			for _, n := range []int{1, 2, 4} {
				t.Run(fmt.Sprint(round, n), func(t *testing.T) {
					far := newSink(t)
					all := replicas(t, n, far, nil)
					table.add(fmt.Sprint(n, " processes"), measure(t, far, all, all)...)
				})
			}
		}
		table.print("processes | new/s | CPU s per million | repeats/s | CPU s per million")
	})
	t.Run("front", func(t *testing.T) {
		table := figures{}
		for range rounds {
			far := newSink(t)
			c := &cluster{replicas: replicas(t, 2, far, nil)}
			front := []*harness.Collector{c.startFront(t)}
			table.add("load_balancing before 2", measure(t, far, front, front, c.replicas)...)
			for _, process := range append(front, c.replicas...) {
				process.Kill()
			}
		}
		table.print("front | new/s | CPU front | CPU replicas | repeats/s | CPU front | CPU replicas")
	})
	t.Run("redis", redisFigures)
	t.Run("queue", queueFigures)
}

func redisFigures(t *testing.T) {
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
	all := replicas(t, 2, far, func(options *harness.Options) {
		options.Env = append(options.Env, "REDIS_ENDPOINT="+server.Address)
		options.Sets = append(options.Sets, "processors::amplitude_experiment::dedup::redis::timeout: 2s")
	}, "redis-replica.yaml")
	memory := info("memory", "used_memory")
	require.NoError(t, client.ConfigResetStat(t.Context()).Err())
	busy := info("cpu", "used_cpu_user") + info("cpu", "used_cpu_sys")
	values := measure(t, far, all, all)
	keys, err := client.DBSize(t.Context()).Result()
	require.NoError(t, err)
	require.EqualValues(t, subjects, keys)
	table := figures{}
	table.add("2 replicas and a Redis", values...)
	table.print("redis | new/s | CPU s per million | repeats/s | CPU s per million")
	fmt.Printf("Redis: %.1f bytes for each subject, %.2f CPU s per million records\n", (info("memory", "used_memory")-memory)/subjects,
		(info("cpu", "used_cpu_user")+info("cpu", "used_cpu_sys")-busy)*1e6/(2*subjects))
	text, err := client.Info(t.Context(), "commandstats").Result()
	require.NoError(t, err)
	fmt.Printf("%d batches of %d new records, and as many of repeats:\n%s", subjects/post, post, text)
	for _, replica := range all {
		assert.Zero(t, replica.Metric(t, "otelcol_processor_amplitude_experiment_dedup_redis_failures"))
	}
}

// queueFigures fills the queue while Amplitude is away.
func queueFigures(t *testing.T) {
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
		fmt.Printf("%s: %.0f bytes for each of %d events\n", entry.Name(), float64(file.Size())/subjects, subjects)
	}
	fmt.Printf("resident: %d MB\n", all[0].Resident(t))
	far.away.Store(false)
	far.wait(t, subjects)
}
