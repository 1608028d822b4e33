// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

//go:build powercut && linux

package powercut

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// patience bounds waits; the machine may be slow.
const patience = 60 * time.Second

// site is a Collector on a disk, with its far side elsewhere.
type site struct {
	*harness.Collector
	far     *harness.Collector
	disk    *disk
	options harness.Options
	sent    int
}

func newSite(t *testing.T, fsync bool) *site {
	t.Helper()
	s := &site{disk: newDisk(t), far: harness.Start(t, "../testdata/sandbox.yaml", harness.Options{})}
	s.options = harness.Options{
		Addresses: harness.NewAddresses(t),
		Dir:       s.disk.dir,
		Env:       []string{"E2E_ENDPOINT=http://" + s.far.Sandbox + "/2/httpapi", "E2E_QUEUE=100000"},
		Sets:      []string{fmt.Sprintf("extensions::file_storage::fsync: %t", fsync)},
	}
	s.start(t)
	return s
}

func (s *site) start(t *testing.T) {
	t.Helper()
	s.Collector = harness.Start(t, "../testdata/limits.yaml", s.options)
}

// powerCut cuts the power of the disk and the Collector, and turns it on again.
func (s *site) powerCut(t *testing.T) {
	t.Helper()
	s.disk.cut(t)
	s.Kill()
	s.disk.restore(t)
	s.start(t)
}

// outage makes Amplitude answer only errors; over ends it.
func (s *site) outage(t *testing.T) (over func()) {
	t.Helper()
	s.far.SandboxPost(t, "/_sandbox/faults", map[string]any{"times": -1, "action": "status", "code": 503})
	return s.undo(t, "faults")
}

// undo returns a function that ends a state of the far side.
func (s *site) undo(t *testing.T, state string) func() {
	return func() {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+s.far.Sandbox+"/_sandbox/"+state, http.NoBody)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	}
}

// send sends one exposure of a new user and reports whether it was acknowledged.
func (s *site) send(t *testing.T, device string) bool {
	t.Helper()
	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetEventName("$exposure")
	record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	record.Attributes().PutStr("user_id", user(s.sent))
	if device != "" {
		record.Attributes().PutStr("device_id", device)
	}
	record.Attributes().PutStr("flag_key", "power")
	record.Attributes().PutStr("variant", "treatment")
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	if err != nil {
		t.Error(err)
		return false
	}
	status, err := s.PostLogs("application/x-protobuf", "", body)
	if status/100 != 2 {
		t.Logf("refused: %v", err)
		return false
	}
	s.sent++
	return true
}

func user(n int) string { return fmt.Sprintf("user-%06d", n) }

// users are those whose events arrived.
func (s *site) users(t *testing.T) map[string]int {
	t.Helper()
	users := map[string]int{}
	for _, event := range s.far.Events(t) {
		users[event.Text("user_id")]++
	}
	return users
}

// TestAcknowledgedIsOnDisk cuts the power while events arrive during an outage, some of them of a throttled user in the
// slow lane. With fsync, everything acknowledged is delivered.
func TestAcknowledgedIsOnDisk(t *testing.T) {
	s := newSite(t, true)
	s.far.SandboxPost(t, "/_sandbox/throttle", map[string]any{"ids": []string{user(0)}, "until": "+1h"})
	require.True(t, s.send(t, ""))
	require.Eventually(t, func() bool {
		return s.Metric(t, "otelcol_exporter_amplitude_slow_lane_events") == 1
	}, patience, 20*time.Millisecond)
	limited := s.undo(t, "throttle")
	over := s.outage(t)
	const cuts, each = 3, 40
	for cut := range cuts {
		for s.sent < 1+(cut+1)*each {
			require.True(t, s.send(t, ""))
		}
		// The power is cut while requests are being sent.
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for s.send(t, "") {
			}
		}()
		s.disk.cut(t)
		<-stopped
		s.powerCut(t)
	}
	limited()
	over()
	s.far.WaitForEvents(t, s.sent)
	users := s.users(t)
	for n := range s.sent {
		assert.Equal(t, 1, users[user(n)], user(n))
	}
	t.Logf("%d power cuts, %d exposures acknowledged, %d stored", cuts, s.sent, len(users))
}

// TestWithoutFsyncTheLastWritesAreLost shows that the power cut works, and what fsync is for.
func TestWithoutFsyncTheLastWritesAreLost(t *testing.T) {
	s := newSite(t, false)
	over := s.outage(t)
	const safe, all = 40, 80
	for s.sent < all {
		if s.sent == safe {
			execute(t, "sync", "-f", s.disk.dir)
		}
		require.True(t, s.send(t, ""))
	}
	s.powerCut(t)
	over()
	s.far.WaitForEvents(t, safe)
	require.True(t, s.send(t, ""))
	require.Eventually(t, func() bool { return s.users(t)[user(all)] == 1 }, patience, 20*time.Millisecond, "fresh events come after all others")
	users := s.users(t)
	assert.Less(t, len(users), all+1, "some are lost")
	for n := range safe {
		assert.Equal(t, 1, users[user(n)], user(n))
	}
	t.Logf("%d exposures acknowledged, %d synced, %d stored", s.sent, safe, len(users))
}

// TestDeadLetterIsOnDisk cuts the power as soon as the queue has released an event.
func TestDeadLetterIsOnDisk(t *testing.T) {
	s := newSite(t, true)
	s.far.SandboxPost(t, "/_sandbox/silence", map[string]any{"devices": []string{"silenced-device"}})
	require.True(t, s.send(t, "silenced-device"))
	require.Eventually(t, func() bool {
		return s.Metric(t, "otelcol_exporter_amplitude_events", `outcome="dead_lettered"`) == 1
	}, patience, time.Millisecond)
	require.Eventually(t, func() bool { return s.Metric(t, "otelcol_exporter_queue_size") == 0 }, patience, time.Millisecond)
	s.powerCut(t)
	letters, err := os.ReadFile(filepath.Join(s.disk.dir, "dead", "letters.jsonl"))
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(letters), `"silenced"`), "%s", letters)
}
