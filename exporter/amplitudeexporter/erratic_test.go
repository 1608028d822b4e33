// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/receipts"
)

// erratic is a server that answers most requests badly, in every form of a list that it can name events in, until it has done so
// often enough. It stores each event once.
type erratic struct {
	t      testing.TB
	mu     sync.Mutex
	random *rand.Rand
	faults int
	// stored are the insert_ids in the order in which they were stored first; maybe are those whose answer was lost.
	stored []string
	seen   map[string]bool
	maybe  map[string]bool
	// named are those that an answer refused for good.
	named map[string]bool
}

func (s *erratic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from, err := decompressed(r)
	if !assert.NoError(s.t, err) {
		return
	}
	raw, err := io.ReadAll(from)
	var body struct {
		Events []receivedEvent `json:"events"`
	}
	if !assert.NoError(s.t, err) || !assert.NoError(s.t, json.Unmarshal(raw, &body)) {
		return
	}
	assert.LessOrEqual(s.t, len(raw), 1_000_000)
	assert.Less(s.t, len(body.Events), 2000)
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := ""
	if s.faults > 0 && s.random.IntN(4) > 0 {
		s.faults--
		fault = []string{"400", "400", "413", "429", "503", "reset", "mixed"}[s.random.IntN(7)]
	}
	some := func() []any {
		list := []any{s.random.IntN(len(body.Events))}
		for range s.random.IntN(4) {
			list = append(list, []any{
				s.random.IntN(len(body.Events)), -1, len(body.Events), 1e300, -0.5, "0", nil, list[0], float64(s.random.IntN(len(body.Events))), []int{0}, 1 << 40,
			}[s.random.IntN(11)])
		}
		return list
	}
	refused := func(lists ...any) {
		for _, list := range lists {
			for _, element := range list.([]any) {
				at := -1
				switch n := element.(type) {
				case int:
					at = n
				case float64:
					if n >= 0 && n < 1e6 {
						at = int(n)
					}
				}
				if at >= 0 && at < len(body.Events) {
					s.named[body.Events[at].InsertID] = true
				}
			}
		}
	}
	answer := func(code int, lists map[string]any) {
		lists["code"] = code
		w.WriteHeader(code)
		assert.NoError(s.t, json.NewEncoder(w).Encode(lists))
	}
	switch {
	case fault == "400":
		a, b, c := some(), some(), some()
		refused(a, b, c)
		answer(http.StatusBadRequest, map[string]any{
			"error": "Invalid field values on some events", "events_with_invalid_fields": map[string]any{"time": a, "\xff": nil, "x": b}, "silenced_events": c,
		})
	case fault == "413" && len(body.Events) > 1:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case fault == "429":
		answer(http.StatusTooManyRequests, map[string]any{"throttled_events": some()})
	case fault == "mixed":
		a := some()
		refused(a)
		answer([]int{http.StatusBadRequest, http.StatusTooManyRequests}[s.random.IntN(2)], map[string]any{
			"throttled_users": map[string]any{body.Events[s.random.IntN(len(body.Events))].UserID: "often", "nobody": []int{1}}, "throttled_events": some(),
			"events_with_missing_fields": map[string]any{"user_id": a}, "exceeded_daily_quota_devices": map[string]int{"device-00001": 1},
		})
	case fault == "503":
		w.WriteHeader(http.StatusServiceUnavailable)
	case fault == "reset":
		if s.random.IntN(2) == 0 {
			s.store(body.Events)
		}
		for _, e := range body.Events {
			s.maybe[e.InsertID] = true
		}
		panic(http.ErrAbortHandler)
	default:
		s.store(body.Events)
		fmt.Fprintf(w, `{"code":200,"events_ingested":%d}`, len(body.Events))
	}
}

func (s *erratic) store(events []receivedEvent) {
	for _, e := range events {
		if !s.seen[e.InsertID] {
			s.seen[e.InsertID] = true
			s.stored = append(s.stored, e.InsertID)
		}
	}
}

