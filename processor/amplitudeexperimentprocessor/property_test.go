// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"errors"
	"flag"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"pgregory.net/rapid"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// rapid draws a few requests for each of the many configurations; -rapid.checks=1000 draws more.
func init() {
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
}

// configurations are those for which the properties must hold.
var configurations = []string{
	"{}",
	"{identity: {min_id_length: 1}}",
	"{identity: {min_id_length: 1}, exposure: {wire: raw}}",
	"{identity: {min_id_length: 1}, exposure: {unassigned: identify}}",
	"{identity: {min_id_length: 1}, exposure: {unassigned: identify, wire: raw}, evaluation: {off_variants: [off]}}",
	"{identity: {min_id_length: 1}, exposure: {unassigned: drop}, other_records: drop}",
	`{identity: {min_id_length: 1}, event_properties: {include: ["*"]}}`,
	`{identity: {min_id_length: 1}, event_properties: {include: ["feature_flag.*", "*a*"]}, assignment: {property_prefix: ""}}`,
	"{identity: {min_id_length: 1, context_id_as: device_id, groups: {company: org.id, team: feature_flag.context.id}}, set_user_properties: false}",
	"{identity: {min_id_length: 1}, insert_id: {format: sdk}, evaluation: {prefer_value: true, skip_reasons: []}}",
	"{identity: {min_id_length: 1}, max_experiment_properties: 2}",
	"{identity: {min_id_length: 1}, dedup: {mode: unique_per_day, window: 1h}}",
	`{identity: {min_id_length: 1}, assignment: {emit: exposures}, event_properties: {include: ["*"]}}`,
	"{identity: {min_id_length: 1}, assignment: {emit: both}, insert_id: {format: sdk}}",
	`{identity: {min_id_length: 1}, exposure: {custom_events: ["*"]}, impression: {enabled: true}}`,
}

var eventNames = []string{
	"$exposure", "[Experiment] Exposure", "feature_flag.evaluation", "feature_flag", "$assignment",
	"[Experiment] Assignment", "$identify", "", "http.request", "exception", "$impression", "feature_flag.track",
}

var attributeNames = []string{
	"flag_key", "[Experiment] Flag Key", "variant", "[Experiment] Variant", "experiment_key", "[Experiment] Experiment Key",
	"metadata", "metadata.default", "metadata.trackExposure", "variants", "environment", "deployment.environment.name",
	"feature_flag.key", "feature_flag.result.variant", "feature_flag.variant", "feature_flag.result.value",
	"feature_flag.result.reason", "feature_flag.evaluation.reason", "feature_flag.result.reason.inExperiment", "error.type",
	"feature_flag.context.id", "feature_flag.experiment.key", "amplitude.user_id", "user.id", "user_id", "amplitude.device_id",
	"device_id", "session.id", "amplitude.session_id", "groups", "org.id", "amplitude.groups.team", "client.address",
	"my-flag.variant", "[Experiment] my-flag.variant", "my-flag.details", "[Experiment] other.variant", ".variant",
	"event.name", "otel.event.name", "amplitude.insert_id", "amplitude.$skip_user_properties_sync", "$set", "a", "exception.message",
	"amplitude.user_properties.$set.[Experiment] my-flag", "amplitude.user_properties.$unset.[Experiment] my-flag", "value", "",
}

var texts = []string{
	"", " ", "on", "off", "treatment", "control", "user-1", "user-2", "device-1", "my-flag", "other", "split", "DEFAULT", "1768478400123",
	"null", "anonymous", " padded ", `{"key":"on"}`, "[1]", "a\x00b", "\xff\xfe", "😀", strings.Repeat("x", 300), strings.Repeat("ж", 1100),
	"$remote", "10.1.2.3", "::1", "feature_flag.evaluation", "$exposure", "$set", "amplitude.user_id",
	`"user-1"`, `\"user-1\"`, "“user-1”", "'user-1", `"`, "user_id=1",
}

