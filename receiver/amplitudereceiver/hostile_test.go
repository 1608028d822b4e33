// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/metadata"
)

// event returns an event with one more member.
func eventWith(member string) string {
	return `{"event_type":"e","user_id":"user-1",` + member + `}`
}

// repeated joins n parts of a list or object.
func repeated(n int, part func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = part(i)
	}
	return strings.Join(parts, ",")
}

var hostileRequests = []struct {
	name string
	n    int
	make func(n int) string
}{
	{"many events", 60, func(n int) string { return request(repeated(n, func(int) string { return good })) }},
	{"many event properties", 400, func(n int) string {
		return request(eventWith(`"event_properties":{` + repeated(n, func(i int) string { return fmt.Sprintf(`"k%06d":1`, i) }) + "}"))
	}},
	{"one event property many times", 400, func(n int) string {
		return request(eventWith(`"event_properties":{` + repeated(n, func(int) string { return `"k":1` }) + "}"))
	}},
	{"many event properties, each twice", 200, func(n int) string {
		return request(eventWith(`"event_properties":{` + repeated(2*n, func(i int) string { return fmt.Sprintf(`"k%06d":1`, i%n) }) + "}"))
	}},
	{"many operations and plain properties on the same names", 200, func(n int) string {
		set := repeated(n, func(i int) string { return fmt.Sprintf(`"k%06d":1`, i) })
		return request(eventWith(`"user_properties":{` + set + `,"$set":{` + set + `},"$add":{` + set + `}}`))
	}},
	{"many unknown fields", 400, func(n int) string {
		return request(eventWith(repeated(n, func(i int) string { return fmt.Sprintf(`"k%06d":{"a":[]}`, i) })))
	}},
	{"many groups", 400, func(n int) string {
		return request(eventWith(`"groups":{` + repeated(n, func(i int) string { return fmt.Sprintf(`"k%06d":["a","b"]`, i) }) + "}"))
	}},
	{"a field many times", 400, func(n int) string { return request(eventWith(repeated(n, func(int) string { return `"city":"x"` }))) }},
	{"deep lists", 150, func(n int) string {
		return request(eventWith(`"event_properties":{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"))
	}},
	{"deep maps", 150, func(n int) string {
		return request(eventWith(`"event_properties":{"x":` + strings.Repeat(`{"x":`, n) + "1" + strings.Repeat("}", n) + "}"))
	}},
	{"deep maps with names twice", 150, func(n int) string {
		return request(eventWith(`"event_properties":{"x":` + strings.Repeat(`{"y":1,"y":2,"x":`, n) + "1" + strings.Repeat("}", n) + "}"))
	}},
	{"long escapes", 400, func(n int) string {
		return request(eventWith(`"event_properties":{"` + strings.Repeat(`\u0041`, n) + `":"` + strings.Repeat(`\ud83d`, n) + `"}`))
	}},
	{"invalid events", 60, func(n int) string { return request(repeated(n, func(int) string { return `{"time":"x"}` })) }},
	{"many events lists", 200, func(n int) string {
		return `{"api_key":"sandbox",` + repeated(n, func(int) string { return `"events":[` + good + `]` }) + "}"
	}},
	{"many options", 400, func(n int) string {
		return `{"api_key":"sandbox","events":[],"options":{` + repeated(n, func(i int) string { return fmt.Sprintf(`"k%d":1`, i) }) + "}}"
	}},
}

// TestHostileShapes: work and memory grow with the size of a request, not with its square, whatever its shape is.
func TestHostileShapes(t *testing.T) {
	send := func(h *handler, body string) {
		r := httptest.NewRequest(http.MethodPost, "/2/httpapi", strings.NewReader(body))
		r.Header.Set("Content-Type", typeJSON)
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, answer.Code, answer.Body.String())
	}
	for _, shape := range hostileRequests {
		t.Run(shape.name, func(t *testing.T) {
			var first, firstMemory float64
			for _, times := range []int{1, 4, 16} {
				body := shape.make(times * shape.n)
				h, err := newHandler(receivertest.NewNopSettings(metadata.Type), configOf(t, nil), consumertest.NewNop())
				require.NoError(t, err)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				n := steps.Count(func() { send(h, body) })
				runtime.ReadMemStats(&after)
				perByte, memory := float64(n)/float64(len(body)), float64(after.TotalAlloc-before.TotalAlloc)/float64(len(body))
				t.Logf("%3d kB: %9d steps, %.2f a byte; %.1f bytes allocated a byte", len(body)>>10, n, perByte, memory)
				require.NotZero(t, n)
				if times == 1 {
					first, firstMemory = perByte, memory
					continue
				}
				assert.LessOrEqual(t, perByte, 1.5*first, "steps a byte, at %d times the size", times)
				assert.LessOrEqual(t, memory, 2*firstMemory+8, "bytes allocated a byte, at %d times the size", times)
			}
		})
	}
}
