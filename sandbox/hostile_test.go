// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The limits of a small sandbox.
const (
	smallProperties = 512 << 10
	smallEvents     = 256 << 10
	smallRequests   = 128 << 10
)

// small is a sandbox that keeps little.
func small(t *testing.T, change ...func(*Config)) *Server {
	t.Helper()
	config := DefaultConfig()
	config.Retention.PropertyBytes = smallProperties
	config.Retention.EventBytes = smallEvents
	config.Retention.RequestBytes = smallRequests
	for _, c := range change {
		c(&config)
	}
	s, err := NewServer(config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Shutdown(context.Background())) })
	return s
}

// postTo posts events to /batch, which accepts 20 MB, and returns the status.
func postTo(t *testing.T, s *Server, events ...map[string]any) int {
	t.Helper()
	return postText(s, "/batch", bodyOf(t, events...)).Code
}

func bodyOf(t *testing.T, events ...map[string]any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"api_key": "sandbox", "events": events})
	require.NoError(t, err)
	return string(body)
}

func postText(s *Server, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// held returns how much users and groups keep, by the sandbox's own count.
func (s *store) held() (sum int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.order {
		sum += p.identities.held + p.groups.held
	}
	return sum
}

// resident returns the heap in use after a garbage collection.
func resident() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// many returns a map of n members.
func many(n int, name func(i int) string, value any) map[string]any {
	out := make(map[string]any, n)
	for i := range n {
		out[name(i)] = value
	}
	return out
}

// TestMemoryIsBounded: whatever a few users, groups, devices and flags get, the sandbox stays within its retention.
func TestMemoryIsBounded(t *testing.T) {
	long := strings.Repeat("n", 900)
	for _, tc := range []struct {
		name  string
		event func(i int) map[string]any
	}{
		{"properties of three users", func(i int) map[string]any {
			return map[string]any{"event_type": "$identify", "user_id": fmt.Sprintf("user-%05d", i%3), "user_properties": map[string]any{
				"$set": many(100, func(k int) string { return fmt.Sprintf("p%d-%d-%s", i, k, long) }, long),
			}}
		}},
		{"one property repeatedly", func(i int) map[string]any {
			return map[string]any{"event_type": "$identify", "user_id": "user-00001", "user_properties": map[string]any{"$set": map[string]any{"p": fmt.Sprint(i, strings.Repeat(long, 100))}}}
		}},
		{"ids among white space", func(i int) map[string]any {
			space := strings.Repeat(" ", 90<<10)
			return map[string]any{"event_type": "e", "user_id": fmt.Sprint(space, "user-", i), "device_id": fmt.Sprint("device-", i, space)}
		}},
		{"a list that grows", func(i int) map[string]any {
			return map[string]any{"event_type": "$identify", "user_id": "user-00001", "user_properties": map[string]any{"$append": map[string]any{"p": []any{i, long, long, long, long, long, long, long, long}}}}
		}},
		{"properties of three groups", func(i int) map[string]any {
			return map[string]any{"event_type": "$groupidentify", "user_id": "user-00001", "groups": map[string]any{"org": fmt.Sprint("o", i%3)}, "group_properties": map[string]any{
				"$set": many(100, func(k int) string { return fmt.Sprintf("p%d-%d-%s", i, k, long) }, long),
			}}
		}},
		{"many groups", func(i int) map[string]any {
			return map[string]any{"event_type": "$groupidentify", "user_id": "user-00001", "groups": map[string]any{"org": fmt.Sprint("o", i, long)}, "group_properties": map[string]any{
				"$set": map[string]any{"p": strings.Repeat(long, 20)},
			}}
		}},
		{"many group types of one user", func(i int) map[string]any {
			return map[string]any{"event_type": "e", "user_id": "user-00001", "groups": map[string]any{fmt.Sprint("o", i, strings.Repeat(long, 20)): "x"}}
		}},
		{"many devices of many users", func(i int) map[string]any {
			return map[string]any{"event_type": "e", "user_id": fmt.Sprint("user-", i%20, long), "device_id": fmt.Sprint("device-", i, long)}
		}},
		{"many flags of many users", func(i int) map[string]any {
			return map[string]any{"event_type": "$exposure", "user_id": fmt.Sprint("user-0000", i%7), "event_properties": map[string]any{"flag_key": fmt.Sprint("f", i, long), "variant": "a", "experiment_key": fmt.Sprint("e", i, long)}}
		}},
		{"many variants of many runs", func(i int) map[string]any {
			return map[string]any{"event_type": "$exposure", "user_id": fmt.Sprint("user-0000", i), "event_properties": map[string]any{"flag_key": "f", "variant": fmt.Sprint("v", i, long), "experiment_key": fmt.Sprint("e", i%50)}}
		}},
		{"experiment properties of many users", func(i int) map[string]any {
			return map[string]any{"event_type": "$identify", "user_id": fmt.Sprint("user-0000", i), "user_properties": map[string]any{"$set": map[string]any{fmt.Sprint("[Experiment] ", i, strings.Repeat(long, 40)): "a"}}}
		}},
		{"many long event types", func(i int) map[string]any {
			return map[string]any{"event_type": fmt.Sprint("e", i, strings.Repeat(long, 100)), "user_id": "user-00001"}
		}},
		{"megabytes as a flag", func(i int) map[string]any {
			return map[string]any{"event_type": "[Experiment] Assignment", "user_id": "user-00001", "event_properties": map[string]any{fmt.Sprint(i, strings.Repeat(long, 100), ".variant"): "a"}}
		}},
		{"unknown operators", func(i int) map[string]any {
			return map[string]any{"event_type": "$identify", "user_id": "user-00001", "user_properties": many(200, func(k int) string { return fmt.Sprintf("$p%d-%d-%s", i, k, long) }, 1)}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := small(t)
			before := resident()
			sent := 0
			for i := 0; sent < 8*smallProperties; i += 20 {
				var events []map[string]any
				for k := range 20 {
					e := tc.event(i + k)
					e["insert_id"] = strconv.Itoa(i + k)
					events = append(events, e)
				}
				text := bodyOf(t, events...)
				sent += max(len(text), 25<<10)
				s.store.advance(time.Minute) // no rate is exceeded
				require.Equal(t, http.StatusOK, postText(s, "/batch", text).Code)
			}
			grown := resident() - before
			t.Logf("%d kB of heap, held %d kB", grown>>10, s.store.held()>>10)
			assert.LessOrEqual(t, s.store.held(), int64(smallProperties)*3/2)
			assert.LessOrEqual(t, grown, int64(6*smallProperties))
			runtime.KeepAlive(s)
		})
	}
}

// TestPathsAreBounded: unknown paths do not fill the counts.
func TestPathsAreBounded(t *testing.T) {
	s := small(t)
	for i := range 1000 {
		postText(s, fmt.Sprint("/nowhere/", i), "{}")
	}
	assert.LessOrEqual(t, len(s.Stats().ByEndpoint), pathsCounted+1)
	assert.Equal(t, 1000, s.Stats().Requests)
}

// TestRequestGrowsLinearly: the cost of a request under the lock grows with its size, not with its square, even for a
// user with a long history.
func TestRequestGrowsLinearly(t *testing.T) {
	list := func(n int) []any {
		out := make([]any, n)
		for i := range out {
			out[i] = i
		}
		return out
	}
	assignment := func(user string, n int) map[string]any {
		return map[string]any{"event_type": "[Experiment] Assignment", "user_id": user, "event_properties": many(n, func(i int) string { return fmt.Sprintf("[Experiment] f%06d.variant", i) }, "on")}
	}
	for _, tc := range []struct {
		name string
		make func(n int) map[string]any
	}{
		{"flags of an assignment", func(n int) map[string]any { return assignment("user-00001", n) }},
		{"properties", func(n int) map[string]any {
			return map[string]any{"event_type": "$identify", "user_id": "user-00001", "user_properties": map[string]any{"$set": many(n, func(i int) string { return fmt.Sprint("p", i) }, 1)}}
		}},
		{"a list inserted into a list", func(n int) map[string]any {
			return map[string]any{"event_type": "$identify", "user_id": "user-00001", "user_properties": map[string]any{"$postInsert": map[string]any{"p": list(n)}, "$preInsert": map[string]any{"p": list(n)}, "$remove": map[string]any{"p": list(n)}}}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var first float64
			for _, times := range []int{1, 4, 16} {
				s, err := NewServer(DefaultConfig())
				require.NoError(t, err)
				// The user has seen many flags.
				require.Equal(t, http.StatusOK, postTo(t, s, assignment("user-00001", 5000)))
				for day := range 50 {
					e := map[string]any{
						"event_type": "$exposure", "user_id": "user-00001", "time": int64(1_768_478_400_000) + int64(day)*dayMillis,
						"event_properties": map[string]any{"flag_key": "f000001", "experiment_key": strconv.Itoa(day), "variant": "a"},
					}
					require.Equal(t, http.StatusOK, postTo(t, s, e))
				}
				n := 500 * times
				var c atomic.Int64
				counted.Store(&c)
				status := postTo(t, s, tc.make(n))
				counted.Store(nil)
				require.Equal(t, http.StatusOK, status)
				perPart := float64(c.Load()) / float64(n)
				t.Logf("%d parts: %d steps, %.2f a part", n, c.Load(), perPart)
				if times == 1 {
					first = perPart
				}
				assert.LessOrEqual(t, perPart, 1.3*first)
			}
		})
	}
}

// TestBodiesOfManyValues: a body that would take many times its size once decoded is refused while it is read.
func TestBodiesOfManyValues(t *testing.T) {
	const most = maxValues * 5 / 4
	for _, tc := range []struct {
		name, body string
		allocated  uint64
	}{
		{"events", `{"api_key":"sandbox","events":[` + strings.Repeat("{},", 300_000) + `{}]}`, 16 << 20},
		{"values", `{"api_key":"sandbox","x":[` + strings.Repeat("1,", most) + `1]}`, 200 << 20},
		{"members", `{"api_key":"sandbox","events":[{"event_type":"e","user_id":"user-00001","event_properties":{` + strings.Repeat(`"a":1,`, most) + `"b":1}}]}`, 200 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := small(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := postText(s, "/batch", tc.body)
			runtime.ReadMemStats(&after)
			t.Logf("%d bytes of body, %d MB allocated", len(tc.body), (after.TotalAlloc-before.TotalAlloc)>>20)
			assert.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
			assert.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, tc.allocated)
			assert.Equal(t, http.StatusOK, postTo(t, s, map[string]any{"event_type": "e", "user_id": "user-00001"}), "the next one is served")
		})
	}
}

