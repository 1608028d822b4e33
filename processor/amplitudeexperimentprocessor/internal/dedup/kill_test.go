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
	"slices"
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

const killDirectory = "DEDUP_KILL_DIRECTORY"

type fileHost struct{ extension component.Component }

func (h fileHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{storageID: h.extension}
}

// openFile starts a ledger with a real file_storage.
func openFile(t require.TestingT, directory string, maxEntries int) (*Ledger, func()) {
	factory := filestorage.NewFactory()
	cfg := factory.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = directory
	extension, err := factory.Create(context.Background(), extensiontest.NewNopSettings(factory.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, extension.Start(context.Background(), fileHost{}))
	l, err := New(Settings{MaxEntries: maxEntries, Storage: &storageID, Owner: component.MustNewID("amplitude_experiment")})
	require.NoError(t, err)
	require.NoError(t, l.Start(context.Background(), fileHost{extension}))
	l.journal.patience = wait
	return l, func() {
		require.NoError(t, l.Shutdown(context.Background()))
		require.NoError(t, extension.Shutdown(context.Background()))
	}
}

const (
	killBatch = 20
	killUsers = 500
)

// killRecord returns the i-th exposure that the child reports: users see 1 twice, then 2 twice, then 1 twice again, and
// so on, one millisecond apart.
func killRecord(i int, begun int64) (Record, uint64) {
	value := uint64(1 + i/killUsers/2%2)
	return exposure(fmt.Sprint("user ", i%killUsers), value, begun+int64(i)), value
}

// TestKillChild is the process that gets killed: it prints what it sends between hand-over and acceptance.
func TestKillChild(t *testing.T) {
	directory := os.Getenv(killDirectory)
	if directory == "" {
		return // runs as the child of TestKilledAtAnyMomentNothingIsHidden
	}
	l, _ := openFile(t, directory, 10_000)
	begun, err := strconv.ParseInt(os.Getenv("DEDUP_KILL_BEGUN"), 10, 64)
	require.NoError(t, err)
	from, err := strconv.Atoi(os.Getenv("DEDUP_KILL_FROM"))
	require.NoError(t, err)
	out := bufio.NewWriter(os.Stdout)
	records, flags := make([]Record, killBatch), make([]Flag, killBatch)
	verdicts, decisions := make([]Verdict, killBatch), make([]Decision, killBatch)
	for i := from; ; i += killBatch {
		for j := range records {
			records[j], flags[j].Value = killRecord(i+j, begun)
			records[j].From, records[j].To, flags[j].Key = int32(j), int32(j+1), 7
		}
		r := l.Reserve(t.Context(), records, flags, verdicts, decisions)
		r.HandOver(t.Context())
		fmt.Fprintf(out, "sent %d", i)
		for j, v := range verdicts {
			fmt.Fprintf(out, " %d/%d/%d", v.Event, v.Identify, decisions[j])
		}
		fmt.Fprintln(out)
		require.NoError(t, out.Flush())
		r.Accept()
	}
}

// killedAmplitude has the property of each user, and drops an event that it already has.
type killedAmplitude struct {
	begun            int64
	facts            map[ID]bool
	property         map[ID]uint64
	events, identify int
}

// receive processes a line of the child, and returns the index of the next record.
func (a *killedAmplitude) receive(t *testing.T, line string) int {
	t.Helper()
	fields := strings.Fields(line)
	require.Len(t, fields, killBatch+2, "line %q", line)
	i, err := strconv.Atoi(fields[1])
	require.NoError(t, err)
	for j, field := range fields[2:] {
		var v Verdict
		var d Decision
		_, err := fmt.Sscanf(field, "%d/%d/%d", &v.Event, &v.Identify, &d)
		require.NoError(t, err)
		rec, value := killRecord(i+j, a.begun)
		fact := rec.User.fact(rec.Event, rec.Day)
		if v.Event != 0 && !a.facts[fact] {
			a.facts[fact] = true
			a.events++
			if d&Operate != 0 {
				a.property[rec.User] = value
			}
		}
		if v.Identify != 0 {
			a.identify++
			a.property[rec.User] = value
		}
		require.Equal(t, value, a.property[rec.User], "record %d was hidden: %+v", i+j, v)
		require.True(t, a.facts[fact])
	}
	return i + killBatch
}

// TestKilledAtAnyMomentNothingIsHidden repeatedly kills a process that keeps its ledger in a file_storage. Amplitude
// has the event of each accepted record, and the property is right.
func TestKilledAtAnyMomentNothingIsHidden(t *testing.T) {
	directory := t.TempDir()
	midnight := time.Now().Truncate(24 * time.Hour).UnixMilli()
	at := &killedAmplitude{begun: midnight, facts: map[ID]bool{}, property: map[ID]uint64{}}
	next := 0
	for round := range 8 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillChild$")
		child.Env = cleanenv.Environ(killDirectory+"="+directory,
			"DEDUP_KILL_BEGUN="+strconv.FormatInt(at.begun, 10), "DEDUP_KILL_FROM="+strconv.Itoa(next))
		child.Stderr = os.Stderr
		stdout, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewReader(stdout)
		// Killed after a random number of batches, which is a random moment of the journal. The first change of a user is
		// in batch 50, and waits until its first result is written.
		for left := 60 + rand.N(200); left > 0; left-- {
			line, err := lines.ReadString('\n')
			require.NoError(t, err)
			next = at.receive(t, line)
		}
		require.NoError(t, child.Process.Kill())
		rest, err := io.ReadAll(lines)
		require.NoError(t, err)
		for line := range strings.Lines(string(rest)) { // what was still in the pipe was also sent before the kill
			next = at.receive(t, line)
		}
		_ = child.Wait()
		t.Logf("round %d: %d records, %d events, %d $identify", round, next, at.events, at.identify)
	}
	l, done := openFile(t, directory, 10_000)
	defer done()
	assert.EqualValues(t, 2*killUsers, l.Stats().Entries, "a property each, with the first event, and the second event")
}

