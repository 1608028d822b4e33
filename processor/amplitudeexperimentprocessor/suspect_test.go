// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	lowerUUID = "c8f9e604-f01a-4bd9-95c6-8e5357df265d"
	upperUUID = "C8F9E604-F01A-4BD9-95C6-8E5357DF265D"
)

// TestSuspectIDs: ids that are probably not those of the evaluation are counted, and used unchanged.
func TestSuspectIDs(t *testing.T) {
	for id, kind := range map[string]string{
		`"user-12345"`: "quoted", `'user-12345'`: "quoted", `\"user-12345\"`: "quoted", "`user-12345`": "quoted", "“user-12345”": "quoted", "‘user-12345’": "quoted", `"` + upperUUID + `"`: "quoted",
		upperUUID: "upper_case_uuid", "c8f9e604-f01a-4bd9-95c6-8e5357df265D": "upper_case_uuid",
		"urn:uuid:" + lowerUUID: "surrounding_text", lowerUUID + ",": "surrounding_text", "user " + upperUUID: "surrounding_text",
		"Optional(user-12345)": "surrounding_text", `{"id":12345}`: "surrounding_text", "<user-12345>": "surrounding_text", "user_id=12345": "surrounding_text", "UserId:12345": "surrounding_text",

		"user-12345": "", lowerUUID: "", "00000000-0000-4000-8000-000000000000": "", upperUUID + "R": "", "auth0|12345": "", "dXNlci0xMjM0NQ==": "",
		"shopper@example.com": "", "o'brien": "", `"user-12345`: "", "a:b:c:d": "", "user-(12345": "", "user)12345)": "", "tenant=12345": "",
	} {
		t.Run(id, func(t *testing.T) {
			r := start(t, configOf(t, "{}"), nil)
			out := r.send(t, batch(t, "$exposure", exposure(attrs{"user_id": id})))
			require.Len(t, out, 1)
			assert.Equal(t, id, fold(out[0])["user_id"])
			for _, one := range []string{"quoted", "upper_case_uuid", "surrounding_text"} {
				want := 0
				if one == kind {
					want = 1
				}
				assert.Equal(t, want, r.counter(t, "otelcol_processor_amplitude_experiment_ids_suspect", "reason", one), one)
			}
		})
	}
}

// TestSuspectIDsAreLogged once a minute, without the id.
func TestSuspectIDsAreLogged(t *testing.T) {
	p, _, logs := logged(t, "{}")
	for range 3 {
		require.NoError(t, p.ConsumeLogs(t.Context(), batch(t, "$exposure", exposure(attrs{"user_id": `"user-12345"`, "device_id": upperUUID}))))
	}
	require.Equal(t, 2, logs.Len())
	for i, reason := range []string{"quoted", "upper_case_uuid"} {
		line := logs.All()[i].ContextMap()
		assert.Equal(t, reason, line["reason"])
		assert.NotContains(t, line["hint"], "12345")
	}
}

func TestNormalizeUnquote(t *testing.T) {
	for id, want := range map[string]string{
		`"user-12345"`:   "user-12345",
		` 'user-12345' `: "user-12345", //nolint:gocritic // the spaces are tested
		`\"user-12345\"`: "user-12345", "“user-12345”": "user-12345", "user-12345": "user-12345", `"user-12345`: `"user-12345`,
	} {
		r := start(t, configOf(t, "identity: {normalize: [unquote]}"), nil)
		out := r.send(t, batch(t, "$exposure", exposure(attrs{"user_id": id, "device_id": `"` + lowerUUID + `"`})))
		require.Len(t, out, 1)
		assert.Equal(t, want, fold(out[0])["user_id"])
		assert.Equal(t, lowerUUID, fold(out[0])["device_id"])
		assert.Zero(t, r.counter(t, "otelcol_processor_amplitude_experiment_ids_suspect", "", ""))
	}
	r := start(t, configOf(t, "identity: {normalize: [unquote]}"), nil)
	assert.Empty(t, r.send(t, batch(t, "$exposure", exposure(attrs{"user_id": `"null"`}))))
	assert.Equal(t, 1, r.counter(t, "otelcol_processor_amplitude_experiment_rejected", "reason", "placeholder_id"), "a placeholder in quotes is one")
}