// drawValue sets to to a random value of any type.
func drawValue(t *rapid.T, to pcommon.Value, depth int) {
	kinds := 9
	if depth > 2 {
		kinds = 7
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0, 1, 2:
		to.SetStr(rapid.SampledFrom(texts).Draw(t, "text"))
	case 3:
		to.SetInt(rapid.SampledFrom([]int64{0, -1, 1, 42, 1_768_478_400_123, math.MaxInt64}).Draw(t, "int"))
	case 4:
		to.SetDouble(rapid.SampledFrom([]float64{0, 1.5, 42, 1e21, math.NaN(), math.Inf(1)}).Draw(t, "double"))
	case 5:
		to.SetBool(rapid.Bool().Draw(t, "bool"))
	case 6:
		to.SetEmptyBytes().FromRaw([]byte{1, 2, 0xff})
	case 7:
		// left empty
	case 8:
		drawMap(t, to.SetEmptyMap(), []string{"key", "value", "metadata", "default", "flagType", "flagVersion", "segmentName", "experimentKey", "my-flag", "other", "team", ""}, depth+1)
	default:
		list := to.SetEmptySlice()
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			drawValue(t, list.AppendEmpty(), depth+1)
		}
	}
}

func drawMap(t *rapid.T, to pcommon.Map, names []string, depth int) {
	for range rapid.IntRange(0, 6).Draw(t, "size") {
		drawValue(t, to.PutEmpty(rapid.SampledFrom(names).Draw(t, "name")), depth)
	}
}

// drawLogs makes a random batch. Half of its records contain what makes an event, so that events are not rare.
func drawLogs(t *rapid.T) plog.Logs {
	ld := plog.NewLogs()
	for range rapid.IntRange(0, 2).Draw(t, "resources") {
		resource := ld.ResourceLogs().AppendEmpty()
		drawMap(t, resource.Resource().Attributes(), []string{"service.name", "os.name", "os.version", "device.id", "device.manufacturer", "device.model.name", "user.id", "telemetry.sdk.language", "browser.language", "deployment.environment.name"}, 0)
		for range rapid.IntRange(0, 2).Draw(t, "scopes") {
			scope := resource.ScopeLogs().AppendEmpty()
			drawMap(t, scope.Scope().Attributes(), attributeNames, 0)
			for range rapid.IntRange(0, 6).Draw(t, "records") {
				drawRecord(t, scope.LogRecords().AppendEmpty())
			}
		}
	}
	return ld
}

func drawRecord(t *rapid.T, r plog.LogRecord) {
	r.SetEventName(rapid.SampledFrom(eventNames).Draw(t, "event"))
	r.SetTimestamp(pcommon.Timestamp(rapid.SampledFrom([]uint64{0, 1, 1_768_478_400_000_000_000, 1_768_478_401_000_999_999, 1_768_521_600_000_000_000, math.MaxUint64}).Draw(t, "time")))
	drawMap(t, r.Attributes(), attributeNames, 0)
	if rapid.Bool().Draw(t, "complete") {
		a := r.Attributes()
		a.PutStr("user_id", rapid.SampledFrom([]string{"user-1", "user-2"}).Draw(t, "user"))
		variant := rapid.SampledFrom([]string{"on", "off", "treatment"}).Draw(t, "variant")
		for _, name := range []string{"flag_key", "feature_flag.key"} {
			a.PutStr(name, rapid.SampledFrom([]string{"my-flag", "other", "third"}).Draw(t, "flag"))
		}
		a.PutStr("variant", variant)
		a.PutStr("feature_flag.result.variant", variant)
		if rapid.Bool().Draw(t, "has variants") {
			drawMap(t, a.PutEmptyMap("variants"), []string{"my-flag", "other", "third", "[Experiment] x"}, 0)
		}
	}
	switch rapid.IntRange(0, 3).Draw(t, "body") {
	case 0:
		drawMap(t, r.Body().SetEmptyMap(), attributeNames, 0)
	case 1:
		drawValue(t, r.Body(), 0)
	}
}

