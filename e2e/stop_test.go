// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
)

// senders are how an application sends; each returns nil, errComeAgain or another error.
var senders = map[string]func(ctx context.Context, c *harness.Collector, logs plog.Logs) error{
	"OTLP/HTTP": func(_ context.Context, c *harness.Collector, logs plog.Logs) error {
		body, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
		if err != nil {
			return err
		}
		code, err := c.PostLogs("application/x-protobuf", "", body)
		if code == http.StatusServiceUnavailable {
			return errComeAgain
		}
		return err
	},
	"OTLP/gRPC": func(ctx context.Context, c *harness.Collector, logs plog.Logs) error {
		conn, err := grpc.NewClient(c.OTLPGRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_, err = plogotlp.NewGRPCClient(conn).Export(ctx, plogotlp.NewExportRequestFromLogs(logs))
		if status.Code(err) == codes.Unavailable {
			return errComeAgain
		}
		return err
	},
}

var errComeAgain = errors.New("the sender is asked to retry")

// TestStopWithSendersWaiting stops a Collector with a full queue in three situations, while senders wait for room and
// would wait forever: the Collector ends, the senders are told to retry, and what was acknowledged is on disk or in the
// dead letter file.
func TestStopWithSendersWaiting(t *testing.T) {
	for situation, c := range map[string]struct {
		fault map[string]any
		env   string
	}{
		"outage":         {fault: map[string]any{"times": -1, "action": "status", "code": 503}},
		"hanging server": {fault: map[string]any{"times": -1, "action": "hang", "delay": "10m"}},
		"rate limit":     {env: "E2E_RATE=0.001"},
	} {
		for protocol, send := range senders {
			for _, storage := range []string{"", "file_storage"} {
				t.Run(fmt.Sprintf("%s, %s, storage %q", situation, protocol, storage), func(t *testing.T) {
					far := harness.Start(t, "testdata/sandbox.yaml", harness.Options{})
					if c.fault != nil {
						far.SandboxPost(t, "/_sandbox/faults", c.fault)
					}
					dir := t.TempDir()
					env := []string{"E2E_ENDPOINT=http://" + far.Sandbox + "/2/httpapi", "E2E_QUEUE_WAIT=200ms", "E2E_STORAGE=" + storage, c.env}
					sender := harness.Start(t, "testdata/stop.yaml", harness.Options{Dir: dir, Env: env})
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					var acknowledged, refused atomic.Int32
					var applications sync.WaitGroup
					for n := range 3 {
						applications.Go(func() {
							for i := 0; ctx.Err() == nil; i++ { // as applications do: repeatedly
								switch err := send(ctx, sender, exposures((n*1000+i)*5, 5)); {
								case err == nil:
									acknowledged.Add(5)
								case errors.Is(err, errComeAgain):
									refused.Add(1)
								default:
									return
								}
							}
						})
					}
					require.Eventually(t, func() bool { return refused.Load() >= 6 }, patience, 10*time.Millisecond, "nobody waits forever")
					sender.Stop(t)
					cancel()
					applications.Wait()
					require.Positive(t, acknowledged.Load())
					delivered := len(far.Events(t))
					if storage == "" {
						letters, err := os.ReadFile(filepath.Join(dir, "dead", "letters.jsonl"))
						require.NoError(t, err)
						assert.Equal(t, int(acknowledged.Load())-delivered, strings.Count(string(letters), "amplitude.insert_id"))
						assert.Contains(t, string(letters), "shutdown")
						return
					}
					far.SandboxPost(t, "/_sandbox/reset", nil)
					again := harness.Start(t, "testdata/stop.yaml", harness.Options{Addresses: sender.Addresses, Dir: dir, Env: append(env, "E2E_RATE=0")})
					require.Eventually(t, func() bool { return len(far.Events(t)) >= int(acknowledged.Load())-delivered }, patience, 20*time.Millisecond)
					again.Stop(t)
				})
			}
		}
	}
}
