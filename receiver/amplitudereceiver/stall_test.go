// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/metadata"
)

// patience is how long a test waits for a condition.
const patience = time.Minute

// TestStalledUploadDoesNotBlockShutdown: a client that stalls in the middle of a request is told to retry, and the
// Collector shuts down.
func TestStalledUploadDoesNotBlockShutdown(t *testing.T) {
	s := start(t, nil)
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	require.NoError(t, connection.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(connection, "POST /2/httpapi HTTP/1.1\r\nHost: collector\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	in := bufio.NewReader(connection)
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} { // the receiver reads the body
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, want, line)
	}
	_, err = io.WriteString(connection, `{"api_key":"sandbox",`)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- s.end(context.Background()) }()
	response, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode, string(body))
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatal("the receiver waits for a client that sends nothing")
	}
}

// stalled is a body that never arrives.
type stalled struct {
	reading func()
	ended   <-chan struct{}
}

func (s stalled) Read([]byte) (int, error) {
	s.reading()
	<-s.ended
	return 0, io.ErrUnexpectedEOF
}

// TestAnnouncedBodiesTakeNoMemory: an announced length takes no memory until the body arrives.
func TestAnnouncedBodiesTakeNoMemory(t *testing.T) {
	h, err := newHandler(receivertest.NewNopSettings(metadata.Type), configOf(t, nil), consumertest.NewNop())
	require.NoError(t, err)
	const clients = 64
	ended := make(chan struct{})
	var reading, all sync.WaitGroup
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range clients {
		reading.Add(1)
		all.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/2/httpapi", stalled{sync.OnceFunc(reading.Done), ended})
			r.ContentLength = maxBytesV2
			h.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	reading.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	close(ended)
	all.Wait()
	assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(clients*maxBytesV2/4))
}

// TestReadTimeout: by default, the time for sending a request is limited.
func TestReadTimeout(t *testing.T) {
	assert.NotZero(t, configOf(t, nil).ServerConfig.ReadTimeout)
}
