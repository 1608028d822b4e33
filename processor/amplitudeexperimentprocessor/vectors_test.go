// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// The vectors hold the output of Amplitude's own SDKs for the same evaluation results. If the SDKs agree, the case has
// an expected answer, reduced to what they agree on; otherwise, it has all of theirs.
type vectorFile struct {
	Cases []vectorCase `json:"cases"`
}

type vectorCase struct {
	ID          string `json:"id"`
	Description string `json:"description"`
	Input       struct {
		TimestampMS int64          `json:"timestamp_ms"`
		User        map[string]any `json:"user"`
		Variants    orderedMap     `json:"variants"`
	} `json:"input"`
	Expected   any         `json:"expected"`
	SDKAnswers []sdkAnswer `json:"sdk_answers"`
}

type sdkAnswer struct {
	SDKs  []string `json:"sdks"`
	Value any      `json:"value"`
}

// orderedMap keeps the order of an object's keys, which is the order of the exposures.
type orderedMap struct {
	keys   []string
	values map[string]map[string]any
}

func (m *orderedMap) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	if _, err := decoder.Token(); err != nil {
		return err
	}
	m.values = map[string]map[string]any{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return err
		}
		var value map[string]any
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		m.keys = append(m.keys, key.(string))
		m.values[key.(string)] = value
	}
	return nil
}

func readVectors(t testing.TB, kind string) []vectorCase {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "vectors", kind+".json"))
	require.NoError(t, err)
	var file vectorFile
	require.NoError(t, json.Unmarshal(body, &file))
	require.NotEmpty(t, file.Cases)
	return file.Cases
}

// otlpValue converts decoded JSON as an OTLP exporter would, with whole numbers as integers.
func otlpValue(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[key] = otlpValue(value)
		}
		return m
	case []any:
		list := make([]any, 0, len(v))
		for _, value := range v {
			list = append(list, otlpValue(value))
		}
		return list
	default:
		return v
	}
}

func identityAttributes(user map[string]any) map[string]any {
	attributes := map[string]any{}
	for _, name := range []string{"user_id", "device_id", "groups"} {
		if value, ok := user[name]; ok {
			attributes[name] = otlpValue(value)
		}
	}
	return attributes
}

// exposureBatch makes one $exposure record per flag.
func exposureBatch(t testing.TB, user map[string]any, variants orderedMap, ms int64) plog.Logs {
	t.Helper()
	ld := plog.NewLogs()
	for _, flag := range variants.keys {
		variant := variants.values[flag]
		attributes := identityAttributes(user)
		attributes["flag_key"] = flag
		for _, name := range []string{"key", "value"} {
			if value := otlpValue(variant[name]); value != nil {
				attributes["variant"] = value
				break
			}
		}
		if content, ok := variant["metadata"]; ok {
			attributes["metadata"] = otlpValue(content)
		}
		setMillis(record(t, ld, "$exposure", attributes), ms)
	}
	return ld
}

// assignmentBatch makes one $assignment record of all flags, as an SDK's evaluate() returns them.
func assignmentBatch(t testing.TB, user map[string]any, variants orderedMap, ms int64) plog.Logs {
	t.Helper()
	attributes := identityAttributes(user)
	ld := plog.NewLogs()
	r := record(t, ld, "$assignment", attributes)
	setMillis(r, ms)
	flags := r.Attributes().PutEmptyMap("variants")
	for _, flag := range variants.keys {
		require.NoError(t, flags.PutEmpty(flag).FromRaw(otlpValue(variants.values[flag])))
	}
	return ld
}

// evaluatedExposure is the kind of exposures made from the whole result of an evaluation.
const evaluatedExposure = "exposure from `evaluate()`"

// vectorConfigs are the configurations of the kinds: the defaults, but with short ids allowed.
var vectorConfigs = map[string]string{
	"exposure": "vectors.yaml", "assignment": "vectors.yaml", evaluatedExposure: "vectors-exposures.yaml",
}

func vectorBatch(t testing.TB, kind string, user map[string]any, variants orderedMap, ms int64) plog.Logs {
	t.Helper()
	if kind == "exposure" {
		return exposureBatch(t, user, variants, ms)
	}
	return assignmentBatch(t, user, variants, ms)
}

// common reduces an event to what the vectors compare, and also returns the other properties.
func common(event map[string]any) (reduced, others map[string]any) {
	reduced, others = map[string]any{}, map[string]any{}
	for name, value := range event {
		switch name {
		case "groups":
		case "event_properties":
			properties := map[string]any{}
			for property, v := range value.(map[string]any) {
				if property == "metadata" || property == amplitude.PropertyExperimentKey || strings.HasSuffix(property, amplitude.SuffixDetails) {
					others[property] = v
				} else {
					properties[property] = v
				}
			}
			reduced[name] = properties
		default:
			reduced[name] = value
		}
	}
	return reduced, others
}

