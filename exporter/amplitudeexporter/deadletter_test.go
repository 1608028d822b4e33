// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/metadata"
)

// TestDeadLetterKeepsTheRecord dead-letters a record with every kind of value and reads it back.
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
		// Everything but the order of the resource's attributes must be the same.
		found := got.ResourceLogs().At(0).Resource().Attributes()
		require.Equal(t, attributes.AsRaw(), found.AsRaw())
		found.CopyTo(attributes)
		wanted, err := (&plog.JSONMarshaler{}).MarshalLogs(expected)
		require.NoError(t, err)
		require.JSONEq(t, string(wanted), string(lines[i]))
	}
}

// TestUnwritableDeadLetters: the events stay in the queue, their neighbors are delivered.
func TestUnwritableDeadLetters(t *testing.T) {
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

// undeliverables makes n events that no request can hold, so that the exporter rejects them itself; note is the size of
// each in bytes.
func undeliverables(n, note int) plog.Logs {
	logs := numbered(n)
	for _, record := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		record.Attributes().PutStr("amplitude.nonsense", strings.Repeat("x", note))
	}
	return logs
}

// lettersIn counts the dead letters in the files of a directory.
func lettersIn(t *testing.T, directory string) (letters int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(directory, "*.jsonl"))
	require.NoError(t, err)
	for _, file := range files {
		letters += len(readDeadLetters(t, file))
		info, err := os.Stat(file)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file)
	}
	return letters
}

// TestDeadLetterFileCanBeMoved while the exporter runs: the next letter goes to a new file.
func TestDeadLetterFileCanBeMoved(t *testing.T) {
	for name, tc := range map[string]struct {
		take   func(t *testing.T, path string)
		behind int // letters in the directory afterward
	}{
		"renamed": {func(t *testing.T, path string) {
			require.NoError(t, os.Rename(path, filepath.Join(filepath.Dir(path), "taken.jsonl")))
		}, 2},
		"renamed, another made in its place, as logrotate does": {func(t *testing.T, path string) {
			require.NoError(t, os.Rename(path, filepath.Join(filepath.Dir(path), "taken.jsonl")))
			require.NoError(t, os.WriteFile(path, nil, 0o644))
		}, 2},
		"copied and deleted, as by mv to another disk": {func(t *testing.T, path string) {
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "taken.jsonl"), raw, 0o600))
			require.NoError(t, os.Remove(path))
		}, 2},
		"copied and truncated": {func(t *testing.T, path string) {
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "taken.jsonl"), raw, 0o600))
			require.NoError(t, os.Truncate(path, 0))
		}, 2},
		"deleted": {func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, 1},
		"deleted with its directory": {func(t *testing.T, path string) {
			require.NoError(t, os.RemoveAll(filepath.Dir(path)))
		}, 1},
		"truncated in the middle of a line": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(`{"cut`), 0o644))
		}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "below", "dead.jsonl")
			r := newRig(t, map[string]any{"endpoint": "http://127.0.0.1:1/2/httpapi", "dead_letter": map[string]any{"path": path}}, nil)
			require.NoError(t, r.ConsumeLogs(t.Context(), undeliverables(1, 1)))
			tc.take(t, path)
			require.NoError(t, r.ConsumeLogs(t.Context(), undeliverables(1, 1)))
			assert.Equal(t, map[string]int{"dead_lettered": 2}, r.counts("events", "outcome"))
			if tc.behind < 0 {
				raw, err := os.ReadFile(path)
				require.NoError(t, err)
				assert.True(t, strings.HasPrefix(string(raw), "{\"cut\n{\"resourceLogs\""), "a new line begins")
				return
			}
			assert.Equal(t, tc.behind, lettersIn(t, filepath.Dir(path)))
			assert.Len(t, readDeadLetters(t, path), 1)
		})
	}
}

