// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter

import (
	"net/http"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
)

// setClock is the system's clock after it was set: the wall clock is off, the monotonic one is not.
type setClock struct {
	mu     sync.Mutex
	off    time.Duration
	passed time.Duration
	waits  []time.Duration
	timers []chan time.Time
}

func (c *setClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().Add(c.passed)
	// The first word of a Time with a monotonic reading holds the seconds of the wall clock from bit 30 on.
	(*[2]uint64)(unsafe.Pointer(&now))[0] += uint64(int64(c.off/time.Second)) << 30
	return now
}

func (c *setClock) At(at time.Time) (moment <-chan time.Time, stop func()) {
	wait := at.Sub(c.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	timer := make(chan time.Time, 1)
	c.waits, c.timers = append(c.waits, wait), append(c.timers, timer)
	return timer, func() {}
}

func (c *setClock) set(off time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = off
}

func (c *setClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += d
	for _, timer := range c.timers {
		timer <- time.Time{}
	}
	c.timers = nil
}

func (c *setClock) longest() (longest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.waits {
		longest = max(longest, d)
	}
	return longest
}

// TestClockOfTheCollectorIsSet while the project or a user is throttled: the wait does not change.
func TestClockOfTheCollectorIsSet(t *testing.T) {
	for name, off := range map[string]time.Duration{"back": -10 * 24 * time.Hour, "forward": 10 * 24 * time.Hour} {
		t.Run(name+", project throttled", func(t *testing.T) {
			server := newScript(t, scriptedAnswer{Status: http.StatusTooManyRequests, Text: `{"code":429}`})
			r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
			c := &setClock{}
			x, err := newExporter(newConfig(t, map[string]any{"endpoint": server.url()}), r.settings, c)
			require.NoError(t, err)
			require.NoError(t, x.start(t.Context(), r.host))
			require.Error(t, x.push(t.Context(), encoded(x, numbered(1)), orderedqueue.Try{}))
			c.set(off)
			require.Error(t, x.push(t.Context(), encoded(x, numbered(1)), orderedqueue.Try{}), "the project still has to wait")
			c.pass(projectWait)
			require.NoError(t, x.push(t.Context(), encoded(x, numbered(1)), orderedqueue.Try{}))
			require.NoError(t, x.shutdown(t.Context()))
			assert.Len(t, server.received(), 2)
		})
		t.Run(name+", user throttled", func(t *testing.T) {
			server := newScript(t, throttled("e0"))
			r := newRig(t, map[string]any{"endpoint": server.url()}, nil)
			c := &setClock{}
			x, err := newExporter(newConfig(t, map[string]any{"endpoint": server.url()}), r.settings, c)
			require.NoError(t, err)
			require.NoError(t, x.start(t.Context(), r.host))
			require.NoError(t, x.push(t.Context(), encoded(x, numbered(1)), orderedqueue.Try{}))
			require.Eventually(t, func() bool { return c.longest() > 0 }, patience, poll)
			c.set(off)
			server.then()
			// A later event of the user wakes the slow lane, which still has to wait.
			later := plog.NewLogs()
			exposure(newRecords(later), "user-00000", "later")
			require.NoError(t, x.push(t.Context(), encoded(x, later), orderedqueue.Try{}))
			assert.Len(t, server.received(), 1)
			c.pass(throttleWait)
			require.Eventually(t, func() bool {
				c.pass(0) // a timer requested before the time passed and created after it
				return !x.slow.busy()
			}, patience, poll)
			require.NoError(t, x.shutdown(t.Context()))
			assert.Equal(t, []string{"e0", "e0", "later"}, delivered(server))
			assert.LessOrEqual(t, c.longest(), throttleWait)
		})
	}
}
