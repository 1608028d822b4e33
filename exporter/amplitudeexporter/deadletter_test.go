// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// TestDeadLetterKeepsTheRecord refuses a record with everything in it and reads it back.
func TestDeadLetterKeepsTheRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "below", "dead.jsonl")
	server := newScript(t, scriptedAnswer{Status: 400, Body: []byte(`{"code":400,"error":"Invalid field values on some events"}`), Lists: map[string][]string{"events_with_invalid_fields/time": {"bad"}}})
	r := newRig(t, map[string]any{"endpoint": server.url(), "dead_letter": map[string]any{"path": path}}, nil)

	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.SetSchemaUrl("https://example.com/schema")
	resource.Resource().Attributes().PutStr("service.name", "shop")
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName("scope")
	exposure(scope.LogRecords(), "user-good", "good")
	bad := exposure(scope.LogRecords(), "user-bad", "bad")
	bad.Body().SetStr("body")
	bad.SetTraceID([16]byte{1})
	bad.SetSeverityNumber(9)
	unknown := exposure(scope.LogRecords(), "user-worse", "unknown")
	unknown.Attributes().PutStr("amplitude.nonsense", "x")
	require.NoError(t, r.ConsumeLogs(t.Context(), logs))
	r.stop()

	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
	require.Len(t, lines, 2)
	for i, want := range []struct {
		record plog.LogRecord
		extra  map[string]any
	}{
		{bad, map[string]any{"dead_letter.reason": "rejected_field", "dead_letter.field": "time", "dead_letter.status": int64(400)}},
		{unknown, map[string]any{"dead_letter.reason": "unknown_field", "dead_letter.field": "nonsense"}},
	} {
		expected := plog.NewLogs()
		resource.CopyTo(expected.ResourceLogs().AppendEmpty())
		attributes := expected.ResourceLogs().At(0).Resource().Attributes()
		for name, value := range want.extra {
			require.NoError(t, attributes.PutEmpty(name).FromRaw(value))
		}
		attributes.PutStr("dead_letter.time", "2026-11-23T12:00:00Z")
		expected.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().RemoveIf(func(plog.LogRecord) bool { return true })
		want.record.CopyTo(expected.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty())
		got, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(lines[i])
		require.NoError(t, err)
		// The order of the resource's attributes does not count; all else does.
		found := got.ResourceLogs().At(0).Resource().Attributes()
		require.Equal(t, attributes.AsRaw(), found.AsRaw())
		found.CopyTo(attributes)
		wanted, err := (&plog.JSONMarshaler{}).MarshalLogs(expected)
		require.NoError(t, err)
		require.JSONEq(t, string(wanted), string(lines[i]))
	}
}

func TestDeadLetterFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(`{"cut short`), 0o600))
	require.NoError(t, os.Chmod(path, 0o644))
	d, err := openDeadLetter(DeadLetterConfig{Path: path, MaxMegabytes: 1})
	require.NoError(t, err)
	_, err = d.write(letters(1, 0), time.Unix(0, 0))
	require.NoError(t, err)
	require.NoError(t, d.close())
	require.NoError(t, d.close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(raw), "{\"cut short\n{\"resourceLogs\""), "a new line begins after one that a crash cut short")
}

// letters are n undeliverable records with a note of some size.
func letters(n, size int) []undeliverable {
	var all []undeliverable
	logs := plog.NewLogs()
	to := newRecords(logs)
	for range n {
		exposure(to, "user-00001", "e").Attributes().PutStr("note", strings.Repeat("x", size))
	}
	for p := range records.All(logs) {
		all = append(all, undeliverable{p, event.Failure{Reason: event.ReasonRefused}})
	}
	return all
}

func TestDeadLetterRotates(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "dead.jsonl")
	d, err := openDeadLetter(DeadLetterConfig{Path: path, MaxMegabytes: 1, MaxBackups: 2})
	require.NoError(t, err)
	const line = 300 << 10
	for range 12 {
		// A line may even be larger than a file.
		n, err := d.write(letters(1, line), time.Unix(0, 0))
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	_, err = d.write(letters(1, 2*megabyte), time.Unix(0, 0))
	require.NoError(t, err)
	require.NoError(t, d.close())
	require.Eventually(t, func() bool {
		files, err := filepath.Glob(filepath.Join(directory, "*"))
		return err == nil && len(files) == 3
	}, patience, poll, "the file and two backups")
	files, err := filepath.Glob(filepath.Join(directory, "*"))
	require.NoError(t, err)
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		assert.NotEmpty(t, readDeadLetters(t, file))
	}
}

func TestDeadLetterGroups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	d, err := openDeadLetter(DeadLetterConfig{Path: path, MaxMegabytes: 1})
	require.NoError(t, err)
	_, err = d.write(letters(2*deadLetterRecords+1, 1), time.Unix(0, 0))
	require.NoError(t, err)
	require.NoError(t, d.close())
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, 3, bytes.Count(raw, []byte("\n")), "a hundred records a line")
	assert.Len(t, readDeadLetters(t, path), 2*deadLetterRecords+1)
}

// TestDeadLetterThatCannotBeWritten: the events stay, their neighbors go.
func TestDeadLetterThatCannotBeWritten(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "below")
	path := filepath.Join(directory, "dead.jsonl")
	bad := scriptedAnswer{Status: 400, When: "e1", Lists: map[string][]string{"events_with_invalid_fields/time": {"e1"}}, Times: -1}
	server := newScript(t, bad)
	r := newRig(t, map[string]any{"endpoint": server.url(), "dead_letter": map[string]any{"path": path}}, nil)
	// A file in the place of the directory fails each write.
	require.NoError(t, os.RemoveAll(directory))
	require.NoError(t, os.WriteFile(directory, nil, 0o600))
	logs := numbered(3)
	exposure(logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords(), "x", "local")
	var e expectation
	left := e.try(t, r, logs)
	assert.Equal(t, "retry", e.Error)
	assert.Equal(t, []string{"e1", "local"}, insertIDs(left))
	assert.Equal(t, map[string]int{"delivered": 2, "retried": 2}, r.counts("events", "outcome"))

	require.NoError(t, os.Remove(directory))
	require.NoError(t, r.ConsumeLogs(t.Context(), left))
	assert.Equal(t, []string{"e1 rejected_field time 400", "local invalid_id"}, readDeadLetters(t, path))
	assert.Equal(t, map[string]int{"delivered": 2, "retried": 2, "dead_lettered": 2}, r.counts("events", "outcome"))
}

func TestDeadLetterPathThatCannotBe(t *testing.T) {
	_, err := openDeadLetter(DeadLetterConfig{Path: t.TempDir(), MaxMegabytes: 1})
	require.ErrorContains(t, err, "dead_letter::path cannot be written")
}
