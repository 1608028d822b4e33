// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Package recordstest makes records for the exporter's tests and benchmarks.
package recordstest // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records/recordstest"

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// time of each record.
const timestamp = 1763895600_000_000_000

// AppendSlice appends a resource with a scope to logs and returns the scope's records.
func AppendSlice(logs plog.Logs) plog.LogRecordSlice {
	return logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
}

// AppendExposure appends an exposure event of a user; its insert_id names it in tests.
func AppendExposure(to plog.LogRecordSlice, userID, insertID string) plog.LogRecord {
	record := to.AppendEmpty()
	record.SetEventName("[Experiment] Exposure")
	record.SetTimestamp(timestamp)
	a := record.Attributes()
	a.PutStr("[Experiment] Flag Key", "checkout")
	a.PutStr("[Experiment] Variant", "treatment")
	a.PutStr("amplitude.user_id", userID)
	a.PutStr("amplitude.insert_id", insertID)
	a.PutStr("amplitude.user_properties.$set.[Experiment] checkout", "treatment")
	return record
}

// Numbered makes n exposures e0, e1, ... of the users user-00000, user-00001, ...
func Numbered(n int) plog.Logs {
	logs := plog.NewLogs()
	to := AppendSlice(logs)
	for i := range n {
		AppendExposure(to, fmt.Sprintf("user-%05d", i), fmt.Sprintf("e%d", i))
	}
	return logs
}

// InsertIDs returns the insert_ids of the records, in order.
func InsertIDs(logs plog.Logs) []string {
	var ids []string
	for r := range records.All(logs) {
		id, _ := r.Record.Attributes().Get("amplitude.insert_id")
		ids = append(ids, id.AsString())
	}
	return ids
}

// Exposures makes n exposures with everything that the processor adds to one.
func Exposures(n int) plog.Logs {
	logs := plog.NewLogs()
	to := AppendSlice(logs)
	for i := range n {
		a := AppendExposure(to, fmt.Sprintf("user-%08d", i), fmt.Sprintf("user-%08d device-%08d 9f2c41d8e7a6b50312345678deadbeef 20779", i, i)).Attributes()
		a.PutStr("amplitude.device_id", fmt.Sprintf("device-%08d", i))
		a.PutInt("amplitude.session_id", 1763895600000)
		a.PutStr("[Experiment] Experiment Key", "checkout-2026")
		a.PutStr("amplitude.app_version", "4.2.1")
	}
	return logs
}

// Assignments makes n assignments of ten flags each.
func Assignments(n int) plog.Logs {
	logs := plog.NewLogs()
	to := AppendSlice(logs)
	for i := range n {
		record := to.AppendEmpty()
		record.SetEventName("[Experiment] Assignment")
		record.SetTimestamp(timestamp)
		a := record.Attributes()
		a.PutStr("amplitude.user_id", fmt.Sprintf("user-%08d", i))
		a.PutStr("amplitude.insert_id", fmt.Sprintf("user-%08d  9f2c41d8e7a6b50312345678deadbeef 20779", i))
		for flag := range 10 {
			a.PutStr(fmt.Sprintf("[Experiment] flag-number-%d.variant", flag), "treatment")
			a.PutStr(fmt.Sprintf("amplitude.user_properties.$set.[Experiment] flag-number-%d", flag), "treatment")
		}
	}
	return logs
}
