// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e drives the built Collector as a process.
package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// TestCapturedRequests sends the bytes that real applications sent, and compares everything that the sandbox stored
// with a golden file.
func TestCapturedRequests(t *testing.T) {
	for _, tc := range []struct {
		file     string
		compress bool
		events   int
	}{
		{file: "of-server.basic.logs.001.json", events: 6},
		{file: "of-server.basic-proto-gzip.logs.001.pb", compress: true, events: 6},
		{file: "of-server.mixed-logs.logs.001.json", events: 1},
	} {
		t.Run(tc.file, func(t *testing.T) {
			collector := harness.Start(t, "testdata/collector.yaml", harness.Options{})
			days := collector.SendRecent(t, filepath.Join("testdata", "captures", tc.file), tc.compress)
			events := collector.WaitForEvents(t, tc.events)
			// The second time, every record is a repeat, so nothing may be added.
			collector.SendRecent(t, filepath.Join("testdata", "captures", tc.file), tc.compress)
			require.Eventually(t, func() bool {
				return collector.Metric(t, "otelcol_processor_amplitude_experiment_records", `outcome="duplicate"`) >= float64(tc.events)
			}, patience, 20*time.Millisecond)
			collector.Stop(t)

			for _, event := range events {
				event.Back(days)
			}
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "  ")
			require.NoError(t, encoder.Encode(events))
			golden := filepath.Join("testdata", "golden", strings.TrimSuffix(tc.file, filepath.Ext(tc.file))+".events.json")
			if *update {
				require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got.String())
		})
	}
}

// TestCaptureCounts sends every captured log request to a fresh Collector and counts. The numbers of states, each a
// user, flag and variant, come from the description of the captures. Each state is one event. A change of an existing
// user property is also a $identify, and so is a return to an earlier variant.
func TestCaptureCounts(t *testing.T) {
	captures := filepath.Join(harness.Root(), "..", "shared", "captures")
	if _, err := os.Stat(captures); err != nil {
		captures = filepath.Join("testdata", "captures")
	}
	for _, tc := range []struct {
		files          []string
		states, events int
	}{
		{[]string{"go.telemetry-hook.logs.001.pb"}, 7, 7},
		{[]string{"loggers.pino.logs.001.json"}, 1, 1},
		{[]string{"of-server.attribute-mapper.logs.001.json"}, 3, 3},
		{[]string{"of-server.basic.logs.001.json"}, 6, 6},
		{[]string{"of-server.basic-proto-gzip.logs.001.pb"}, 6, 6},
		{[]string{"of-server.errors.logs.001.json"}, 0, 0},
		{[]string{"of-server.many-users.logs.001.json", "of-server.many-users.logs.002.json"}, 1000, 1000},
		{[]string{"of-server.metadata.logs.001.json"}, 6, 6},
		{[]string{"of-server.mixed-logs.logs.001.json"}, 1, 1},
		{[]string{"of-server.nan-proto.logs.001.pb"}, 2, 2},
		{[]string{"of-web.chromium.logs.001.json"}, 2, 2},
		{[]string{"provider.flagd.logs.001.json"}, 5, 5},
		{[]string{"synthetic.bad-values.json"}, 11, 11},
		{[]string{"synthetic.semconv-history.json"}, 5, 5},
	} {
		t.Run(tc.files[0], func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(captures, tc.files[0])); err != nil {
				t.Skipf("%s is not in this checkout", tc.files[0])
			}
			collector := harness.Start(t, "testdata/collector.yaml", harness.Options{})
			for _, file := range tc.files {
				collector.SendFile(t, filepath.Join(captures, file), false)
			}
			// The processor has counted all records when their senders are answered; the sandbox follows.
			require.InDelta(t, tc.events, collector.Metric(t, "otelcol_processor_amplitude_experiment_records", `outcome="exposure"`)+
				collector.Metric(t, "otelcol_processor_amplitude_experiment_records", `outcome="unexposure"`), 0, "events that left the processor")
			events := collector.WaitForEvents(t, tc.events)
			assert.Len(t, events, tc.events)
			states := map[string]bool{}
			for _, event := range events {
				properties, _ := event["event_properties"].(map[string]any)
				states[fmt.Sprint(event["user_id"], event["device_id"], properties)] = true
			}
			assert.Len(t, states, tc.states)
		})
	}
}

// TestForeignRecordsPass sends ordinary logs around an evaluation: they come out unchanged.
func TestForeignRecordsPass(t *testing.T) {
	dir := t.TempDir()
	collector := harness.Start(t, "testdata/passthrough.yaml", harness.Options{Dir: dir})
	capture := filepath.Join("testdata", "captures", "of-server.mixed-logs.logs.001.json")
	collector.SendFile(t, capture, false)
	passed := filepath.Join(dir, "passed.jsonl")
	require.Eventually(t, func() bool {
		info, err := os.Stat(passed)
		return err == nil && info.Size() > 0
	}, patience, 20*time.Millisecond)
	collector.Stop(t)

	read := func(path string) map[string]string {
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(bytes.TrimSpace(body))
		require.NoError(t, err)
		records := map[string]string{}
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					one := plog.NewLogs()
					record.CopyTo(one.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
					text, err := (&plog.JSONMarshaler{}).MarshalLogs(one)
					require.NoError(t, err)
					records[record.EventName()+"/"+record.Body().AsString()] = string(text)
				}
			}
		}
		return records
	}
	sent, got := read(capture), read(passed)
	require.Len(t, got, len(sent))
	delete(sent, "feature_flag.evaluation/")
	delete(sent, "feature_flag.evaluation/{}")
	for name, record := range sent {
		assert.Equal(t, record, got[name], "%s was changed on the way", name)
	}
	assert.NotEmpty(t, sent)
}
