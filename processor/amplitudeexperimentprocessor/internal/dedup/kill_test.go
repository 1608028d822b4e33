// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/cleanenv"
)

const (
	killDirectory = "DEDUP_KILL_DIRECTORY"
	killEntries   = 10_000
)

type fileHost struct{ extension component.Component }

func (h fileHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{storageID: h.extension}
}

// openFileState starts a state over a real file_storage.
func openFileState(t require.TestingT, directory string, maxEntries int) (*State, func()) {
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = directory
	extension, err := factory.Create(context.Background(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, extension.Start(context.Background(), fileHost{}))
	state, err := New(Settings{MaxEntries: maxEntries, Storage: &storageID, Owner: component.MustNewID("amplitude_experiment")})
	require.NoError(t, err)
	require.NoError(t, state.Start(context.Background(), fileHost{extension}))
	return state, func() {
		require.NoError(t, state.Shutdown(context.Background()))
		require.NoError(t, extension.Shutdown(context.Background()))
	}
}

// killRecord is the i-th exposure of the stream that the child sends: 500 users that see A twice,
// then B twice, then A twice again, and so on, each by a clock of one millisecond.
func killRecord(i int, begun int64) Record {
	const users = 500
	rec := benchRecord(uint64(i % users))
	rec.Result = uint64(i / users / 2 % 2)
	rec.Time = begun + int64(i)
	rec.Bucket = int32(begun / 86_400_000)
	return rec
}

// TestKillChild is the process that gets killed: it tells each event that it sends, after the send.
func TestKillChild(t *testing.T) {
	directory := os.Getenv(killDirectory)
	if directory == "" {
		return // runs as the child of TestKilledAtAnyMomentNothingIsHidden
	}
	state, _ := openFileState(t, directory, killEntries)
	begun, err := strconv.ParseInt(os.Getenv("DEDUP_KILL_BEGUN"), 10, 64)
	require.NoError(t, err)
	from, err := strconv.Atoi(os.Getenv("DEDUP_KILL_FROM"))
	require.NoError(t, err)
	out := bufio.NewWriter(os.Stdout)
	const batch = 20
	verdicts := make([]Verdict, batch)
	records := make([]Record, batch)
	for i := from; ; i += batch {
		for j := range records {
			records[j] = killRecord(i+j, begun)
		}
		r := state.Reserve(t.Context(), records, verdicts)
		// The event and the progress reach the parent together, as one write.
		fmt.Fprintf(out, "sent %d", i)
		for _, v := range verdicts {
			fmt.Fprintf(out, " %d/%d", v.Outcome, v.Transition)
		}
		fmt.Fprintln(out)
		require.NoError(t, out.Flush())
		r.Commit(t.Context())
	}
}

// TestKilledAtAnyMomentNothingIsHidden kills a process that keeps its state in a file_storage, again
// and again. Each record that the process took is an event, or Amplitude has its result already.
func TestKilledAtAnyMomentNothingIsHidden(t *testing.T) {
	const batch = 20
	directory := t.TempDir()
	begun := time.Now().Add(-time.Hour).UnixMilli()
	at := &amplitude{seen: make(map[eventID]bool), property: make(map[Key]uint64)}
	next, events, records := 0, 0, 0
	for round := range 12 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillChild$")
		child.Env = cleanenv.Environ(killDirectory+"="+directory,
			"DEDUP_KILL_BEGUN="+strconv.FormatInt(begun, 10), "DEDUP_KILL_FROM="+strconv.Itoa(next))
		child.Stderr = os.Stderr
		stdout, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewReader(stdout)
		// Killed after a random number of batches, which is a random moment of the journal. The first
		// result of every user is written by then, as it is 200 ms after its commit.
		for left := 60 + rand.N(300); left > 0; left-- {
			if line, err := lines.ReadString('\n'); assert.NoError(t, err) && line != "" {
				next = receiveLine(t, at, line, begun, &events)
				records += batch
			}
		}
		require.NoError(t, child.Process.Kill())
		rest, err := io.ReadAll(lines)
		require.NoError(t, err)
		// What the pipe still held was sent before the kill too.
		for line := range strings.Lines(string(rest)) {
			next = receiveLine(t, at, line, begun, &events)
			records += batch
		}
		_ = child.Wait()
		t.Logf("round %d: %d records so far, %d events", round, records, events)
	}

	// At the end everything is there: a state that opens the same files has the last results.
	state, done := openFileState(t, directory, killEntries)
	defer done()
	assert.Positive(t, state.Stats().Entries)
	assert.Greater(t, records, 1000)
	assert.Less(t, events, records)
}

// receiveLine gives Amplitude what a line of the child says, and returns the record that comes next.
func receiveLine(t *testing.T, at *amplitude, line string, begun int64, events *int) int {
	t.Helper()
	const batch = 20
	fields := strings.Fields(line)
	require.Len(t, fields, batch+2, "line %q", line)
	i, err := strconv.Atoi(fields[1])
	require.NoError(t, err)
	for j, field := range fields[2:] {
		var v Verdict
		_, err := fmt.Sscanf(field, "%d/%d", &v.Outcome, &v.Transition)
		require.NoError(t, err)
		rec := killRecord(i+j, begun)
		at.receive(rec, v)
		if v.Outcome != Repeat {
			*events++
		}
		require.Equal(t, rec.Result, at.property[rec.Subject], "record %d was hidden: %+v", i+j, v)
	}
	return i + batch
}