// serve serves a sandbox on a port of this machine.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, s.Serve(thin{l}))
	return l.Addr().String()
}

// thin is a listener whose connections have small buffers, so that writing to a client that does not read soon blocks.
type thin struct{ net.Listener }

const thinBytes = 4 << 10

func (l thin) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(thinBytes)
	}
	return conn, err
}

// dial connects to it as a slow reader.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(thinBytes))
	return conn
}

// TestStreamsAreBounded: readers that accept nothing, and more readers than allowed, do not affect anyone else.
func TestStreamsAreBounded(t *testing.T) {
	// A stream holds one batch, which is no larger than what is kept.
	s := small(t, func(c *Config) { c.Retention.EventBytes = 64 << 10 })
	address := serve(t, s)
	// Streams that are never read.
	var conns []net.Conn
	for range watchers {
		conn := dial(t, address)
		_, err := io.WriteString(conn, "GET /_sandbox/stream?verdict=all HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, "200")
		conns = append(conns, conn)
	}
	for _, path := range []string{"/_sandbox/stream", "/_sandbox/await?user=nobody"} {
		answer, err := http.Get("http://" + address + path)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode, path)
	}
	before := resident()
	for i := range 30 {
		s.store.advance(time.Minute)
		require.Equal(t, http.StatusOK, postTo(t, s, map[string]any{"event_type": "e", "user_id": "user-00001", "insert_id": strconv.Itoa(i), "event_properties": many(20, strconv.Itoa, strings.Repeat("x", 1000))}))
	}
	grown := resident() - before
	t.Logf("%d kB of heap", grown>>10)
	assert.LessOrEqual(t, grown, int64(24<<20))
	// One that ends makes room.
	require.NoError(t, conns[0].Close())
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		s.store.advance(time.Millisecond) // wakes the streams
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/_sandbox/await?user=user-00001", http.NoBody)
		require.NoError(c, err)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(c, err)
		require.NoError(c, answer.Body.Close())
		assert.Equal(c, http.StatusOK, answer.StatusCode)
	}, time.Minute, 50*time.Millisecond)
}