// day is what applications report in a day: user, device, flags and variants.
type dayRecord struct {
	second       int
	user, device string
	flags        []uint64 // the values of the flags 0, 1, ...
}

// dayTraffic is realistic traffic: a number of users, each reporting a number of times at any time of the day.
func dayTraffic(rng *rand.Rand, users, looks int, record func(user int) dayRecord) []dayRecord {
	var day []dayRecord
	for user := range users {
		for range looks {
			r := record(user)
			r.second = rng.IntN(86_399)
			day = append(day, r)
		}
	}
	slices.SortStableFunc(day, func(a, b dayRecord) int { return a.second - b.second })
	return day
}

// TestWhatAKillCosts: a kill in the middle of the day costs fewer $identify than a twentieth of the day's events, and
// no duplicate event, whether events are delivered immediately or the last ten minutes wait in a queue on disk.
func TestWhatAKillCosts(t *testing.T) {
	rng := rand.New(rand.NewPCG(seedOf(t), 7))
	name := func(kind string, i int) string { return fmt.Sprint(kind, i) }
	device := func(user int) string { return []string{"web", "phone"}[rng.IntN(2)] + strconv.Itoa(user) }
	for what, day := range map[string][]dayRecord{
		"web and phone, same variant": dayTraffic(rng, casesOf(t, 120), 20, func(u int) dayRecord {
			return dayRecord{user: name("u", u), device: device(u), flags: []uint64{1}}
		}),
		"web and phone, bucketed by device": dayTraffic(rng, casesOf(t, 120), 20, func(u int) dayRecord {
			d := device(u)
			return dayRecord{user: name("u", u), device: d, flags: []uint64{1 + uint64(d[0]%2)}}
		}),
		"server assignments beside client exposures": dayTraffic(rng, casesOf(t, 120), 20, func(u int) dayRecord {
			if rng.IntN(2) == 0 {
				return dayRecord{user: name("u", u), flags: []uint64{1, 2, 0}}
			}
			return dayRecord{user: name("u", u), device: name("web", u), flags: []uint64{1}}
		}),
		"anonymous": dayTraffic(rng, casesOf(t, 120), 20, func(u int) dayRecord {
			return dayRecord{device: name("d", u), flags: []uint64{1}}
		}),
	} {
		for _, waits := range []time.Duration{0, 10 * time.Minute} {
			t.Run(fmt.Sprint(what, "/", waits), func(t *testing.T) {
				events, identify := playDay(t, day, waits, false)
				again, more := playDay(t, day, waits, true)
				t.Logf("%d records: %d events and %d $identify, with a kill %d and %d", len(day), events, identify, again, more)
				assert.LessOrEqual(t, more-identify, events/20)
				if waits == 0 {
					assert.Equal(t, events, again)
				}
			})
		}
	}
}

// playDay counts the events and $identify of a day. Receipts arrive after a while, or after the kill if the queue is on
// disk.
func playDay(t *testing.T, day []dayRecord, waits time.Duration, killed bool) (events, identify int) {
	kept := newMemStorage()
	now := time.UnixMilli(testDay * 86_400_000)
	l := openLedger(t, kept, clockOf(&now))
	q := &queue{}
	for i, r := range day {
		now = time.UnixMilli(testDay*86_400_000 + int64(r.second)*1000)
		q.settle(now.Add(-waits))
		if killed && i == len(day)/2 {
			l.writeRaised() // as it does every ten seconds, by a different clock
			l.journal.sync(t.Context())
			l.journal.stamp(t.Context(), aliveRunning)
			kept = kept.after()
			q.book.Close(t.Context(), true)
			require.NoError(t, l.Shutdown(t.Context()))
			l = openLedger(t, kept, clockOf(&now))
		}
		rec := Record{User: UserID(r.user), Device: DeviceID(r.device), Day: testDay, Time: now.UnixMilli(), To: int32(len(r.flags))}
		rec.Event = testHash(uint64(len(r.flags)), 3)
		var flags []Flag
		for key, value := range r.flags {
			flags = append(flags, Flag{uint64(key), value})
			rec.Event.Lo += value << (8 * key)
		}
		verdicts := make([]Verdict, 1)
		reservation := l.Reserve(t.Context(), []Record{rec}, flags, verdicts, make([]Decision, len(flags)))
		v := verdicts[0]
		events += int(min(1, v.Event))
		identify += int(min(1, v.Identify))
		q.take(t, reservation, v, now)
	}
	q.settle(now.Add(time.Hour))
	q.book.Close(t.Context(), true)
	require.NoError(t, l.Shutdown(t.Context()))
	return events, identify
}
