// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestCaptures sends what real emitters sent. The numbers of exposures, and of those left if each state counts once a
// day, are from the description of the captures; "latest" is how many are left by default, where a user's return to an
// earlier variant is reported again.
func TestCaptures(t *testing.T) {
	for _, tc := range []struct {
		files              []string
		records, exposures int
		once, latest       int
	}{
		{[]string{"go.telemetry-hook.logs.001.pb"}, 33, 9, 7, 7},
		{[]string{"loggers.pino.logs.001.json"}, 12, 2, 1, 1},
		{[]string{"of-server.attribute-mapper.logs.001.json"}, 3, 3, 3, 3},
		{[]string{"of-server.basic.logs.001.json"}, 18, 6, 6, 6},
		{[]string{"of-server.basic-proto-gzip.logs.001.pb"}, 18, 6, 6, 6},
		{[]string{"of-server.errors.logs.001.json"}, 21, 0, 0, 0},
		{[]string{"of-server.many-users.logs.001.json", "of-server.many-users.logs.002.json"}, 1024, 1024, 1000, 1000},
		{[]string{"of-server.metadata.logs.001.json"}, 8, 6, 6, 6},
		{[]string{"of-server.mixed-logs.logs.001.json"}, 5, 1, 1, 1},
		{[]string{"of-server.nan-proto.logs.001.pb"}, 3, 2, 2, 2},
		{[]string{"of-web.chromium.logs.001.json"}, 5, 2, 2, 2},
		{[]string{"provider.flagd.logs.001.json"}, 29, 5, 5, 5},
		// The rows below hold A, B, A sequences of one user and flag: red, #ff0000, red, ... and ml, blue, ml. The return is
		// not a third event: a $identify sets the property.
		{[]string{"synthetic.bad-values.json"}, 40, 21, 11, 11},
		{[]string{"synthetic.semconv-history.json"}, 16, 10, 5, 5},
	} {
		t.Run(tc.files[0], func(t *testing.T) {
			for _, mode := range []struct {
				name, yaml string
				want       int
			}{
				{"all", "{identity: {min_id_length: 1}, dedup: {enabled: false}}", tc.exposures},
				{"once", "{identity: {min_id_length: 1}, dedup: {mode: unique_per_day}}", tc.once},
				{"latest", "{identity: {min_id_length: 1}}", tc.latest},
			} {
				r := start(t, configOf(t, mode.yaml), nil)
				records := 0
				for _, file := range tc.files {
					ld := capture(t, file)
					records += ld.LogRecordCount()
					r.send(t, ld)
				}
				assert.Equal(t, tc.records, records)
				assert.Equal(t, mode.want, r.outcome(t, "exposure"), mode.name)
				assert.Zero(t, r.outcome(t, "unexposure"), mode.name)
				if mode.name == "all" && tc.files[0] == "of-server.mixed-logs.logs.001.json" {
					assert.Equal(t, 4, r.outcome(t, "passed"))
				}
			}
		})
	}
}
