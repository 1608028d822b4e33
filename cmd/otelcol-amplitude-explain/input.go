// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// document is one request of the input, with its number.
type document struct {
	input  string
	number int
	logs   plog.Logs
	// spans: the records were made from spans.
	spans bool
}

const wanted = "expected OTLP: JSON with resourceLogs or resourceSpans (from a file exporter or a request), a single log record, or a protobuf logs request"

// readLogs yields the requests of an input, in order.
func readLogs(ctx context.Context, name string, from io.Reader, spans *spanReader, yield func(document) error) error {
	content, err := io.ReadAll(from)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch text := bytes.TrimLeft(content, " \t\r\n\ufeff"); {
	case len(text) == 0:
		return fmt.Errorf("%s is empty: %s", name, wanted)
	case text[0] == '{' || text[0] == '[':
		return readJSON(ctx, name, content, spans, yield)
	}
	logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(content)
	if err != nil || logs.ResourceLogs().Len() == 0 {
		return fmt.Errorf("%s begins with %.20q, which is neither JSON nor an OTLP request: %s", name, content, wanted)
	}
	return yield(document{input: name, number: 1, logs: logs})
}

// readJSON reads consecutive JSON documents, regardless of line breaks.
func readJSON(ctx context.Context, name string, content []byte, spans *spanReader, yield func(document) error) error {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	decoder := json.NewDecoder(bytes.NewReader(content))
	for number := 1; ; number++ {
		var text json.RawMessage
		switch err := decoder.Decode(&text); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			line := 1 + bytes.Count(content[:decoder.InputOffset()], []byte("\n"))
			return fmt.Errorf("%s: document %d, which starts on line %d, is not valid JSON: %w", name, number, line, err)
		}
		in := document{input: name, number: number}
		if err := in.unmarshal(ctx, text, spans); err != nil {
			return fmt.Errorf("%s: document %d: %w", name, number, err)
		}
		if err := yield(in); err != nil {
			return err
		}
	}
}

// unmarshal reads a request of logs or traces, or a single log record.
func (d *document) unmarshal(ctx context.Context, text json.RawMessage, spans *spanReader) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return fmt.Errorf("not a JSON object: %s", wanted)
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if _, ok := keys[name]; ok {
				return true
			}
		}
		return false
	}
	switch {
	case has("resourceLogs", "resource_logs") || len(keys) == 0:
	case has("resourceSpans", "resource_spans"):
		traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text)
		if err != nil {
			return fmt.Errorf("not valid OTLP: %w", err)
		}
		d.spans = true
		d.logs, err = spans.read(ctx, traces)
		return err
	case has("attributes", "eventName", "event_name", "body", "timeUnixNano", "observedTimeUnixNano"):
		text = fmt.Appendf(nil, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}`, text)
	default:
		return fmt.Errorf("no resourceLogs: %s", wanted)
	}
	var err error
	if d.logs, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(text); err != nil {
		return fmt.Errorf("not valid OTLP: %w", err)
	}
	return nil
}