// TestSlowReadersHoldNoLock: while one client slowly reads a large answer or sends a body, all others are served.
func TestSlowReadersHoldNoLock(t *testing.T) {
	s, err := NewServer(DefaultConfig())
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Shutdown(t.Context()) })
	address := serve(t, s)
	properties := many(5000, func(i int) string { return fmt.Sprint("p", i) }, strings.Repeat("x", 1000))
	require.Equal(t, http.StatusOK, postTo(t, s,
		map[string]any{"event_type": "$groupidentify", "user_id": "user-00001", "groups": map[string]any{"org": "acme"}, "group_properties": properties},
		map[string]any{"event_type": "$identify", "user_id": "user-00001", "user_properties": properties}))
	for _, path := range []string{"/_sandbox/groups/org/acme", "/_sandbox/users/user-00001", "/_sandbox/export?verdict=all", "/_sandbox/events?verdict=all&text=x"} {
		conn := dial(t, address)
		_, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		require.NoError(t, err)
		_, err = bufio.NewReader(conn).ReadString('\n') // the answer has started, and is not read any further
		require.NoError(t, err)
	}
	for range 20 {
		conn := dial(t, address)
		_, err := io.WriteString(conn, "POST /batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20000000\r\n\r\n{")
		require.NoError(t, err)
	}
	assert.Equal(t, http.StatusOK, postTo(t, s, map[string]any{"event_type": "e", "user_id": "user-00002"}))
	answer, err := http.Get("http://" + address + "/_sandbox/stats")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	assert.Equal(t, http.StatusOK, answer.StatusCode)
}
