// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package harness // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// arriveTimeout bounds the wait for events that were acknowledged to their sender.
const arriveTimeout = 60 * time.Second

// Event is a stored event as Amplitude received it.
type Event map[string]any

// Text returns a field that is text, or "".
func (e Event) Text(field string) string {
	s, _ := e[field].(string)
	return s
}

// Events returns what the sandbox has stored, in an order that does not depend on the order of arrival.
// What the sandbox adds about the receipt is left out.
func (c *Collector) Events(t testing.TB) []Event {
	t.Helper()
	events := c.Arrived(t)
	slices.SortStableFunc(events, func(a, b Event) int {
		at, _ := a["time"].(float64)
		bt, _ := b["time"].(float64)
		return cmp.Or(cmp.Compare(at, bt), cmp.Compare(a.Text("insert_id"), b.Text("insert_id")))
	})
	return events
}

// Arrived returns what the sandbox has stored, in the order of arrival.
func (c *Collector) Arrived(t testing.TB) []Event {
	t.Helper()
	var page struct {
		Events []Event `json:"events"`
	}
	c.sandboxGet(t, "/_sandbox/events?verdict=stored&limit=1000000", &page)
	for _, event := range page.Events {
		delete(event, "sandbox")
	}
	return page.Events
}

// WaitForEvents waits until the sandbox has stored at least n events, and returns all of them.
func (c *Collector) WaitForEvents(t testing.TB, n int) []Event {
	t.Helper()
	var events []Event
	deadline := time.Now().Add(arriveTimeout)
	for {
		// There are too many events to read all of them repeatedly.
		if c.Stored(t) >= n {
			if events = c.Events(t); len(events) >= n {
				return events
			}
		}
		require.False(t, time.Now().After(deadline), "%d of %d events after %s", c.Stored(t), n, arriveTimeout)
		time.Sleep(pollInterval)
	}
}

// UserProperties returns a user's properties now.
func (c *Collector) UserProperties(t testing.TB, id string) map[string]any {
	t.Helper()
	var user struct {
		Properties map[string]any `json:"user_properties"`
	}
	c.sandboxGet(t, "/_sandbox/users/"+url.PathEscape(id), &user)
	return user.Properties
}

// Stored returns how many events the sandbox has stored since its start.
func (c *Collector) Stored(t testing.TB) int {
	t.Helper()
	var stats struct {
		Verdicts map[string]int `json:"verdicts"`
	}
	c.sandboxGet(t, "/_sandbox/stats", &stats)
	return stats.Verdicts["stored"]
}

// Experiments returns the variant of each user for each flag now, by user id.
func (c *Collector) Experiments(t testing.TB) map[string]map[string]string {
	t.Helper()
	var page struct {
		Users []struct {
			ID          string            `json:"user_id"`
			Experiments map[string]string `json:"experiments"`
		} `json:"users"`
	}
	c.sandboxGet(t, "/_sandbox/users?limit=1000000", &page)
	users := make(map[string]map[string]string, len(page.Users))
	for _, user := range page.Users {
		users[user.ID] = user.Experiments
	}
	return users
}

// SandboxDelete calls the sandbox's control API, for instance "/_sandbox/faults" to end all faults.
func (c *Collector) SandboxDelete(t testing.TB, path string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodDelete, "http://"+c.Sandbox+path, http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, 2, response.StatusCode/100, "%s answered %d", path, response.StatusCode)
}

// SandboxPost calls the sandbox's control API, for instance "/_sandbox/faults".
func (c *Collector) SandboxPost(t testing.TB, path string, body any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	response, err := http.Post("http://"+c.Sandbox+path, "application/json", bytes.NewReader(encoded))
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, 2, response.StatusCode/100, "%s answered %d: %s", path, response.StatusCode, answer)
}

func (c *Collector) sandboxGet(t testing.TB, path string, into any) {
	t.Helper()
	response, err := http.Get("http://" + c.Sandbox + path)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusOK, response.StatusCode, path)
	require.NoError(t, json.NewDecoder(response.Body).Decode(into), path)
}

// Scrape returns the response of the Collector's Prometheus endpoint.
func (c *Collector) Scrape(t testing.TB) []byte {
	t.Helper()
	response, err := http.Get("http://" + c.Metrics + "/metrics")
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return text
}

// Metric returns the sum of a counter's or gauge's series whose labels contain all of the given
// name="value" texts, from the Collector's Prometheus endpoint.
func (c *Collector) Metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	text := c.Scrape(t)
	sum := 0.0
	for line := range bytes.Lines(text) {
		// A series without labels has no braces.
		rest, ok := bytes.CutPrefix(line, []byte(name))
		if !ok || (rest[0] != '{' && rest[0] != ' ') || !containsAll(rest, labels) {
			continue
		}
		var value float64
		_, err := fmt.Sscan(string(rest[bytes.LastIndexByte(rest, '}')+1:]), &value)
		require.NoError(t, err, "%s", line)
		sum += value
	}
	return sum
}

// Drained waits until everything that the Collector acknowledged has been delivered.
func (c *Collector) Drained(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		return c.Metric(t, "otelcol_exporter_queue_size") == 0
	}, arriveTimeout, pollInterval, "the queue becomes empty")
}

func containsAll(line []byte, texts []string) bool {
	for _, text := range texts {
		if !bytes.Contains(line, []byte(text)) {
			return false
		}
	}
	return true
}
