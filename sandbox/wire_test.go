// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// http2Sandbox is a sandbox over TLS and HTTP/2, with a client that reports what becomes of a request.
func http2Sandbox(t *testing.T, faults ...sandbox.Fault) (s *sandbox.Server, send func(ctx context.Context) (status int, proto string, err error)) {
	t.Helper()
	server, err := sandbox.NewServer(sandbox.DefaultConfig())
	require.NoError(t, err)
	template := httptest.NewTLSServer(nil) // for its certificate and a client that trusts it
	template.Close()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, server.ServeTLS(listener, &tls.Config{Certificates: template.TLS.Certificates}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		assert.NoError(t, server.Shutdown(ctx))
	})
	_, err = server.AddFaults(faults...)
	require.NoError(t, err)
	roots := template.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	return server, func(ctx context.Context) (int, string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+listener.Addr().String()+"/2/httpapi", strings.NewReader(payload(event("user-1", "a"))))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return 0, "", err
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		return response.StatusCode, response.Proto, err
	}
}

// TestConnectionFaultsHTTP2 breaks connections below HTTP/2.
func TestConnectionFaultsHTTP2(t *testing.T) {
	t.Run("nothing", func(t *testing.T) {
		_, send := http2Sandbox(t)
		status, proto, err := send(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "200 HTTP/2.0", fmt.Sprint(status, " ", proto))
	})
	t.Run("goaway: the client may send again at once, since its request was not processed", func(t *testing.T) {
		s, send := http2Sandbox(t, sandbox.Fault{Action: sandbox.FaultGoAway})
		status, _, err := send(t.Context())
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, status)
		require.Eventually(t, func() bool { return s.Stats().ByEndpoint["/2/httpapi"].Requests == 2 }, time.Minute, time.Millisecond)
		assert.Len(t, s.Events(sandbox.Select{}), 1)
	})
	t.Run("silent: not even what comes after it on the connection is answered", func(t *testing.T) {
		s, send := http2Sandbox(t, sandbox.Fault{Action: sandbox.FaultSilent})
		first, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, _, err := send(first)
			ended <- err
		}()
		// The fault is taken just before the connection falls silent, so that a request or two may still be answered.
		require.Eventually(t, func() bool { return len(s.Faults()) == 0 }, time.Minute, time.Millisecond)
		arrived := func() int { return s.Stats().Events }
		require.Eventually(t, func() bool {
			second, cancelSecond := context.WithCancel(t.Context())
			defer cancelSecond()
			before, answered := arrived(), make(chan error, 1)
			go func() {
				_, _, err := send(second)
				answered <- err
			}()
			require.Eventually(t, func() bool { return arrived() == before+1 }, time.Minute, time.Millisecond)
			select {
			case err := <-answered:
				require.NoError(t, err)
				return false
			case <-time.After(100 * time.Millisecond):
				cancelSecond()
				return errors.Is(<-answered, context.Canceled)
			}
		}, time.Minute, time.Millisecond)
		select {
		case err := <-ended:
			require.Fail(t, "the silent connection ended", "%v", err)
		default:
		}
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	for _, action := range []string{sandbox.FaultResetBeforeRead, sandbox.FaultIngestThenReset} {
		t.Run(action+" is no empty answer", func(t *testing.T) {
			_, send := http2Sandbox(t, sandbox.Fault{Action: action, Times: -1})
			status, _, err := send(t.Context())
			require.Error(t, err, "%d", status)
		})
	}
	t.Run("413 before the body is read", func(t *testing.T) {
		_, send := http2Sandbox(t, sandbox.Fault{Action: sandbox.FaultStatusBeforeRead, Code: 413})
		status, _, err := send(t.Context())
		require.NoError(t, err)
		assert.Equal(t, http.StatusRequestEntityTooLarge, status)
	})
}

// dial speaks HTTP/1.1 by hand: it sends text and returns a reader for the response.
func (s *tester) dial(text string) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	connection, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.URL(), "http://"))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = connection.Close() })
	_, err = io.WriteString(connection, text)
	require.NoError(s.t, err)
	return connection, bufio.NewReader(connection)
}

const announced = "POST /2/httpapi HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

// TestStatusBeforeRead: a request whose body never arrives is answered, and the connection closed.
func TestStatusBeforeRead(t *testing.T) {
	s := newTester(t)
	_, err := s.AddFaults(sandbox.Fault{
		Action: sandbox.FaultStatusBeforeRead, Code: 413, Body: sandbox.BodyHTML, Times: -1,
		Headers: map[string]string{"X-Proxy": "in between"}, Match: sandbox.FaultMatch{LargerThan: 1000},
	})
	require.NoError(t, err)
	_, read := s.dial(fmt.Sprintf(announced, 1001, ""))
	answer, err := http.ReadResponse(read, nil)
	require.NoError(t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	assert.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode)
	assert.True(t, answer.Close)
	assert.Equal(t, "in between", answer.Header.Get("X-Proxy"))
	assert.Equal(t, "<html><head><title>413 Payload too large</title></head></html>", string(text))
	_, err = read.ReadByte()
	require.Error(t, err, "the connection is closed")

	s.v2(event("user-1", "a")) // a smaller one passes
	var log struct {
		Requests []struct {
			Status   int    `json:"status"`
			Fault    string `json:"fault"`
			BodyNote string `json:"body_note"`
		} `json:"requests"`
	}
	require.Eventually(t, func() bool {
		s.get("/_sandbox/requests", &log)
		return len(log.Requests) == 2
	}, time.Minute, time.Millisecond)
	assert.Contains(t, fmt.Sprint(log.Requests), "413 status_before_read not read")
}

// TestSilentConnection: nothing arrives on the connection until the fault's delay is over and it is closed.
func TestSilentConnection(t *testing.T) {
	s := newTester(t)
	_, err := s.AddFaults(sandbox.Fault{Action: sandbox.FaultSilent, Delay: sandbox.Duration(50 * time.Millisecond)})
	require.NoError(t, err)
	body := payload(event("user-1", "a"))
	_, read := s.dial(fmt.Sprintf(announced, len(body), body))
	_, err = read.ReadByte()
	require.Error(t, err)
	assert.Empty(t, s.Events(sandbox.Select{}))
}

// TestConnectionCloses ends an idle connection during the client's next request, as load balancers do.
func TestConnectionCloses(t *testing.T) {
	s := newTester(t)
	_, err := s.AddFaults(sandbox.Fault{Action: sandbox.FaultGoAway})
	require.NoError(t, err)
	body := payload(event("user-1", "a"))
	_, read := s.dial(fmt.Sprintf(announced, len(body), body))
	_, err = read.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	assert.Empty(t, s.Events(sandbox.Select{}))
}
