// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudesandboxextension

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// The sandbox has its own tables of what Amplitude documents, so that mistakes in the components' tables are noticed.
// These tests compare the two and list every intended difference.

// kinds maps the sandbox's names for the kinds of fields to those of the components.
var kinds = map[amplitude.Kind]string{
	amplitude.KindString: "text", amplitude.KindID: "id", amplitude.KindInteger: "whole",
	amplitude.KindNumber: "number", amplitude.KindBool: "flag", amplitude.KindObject: "object",
}

func TestSameFields(t *testing.T) {
	theirs := sandbox.Documented().Fields
	ours := map[string]string{}
	for field, kind := range amplitude.Fields {
		ours[field] = kinds[kind]
	}
	differences := map[string]string{}
	for field, kind := range theirs {
		if ours[field] != kind {
			differences[field] = fmt.Sprintf("%s there, %q here", kind, ours[field])
		}
	}
	for field, kind := range ours {
		if theirs[field] == "" {
			differences[field] = fmt.Sprintf("not there, %s here", kind)
		}
	}
	assert.Equal(t, map[string]string{
		// A record has these as its name, its time and families of attributes.
		"event_type":       `text there, "" here`,
		"time":             `whole there, "" here`,
		"event_properties": `object there, "" here`,
		"user_properties":  `object there, "" here`,
		"groups":           `object there, "" here`,
		"group_properties": `object there, "" here`,
		// Mobile SDKs send them with purchases; no attribute sets them.
		"receipt":    `text there, "" here`,
		"receiptSig": `text there, "" here`,
	}, differences)
}

func TestSameNames(t *testing.T) {
	theirs := sandbox.Documented()
	assert.Equal(t, amplitude.Operators, theirs.Operators, "in the order in which the server applies them")
	var reserved []string
	for name := range amplitude.ReservedEventTypes {
		reserved = append(reserved, name)
	}
	assert.ElementsMatch(t, reserved, theirs.ReservedEventTypes)
	assert.Equal(t, map[string]string{
		"raw exposure": amplitude.EventRawExposure, "exposure": amplitude.EventExposure,
		"raw impression": amplitude.EventRawImpression, "impression": amplitude.EventImpression, "assignment": amplitude.EventAssignment,
		"identify": amplitude.EventIdentify, "group identify": amplitude.EventGroupIdentify,
		"experiment prefix": amplitude.ExperimentPrefix, "raw flag key": amplitude.RawFlagKey, "raw variant": amplitude.RawVariant,
		"raw experiment key": amplitude.RawExperimentKey, "raw metadata": amplitude.RawMetadata,
		"flag key": amplitude.PropertyFlagKey, "variant": amplitude.PropertyVariant, "experiment key": amplitude.PropertyExperimentKey,
		"environment name": amplitude.PropertyEnvironmentName, "variant suffix": amplitude.SuffixVariant, "unset value": amplitude.UnsetValue,
		"HTTP V2 path": amplitude.PathHTTPV2, "batch path": amplitude.PathBatch,
		"identify path": amplitude.PathIdentify, "group identify path": amplitude.PathGroupIdentify,
	}, theirs.Names)
}

func TestSameLimits(t *testing.T) {
	ours := map[string]int{
		"text": amplitude.MaxStringLength, "nesting": amplitude.MaxDepth,
		"group types": amplitude.MaxGroupTypes, "group values": amplitude.MaxGroupValues,
		"experiment properties": amplitude.MaxExperimentProperties, "id length": amplitude.DefaultMinIDLength,
		"insert id window": int(amplitude.DedupeWindow / time.Second), "events of a request": amplitude.MaxRequestEvents,
		"bytes of HTTP V2": amplitude.MaxRequestBytesV2, "bytes of batch": amplitude.MaxRequestBytesBatch,
	}
	differences := map[string]int{}
	for name, limit := range sandbox.Documented().Limits {
		if ours[name] != limit {
			differences[name] = limit - ours[name]
		}
	}
	// "1 MB" and "20 MB" can be read as powers of two or of ten: a client uses the smaller one, a server the larger one.
	assert.Equal(t, map[string]int{"bytes of HTTP V2": 48_576, "bytes of batch": 971_520}, differences)
}

// TestSameIDs sends ids to a sandbox, and compares its answers with the decisions of the components.
func TestSameIDs(t *testing.T) {
	long := strings.Repeat("x", amplitude.MaxStringLength)
	ids := slices.Concat(amplitude.Placeholders(), sandbox.Documented().RefusedIDs, []string{
		"user-1", " user-1\t", "Anonymous", " NULL ", "N/A", "LMY47D", "[]", "0.0", "00000000-0000-0000-0000-000000000001",
		"four", "fives", "  four  ", "ünïcö", "日本語", "日本語です", "😀😀", "😀😀a", "e\u0301e\u0301", "\u00a0\u2003", "\ufeffuser",
		long, long + "x", strings.Repeat("😀", amplitude.MaxStringLength/2), strings.Repeat("😀", amplitude.MaxStringLength/2) + "x",
	})
	s := sandbox.New(t, sandbox.WithBehavior(func(b *sandbox.Behavior) { b.InvalidIDIndexed, b.EmptyID = true, sandbox.EmptyIDInvalid }))
	for _, id := range ids {
		want := map[amplitude.IDProblem]string{
			amplitude.IDOK: "", amplitude.IDTooLong: "", // truncated, and accepted
			amplitude.IDEmpty: "events_with_invalid_fields", amplitude.IDPlaceholder: "events_with_invalid_fields",
			amplitude.IDTooShort: "events_with_invalid_id_lengths",
		}
		_, problem := amplitude.CheckID(id, amplitude.DefaultMinIDLength)
		body, err := json.Marshal(map[string]any{"api_key": "sandbox", "events": []any{map[string]any{"event_type": "e", "user_id": id}}})
		require.NoError(t, err)
		response, err := http.Post(s.URL()+amplitude.PathHTTPV2, "application/json", strings.NewReader(string(body)))
		require.NoError(t, err)
		var answer map[string]any
		require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
		require.NoError(t, response.Body.Close())
		if want[problem] == "" {
			assert.Equal(t, http.StatusOK, response.StatusCode, "%q", id)
		} else {
			assert.Contains(t, answer, want[problem], "%q", id)
		}
	}
}
