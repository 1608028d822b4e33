// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/loopback"
)

// client sends events as Amplitude's SDKs do, retrying for the same answers.
type client struct {
	t       *testing.T
	url     string
	mu      sync.Mutex
	sent    int
	http    *http.Client
	cleanup func()
}

func (c *client) Start() {
	transport := &http.Transport{}
	c.http, c.cleanup = &http.Client{Transport: transport}, transport.CloseIdleConnections
}

func (c *client) Stop() { c.cleanup() }

func (c *client) Generate() []receivertest.UniqueIDAttrVal {
	c.mu.Lock()
	c.sent++
	id := receivertest.UniqueIDAttrVal(strconv.Itoa(c.sent))
	c.mu.Unlock()
	body := fmt.Sprintf(`{"api_key":"sandbox","events":[{"event_type":"e","user_id":"user-1","event_properties":{%q:%q}}]}`, receivertest.UniqueIDAttrName, id)
	for {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.url, strings.NewReader(body))
		require.NoError(c.t, err)
		request.Header.Set("Content-Type", "application/json")
		response, err := c.http.Do(request)
		require.NoError(c.t, err)
		require.NoError(c.t, response.Body.Close())
		if response.StatusCode != http.StatusServiceUnavailable {
			return []receivertest.UniqueIDAttrVal{id}
		}
	}
}

func TestConsumeContract(t *testing.T) {
	cfg := configOf(t, nil)
	address, err := loopback.FreeAddress()
	require.NoError(t, err)
	cfg.ServerConfig.NetAddr.Endpoint = address
	receivertest.CheckConsumeContract(receivertest.CheckConsumeContractParams{
		T: t, Factory: NewFactory(), Signal: pipeline.SignalLogs, Config: cfg, GenerateCount: 200,
		Generator: &client{t: t, url: "http://" + address + "/2/httpapi"},
	})
}
