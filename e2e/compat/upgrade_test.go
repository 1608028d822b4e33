// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build compat

package compat

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/redistest"
)

// numbered is the last commit whose insert_ids had a transition number, and which remembered what the queue accepted.
const numbered = "3a5fc62"

// buildNumbered builds the Collector of that commit into bin/ and returns its name there.
func buildNumbered(t *testing.T) string {
	t.Helper()
	if err := exec.Command("git", "-C", harness.Root(), "cat-file", "-e", numbered+"^{commit}").Run(); err != nil {
		t.Skip("this checkout has no history: ", err)
	}
	folder, name := t.TempDir(), "otelcol-amplitude-"+numbered
	build := exec.Command("sh", "-c", `git -C "$0" archive "$1" | tar -x -C "$2" && make -C "$2" bin/otelcol-amplitude && mv "$2/bin/otelcol-amplitude" "$0/bin/$3"`,
		harness.Root(), numbered, folder, name)
	build.Env = append(cleanenv.Environ(), "MAKEFLAGS=")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	t.Cleanup(func() { assert.NoError(t, os.Remove(filepath.Join(harness.Root(), "bin", name))) })
	return name
}

// met returns exposures for a range of users, in the order in which they saw the variants.
func met(begin time.Time, from, to int, variants ...string) plog.Logs {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for user := from; user < to; user++ {
		for i, variant := range variants {
			record := records.AppendEmpty()
			record.SetEventName("$exposure")
			record.SetTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(i) * time.Second)))
			record.Attributes().PutStr("user_id", fmt.Sprintf("user-%04d", user))
			record.Attributes().PutStr("flag_key", "checkout")
			record.Attributes().PutStr("variant", variant)
		}
	}
	return logs
}

const (
	// current is the Collector of this version.
	current = "otelcol-amplitude"
	// away is where nothing listens.
	away = "127.0.0.1:1"
)

// startFar starts a local Amplitude. The function that it returns runs Collectors, one after the other, with the same
// folder and Redis.
func startFar(t *testing.T) (far *harness.Collector, run func(program, target string) *harness.Collector) {
	t.Helper()
	far = harness.Start(t, filepath.Join(harness.Root(), "e2e", "chaos", "testdata", "far.yaml"), harness.Options{})
	redis := redistest.Start(t)
	options := harness.Options{Addresses: harness.NewAddresses(t), Dir: t.TempDir()}
	return far, func(program, target string) *harness.Collector {
		options.Program, options.Env = program, []string{"COMPAT_TARGET=" + target, "COMPAT_REDIS=" + redis.Address}
		return harness.Start(t, filepath.Join("testdata", "sender.yaml"), options)
	}
}

// TestUpgradeInTheMiddleOfADay: storage, Redis and a filled queue go from the version with numbers to this one and
// back. Nothing is stored twice or lost, and no property is wrong.
func TestUpgradeInTheMiddleOfADay(t *testing.T) {
	before := buildNumbered(t)
	far, run := startFar(t)
	begin := time.Now().Add(-time.Minute).Truncate(time.Second)
	now := func() time.Time { return time.Now().Add(-time.Second) }

	c := run(before, far.Sandbox)
	c.SendLogs(t, met(begin, 0, 50, "a", "b", "a")) // three events each, the third with a number
	c.SendLogs(t, met(begin, 50, 100, "a"))
	require.Len(t, far.WaitForEvents(t, 200), 200)
	c.Stop(t)
	c = run(before, away)
	c.SendLogs(t, met(begin.Add(10*time.Second), 50, 75, "b", "a")) // these wait in the queue
	c.SendLogs(t, met(begin, 100, 120, "a"))
	c.Stop(t)

	const all = 200 + 50 + 20
	for _, program := range []string{current, before, current} {
		c = run(program, far.Sandbox)
		far.WaitForEvents(t, all)
		c.SendLogs(t, met(now(), 0, 120, "a")) // the next report of each, unchanged
		c.Drained(t)
		c.Stop(t)
		assert.Len(t, far.Events(t), all, "%s stores nothing twice", program)
		for user := range 120 {
			id := fmt.Sprintf("user-%04d", user)
			assert.Equal(t, "a", far.UserProperties(t, id)["[Experiment] checkout"], "%s after %s", id, program)
		}
	}
}

// TestUpgradeWithAFullQueue: either version sends, in order, what the other one left in its queue, even after first
// failing to send it.
func TestUpgradeWithAFullQueue(t *testing.T) {
	before := buildNumbered(t)
	far, run := startFar(t)
	const (
		full = 400 // sender.yaml
		each = 10
	)
	exposures := func() (n int) {
		for _, event := range far.Events(t) {
			if event.Text("event_type") == "[Experiment] Exposure" {
				n++
			}
		}
		return n
	}
	begin := time.Now().Add(-time.Minute).Truncate(time.Second)
	users := 0
	for _, c := range []struct{ writes, tries, sends string }{
		{before, current, current}, // an upgrade
		{before, current, before},  // an upgrade that is rolled back
		{current, before, before},  // a rollback with a queue that this version wrote
		{current, before, current},
	} {
		// A batch that fails repeatedly may be set aside.
		size := func(of *harness.Collector) int {
			return int(of.Metric(t, "otelcol_exporter_queue_size") + of.Metric(t, "otelcol_exporter_amplitude_slow_lane_events"))
		}
		writer := run(c.writes, away)
		// A person may need a change of the property in addition to each event.
		for size(writer) <= full-4*each {
			writer.SendLogs(t, met(begin, users, users+each, "a", "b"))
			users += each
		}
		waiting := size(writer)
		require.Greater(t, waiting, full/2)
		writer.Stop(t)
		tries := run(c.tries, away)
		require.Eventually(t, func() bool {
			return tries.Metric(t, "otelcol_exporter_amplitude_requests", `status="network_error"`) > 1 && size(tries) == waiting
		}, time.Minute, 50*time.Millisecond, "%s has what %s wrote", c.tries, c.writes)
		tries.Stop(t)
		sender := run(c.sends, far.Sandbox)
		sender.Drained(t)
		require.Eventually(t, func() bool { return exposures() >= 2*users }, time.Minute, 50*time.Millisecond)
		sender.Stop(t)
		assert.Equal(t, 2*users, exposures(), "%s stores each event of %s once", c.sends, c.writes)
		for user := range users {
			id := fmt.Sprintf("user-%04d", user)
			assert.Equal(t, "b", far.UserProperties(t, id)["[Experiment] checkout"], "%s: the later event was sent last", id)
		}
	}
}
