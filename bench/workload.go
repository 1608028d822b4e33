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
	days      = 5
	batchSize = 1000
)

// workload makes batches. Batches differ, so that nothing but what it says repeats.
type workload struct {
	name, what string
	// records, if not 0, is what a batch counts as where it is no logs.
	records int
	// batches, if not 0, make a round, whatever the command line says.
	batches int
	batch   func(r *rand.Rand, serial int) plog.Logs
}

// exposure is one result. Numbered ones differ: when all users have met all flags, the next day begins.
type exposure struct {
	user, flag, variant string
	at                  time.Time
}

// numbered returns one of users × flags × days results. A user keeps the variant of a flag: another one would take a $identify as well. The days
// are the last ones, since what is older than a week at its arrival leaves user properties alone, and so costs less than what comes as it happens.
func numbered(i, flags int) exposure {
	day, user, flag := i/flags/users, i/flags%users, i%flags
	return exposure{
		user: fmt.Sprintf("user-%08d", user), flag: fmt.Sprintf("experiment-%02d", flag),
		variant: variantOf(user, flag), at: firstDay.AddDate(0, 0, day),
	}
}

func variantOf(user, flag int) string { return fmt.Sprintf("variant-%d", (user+flag)%variants) }

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

// firstDay leaves room for all days before today.
var firstDay = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days).Add(12 * time.Hour)

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

// flagsPerBatch bounds a batch of assignments, so that those of many flags and those of few fill the caches alike.
const flagsPerBatch = 10_000

// assignmentsOf is how many assignments of so many flags are in a batch.
func assignmentsOf(flags int) int { return min(batchSize, flagsPerBatch/flags) }

// dayOfAssignments is how many batches of assignments are of other persons. Then they come again, on the next day.
const dayOfAssignments = 200

// assignments makes batches of assignments of so many flags.
func assignments(flags int) func(*rand.Rand, int) plog.Logs {
	size := assignmentsOf(flags)
	return func(_ *rand.Rand, serial int) plog.Logs {
		logs, records := newBatch()
		for i := range size {
			day, person := serial/dayOfAssignments, serial%dayOfAssignments*size+i
			record := records.AppendEmpty()
			record.SetEventName("$assignment")
			record.SetTimestamp(pcommon.NewTimestampFromTime(firstDay.AddDate(0, 0, day)))
			record.Attributes().PutStr("user.id", fmt.Sprintf("user-%08d", person))
			results := record.Attributes().PutEmptyMap("variants")
			for f := range flags {
				results.PutStr(fmt.Sprintf("experiment-%02d", f), variantOf(person, f))
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
	w1   = workload{name: "W1", what: "1,000 one-flag exposures", batch: exposures(4)}
	w2   = workload{name: "W2", what: "1,000 assignments of 10 flags", batch: assignments(10)}
	w350 = workload{name: "W3 50 %", what: "W1 with half of it repeats", batch: repeats(50)}
	w395 = workload{name: "W3 95 %", what: "W1 with 95 % repeats", batch: repeats(95)}
	w4   = workload{name: "W4", what: "1,000 records that are not about a flag", batch: foreign}
)
