// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"
)

var nearMissSettings = Settings{
	Evaluation: EvaluationSettings{Enabled: true, EventNames: []string{"feature_flag.evaluation", "feature_flag"}, FlagKey: []string{"feature_flag.key"}},
	Exposure:   ExposureSettings{EventNames: []string{"$exposure"}, FlagKey: []string{"flag_key"}},
}

// TestNearMissesAreSampled: beyond the number per second, records are not examined; in a large batch, the sample is
// spread evenly.
func TestNearMissesAreSampled(t *testing.T) {
	finder := newNearMissFinder(&nearMissSettings, newRecognizer(&nearMissSettings))
	const many = 100 * looksPerSecond
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range many {
		records.AppendEmpty().SetEventName("feature_flag.evaluated")
	}
	now := time.Now()
	search := func(records int) int {
		return finder.search(ld, records, now).Count[SimilarEventName]
	}
	assert.Equal(t, looksAtOnce, search(many))
	assert.Zero(t, search(many), "this second's share is used up")
	seen := 0
	for range 100 {
		now = now.Add(time.Second / 100)
		seen += search(many)
	}
	assert.InDelta(t, looksPerSecond, seen, 10)
}

// TestExaminingAllocatesNothing: a foreign record costs no memory, even if it is examined.
func TestExaminingAllocatesNothing(t *testing.T) {
	finder := newNearMissFinder(&nearMissSettings, newRecognizer(&nearMissSettings))
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	line := records.AppendEmpty()
	line.Body().SetStr("cart rendered")
	line.Attributes().PutStr("http.request.method", "GET")
	line.Attributes().PutStr("event.domain", "browser")
	other := records.AppendEmpty()
	other.SetEventName("browser.web_vital")
	other.Attributes().PutStr("name", "lcp")
	records.AppendEmpty().Body().SetEmptyMap().PutStr("message", "ready")
	now := time.Now()
	var found NearMisses
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		now = now.Add(time.Second)
		found = finder.search(ld, records.Len(), now)
	}))
	assert.Zero(t, found)
}
