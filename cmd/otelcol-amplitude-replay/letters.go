// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/replay"
)

// letter is one record of a dead letter file.
type letter struct {
	line, number int
	// id is the same in every run.
	id string
	// event is the same for letters of one event.
	event string
	time  time.Time
	logs  plog.Logs
}

// letters yields the letters of a file, line by line; err is about an invalid line.
func letters(in io.Reader, from int) iter.Seq2[[]letter, error] {
	return func(yield func([]letter, error) bool) {
		reader := bufio.NewReader(in)
		for line := 1; ; line++ {
			text, readErr := reader.ReadBytes('\n')
			if readErr != nil && !errors.Is(readErr, io.EOF) {
				yield(nil, readErr)
				return
			}
			if text = bytes.TrimSpace(text); len(text) > 0 && line >= from {
				found, err := lettersOf(text, line)
				if err != nil {
					err = &lineError{line, err}
				}
				if !yield(found, err) {
					return
				}
			}
			if readErr != nil {
				return
			}
		}
	}
}

// lineError is an error in one line; others may be valid.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: not OTLP JSON: %v", e.line, e.err) }

// lettersOf splits a line: each record gets its own resource and scope, so that an answer can identify it.
func lettersOf(text []byte, line int) (found []letter, err error) {
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(text)
	if err != nil {
		return nil, err
	}
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				l := letter{line: line, number: len(found) + 1, time: record.Timestamp().AsTime(), logs: plog.NewLogs()}
				to := l.logs.ResourceLogs().AppendEmpty()
				to.SetSchemaUrl(resource.SchemaUrl())
				resource.Resource().CopyTo(to.Resource())
				scoped := to.ScopeLogs().AppendEmpty()
				scoped.SetSchemaUrl(scope.SchemaUrl())
				scope.Scope().CopyTo(scoped.Scope())
				one := scoped.LogRecords().AppendEmpty()
				record.CopyTo(one)
				if err := l.name(one); err != nil {
					return nil, err
				}
				to.Resource().Attributes().PutStr(replay.AttributeID, l.id)
				found = append(found, l)
			}
		}
	}
	return found, nil
}

// name gives a letter its ids, and an event without an insert_id a new one, because it may be sent twice.
func (l *letter) name(record plog.LogRecord) error {
	raw, err := (&plog.ProtoMarshaler{}).MarshalLogs(l.logs)
	if err != nil {
		return err
	}
	hash := sha256.Sum256(raw)
	const bytesOfHash = 16
	l.id = hex.EncodeToString(hash[:bytesOfHash])
	insertID, ok := record.Attributes().Get(amplitude.AttrInsertID)
	if !ok || insertID.AsString() == "" {
		record.Attributes().PutStr(amplitude.AttrInsertID, "dead letter "+l.id)
		l.event = l.id
		return nil
	}
	l.event = insertID.AsString()
	return nil
}
