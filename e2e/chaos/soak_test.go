// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

const (
	soakWorkers = 4
	soakPeople  = 250 // of each worker
	soakSamples = 60
	// A warm process may still vary by this much.
	soakMegabytes   = 48
	soakDescriptors = 16
	soakThreads     = 16
	soakGoroutines  = 24
	soakSeed        = 1
)

// sample is the state of the Collector at one moment.
type sample struct {
	at time.Duration
	// resident and heap are in megabytes.
	resident, heap, descriptors, threads int
	acked                                int64
	queue                                float64
}

// TestSoak sends 80 % of what the Collector can handle for a while, and checks that nothing grows.
func TestSoak(t *testing.T) {
	minutes := number(t, "SOAK_MINUTES", 0)
	length, warm := time.Duration(minutes)*time.Minute, 10*time.Second
	if minutes == 0 {
		length, warm = 4*time.Second, time.Second
	}
	w := newWorld(t, "CHAOS_QUEUE=50000", "CHAOS_EVENTS=100000")

	// Its capacity is measured in a closed loop.
	d := soakDriver(t, w, soakSeed+1, time.Millisecond)
	begin := time.Now()
	d.soak(t, warm, nil)
	capacity := float64(d.acked.Load()) / time.Since(begin).Seconds()
	batches := float64(d.batches.Load()) / time.Since(begin).Seconds()
	fresh := goroutines(t, w)
	w.revive(t)

	d2 := soakDriver(t, w, soakSeed, time.Duration(float64(soakWorkers)*float64(time.Second)/(0.8*batches)))
	for _, p := range d2.people {
		p.id = "soak-" + p.id
	}
	d2.number.Store(d.number.Load())
	var samples []sample
	begin = time.Now()
	d2.soak(t, length, func() {
		samples = append(samples, sample{
			at: time.Since(begin), resident: w.sender.Resident(t), descriptors: w.sender.Descriptors(t), threads: w.sender.Threads(t),
			heap:  int(w.sender.Metric(t, "otelcol_process_runtime_heap_alloc_bytes")) >> 20,
			acked: d2.acked.Load(), queue: w.sender.Metric(t, "otelcol_exporter_queue_size"),
		})
	})
	people := slices.Concat(d.people, d2.people)
	events := int(d.events.Load() + d2.events.Load())
	require.Eventually(t, func() bool {
		return w.stats(t).Verdicts["stored"] >= events && w.sender.Metric(t, "otelcol_exporter_queue_size") == 0
	}, settleTimeout, 50*time.Millisecond)
	w.drained(t)
	if minutes == 0 {
		found, _ := judge(t, w, people)
		found.none(t)
	}
	// Half an hour is more than can be kept, so only the number of events and the last state of each user are judged.
	assert.Empty(t, wrongProperties(t, w, people, everybody))
	assert.Equal(t, events+w.markers, w.stats(t).Verdicts["stored"], "events stored")
	assert.Zero(t, deadLettersOf(t, w).count)
	final := goroutines(t, w)

	rate := float64(d2.acked.Load()) / length.Seconds()
	early, late := samples[len(samples)/4], samples[len(samples)-1]
	if minutes > 0 {
		assert.LessOrEqual(t, late.resident, early.resident+soakMegabytes, "resident memory is flat")
		assert.LessOrEqual(t, late.heap, early.heap+soakMegabytes, "the heap is flat")
	}
	assert.LessOrEqual(t, late.threads, early.threads+soakThreads, "threads are flat")
	assert.LessOrEqual(t, late.descriptors, early.descriptors+soakDescriptors, "file descriptors are flat")
	assert.LessOrEqual(t, final, fresh+soakGoroutines, "goroutines are flat")
	report := soakReport(samples, begin, length, capacity, rate, events, fresh, final)
	t.Log("\n" + report)
	if minutes > 0 {
		docs := filepath.Join(harness.Root(), "docs")
		require.NoError(t, os.WriteFile(filepath.Join(docs, "soak.md"), []byte(report), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(docs, "soak.svg"), []byte(soakChart(samples, fresh, final)), 0o644))
	}
}

func soakDriver(t *testing.T, w *world, seed uint64, pace time.Duration) *driver {
	t.Helper()
	d := newDriver(w.sender.OTLPHTTP, seed, soakWorkers, soakPeople, pace)
	d.mixed, d.records = true, 50
	if number(t, "SOAK_MINUTES", 0) > 0 {
		d.remember = 100
	}
	for _, p := range d.people {
		p.switches, p.wanders, p.skew = true, false, min(p.skew, 0)
	}
	return d
}

