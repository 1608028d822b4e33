// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// outage is how long the far side is unavailable; OUTAGE_SECONDS makes it longer.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("OUTAGE_SECONDS")
	if text == "" {
		return 3 * time.Second
	}
	seconds, err := strconv.Atoi(text)
	require.NoError(t, err, "OUTAGE_SECONDS")
	return time.Duration(seconds) * time.Second
}

// TestOutageUnderLoad keeps sending while the far side is down, and kills the Collector twice in the meantime. Once the
// far side is up, everything acknowledged, over OTLP and to Amplitude's SDKs, is stored once.
func TestOutageUnderLoad(t *testing.T) {
	t.Run("otlp", func(t *testing.T) {
		outageUnderLoad(t, harness.NewAddresses(t), nil, func(c *harness.Collector, first, n int) error {
			body, err := (&plog.ProtoMarshaler{}).MarshalLogs(exposures(first, n))
			if err == nil {
				_, err = c.PostLogs("application/x-protobuf", "", body)
			}
			return err
		})
	})
	t.Run("amplitude", func(t *testing.T) {
		at := harness.NewAddresses(t)
		outageUnderLoad(t, at, []string{
			"receivers::amplitude: {endpoint: " + at.OTLPHTTP + ", api_keys: [{key: e2e-key}]}", "service::pipelines::logs::receivers: [amplitude]",
			"processors::amplitude_experiment::accept_shaped: true", "exporters::amplitude::events: ['*']",
		}, func(c *harness.Collector, first, n int) error {
			_, err := harness.Post("http://"+c.OTLPHTTP+"/2/httpapi", "application/json", "", uploadOf("e2e-key", first, n))
			return err
		})
	})
}

func outageUnderLoad(t *testing.T, addresses harness.Addresses, sets []string, post func(c *harness.Collector, first, n int) error) {
	t.Helper()
	const batch = 50
	far := harness.NewAddresses(t) // nothing listens there yet
	dir := t.TempDir()
	options := harness.Options{Addresses: addresses, Dir: dir, Env: []string{"E2E_TARGET=" + far.Sandbox}, Sets: sets}
	sender := harness.Start(t, "testdata/sender.yaml", options)
	target := harness.Collector{Addresses: options.Addresses}

	// The driver goes on whether or not it gets answers, and remembers what was acknowledged.
	var acknowledged []int
	var answered, sending atomic.Bool
	sending.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pace := time.NewTicker(10 * time.Millisecond) // 5,000 events per second; otherwise, delivering them afterward takes half a minute
		defer pace.Stop()
		for first := 0; sending.Load(); first += batch {
			<-pace.C
			if post(&target, first, batch) == nil {
				acknowledged = append(acknowledged, first)
				answered.Store(true)
			}
		}
	}()
	require.Eventually(t, answered.Load, patience, 10*time.Millisecond)
	third := time.NewTicker(outage(t) / 3)
	defer third.Stop()
	for range 2 {
		<-third.C
		sender.Kill()
		sender = harness.Start(t, "testdata/sender.yaml", options)
	}
	<-third.C
	sending.Store(false)
	// A full queue makes the driver wait, so the far side must be up before the driver can end.
	sandbox := harness.Start(t, "testdata/sandbox.yaml", harness.Options{Addresses: far})
	<-done

	// What was not acknowledged may also be stored, so the number of events is not enough, but it is quick to read.
	require.Eventually(t, func() bool {
		if sandbox.Stored(t) < len(acknowledged)*batch {
			return false
		}
		stored := map[string]bool{}
		for _, event := range sandbox.Events(t) {
			stored[event.Text("user_id")] = true
		}
		for _, first := range acknowledged {
			for i := first; i < first+batch; i++ {
				if !stored[fmt.Sprintf("user-%06d", i)] {
					return false
				}
			}
		}
		return true
	}, 2*time.Minute, 200*time.Millisecond, "acknowledged and lost")
	events := sandbox.Events(t)
	storedOnce(t, events)
	t.Logf("away for %s, killed twice: %d events acknowledged, %d stored, 0 lost, 0 doubled", outage(t), len(acknowledged)*batch, len(events))
}
