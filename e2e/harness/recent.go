// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package harness // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

const day = 24 * time.Hour

// DaysSince returns by how many whole days a time must be moved to be within the last day.
func DaysSince(at time.Time) int { return int(time.Since(at) / day) }

// Recent moves the times of logs by whole days so that the newest is within the last day, because records older than
// seven days set no user property. It returns the number of days.
func Recent(logs plog.Logs) (days int) {
	var newest pcommon.Timestamp
	each := func(do func(plog.LogRecord)) {
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					do(record)
				}
			}
		}
	}
	each(func(record plog.LogRecord) { newest = max(newest, record.Timestamp(), record.ObservedTimestamp()) })
	if newest == 0 {
		return 0
	}
	days = DaysSince(newest.AsTime())
	moved := func(at pcommon.Timestamp) pcommon.Timestamp {
		if at == 0 {
			return 0
		}
		return pcommon.NewTimestampFromTime(at.AsTime().Add(time.Duration(days) * day))
	}
	each(func(record plog.LogRecord) {
		record.SetTimestamp(moved(record.Timestamp()))
		record.SetObservedTimestamp(moved(record.ObservedTimestamp()))
	})
	return days
}

// Back undoes Recent for a resulting event: its time and the day in its insert_id.
func (e Event) Back(days int) {
	if at, ok := e["time"].(float64); ok {
		e["time"] = at - float64(int64(days)*day.Milliseconds())
	}
	id := e.Text("insert_id")
	if before, last, ok := cutLast(id); ok {
		if n, err := strconv.Atoi(last); err == nil {
			e["insert_id"] = before + " " + strconv.Itoa(n-days)
		}
	}
}

func cutLast(text string) (before, last string, ok bool) {
	at := strings.LastIndexByte(text, ' ')
	if at < 0 {
		return "", "", false
	}
	return text[:at], text[at+1:], true
}

// SendRecent sends a captured OTLP request of logs as SendFile does, with its times moved by [Recent].
func (c *Collector) SendRecent(t testing.TB, path string, compress bool) (days int) {
	t.Helper()
	body, err := os.ReadFile(path) //nolint:gosec // the test names its own file
	require.NoError(t, err)
	protobuf := filepath.Ext(path) == ".pb"
	var logs plog.Logs
	if protobuf {
		logs, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(body)
	} else {
		logs, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(body)
	}
	require.NoError(t, err)
	days = Recent(logs)
	if protobuf {
		body, err = (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	} else {
		body, err = (&plog.JSONMarshaler{}).MarshalLogs(logs)
	}
	require.NoError(t, err)
	c.sendBody(t, path, body, compress)
	return days
}