// TestWhateverIsAnswered: through every queue, each event is stored, in its user's order, or it is a dead letter, with its record as
// it came; and its receipt says so.
func TestWhateverIsAnswered(t *testing.T) {
	const seeds = queueKinds
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { playErratic(t, int(seed%queueKinds), rand.New(rand.NewPCG(seed, 1))) })
	}
}

// queueKinds is the number of queues that playErratic knows.
const queueKinds = 7

func playErratic(t *testing.T, kind int, random *rand.Rand) {
	pick := func(of ...any) any { return of[random.IntN(len(of))] }
	queue := map[string]any{"enabled": true, "batch": map[string]any{"flush_timeout": pick("1ms", "20ms"), "min_size": pick(1, 20)}}
	switch kind {
	case 0:
		queue = map[string]any{"enabled": false}
	case 1:
		queue["wait_for_result"] = true
	case 2:
		maps.Copy(queue, map[string]any{"sizer": "requests", "queue_size": 2, "block_on_overflow": pick(true, false)})
		queue["batch"].(map[string]any)["sizer"] = "items"
	case 3:
		maps.Copy(queue, map[string]any{"sizer": "items", "queue_size": 40, "block_on_overflow": pick(true, false)})
	case 4:
		queue["sizer"], queue["queue_size"] = "bytes", 20_000
		queue["batch"] = map[string]any{"sizer": "bytes", "flush_timeout": "1ms", "min_size": 1000, "max_size": pick(1000, 5000)}
	case 5:
		queue["storage"] = storageID.String()
	}
	if batch, ok := queue["batch"].(map[string]any); ok && batch["sizer"] != "bytes" && random.IntN(2) == 0 {
		batch["max_size"] = pick(20, 33)
	}
	t.Log(queue)
	host, closeStorage := storageHost(t, t.TempDir())
	defer closeStorage()
	server := &erratic{t: t, random: rand.New(rand.NewPCG(random.Uint64(), 2)), faults: 30, seen: map[string]bool{}, maybe: map[string]bool{}, named: map[string]bool{}}
	far := httptest.NewServer(server)
	defer far.Close()
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	r := newRig(t, map[string]any{
		"endpoint": far.URL + "/2/httpapi", "sending_queue": queue, "dead_letter": map[string]any{"path": path},
		"compression": pick("gzip", "none"), "concurrency": pick(1, 3), "slow_lane": map[string]any{"max_share": 1},
		"retry_on_failure": map[string]any{"enabled": queue["enabled"], "initial_interval": "1ms", "max_interval": "2ms"},
	}, host)
	// buffered: the queue delivers, not the sender.
	buffered := queue["enabled"] == true && queue["wait_for_result"] == nil
	stop := make(chan struct{})
	var clock sync.WaitGroup
	clock.Go(func() {
		ticks := time.NewTicker(time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticks.C:
				r.clock.Advance(time.Minute)
			}
		}
	})
	defer clock.Wait()
	defer close(stop)

	marshal := func(record plog.LogRecord) string {
		one := plog.NewLogs()
		record.CopyTo(newRecords(one).AppendEmpty())
		raw, err := (&plog.JSONMarshaler{}).MarshalLogs(one)
		require.NoError(t, err)
		return string(raw)
	}
	const users = 7
	originals, invalid, foreign := map[string]string{}, map[string]bool{}, map[string]bool{}
	number, resent := 0, false
	outcomes := map[string][]receipts.Outcome{}
	type registration struct {
		batch *receipts.Batch
		sink  *collected
		ids   []string
	}
	var registrations []registration
	for range 5 {
		logs := plog.NewLogs()
		for range 1 + random.IntN(2) {
			to := newRecords(logs)
			logs.ResourceLogs().At(logs.ResourceLogs().Len()-1).Resource().Attributes().PutStr("service.name", "shop")
			for range random.IntN(30) {
				id := fmt.Sprintf("%d %d", number%users, number)
				number++
				record := exposure(to, fmt.Sprintf("user-%05d", number%users), id)
				record.Attributes().PutStr("amplitude.insert_id", id)
				switch random.IntN(12) {
				case 0:
					record.SetEventName("of others")
					foreign[id] = true
				case 1:
					record.Attributes().PutStr("amplitude.session_id", "none")
					invalid[id] = true
				case 2:
					record.Attributes().PutStr("amplitude.device_id", "device-00001")
				case 3:
					record.SetEventName("$identify")
				case 4:
					record.SetTimestamp(0)
					record.Body().SetStr("text")
				case 5:
					deep := record.Attributes().PutEmptyMap("deep")
					for range 27 {
						deep = deep.PutEmptyMap("deep")
					}
				}
				originals[id] = marshal(record)
			}
		}
		for begin := time.Now(); ; resent = true {
			require.Less(t, time.Since(begin), patience)
			ctx, batch, sink := registered(t, logs)
			registrations = append(registrations, registration{batch, sink, insertIDs(logs)})
			err := r.ConsumeLogs(ctx, logs)
			batch.Close()
			if err == nil {
				break
			}
			var left consumererror.Logs
			if errors.As(err, &left) {
				logs = left.Data()
			}
			if buffered && !errors.Is(err, orderedqueue.ErrFull) {
				require.ErrorIs(t, err, exporterhelper.ErrQueueIsFull)
			}
		}
	}
	finished := func() bool {
		for _, of := range registrations {
			claims := 0
			for i := range of.ids {
				claims += of.batch.Claims(i)
			}
			if len(of.sink.all()) < claims {
				return false
			}
		}
		return r.slowLane() == 0
	}
	assert.Eventually(t, finished, patience, poll)
	r.shutdown()
	for _, of := range registrations {
		all := of.sink.all()
		for i, id := range of.ids {
			if of.batch.Claims(i) > 0 {
				outcomes[id] = append(outcomes[id], all[uint64(i)])
			}
		}
	}

	dead := map[string]string{}
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range bytes.Lines(raw) {
		logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		require.NoError(t, err)
		for ref := range records.All(logs) {
			id, _ := ref.Record.Attributes().Get("amplitude.insert_id")
			dead[id.Str()] = marshal(ref.Record)
			service, _ := ref.Resource.Resource().Attributes().Get("service.name")
			assert.Equal(t, "shop", service.AsString())
		}
	}
	for id, record := range originals {
		got, isDead := dead[id]
		switch {
		case foreign[id]:
			assert.False(t, isDead || server.seen[id], id)
		case invalid[id]:
			assert.True(t, isDead && !server.seen[id], "%s is no event", id)
		default:
			assert.Equal(t, server.named[id] && isDead, isDead, "%s is a dead letter though nobody refused it", id)
			assert.True(t, isDead || server.seen[id], "%s is lost", id)
			assert.True(t, !isDead || !server.seen[id] || server.maybe[id] || resent, "%s is stored, and a dead letter", id)
		}
		if isDead {
			assert.Equal(t, record, got)
		}
		for _, outcome := range outcomes[id] {
			switch outcome {
			case receipts.Delivered:
				assert.True(t, server.seen[id] || foreign[id], "%s is said to be delivered", id)
			case receipts.NotDelivered:
				assert.True(t, isDead, "%s is said not to be delivered", id)
			default:
				assert.True(t, server.maybe[id], "%s had an answer", id)
			}
		}
	}
	if buffered && !resent {
		last := map[string]int{}
		for _, id := range server.stored {
			user, text, _ := strings.Cut(id, " ")
			n, err := strconv.Atoi(text)
			require.NoError(t, err)
			assert.Greater(t, n, last[user]-1, "out of order: user %s", user)
			last[user] = n
		}
	}
	if counts := r.counts("events", "outcome"); !resent {
		assert.Len(t, originals, counts["delivered"]+counts["dead_lettered"]+counts["ignored"], counts)
	}
}
