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

// numbered is the last commit whose insert_ids had a transition number, and whose memory was of what the queue took.
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

// met are exposures of the users from one to another, in the order in which they met the variants.
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

// TestUpgradeInTheMiddleOfADay: storage, Redis and a queue that waits go from the version with numbers to this one and back, and
// nothing is stored twice, lost, or left with a wrong property.
func TestUpgradeInTheMiddleOfADay(t *testing.T) {
	before := buildNumbered(t)
	config := filepath.Join(harness.Root(), "e2e", "chaos", "testdata")
	far := harness.Start(t, filepath.Join(config, "far.yaml"), harness.Options{})
	redis := redistest.Start(t)
	options := harness.Options{Addresses: harness.NewAddresses(t), Dir: t.TempDir()}
	run := func(program, target string) *harness.Collector {
		options.Program, options.Env = program, []string{"CHAOS_TARGET=" + target, "CHAOS_REDIS=" + redis.Address}
		return harness.Start(t, filepath.Join(config, "sender.yaml"), options)
	}
	const current = "otelcol-amplitude"
	begin := time.Now().Add(-time.Minute).Truncate(time.Second)
	now := func() time.Time { return time.Now().Add(-time.Second) }

	c := run(before, far.Sandbox)
	c.SendLogs(t, met(begin, 0, 50, "a", "b", "a")) // three events each, the third with a number
	c.SendLogs(t, met(begin, 50, 100, "a"))
	require.Len(t, far.WaitForEvents(t, 200), 200)
	c.Stop(t)
	c = run(before, "127.0.0.1:1")
	c.SendLogs(t, met(begin.Add(10*time.Second), 50, 75, "b", "a")) // these wait in the queue
	c.SendLogs(t, met(begin, 100, 120, "a"))
	c.Stop(t)

	const all = 200 + 50 + 20
	for _, program := range []string{current, before, current} {
		c = run(program, far.Sandbox)
		far.WaitForEvents(t, all)
		c.SendLogs(t, met(now(), 0, 120, "a")) // the next report of each, as it is
		c.Drained(t)
		c.Stop(t)
		assert.Len(t, far.Events(t), all, "%s stores nothing twice", program)
		for user := range 120 {
			id := fmt.Sprintf("user-%04d", user)
			assert.Equal(t, "a", far.UserProperties(t, id)["[Experiment] checkout"], "%s after %s", id, program)
		}
	}
}
