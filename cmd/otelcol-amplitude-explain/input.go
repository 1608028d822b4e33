// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.opentelemetry.io/collector/pdata/plog"
)

// document is one request of the input, with its number.
type document struct {
	input  string
	number int
	logs   plog.Logs
}

const wanted = "wanted are OTLP logs: JSON with resourceLogs (as the file exporter or a request has it), a single log record, or a protobuf request"

// readLogs yields the requests of an input, in order.
func readLogs(name string, from io.Reader, yield func(document) error) error {
	content, err := io.ReadAll(from)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch text := bytes.TrimLeft(content, " \t\r\n\ufeff"); {
	case len(text) == 0:
		return fmt.Errorf("%s is empty: %s", name, wanted)
	case text[0] == '{' || text[0] == '[':
		return readJSON(name, content, yield)
	}
	logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(content)
	if err != nil || logs.ResourceLogs().Len() == 0 {
		return fmt.Errorf("%s begins with %.20q, which is neither JSON nor an OTLP request: %s", name, content, wanted)
	}
	return yield(document{input: name, number: 1, logs: logs})
}

// readJSON reads JSON documents one after the other, however they are broken into lines.
func readJSON(name string, content []byte, yield func(document) error) error {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	decoder := json.NewDecoder(bytes.NewReader(content))
	for number := 1; ; number++ {
		var text json.RawMessage
		switch err := decoder.Decode(&text); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			line := 1 + bytes.Count(content[:decoder.InputOffset()], []byte("\n"))
			return fmt.Errorf("%s: document %d, from line %d on, is no JSON: %w", name, number, line, err)
		}
		logs, err := unmarshal(text)
		if err != nil {
			return fmt.Errorf("%s: document %d: %w", name, number, err)
		}
		if err := yield(document{input: name, number: number, logs: logs}); err != nil {
			return err
		}
	}
}

// unmarshal reads a request, or a log record that stands alone.
func unmarshal(text json.RawMessage) (plog.Logs, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return plog.Logs{}, fmt.Errorf("it is no JSON object: %s", wanted)
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
	case has("resourceSpans"):
		return plog.Logs{}, errors.New("it holds spans: the connector feature_flag_events makes log records of them, explain those")
	case has("attributes", "eventName", "event_name", "body", "timeUnixNano", "observedTimeUnixNano"):
		text = fmt.Appendf(nil, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}`, text)
	default:
		return plog.Logs{}, fmt.Errorf("it has no resourceLogs: %s", wanted)
	}
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(text)
	if err != nil {
		return plog.Logs{}, fmt.Errorf("it is no OTLP: %w", err)
	}
	return logs, nil
}
