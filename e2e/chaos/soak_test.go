// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
	// A process that is warm may still breathe this much.
	soakMegabytes   = 48
	soakDescriptors = 16
	soakGoroutines  = 24
	soakSeed        = 1
)

// sample is how the Collector is at one moment.
type sample struct {
	at                    time.Duration
	resident, descriptors int
	acked                 int64
	queue                 float64
}

// TestSoak sends 80 % of what the Collector can take, for a while, and watches that nothing grows.
func TestSoak(t *testing.T) {
	minutes := number(t, "SOAK_MINUTES", 0)
	length, warm := time.Duration(minutes)*time.Minute, 10*time.Second
	if minutes == 0 {
		length, warm = 4*time.Second, time.Second
	}
	w := newWorld(t, "CHAOS_QUEUE=50000")

	// How much it can take is measured in a closed loop.
	d := soakDriver(w, soakSeed+1, time.Millisecond)
	begin := time.Now()
	d.soak(t, warm, nil)
	capacity := float64(d.acked.Load()) / time.Since(begin).Seconds()
	batches := float64(d.batches.Load()) / time.Since(begin).Seconds()
	fresh := goroutines(t, w)
	w.revive(t)

	d2 := soakDriver(w, soakSeed, time.Duration(float64(soakWorkers)*float64(time.Second)/(0.8*batches)))
	for _, p := range d2.people {
		p.id = "soak-" + p.id
	}
	d2.number.Store(d.number.Load())
	var samples []sample
	begin = time.Now()
	d2.soak(t, length, func() {
		samples = append(samples, sample{
			at: time.Since(begin), resident: w.sender.Resident(t), descriptors: w.sender.Descriptors(t),
			acked: d2.acked.Load(), queue: w.sender.Metric(t, "otelcol_exporter_queue_size"),
		})
	})
	people := slices.Concat(d.people, d2.people)
	all, _ := obligations(people)
	require.Eventually(t, func() bool { return w.stats(t).Verdicts["stored"] >= len(all) }, settleTimeout, 50*time.Millisecond)
	found, events := judge(t, w, people)
	found.none(t)
	assert.Empty(t, deadLetters(t, w))
	final := goroutines(t, w)

	rate := float64(d2.acked.Load()) / length.Seconds()
	early, late := samples[len(samples)/4], samples[len(samples)-1]
	if minutes > 0 {
		assert.LessOrEqual(t, late.resident, early.resident+soakMegabytes, "resident memory is flat")
	}
	assert.LessOrEqual(t, late.descriptors, early.descriptors+soakDescriptors, "file descriptors are flat")
	assert.LessOrEqual(t, final, fresh+soakGoroutines, "goroutines are flat")
	report := soakReport(samples, length, capacity, rate, events, fresh, final)
	t.Log("\n" + report)
	if minutes > 0 {
		docs := filepath.Join(harness.Root(), "docs")
		require.NoError(t, os.WriteFile(filepath.Join(docs, "soak.md"), []byte(report), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(docs, "soak.svg"), []byte(soakChart(samples)), 0o644))
	}
}

func soakDriver(w *world, seed uint64, pace time.Duration) *driver {
	d := newDriver(w.sender.OTLPHTTP, seed, soakWorkers, soakPeople, pace)
	d.mixed, d.records = true, 50
	for _, p := range d.people {
		p.switches, p.skew = true, min(p.skew, 0)
	}
	return d
}

// soak lets the driver send for a while, and looks now and then.
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

// goroutines ends the Collector with the signal at which Go writes down all goroutines, and counts them.
func goroutines(t *testing.T, w *world) int {
	t.Helper()
	require.NoError(t, syscall.Kill(w.sender.PID(), syscall.SIGQUIT))
	count := func() int { return strings.Count(w.sender.Logs(), "\ngoroutine ") }
	before := -1
	require.Eventually(t, func() bool {
		now := count()
		same := now > 0 && now == before
		before = now
		return same
	}, recoveryTimeout, 200*time.Millisecond)
	w.sender.Kill()
	return count()
}

func soakReport(samples []sample, length time.Duration, capacity, rate float64, events, fresh, final int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Soak\n\nWritten by `make soak`. One Collector with queue and de-duplication state on disk and a Redis beside it, its senders "+
		"and its far side on the same machine.\n\n")
	fmt.Fprintf(&b, "Length %s; it can take %.0f exposures/s here, and was sent %.0f/s (80 %% was aimed at); %d events expected, all stored once. "+
		"Goroutines: %d after the warm-up, %d at the end.\n\n", length, capacity, rate, events, fresh, final)
	b.WriteString("| after | acknowledged | resident MB | file descriptors | queue |\n|--:|--:|--:|--:|--:|\n")
	for i, s := range samples {
		if i%max(1, len(samples)/15) == 0 || i == len(samples)-1 {
			fmt.Fprintf(&b, "| %s | %d | %d | %d | %.0f |\n", s.at.Round(100*time.Millisecond), s.acked, s.resident, s.descriptors, s.queue)
		}
	}
	return b.String() + "\n![Resident memory and file descriptors over time](soak.svg)\n"
}

// soakChart draws resident memory and file descriptors over time.
func soakChart(samples []sample) string {
	const width, height, left, top = 720, 260, 50, 24
	most := 1
	for _, s := range samples {
		most = max(most, s.resident, s.descriptors)
	}
	end := samples[len(samples)-1].at
	line := func(color, name string, y int, value func(sample) int) string {
		var points strings.Builder
		for _, s := range samples {
			fmt.Fprintf(&points, "%.1f,%.1f ", left+float64(s.at)/float64(end)*(width-left-20),
				float64(height-30)-float64(value(s))/float64(most)*(height-30-top))
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
		line("#bf3989", "file descriptors", top+20, func(s sample) int { return s.descriptors }) + "</svg>\n"
}