func copyOf(ld plog.Logs) plog.Logs {
	out := plog.NewLogs()
	ld.CopyTo(out)
	return out
}

func encode(t require.TestingT, ld plog.Logs) string {
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	require.NoError(t, err)
	return string(body)
}

// checkLaw: every input record has exactly one outcome, every output record is from an outcome that is sent, and the
// reasons add up.
func checkLaw(t *testing.T, r *rig, in, out int) {
	t.Helper()
	m := r.metrics(t)
	sum, leaving := 0, 0
	for _, outcome := range outcomeWords {
		n := m.sum("records", "outcome", outcome)
		sum += n
		switch outcome {
		case "passed", "exposure", "unexposure", "assignment", "impression", "already_shaped":
			leaving += n
		}
	}
	assert.Equal(t, in, sum, "records in = the sum of their outcomes")
	assert.Equal(t, out, leaving+m.sum("extra_events", "", "")+m.sum("identifies", "", ""), "records out")
	assert.Equal(t, m.sum("records", "outcome", "skipped"), m.sum("skipped", "", ""))
	assert.Equal(t, m.sum("records", "outcome", "rejected"), m.sum("rejected", "", ""))
	assert.Equal(t, in, sumPoints(m["otelcol_processor_incoming_items"], "", ""))
	assert.Equal(t, out, sumPoints(m["otelcol_processor_outgoing_items"], "", ""))
}

// checkEvent: output with the processor's event names is an event that the exporter and Amplitude accept.
func checkEvent(t *testing.T, r plog.LogRecord) {
	t.Helper()
	assert.Equal(t, pcommon.ValueTypeEmpty, r.Body().Type())
	id, ok := r.Attributes().Get(amplitude.AttrInsertID)
	require.True(t, ok)
	assert.LessOrEqual(t, amplitude.UTF16Length(id.Str()), amplitude.MaxStringLength)
	ids := 0
	properties := 0
	seen := map[string]bool{}
	for name, value := range r.Attributes().All() {
		assert.False(t, seen[name], "%q stands twice", name)
		seen[name] = true
		switch {
		case name == amplitude.AttrUserID || name == amplitude.AttrDeviceID:
			_, problem := amplitude.CheckID(value.Str(), 1)
			assert.Equal(t, amplitude.IDOK, problem)
			ids++
		case !strings.HasPrefix(name, amplitude.AttrPrefix):
			properties++
		}
		if value.Type() == pcommon.ValueTypeDouble {
			assert.False(t, math.IsNaN(value.Double()) || math.IsInf(value.Double(), 0))
		}
	}
	assert.Positive(t, ids)
	assert.LessOrEqual(t, properties, amplitude.MaxPropertyKeys)
}

func TestLawOfRecords(t *testing.T) {
	for _, yaml := range configurations {
		t.Run(yaml, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				r := start(t, configOf(t, yaml), nil)
				in, out := 0, 0
				for range rapid.IntRange(1, 3).Draw(rt, "batches") {
					ld := drawLogs(rt)
					in += ld.LogRecordCount()
					shaped := map[string]bool{}
					for _, record := range recordsOf(ld) {
						if id := insertIDOf(record); id != "" {
							shaped[id] = true
						}
					}
					for _, record := range r.send(t, ld) {
						out++
						if id := insertIDOf(record); id != "" && !shaped[id] {
							checkEvent(t, record)
						}
					}
				}
				checkLaw(t, r, in, out)
				if t.Failed() {
					rt.FailNow()
				}
			})
		})
	}
}

