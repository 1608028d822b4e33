// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	workers         = 4
	peoplePerWorker = 12
	pace            = 100 * time.Millisecond
	shortSeconds    = 8
	settleTimeout   = 3 * time.Minute
)

// number reads an integer from the environment.
func number(t *testing.T, name string, standard uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// TestNothingIsLost: applications send while a hand breaks everything around them, and the outcome is judged.
func TestNothingIsLost(t *testing.T) {
	seconds := number(t, "CHAOS_SECONDS", shortSeconds)
	seed := number(t, "CHAOS_SEED", rand.Uint64N(1_000_000))
	t.Logf("to see this run again: make chaos SECONDS=%d SEED=%d", seconds, seed)

	w := newWorld(t)
	d := newDriver(w.sender.OTLPHTTP, seed, workers, peoplePerWorker, pace)
	sending, stop := context.WithCancel(t.Context())
	defer stop()
	patience, giveUp := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second+settleTimeout)
	defer giveUp()
	d.run(sending, patience, seed, workers)
	w.awaitProgress(t, recoveryTimeout)

	h := &hand{random: rand.New(rand.NewPCG(seed, 0)), world: w, driver: d, counts: map[string]int{}, spell: min(time.Minute, time.Duration(seconds)*time.Second/6)}
	h.work(t, time.Now().Add(time.Duration(seconds)*time.Second), seconds < 60)

	stop()
	d.wait(t)
	begin := time.Now()
	w.replayAll(t)
	settle := func() {
		all, _ := obligations(d.people)
		assert.Eventually(t, func() bool { return w.stats(t).Verdicts["stored"] >= len(all) }, settleTimeout, 20*time.Millisecond,
			"everything arrives once the faults are over")
		w.drained(t)
	}
	settle()
	settled := time.Since(begin)
	letters := deadLettersOf(t, w)
	isSteady := steady(d.people, letters)
	assert.Empty(t, wrongProperties(t, w, d.people, isSteady), "user properties that are wrong at the end")
	others := func(who holder) bool { return !isSteady(who) }
	waiting := len(wrongProperties(t, w, d.people, others))
	require.True(t, d.reportPresent(patience, others))
	settle()
	wrong := wrongProperties(t, w, d.people, everybody)
	assert.Empty(t, wrong, "user properties that are wrong after the next report")

	stats := w.stats(t)
	found, events := judge(t, w, d.people)
	found.none(t)
	freshEvents(t, w, d.people)

	total := 0
	for _, kind := range slices.Sorted(maps.Keys(h.counts)) {
		t.Logf("%3d × %s", h.counts[kind], kind)
		total += h.counts[kind]
	}
	t.Logf("seed %d: %d faults; %d exposures sent, %d acknowledged, %d sent again, %d posts failed; %d events expected, %d stored, %d resent and collapsed; "+
		"%d dead letters replayed; lost %d, doubled %d, invented %d, out of order %d, wrong properties %d, of those that the next report had to set %d; longest recovery %s (%s), all settled after %s",
		seed, total, d.sent.Load(), d.acked.Load(), d.repeats.Load(), d.failed.Load(), events, stats.Verdicts["stored"]-w.markers, stats.Verdicts["duplicate"],
		letters.count, len(found.lost), len(found.doubled), len(found.invented), len(found.disorder), len(wrong), waiting,
		h.longest.Round(time.Millisecond), h.longestWhat, settled.Round(time.Millisecond))
}

// freshEvents restarts the Collector, sends more, and checks that all of it arrives and that the counts of all
// components agree.
func freshEvents(t *testing.T, w *world, people []*person) {
	t.Helper()
	w.sender.Stop(t)
	w.env = append(w.env, "CHAOS_TIMEOUT=1m") // nothing is sent twice even on a busy machine
	w.revive(t)
	before := w.stats(t).Verdicts

	d := newDriver(w.sender.OTLPHTTP, 1, 1, len(people), time.Millisecond)
	d.client.Timeout = time.Minute
	for _, p := range d.people {
		p.id, p.wanders = "fresh-"+p.id, false
	}
	r := rand.New(rand.NewPCG(2, 2))
	for range 30 {
		require.True(t, d.step(t.Context(), r, d.people))
	}
	all, _ := obligations(d.people)
	fresh := len(all)
	require.Eventually(t, func() bool { return w.stats(t).Verdicts["stored"] >= before["stored"]+fresh }, recoveryTimeout, 20*time.Millisecond)
	after := w.stats(t).Verdicts
	assert.Equal(t, fresh, after["stored"]-before["stored"], "fresh events stored")

	const processed, exported = "otelcol_processor_amplitude_experiment_records", "otelcol_exporter_amplitude_events"
	records := func(outcome string) int {
		return int(w.sender.Metric(t, processed, fmt.Sprintf("outcome=%q", outcome)))
	}
	identifies := int(w.sender.Metric(t, "otelcol_processor_amplitude_experiment_identifies"))
	sent := int(d.sent.Load() + d.repeats.Load())
	assert.Equal(t, fresh, records("exposure")+records("unexposure")+records("assignment"), "events that left the processor")
	assert.Equal(t, sent-fresh, records("duplicate")+records("repaired"), "repeats that did not")
	assert.Equal(t, sent, int(w.sender.Metric(t, processed)), "records that came in are all counted")
	require.Eventually(t, func() bool { return int(w.sender.Metric(t, exported, `outcome="delivered"`)) >= fresh+identifies },
		recoveryTimeout, 20*time.Millisecond, "the exporter counts what is stored as delivered")
	assert.Equal(t, fresh+identifies, int(w.sender.Metric(t, exported)), "and nothing else")
	assert.Equal(t, fresh+identifies, int(w.sender.Metric(t, "otelcol_exporter_amplitude_received_events")))
}
