// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// exposures makes n exposure records of n users, numbered from first.
func exposures(first, n int) plog.Logs {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	now := time.Now()
	for i := first; i < first+n; i++ {
		record := records.AppendEmpty()
		record.SetEventName("$exposure")
		record.SetTimestamp(pcommon.NewTimestampFromTime(now))
		record.Attributes().PutStr("user_id", fmt.Sprintf("user-%06d", i))
		record.Attributes().PutStr("flag_key", "delivery")
		record.Attributes().PutStr("variant", "treatment")
	}
	return logs
}

// storedOnce returns the users of the events, and fails the test for each user with more than one.
func storedOnce(t *testing.T, events []harness.Event) map[string]int {
	t.Helper()
	stored := make(map[string]int, len(events))
	for _, event := range events {
		stored[event.Text("user_id")]++
	}
	for user, n := range stored {
		assert.Equal(t, 1, n, "%s is stored more than once", user)
	}
	return stored
}

// TestOutageLosesNothing takes the far side through an overload and a restart while events arrive.
func TestOutageLosesNothing(t *testing.T) {
	const batch = 200
	far := harness.Start(t, "testdata/sandbox.yaml", harness.Options{})
	dir := t.TempDir()
	sender := harness.Start(t, "testdata/sender.yaml", harness.Options{Dir: dir, Env: []string{"E2E_TARGET=" + far.Sandbox}})

	far.SandboxPost(t, "/_sandbox/faults", []map[string]any{{"times": 1_000_000, "action": "status", "code": 503}})
	sender.SendLogs(t, exposures(0, batch))
	require.Eventually(t, func() bool { return strings.Contains(sender.Logs(), "503") }, patience, 20*time.Millisecond,
		"the exporter says that it was refused")
	assert.Empty(t, far.Events(t))

	far.Stop(t)
	sender.SendLogs(t, exposures(batch, batch))

	// The sending Collector is also restarted: what it acknowledged is on its disk.
	sender.Kill()
	sender = harness.Start(t, "testdata/sender.yaml", harness.Options{
		Addresses: sender.Addresses, Dir: dir, Env: []string{"E2E_TARGET=" + far.Sandbox},
	})
	far = harness.Start(t, "testdata/sandbox.yaml", harness.Options{Addresses: far.Addresses})
	sender.SendLogs(t, exposures(2*batch, batch))

	assert.Len(t, storedOnce(t, far.WaitForEvents(t, 3*batch)), 3*batch)
	assert.Equal(t, map[string]any{"[Experiment] delivery": "treatment"}, far.UserProperties(t, "user-000000"))
}
