// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
)

// deadLetterPrefix begins the resource attributes that the exporter added.
const deadLetterPrefix = "dead_letter."

// replay posts lines of OTLP JSON.
type replay struct {
	client   *http.Client
	endpoint string
	attempts int
	// pause is how long to wait after the first failure of a line; it doubles up to longestPause.
	pause, longestPause time.Duration
}

// send posts each line, from the given number on, and returns how many lines and records were taken.
// An error names the line, so that one can go on from there.
func (r *replay) send(ctx context.Context, in io.Reader, from int) (lines, records int, err error) {
	reader := bufio.NewReader(in)
	for number := 1; ; number++ {
		line, readErr := reader.ReadBytes('\n')
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return lines, records, readErr
		}
		if line = bytes.TrimSpace(line); len(line) > 0 && number >= from {
			n, err := r.sendLine(ctx, line)
			if err != nil {
				return lines, records, fmt.Errorf("line %d: %w", number, err)
			}
			lines++
			records += n
		}
		if readErr != nil {
			return lines, records, nil
		}
	}
}

// sendLine posts one line without what the exporter added to it.
func (r *replay) sendLine(ctx context.Context, line []byte) (records int, err error) {
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
	if err != nil {
		return 0, fmt.Errorf("not OTLP JSON: %w", err)
	}
	for _, resource := range logs.ResourceLogs().All() {
		resource.Resource().Attributes().RemoveIf(func(name string, _ pcommon.Value) bool {
			return strings.HasPrefix(name, deadLetterPrefix)
		})
	}
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	if err != nil {
		return 0, err
	}
	pause := r.pause
	for attempt := 1; ; attempt++ {
		again, err := r.post(ctx, body)
		if err == nil {
			return logs.LogRecordCount(), nil
		}
		if !again || attempt >= r.attempts {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
		pause = min(2*pause, r.longestPause)
	}
}

// post sends one request. again tells whether the failure can pass.
func (r *replay) post(ctx context.Context, body []byte) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.endpoint, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := r.client.Do(request)
	if err != nil {
		return true, err
	}
	defer func() { _ = response.Body.Close() }()
	const bound = 64 << 10
	answer, err := io.ReadAll(io.LimitReader(response.Body, bound))
	switch {
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= http.StatusInternalServerError:
		return true, fmt.Errorf("the receiver answered %s", response.Status)
	case response.StatusCode != http.StatusOK:
		return false, fmt.Errorf("the receiver answered %s", response.Status)
	case err != nil:
		return true, err
	}
	result := plogotlp.NewExportResponse()
	if result.UnmarshalProto(answer) == nil {
		if n := result.PartialSuccess().RejectedLogRecords(); n > 0 {
			return false, fmt.Errorf("the receiver rejected %d records: %s", n, result.PartialSuccess().ErrorMessage())
		}
	}
	return false, nil
}