// queued is a configuration with a queue in memory, which allows letters to wait.
func queued(deadLetter map[string]any) map[string]any {
	return map[string]any{
		"endpoint": "http://127.0.0.1:1/2/httpapi", "dead_letter": deadLetter,
		"sending_queue":    map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": "1ms", "min_size": 1}},
		"retry_on_failure": map[string]any{"enabled": true, "initial_interval": "1ms", "max_interval": "1ms"},
	}
}

// TestFullDeadLetterFileLosesNothing fills the file and its backups: a bounded number of letters waits, and is written
// once there is room.
func TestFullDeadLetterFileLosesNothing(t *testing.T) {
	directory := t.TempDir()
	r := newRig(t, queued(map[string]any{"path": filepath.Join(directory, "dead.jsonl"), "max_megabytes": 1, "max_backups": 2}), nil)
	const batches, size, note = 20, 100, 2500 // five megabytes
	for range batches {
		require.NoError(t, r.ConsumeLogs(t.Context(), undeliverables(size, note)))
	}
	waiting := func() int { return r.counts("dead_letters_waiting", "")[""] }
	dead := func() int { return r.counts("events", "outcome")["dead_lettered"] }
	require.Eventually(t, func() bool { return dead()+waiting() == batches*size }, patience, poll)
	assert.Positive(t, waiting())
	assert.Equal(t, dead(), lettersIn(t, directory), "the file has what is counted")
	assert.NotEmpty(t, r.logs.FilterMessageSnippet("Failed to write to the dead letter file").All())

	taken := t.TempDir()
	for i := 0; waiting() > 0; i++ {
		files, err := filepath.Glob(filepath.Join(directory, "dead-*.jsonl"))
		require.NoError(t, err)
		for _, file := range files {
			require.NoError(t, os.Rename(file, filepath.Join(taken, filepath.Base(file))))
		}
		r.clock.Advance(letterRetry)
	}
	assert.Equal(t, batches*size, dead())
	assert.Equal(t, batches*size, lettersIn(t, directory)+lettersIn(t, taken))
}

// TestRotatedDeadLettersAreCounted when the oldest backup is removed.
func TestRotatedDeadLettersAreCounted(t *testing.T) {
	directory := t.TempDir()
	r := newRig(t, queued(map[string]any{"path": filepath.Join(directory, "dead.jsonl"), "max_megabytes": 1, "max_backups": 2, "on_full": "rotate"}), nil)
	const batches, size, note = 20, 100, 2500
	for range batches {
		require.NoError(t, r.ConsumeLogs(t.Context(), undeliverables(size, note)))
	}
	require.Eventually(t, func() bool { return r.counts("events", "outcome")["dead_lettered"] == batches*size }, patience, poll)
	files, err := filepath.Glob(filepath.Join(directory, "*"))
	require.NoError(t, err)
	assert.Len(t, files, 3, "the file and two backups")
	dropped := r.counts("dead_letters_dropped", "")[""]
	assert.Positive(t, dropped)
	assert.Equal(t, batches*size, lettersIn(t, directory)+dropped)
	assert.NotEmpty(t, r.logs.FilterMessageSnippet("oldest backup").All())
}

