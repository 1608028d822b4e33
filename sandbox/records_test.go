// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// counted stands in for a Collector that reports its records.
type counted struct{ skipped atomic.Uint64 }

func (c *counted) Counts() map[string]uint64 {
	if n := c.skipped.Load(); n > 0 {
		return map[string]uint64{"skipped": n}
	}
	return map[string]uint64{}
}

func (*counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.(http.Flusher).Flush()
	<-r.Context().Done() // stopping the sandbox ends it
}

// TestRecords: counts start with the sandbox and after each reset; without a Collector there are none.
func TestRecords(t *testing.T) {
	s := newTester(t)
	status, body, _ := s.do(http.MethodGet, "/_sandbox/records", "")
	assert.Equal(t, http.StatusNotFound, status)
	assert.Contains(t, body, "no Collector runs in this process")
	var stats sandbox.Overview
	s.get("/_sandbox/stats", &stats)
	assert.Nil(t, stats.Records)

	records := &counted{}
	records.skipped.Store(3)
	s.Mount(records)
	assert.Empty(t, s.Stats().Records)
	assert.NotNil(t, s.Stats().Records)
	records.skipped.Add(2)
	assert.Equal(t, map[string]uint64{"skipped": 2}, s.Stats().Records)
	s.do(http.MethodPost, "/_sandbox/reset", "")
	assert.Empty(t, s.Stats().Records)
	records.skipped.Store(1) // a reconfigured Collector
	assert.Empty(t, s.Stats().Records)
	response, err := http.Get(s.URL() + "/_sandbox/records")
	if assert.NoError(t, err) {
		assert.Equal(t, http.StatusOK, response.StatusCode)
		t.Cleanup(func() { _ = response.Body.Close() }) // after the stop, which does not wait for it
	}
}
