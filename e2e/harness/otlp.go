// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package harness // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// PostLogs sends an OTLP request body to the Collector's HTTP receiver and returns the status code.
func (c *Collector) PostLogs(contentType, encoding string, body []byte) (int, error) {
	return Post("http://"+c.OTLPHTTP+"/v1/logs", contentType, encoding, body)
}

// PostTraces sends an OTLP request body to the Collector's HTTP receiver and returns the status code.
func (c *Collector) PostTraces(contentType, encoding string, body []byte) (int, error) {
	return Post("http://"+c.OTLPHTTP+"/v1/traces", contentType, encoding, body)
}

// Post sends a request body and returns the status code.
func Post(url, contentType, encoding string, body []byte) (int, error) {
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", contentType)
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s answered %d: %s", url, response.StatusCode, answer)
	}
	return response.StatusCode, err
}

// SendLogs sends logs and fails the test unless the Collector acknowledges them.
func (c *Collector) SendLogs(t testing.TB, logs plog.Logs) {
	t.Helper()
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	_, err = c.PostLogs("application/x-protobuf", "", body)
	require.NoError(t, err)
}

// SendTraces sends traces and fails the test unless the Collector acknowledges them.
func (c *Collector) SendTraces(t testing.TB, traces ptrace.Traces) {
	t.Helper()
	body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	require.NoError(t, err)
	_, err = c.PostTraces("application/x-protobuf", "", body)
	require.NoError(t, err)
}

// SendFile sends a captured OTLP request body, JSON (*.json) or protobuf (*.pb), gzip-compressed if asked. The file's
// name determines the signal: *.traces.*, or else logs.
func (c *Collector) SendFile(t testing.TB, path string, compress bool) {
	t.Helper()
	body, err := os.ReadFile(path) //nolint:gosec // the test names its own file
	require.NoError(t, err)
	c.sendBody(t, path, body, compress)
}

// sendBody sends a request body in the format given by the file's name.
func (c *Collector) sendBody(t testing.TB, path string, body []byte, compress bool) {
	t.Helper()
	contentType := "application/json"
	if filepath.Ext(path) == ".pb" {
		contentType = "application/x-protobuf"
	}
	encoding := ""
	if compress {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write(body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		body, encoding = b.Bytes(), "gzip"
	}
	send := c.PostLogs
	if matched, _ := filepath.Match("*.traces.*", filepath.Base(path)); matched {
		send = c.PostTraces
	}
	_, err := send(contentType, encoding, body)
	require.NoError(t, err)
}