// soak makes the driver send for a while, and takes samples.
func (d *driver) soak(t *testing.T, length time.Duration, look func()) {
	t.Helper()
	sending, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	d.run(sending, t.Context(), soakSeed, soakWorkers)
	ticks := time.NewTicker(length / soakSamples)
	defer ticks.Stop()
	for sending.Err() == nil {
		select {
		case <-sending.Done():
		case <-ticks.C:
			if look != nil {
				look()
			}
		}
	}
	d.wait(t)
}

// goroutines ends the Collector with the signal that makes Go dump all goroutines, and counts them.
func goroutines(t *testing.T, w *world) int {
	t.Helper()
	require.NoError(t, syscall.Kill(w.sender.PID(), syscall.SIGQUIT))
	require.Error(t, w.sender.Wait(t), "it ends when it has written them down")
	return strings.Count(w.sender.Logs(), "\ngoroutine ")
}

func soakReport(samples []sample, begin time.Time, length time.Duration, capacity, rate float64, events, fresh, final int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Soak\n\nWritten by `make soak`. One Collector, with its queue and de-duplication state on disk and a Redis; the senders and the sandbox "+
		"run on the same machine: %s. Started %s.\n\n", machine(), begin.UTC().Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(&b, "In %s, it was sent %.0f exposures/s (80 %% of what it can take here, %.0f/s, was the aim). All %d expected events were stored once. "+
		"Goroutines: %d after the warm-up, %d at the end.\n\n", length, rate, capacity, events, fresh, final)
	b.WriteString("| after | acknowledged | resident MB | heap MB | file descriptors | threads | queue |\n|--:|--:|--:|--:|--:|--:|--:|\n")
	for i, s := range samples {
		if i%max(1, len(samples)/15) == 0 || i == len(samples)-1 {
			fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %.0f |\n", s.at.Round(100*time.Millisecond), s.acked, s.resident, s.heap, s.descriptors, s.threads, s.queue)
		}
	}
	return b.String() + "\n![Memory, file descriptors, threads and goroutines over time](soak.svg)\n"
}

// machine describes what the test ran on, as far as the system reveals it.
func machine() string {
	name := fmt.Sprintf("%d CPUs, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(info), "model name"); ok {
			model, _, _ := strings.Cut(rest, "\n")
			name = strings.TrimSpace(strings.TrimLeft(model, "\t :")) + ", " + name
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		if fields := strings.Fields(string(load)); len(fields) > 0 {
			name += ", load average " + fields[0] + " at the end"
		}
	}
	return name
}

// soakChart draws what should be flat over time. Goroutines are only counted after the warm-up and at the end, because
// counting them ends the process.
func soakChart(samples []sample, fresh, final int) string {
	const width, height, left, top = 720, 260, 50, 24
	most := 1
	for _, s := range samples {
		most = max(most, s.resident, s.heap, s.descriptors, s.threads)
	}
	end := samples[len(samples)-1].at
	most = max(most, fresh, final)
	heightOf := func(value int) float64 { return float64(height-30) - float64(value)/float64(most)*(height-30-top) }
	dots := fmt.Sprintf(`<circle cx="%d" cy="%.1f" r="4" fill="#1a7f37"/><circle cx="%d" cy="%.1f" r="4" fill="#1a7f37"/>
<text x="%d" y="%d" fill="#1a7f37">goroutines: %d after the warm-up, %d at the end</text>
`, left, heightOf(fresh), width-20, heightOf(final), left+190, top+20, fresh, final)
	line := func(color, name string, y int, value func(sample) int) string {
		var points strings.Builder
		for _, s := range samples {
			fmt.Fprintf(&points, "%.1f,%.1f ", left+float64(s.at)/float64(end)*(width-left-20),
				heightOf(value(s)))
		}
		return fmt.Sprintf(`<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/><text x="%d" y="%d" fill="%s">%s</text>`+"\n",
			color, strings.TrimSpace(points.String()), left+10, y, color, name)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="#fff"/>
<path d="M%d %dV%dH%d" fill="none" stroke="#666"/>
<text x="8" y="%d">%d</text><text x="8" y="%d">0</text><text x="%d" y="%d" text-anchor="end">%s</text>
`, width, height, left, top, height-30, width-20, top+5, most, height-30, width-20, height-10, end.Round(time.Second)) +
		line("#1f6feb", "resident memory, MB", top+4, func(s sample) int { return s.resident }) +
		line("#bf3989", "file descriptors", top+20, func(s sample) int { return s.descriptors }) +
		line("#8250df", "heap, MB", top+36, func(s sample) int { return s.heap }) +
		line("#9a6700", "threads", top+52, func(s sample) int { return s.threads }) + dots + "</svg>\n"
}
