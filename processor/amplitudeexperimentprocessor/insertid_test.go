// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// TestInsertID pins insert_ids: they must be the same in every version and on every replica, or events that are resent
// after an upgrade count twice.
func TestInsertID(t *testing.T) {
	for _, tc := range []struct {
		name, config, event string
		record              attrs
		want                string
	}{
		{"exposure", "{}", "$exposure", exposure(nil), "user-12345  d199500215f496c01a4c44a0ceb721f4 20468"},
		{"the same result as an evaluation", "{}", evaluationEvent, evaluated(nil), "user-12345  d199500215f496c01a4c44a0ceb721f4 20468"},
		{"un-exposure", "{}", "$exposure", exposure(attrs{"variant": "off"}), "user-12345  cb9bc53d6d22025beb26767f54fed60f 20468"},
		{"device", "{}", "$exposure", exposure(attrs{"user_id": nil, "device_id": "device-1"}), " device-1 8a670502aaf6241aebeadedb77927cb5 20468"},
		{"groups in another order", "{}", "$exposure", exposure(attrs{"groups": attrs{"b": []any{"2", "1"}, "a": "3"}}), "user-12345  a0c550e9596528425c259529cbc37f5a 20468"},
		{"experiment key", "{}", "$exposure", exposure(attrs{"experiment_key": "run-2"}), "user-12345  c2a53f9b3017af4cae5e1a0cdfbe3843 20468"},
		{"assignment", "{}", "$assignment", attrs{"user_id": "user-12345", "variants": attrs{"b": "off", "a": "on"}}, "user-12345  03de4fe4b511e6166c4e52aaf8cbee38 20468"},
		{"zone", "dedup: {time_zone: Pacific/Kiritimati}", "$exposure", exposure(nil), "user-12345  d199500215f496c01a4c44a0ceb721f4 20469"},
		{"window", "dedup: {window: 1h}", "$exposure", exposure(nil), "user-12345  d199500215f496c01a4c44a0ceb721f4 491244"},
		{"without de-duplication", "dedup: {enabled: false}", "$exposure", exposure(nil), "user-12345  d199500215f496c01a4c44a0ceb721f4 20468"},
		{"as the Node SDK", "insert_id: {format: sdk}", "$exposure", exposure(nil), "user-12345 undefined 63546922 20468"},
		{"as the Node SDK, assignment", "insert_id: {format: sdk}", "$assignment", attrs{"user_id": "user-12345", "device_id": "device-1", "variants": attrs{"b": "off", "a": " on "}}, "user-12345 device-1 -824306086 20468"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := start(t, configOf(t, tc.config), nil).send(t, batch(t, tc.event, tc.record))
			require.Len(t, out, 1)
			assert.Equal(t, tc.want, insertIDOf(out[0]))
		})
	}
}

// TestReturnIsNotAThirdEvent: a user who changes variants within a day and comes back has two events, and a $identify
// that sets the property.
func TestReturnIsNotAThirdEvent(t *testing.T) {
	r := start(t, configOf(t, "{}"), nil)
	var ids []string
	for i, variant := range []string{"a", "a", "b", "a"} {
		ld := batch(t, "$exposure", exposure(attrs{"variant": variant}))
		setMillis(recordsOf(ld)[0], testTime+int64(i))
		for _, out := range r.send(t, ld) {
			ids = append(ids, insertIDOf(out))
		}
	}
	require.Len(t, ids, 4)
	assert.Regexp(t, `^user-12345  [0-9a-f]{32} 20468$`, ids[0])
	assert.Regexp(t, `^user-12345  [0-9a-f]{32} 20468$`, ids[1])
	assert.NotEqual(t, ids[0], ids[1])
	assert.Regexp(t, `^user-12345  identify [0-9a-z]+ 1$`, ids[2])
	assert.Regexp(t, `^user-12345  identify [0-9a-z]+ 2$`, ids[3])
	assert.Equal(t, 2, r.counter(t, "otelcol_processor_amplitude_experiment_variant_changes", "flag", "my-flag"))
}

// TestLateRecordsKeepTheProperty: an older record with another result is sent for the history, and asks Amplitude to
// leave the user alone.
func TestLateRecordsKeepTheProperty(t *testing.T) {
	r := start(t, configOf(t, "{}"), nil)
	require.Len(t, r.send(t, batch(t, "$exposure", exposure(attrs{"variant": "b"}))), 1)
	late := batch(t, "$exposure", exposure(attrs{"variant": "a"}))
	setMillis(recordsOf(late)[0], testTime-3_600_000)
	out := r.send(t, late)
	require.Len(t, out, 1)
	want := exposed("my-flag", "a", attrs{"$skip_user_properties_sync": true})
	delete(want, "user_properties")
	assert.Equal(t, want, fold(out[0]))
	assert.Regexp(t, `20468$`, insertIDOf(out[0]))
	assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_late", "", ""))
}

// TestLongIDsAreHashed: ids of the maximum length do not fit into an insert_id, so one hash replaces both.
func TestLongIDsAreHashed(t *testing.T) {
	ids := map[string]bool{}
	for i := range 2 {
		out := start(t, configOf(t, "{}"), nil).send(t, batch(t, "$exposure", exposure(attrs{
			"user_id": strings.Repeat("語", 1023) + strconv.Itoa(i), "device_id": strings.Repeat("d", 1024),
		})))
		require.Len(t, out, 1)
		id := insertIDOf(out[0])
		assert.Regexp(t, `^[0-9a-f]{32} [0-9a-f]{32} 20468$`, id)
		assert.LessOrEqual(t, amplitude.UTF16Length(id), amplitude.MaxStringLength)
		ids[id] = true
	}
	assert.Len(t, ids, 2)
}