// ours returns our answer to a case: the reduced events, and the other properties of all of them.
func (tc *vectorCase) ours(t testing.TB, kind string) (events []any, others map[string]any) {
	t.Helper()
	r := start(t, configFile(t, filepath.Join("testdata", vectorConfigs[kind])), nil)
	others = map[string]any{}
	for _, out := range r.send(t, vectorBatch(t, kind, tc.Input.User, tc.Input.Variants, tc.Input.TimestampMS)) {
		assert.Equal(t, tc.Input.TimestampMS*1_000_000, int64(out.Timestamp()))
		assert.NotEmpty(t, insertIDOf(out))
		reduced, other := common(fold(out))
		events = append(events, reduced)
		for name, value := range other {
			if kind != "assignment" {
				name = fmt.Sprint(reduced["event_properties"].(map[string]any)[amplitude.PropertyFlagKey], " ", name)
			}
			others[name] = value
		}
	}
	return events, others
}

// expectedOthers are the properties that this product adds to what the SDKs agree on.
func (tc *vectorCase) expectedOthers(kind string) map[string]any {
	others := map[string]any{}
	for flag, variant := range tc.Input.Variants.values {
		content, _ := otlpValue(variant["metadata"]).(map[string]any)
		if kind != "assignment" {
			if isDefault, _ := content["default"].(bool); isDefault && kind == evaluatedExposure {
				continue // no event
			}
			if len(content) > 0 {
				others[flag+" metadata"] = content
			}
			if key, _ := content["experimentKey"].(string); key != "" {
				others[flag+" "+amplitude.PropertyExperimentKey] = key
			}
			continue
		}
		version, segment := content["flagVersion"], content["segmentName"]
		if version != nil && segment != nil && segment != "" {
			others[amplitude.ExperimentPrefix+flag+amplitude.SuffixDetails] = fmt.Sprintf("v%v rule:%v", version, segment)
		}
	}
	return others
}

// exposedOnly returns the events of a case whose user is in a variant: from a whole result, the SDKs track no others.
func exposedOnly(t testing.TB, expected any) (events []any) {
	t.Helper()
	for _, event := range expected.([]any) {
		if _, ok := event.(map[string]any)["event_properties"].(map[string]any)[amplitude.PropertyVariant]; ok {
			events = append(events, event)
		}
	}
	return events
}

// TestVectorsOfEvaluate: a map with what evaluate() returned becomes the exposures that the SDKs track, in their order.
// With emit: both, the assignment comes first, and is the same as without exposures.
func TestVectorsOfEvaluate(t *testing.T) {
	for _, tc := range readVectors(t, "exposure") {
		if tc.Expected == nil {
			continue // the SDKs disagree: see TestSDKCompatibilityPage
		}
		t.Run(tc.ID, func(t *testing.T) {
			events, others := tc.ours(t, evaluatedExposure)
			assert.Equal(t, exposedOnly(t, tc.Expected), events, tc.Description)
			assert.Equal(t, tc.expectedOthers(evaluatedExposure), others, tc.Description)

			assignment := func(emit string) (out []plog.LogRecord) {
				r := start(t, configOf(t, "{identity: {min_id_length: 1}, assignment: {emit: "+emit+"}}"), nil)
				return r.send(t, assignmentBatch(t, tc.Input.User, tc.Input.Variants, tc.Input.TimestampMS))
			}
			alone, both := assignment("assignment"), assignment("both")
			require.Len(t, alone, 1)
			require.Len(t, both, 1+len(events))
			assert.Equal(t, fold(alone[0]), fold(both[0]))
			assert.Equal(t, insertIDOf(alone[0]), insertIDOf(both[0]))
			for i, event := range events {
				reduced, _ := common(fold(both[1+i]))
				assert.Equal(t, event, reduced)
			}
		})
	}
}

func TestVectors(t *testing.T) {
	for _, kind := range []string{"exposure", "assignment"} {
		t.Run(kind, func(t *testing.T) {
			for _, tc := range readVectors(t, kind) {
				if tc.Expected == nil {
					continue // the SDKs disagree: see TestSDKCompatibilityPage
				}
				t.Run(tc.ID, func(t *testing.T) {
					expected, isList := tc.Expected.([]any)
					if !isList {
						expected = []any{tc.Expected}
					}
					events, others := tc.ours(t, kind)
					assert.Equal(t, expected, events, tc.Description)
					assert.Equal(t, tc.expectedOthers(kind), others, tc.Description)
				})
			}
		})
	}
}
