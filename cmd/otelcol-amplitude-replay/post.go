// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/replay"
)

// maxAnswer is how much of an answer is read: a thousand letters with reasons fit easily.
const maxAnswer = 8 << 20

// post sends logs until the receiver accepts them, and returns what became of each letter.
func (r *replayer) post(ctx context.Context, logs plog.Logs) (map[string]replay.Letter, error) {
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	if err != nil {
		return nil, err
	}
	pause := r.pause
	for attempt := 1; ; attempt++ {
		outcomes, again, err := r.try(ctx, body)
		if err == nil || !again || attempt >= r.attempts {
			return outcomes, err
		}
		if !sleep(ctx, pause) {
			return nil, errors.Join(ctx.Err(), err)
		}
		pause = min(2*pause, r.longestPause)
	}
}

// try sends one request. again reports whether the failure may be temporary.
func (r *replayer) try(ctx context.Context, body []byte) (outcomes map[string]replay.Letter, again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, true, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, true, err
	}
	// The processor always answers with an error.
	if outcomes, ok := replay.Parse(answer); ok {
		return outcomes, false, nil
	}
	switch {
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= http.StatusInternalServerError:
		return nil, true, fmt.Errorf("the receiver answered %s", response.Status)
	case response.StatusCode != http.StatusOK:
		return nil, false, fmt.Errorf("the receiver answered %s", response.Status)
	}
	result := plogotlp.NewExportResponse()
	if result.UnmarshalProto(answer) == nil && result.PartialSuccess().RejectedLogRecords() > 0 {
		return nil, false, fmt.Errorf("the receiver rejected %d records: %s", result.PartialSuccess().RejectedLogRecords(), result.PartialSuccess().ErrorMessage())
	}
	return nil, false, errSilent
}
