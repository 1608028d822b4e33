// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/heaptest"
)

// TestOneHugeBatchIsNotKept: the memory that it took is given back. The next component refuses it, so that nothing of it is
// remembered either.
func TestOneHugeBatchIsNotKept(t *testing.T) {
	assignment := func(flags, users int) plog.Logs {
		variants := pcommon.NewMap()
		for i := range flags {
			variants.PutStr(fmt.Sprint("flag-", i), "a")
		}
		ld := plog.NewLogs()
		to := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
		for i := range users {
			r := to.AppendEmpty()
			r.SetEventName("$assignment")
			r.Attributes().PutStr("user_id", fmt.Sprint("user-", i))
			variants.CopyTo(r.Attributes().PutEmptyMap("variants"))
		}
		return ld
	}
	refuses, err := consumer.NewLogs(consumertest.NewErr(errors.New("full")).ConsumeLogs)
	require.NoError(t, err)
	r := start(t, configOf(t, "{}"), refuses)
	heap := func() int64 {
		require.Error(t, r.ConsumeLogs(t.Context(), assignment(1, 1)))
		return heaptest.Live()
	}
	before := heap()
	require.Error(t, r.ConsumeLogs(t.Context(), assignment(1000, 140)))
	const kept int64 = 3 << 20
	assert.Less(t, heap()-before, kept)
}