// TestWaitingDeadLettersSurviveARestart if the queue has a storage, and are counted as lost otherwise.
func TestWaitingDeadLettersSurviveARestart(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(map[bool]string{true: "storage", false: "memory"}[stored], func(t *testing.T) {
			state, directory := t.TempDir(), filepath.Join(t.TempDir(), "below")
			path := filepath.Join(directory, "dead.jsonl")
			settings := queued(map[string]any{"path": path})
			host, closeStorage := storageHost(t, state)
			if stored {
				settings["sending_queue"].(map[string]any)["storage"] = "file_storage"
			}
			r := newRig(t, settings, host)
			// A file in the place of the directory fails each write.
			require.NoError(t, os.RemoveAll(directory))
			require.NoError(t, os.WriteFile(directory, nil, 0o600))
			require.NoError(t, r.ConsumeLogs(t.Context(), undeliverables(150, 1)))
			require.Eventually(t, func() bool { return r.counts("dead_letters_waiting", "")[""] == 150 }, patience, poll)
			require.NoError(t, r.Shutdown(t.Context()))
			assert.Equal(t, !stored, len(r.logs.FilterMessageSnippet("Dead letters are lost").All()) == 1)
			want := map[string]int{}
			if !stored {
				want["dropped"] = 150
			}
			assert.Equal(t, want, r.counts("events", "outcome"))
			closeStorage()

			require.NoError(t, os.Remove(directory))
			host, closeStorage = storageHost(t, state)
			defer closeStorage()
			r = newRig(t, settings, host)
			if stored {
				require.Eventually(t, func() bool {
					r.clock.Advance(letterRetry)
					return r.counts("events", "outcome")["dead_lettered"] == 150
				}, patience, poll)
				assert.Equal(t, map[string]int{"unknown_field": 150}, r.counts("undelivered_events", "reason"))
			}
			r.stop()
			assert.Len(t, readDeadLetters(t, path), map[bool]int{true: 150}[stored])
		})
	}
}

// TestUnwritableDeadLetterFileDoesNotBlock other events, until too many letters wait.
func TestUnwritableDeadLetterFileDoesNotBlock(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "below")
	server := newScript(t)
	settings := queued(map[string]any{"path": filepath.Join(directory, "dead.jsonl")})
	settings["endpoint"] = server.url()
	r := newRig(t, settings, nil)
	require.NoError(t, os.RemoveAll(directory))
	require.NoError(t, os.WriteFile(directory, nil, 0o600))
	delivered, waiting := func() int { return r.counts("events", "outcome")["delivered"] }, func() int { return r.counts("dead_letters_waiting", "")[""] }
	for i := range 3 {
		require.NoError(t, r.ConsumeLogs(t.Context(), undeliverables(100, 1)))
		require.NoError(t, r.ConsumeLogs(t.Context(), numbered(1)))
		require.Eventually(t, func() bool { return delivered() == i+1 && waiting() == (i+1)*100 }, patience, poll)
	}
	// Beyond the bound, events wait behind the letters that did not fit.
	require.NoError(t, r.ConsumeLogs(t.Context(), undeliverables(maxWaitingLetters, 1)))
	require.NoError(t, r.ConsumeLogs(t.Context(), numbered(1)))
	require.Eventually(t, func() bool { return waiting() == maxWaitingLetters && r.counts("events", "outcome")["retried"] > 0 }, patience, poll)

	require.NoError(t, os.Remove(directory))
	require.Eventually(t, func() bool { r.clock.Advance(letterRetry); return delivered() == 4 }, patience, poll)
	require.Eventually(t, func() bool { return r.counts("events", "outcome")["dead_lettered"] == maxWaitingLetters+300 }, patience, poll)
	assert.Zero(t, waiting())
	assert.Equal(t, maxWaitingLetters+300, lettersIn(t, directory))
}

func TestDeadLetterPathThatIsALink(t *testing.T) {
	target, linked := t.TempDir(), t.TempDir()
	link := filepath.Join(linked, "dead.jsonl")
	require.NoError(t, os.Symlink(filepath.Join(target, "events.jsonl"), link))
	r := newRig(t, queued(map[string]any{"path": link, "max_megabytes": 1}), nil)
	for range 10 {
		require.NoError(t, r.ConsumeLogs(t.Context(), undeliverables(100, 2500)))
	}
	require.Eventually(t, func() bool { return r.counts("events", "outcome")["dead_lettered"] == 1000 }, patience, poll)
	assert.Equal(t, 1000, lettersIn(t, target))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink, "the link is still a link")
	backups, err := filepath.Glob(filepath.Join(target, "events-*.jsonl"))
	require.NoError(t, err)
	assert.NotEmpty(t, backups)
}

