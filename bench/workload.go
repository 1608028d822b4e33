// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

const (
	flags     = 50
	variants  = 3
	users     = 10_000
	batchSize = 1000
)

// workload makes batches. Batches differ, so that nothing but what it says repeats.
type workload struct {
	name, what string
	batch      func(r *rand.Rand, serial int) plog.Logs
}

// exposure is one result. Numbered ones differ: when all users have met all flags, the next day begins.
type exposure struct {
	user, flag, variant string
	at                  time.Time
}

func numbered(i, flags int) exposure {
	user := i / flags
	return exposure{
		user:    fmt.Sprintf("user-%08d", user%users),
		flag:    fmt.Sprintf("experiment-%02d", i%flags),
		variant: fmt.Sprintf("variant-%d", (user+i)%variants),
		at:      firstDay.AddDate(0, 0, user/users),
	}
}

func newBatch() (plog.Logs, plog.LogRecordSlice) {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	a := resource.Resource().Attributes()
	a.PutStr("service.name", "checkout")
	a.PutStr("service.version", "3.14.2")
	a.PutStr("deployment.environment.name", "production")
	a.PutStr("telemetry.sdk.language", "go")
	a.PutStr("telemetry.sdk.name", "opentelemetry")
	a.PutStr("host.name", "checkout-7d9f6c5b4-x2x8w")
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName("shop/featureflags")
	return logs, scope.LogRecords()
}

// firstDay leaves room for many days before today.
var firstDay = time.Date(2020, 1, 1, 12, 0, 0, 0, time.UTC)

func appendExposure(records plog.LogRecordSlice, e exposure, others int) {
	record := records.AppendEmpty()
	record.SetEventName("feature_flag.evaluation")
	record.SetTimestamp(pcommon.NewTimestampFromTime(e.at))
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(e.at))
	a := record.Attributes()
	a.PutStr("feature_flag.key", e.flag)
	a.PutStr("feature_flag.result.variant", e.variant)
	a.PutStr("feature_flag.result.reason", "split")
	a.PutStr("feature_flag.provider.name", "flagd")
	a.PutStr("user.id", e.user)
	for i := range others {
		a.PutStr(fmt.Sprintf("other.attribute.%d", i), "some text of usual length")
	}
}

func exposures(others int) func(*rand.Rand, int) plog.Logs {
	return func(_ *rand.Rand, serial int) plog.Logs {
		logs, records := newBatch()
		for i := range batchSize {
			appendExposure(records, numbered(serial*batchSize+i, flags), others)
		}
		return logs
	}
}

// exposuresOf makes batches of size exposures of so many distinct flags.
func exposuresOf(size, flags int) func(*rand.Rand, int) plog.Logs {
	return func(_ *rand.Rand, serial int) plog.Logs {
		logs, records := newBatch()
		for i := range size {
			appendExposure(records, numbered(serial*size+i, flags), 4)
		}
		return logs
	}
}

// repeats makes exposures of which the given share, in percent, were in the batch before already.
func repeats(percent int) func(*rand.Rand, int) plog.Logs {
	return func(r *rand.Rand, serial int) plog.Logs {
		logs, records := newBatch()
		fresh := batchSize * (100 - percent) / 100
		for i := range batchSize {
			n := serial*fresh + i
			if i >= fresh {
				n = serial*fresh + r.IntN(fresh)
			}
			appendExposure(records, numbered(n, flags), 4)
		}
		return logs
	}
}

// assignments makes batches of assignments of so many flags.
func assignments(flags int) func(*rand.Rand, int) plog.Logs {
	return func(_ *rand.Rand, serial int) plog.Logs {
		logs, records := newBatch()
		for i := range batchSize {
			n := serial*batchSize + i
			record := records.AppendEmpty()
			record.SetEventName("$assignment")
			record.SetTimestamp(pcommon.NewTimestampFromTime(firstDay))
			record.Attributes().PutStr("user.id", fmt.Sprintf("user-%08d", n))
			results := record.Attributes().PutEmptyMap("variants")
			for f := range flags {
				results.PutStr(fmt.Sprintf("experiment-%02d", f), fmt.Sprintf("variant-%d", (n+f)%variants))
			}
		}
		return logs
	}
}

func foreign(_ *rand.Rand, serial int) plog.Logs {
	logs, records := newBatch()
	for i := range batchSize {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(firstDay))
		record.SetSeverityNumber(plog.SeverityNumberInfo)
		record.Body().SetStr(fmt.Sprintf("request %d served", serial*batchSize+i))
		a := record.Attributes()
		a.PutStr("http.request.method", "GET")
		a.PutStr("url.path", "/cart")
		a.PutInt("http.response.status_code", 200)
		a.PutStr("user.id", fmt.Sprintf("user-%08d", i))
	}
	return logs
}

var (
	w1   = workload{"W1", "1,000 one-flag exposures", exposures(4)}
	w2   = workload{"W2", "1,000 assignments of 10 flags", assignments(10)}
	w350 = workload{"W3 50 %", "W1 with half of it repeats", repeats(50)}
	w395 = workload{"W3 95 %", "W1 with 95 % repeats", repeats(95)}
	w4   = workload{"W4", "1,000 records that are not about a flag", foreign}
)
