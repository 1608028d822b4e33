// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/bench/cmdline"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/docblock"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// pageRequests are what the page asks for as it is opened and looked at.
var pageRequests = []string{
	"stats", "events?newest=true&limit=100", "events?user_id=user-00000001&limit=100", "events?text=nowhere", "experiments", "users", "users/user-00000001",
}

// sandboxGrowth fills sandboxes with events, and asks what their page asks.
func sandboxGrowth(o cmdline.Options, d *document) error {
	d.printf("\n## The sandbox and its page\n\nW1's events, posted %d per request to a sandbox that keeps all of them; by default it keeps the last %d. The other columns are requests that its page makes: "+
		"CPU time in milliseconds, the median of the rounds.\n\n| events kept | CPU ns/event | heap bytes per event |", batchSize, sandbox.DefaultRetention().Events)
	for _, path := range pageRequests {
		d.printf(" `%s` |", path)
	}
	d.printf("\n|--:|--:|--:|%s\n", strings.Repeat("--:|", len(pageRequests)))
	for n := 10_000; n <= o.Events; n *= 10 {
		if err := sandboxOf(o, d, n); err != nil {
			return err
		}
	}
	return nil
}

func sandboxOf(o cmdline.Options, d *document, n int) error {
	before := heap()
	config := sandbox.DefaultConfig()
	config.Retention.Events, config.Retention.EventBytes = n, int64(n)<<12
	config.Retention.Users, config.Retention.PropertyBytes, config.Retention.DedupeKeys = n, int64(n)<<12, n
	config.Behavior.V2.EPSThreshold, config.Behavior.V2.ProjectEPS, config.Behavior.PropUpdateLimit = n, n, n // nobody is throttled
	server, err := sandbox.NewServer(config)
	if err != nil {
		return err
	}
	events, err := shaped(w1)
	if err != nil {
		return err
	}
	var taken time.Duration
	for serial := range n / batchSize {
		body, err := uploadOfEvents(events.batch(nil, serial))
		if err != nil {
			return err
		}
		begin := cpuTime()
		status, answer := ask(server, http.MethodPost, "/2/httpapi", body)
		taken += cpuTime() - begin
		if status != http.StatusOK {
			return fmt.Errorf("the sandbox answers %d: %s", status, answer)
		}
	}
	if stored := server.Stats().EventsStored; stored != n {
		return fmt.Errorf("the sandbox has stored %d of %d events", stored, n)
	}
	d.printf("| %s | %s | %s |", docblock.Grouped(n), docblock.Grouped(taken.Nanoseconds()/int64(n)), docblock.Grouped((heap()-before)/int64(n)))
	for _, path := range pageRequests {
		var each []float64
		for range o.Rounds {
			begin := cpuTime()
			status, answer := ask(server, http.MethodGet, "/_sandbox/"+path, nil)
			each = append(each, (cpuTime()-begin).Seconds()*1000)
			if status != http.StatusOK {
				return errors.Join(fmt.Errorf("%s: the sandbox answers %d: %s", path, status, answer), server.Shutdown(context.Background()))
			}
		}
		d.printf(" %.1f |", rangeOf(each).median)
	}
	d.printf("\n")
	return server.Shutdown(context.Background())
}

func ask(server http.Handler, method, path string, body []byte) (status int, answer string) {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, "http://localhost"+path, bytes.NewReader(body)) //nolint:noctx // answered at once
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("Content-Type", "application/json")
	server.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// uploadOfEvents is a request of Amplitude's API.
func uploadOfEvents(logs plog.Logs) ([]byte, error) {
	upload := map[string]any{"api_key": "sandbox"}
	var events []any
	for _, record := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		events = append(events, eventMap(record))
	}
	upload["events"] = events
	return json.Marshal(upload)
}