// TestInvalidDeadLetterPath is refused at startup, and not touched.
func TestInvalidDeadLetterPath(t *testing.T) {
	directory := t.TempDir()
	pipe := filepath.Join(directory, "pipe")
	makePipe(t, pipe)
	link := filepath.Join(directory, "link")
	require.NoError(t, os.Symlink("/dev/stdout", link))
	file := filepath.Join(directory, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for path, want := range map[string]string{
		directory:         "is a directory",
		pipe:              "is a pipe",
		"/dev/null":       "is a device",
		"/dev/stdout":     "is an open file",
		"/proc/self/fd/1": "is an open file",
		link:              "is an open file",
		file + "/below":   "not a directory",
	} {
		before, beforeErr := os.Stat(path)
		set := exportertest.NewNopSettings(metadata.Type)
		x, err := NewFactory().CreateLogs(t.Context(), set, newConfig(t, map[string]any{"dead_letter": map[string]any{"path": path}}))
		require.NoError(t, err)
		err = x.Start(t.Context(), componenttest.NewNopHost())
		require.ErrorContains(t, err, "dead_letter::path cannot be written")
		require.ErrorContains(t, err, want)
		require.NoError(t, x.Shutdown(t.Context()))
		if beforeErr == nil {
			after, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, before.Mode(), after.Mode(), path)
		}
	}
}

// TestTwoExportersWithOneDeadLetterFile: the second one is refused when it is created, as `validate` does, or at the
// latest when it starts; afterward, both names can be used again.
func TestTwoExportersWithOneDeadLetterFile(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "dead.jsonl")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(directory, link))
	create := func(name, path string) (exporter.Logs, error) {
		set := exportertest.NewNopSettings(metadata.Type)
		set.ID = component.NewIDWithName(metadata.Type, name)
		return NewFactory().CreateLogs(t.Context(), set, newConfig(t, map[string]any{"dead_letter": map[string]any{"path": path}}))
	}
	one, err := create("one", path)
	require.NoError(t, err)
	require.NoError(t, one.Start(t.Context(), componenttest.NewNopHost()))
	for _, same := range []string{path, filepath.Join(directory, ".", "x", "..", "dead.jsonl"), filepath.Join(link, "dead.jsonl")} {
		_, err = create("two", same)
		require.ErrorContains(t, err, `is also used by exporter "amplitude/one"`)
	}
	second := filepath.Join(directory, "second.jsonl")
	two, err := create("two", second)
	require.NoError(t, err)
	require.NoError(t, os.Link(path, second))
	require.ErrorContains(t, two.Start(t.Context(), componenttest.NewNopHost()), "each exporter needs its own file")
	require.NoError(t, two.Shutdown(t.Context()))
	again, err := create("one", path)
	require.NoError(t, err, "the same exporter, of a configuration that is read again")
	require.NoError(t, one.Shutdown(t.Context()))
	require.NoError(t, again.Shutdown(t.Context()))
	free, err := create("two", path)
	require.NoError(t, err)
	require.NoError(t, free.Shutdown(t.Context()))
}

// TestTwoCollectorsWithOneDeadLetterFile do not know about each other: both write to the file, and both rename it when
// it is full.
func TestTwoCollectorsWithOneDeadLetterFile(t *testing.T) {
	directory := t.TempDir()
	settings := map[string]any{"endpoint": "http://127.0.0.1:1/2/httpapi", "dead_letter": map[string]any{
		"path": filepath.Join(directory, "dead.jsonl"), "max_megabytes": 1, "max_backups": 0,
	}}
	// Two exporters with the same name look like one that is reloaded, so this process allows both.
	rigs := []*rig{newRig(t, settings, nil), newRig(t, settings, nil)}
	const batches, size, note = 20, 50, 2500
	var both sync.WaitGroup
	for _, r := range rigs {
		both.Go(func() {
			for range batches {
				assert.NoError(t, r.ConsumeLogs(t.Context(), undeliverables(size, note)))
			}
		})
	}
	both.Wait()
	assert.Equal(t, 2*batches*size, lettersIn(t, directory))
}