// TestShapingIsIdempotent: a Collector leaves the output of another one with the same configuration unchanged, byte for
// byte, and treats the raw record as a repeat of the shaped one.
func TestShapingIsIdempotent(t *testing.T) {
	for _, yaml := range configurations {
		if strings.Contains(yaml, "max_experiment_properties") {
			continue // each Collector has its own limit
		}
		t.Run(yaml, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				ld := drawLogs(rt)
				edge := start(t, configOf(t, yaml), nil)
				gateway := start(t, accepting(t, yaml), nil)
				raw := copyOf(ld)
				for _, record := range recordsOf(raw) {
					if insertIDOf(record) != "" || record.Timestamp() == 0 || record.Timestamp() == 1 || record.Timestamp() == math.MaxUint64 {
						return // the arrival time would differ, or the record is not raw
					}
				}
				edge.send(t, ld)
				for _, shaped := range edge.sink.AllLogs() {
					before := encode(rt, shaped)
					again := copyOf(shaped)
					gateway.send(t, again)
					require.Len(rt, gateway.sink.AllLogs(), 1)
					assert.Equal(rt, before, encode(rt, gateway.sink.AllLogs()[0]), "the gateway changed an event")
				}
				events := edge.outcome(t, "exposure") + edge.outcome(t, "unexposure") + edge.outcome(t, "assignment") +
					edge.counter(t, "otelcol_processor_amplitude_experiment_extra_events", "", "")
				assert.Equal(rt, events, gateway.outcome(t, "already_shaped"))
			})
		})
	}
}

// TestRawIsRepeatOfShaped: a record that was shaped at the edge has the same subject and result at the gateway as its
// raw form.
func TestRawIsRepeatOfShaped(t *testing.T) {
	for _, yaml := range configurations {
		t.Run(yaml, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				ld := plog.NewLogs()
				r := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
				drawRecord(rt, r)
				setMillis(r, testTime)
				if insertIDOf(r) != "" {
					return
				}
				raw := copyOf(ld)
				edge := start(t, configOf(t, yaml), nil)
				events := len(edge.send(t, ld))
				if edge.outcome(t, "passed") > 0 || events == 0 {
					return
				}
				gateway := start(t, accepting(t, yaml), nil)
				gateway.send(t, edge.sink.AllLogs()[0])
				assert.Empty(rt, gateway.send(t, raw))
				assert.Equal(rt, 1, gateway.outcome(t, "duplicate"))
			})
		})
	}
}

// TestRawIsRepeatOfShapedThatSkipsProperties: so is one that asks to leave the user's properties alone, whose shaped form has
// no operations.
func TestRawIsRepeatOfShapedThatSkipsProperties(t *testing.T) {
	for event, facts := range map[string]attrs{
		"$exposure": {"flag_key": "f", "variant": "a"}, "$assignment": {"variants": attrs{"f": "a", "g": "off"}},
	} {
		t.Run(event, func(t *testing.T) {
			facts["user_id"], facts[amplitude.AttrSkipUserPropertiesSync] = "user-1", true
			raw := batch(t, event, facts)
			edge, gateway := start(t, configOf(t, "{}"), nil), start(t, accepting(t, "{}"), nil)
			require.Len(t, edge.send(t, copyOf(raw)), 1)
			require.Len(t, gateway.send(t, edge.sink.AllLogs()[0]), 1)
			assert.Empty(t, gateway.send(t, raw))
		})
	}
}

// TestRefusedBatchIsNotHidden: if the next component refuses, its error is returned unchanged, nothing is remembered as
// sent, and the same records are sent when they are retried.
func TestRefusedBatchIsNotHidden(t *testing.T) {
	refusal := errors.New("queue is full")
	sink := &consumertest.LogsSink{}
	next := &switchable{err: refusal, sink: sink}
	r := start(t, configOf(t, "{}"), next)
	ld := capture(t, "of-server.basic.logs.001.json")
	r2 := copyOf(ld)
	require.Same(t, refusal, r.ConsumeLogs(t.Context(), ld))
	assert.Equal(t, 18, r.outcome(t, "refused"))
	assert.Zero(t, r.outcome(t, "exposure"))
	next.err = nil
	require.NoError(t, r.ConsumeLogs(t.Context(), r2))
	assert.Equal(t, 6, sink.LogRecordCount())
	assert.Equal(t, 6, r.outcome(t, "exposure"))
	assert.Equal(t, 12, r.outcome(t, "skipped"))
}
