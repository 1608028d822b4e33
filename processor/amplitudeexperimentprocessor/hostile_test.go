// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// hostileShape is a valid OTLP request of n parts, of a shape that took, or could take, time or memory out of
// proportion to its size.
type hostileShape struct {
	name   string
	config string
	n      int
	make   func(n int) plog.Logs
}

// recordsOn makes n records of an event under one resource, each with attributes that depend on its number.
func recordsOn(resource func(pcommon.Map), event string, n int, each func(i int, r plog.LogRecord)) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	if resource != nil {
		resource(rl.Resource().Attributes())
	}
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range n {
		r := records.AppendEmpty()
		r.SetEventName(event)
		setMillis(r, testTime)
		if each != nil {
			each(i, r)
		}
	}
	return ld
}

// fill puts n attributes into a map without checking for duplicates.
func fill(m pcommon.Map, n int, put func(i int) (name string, value func(pcommon.Value))) {
	var b xpdata.MapBuilder
	for name, value := range m.All() {
		value.MoveTo(b.AppendEmpty(name))
	}
	for i := range n {
		name, value := put(i)
		value(b.AppendEmpty(name))
	}
	b.UnsafeIntoMap(m)
}

func text(s string) func(pcommon.Value) { return func(v pcommon.Value) { v.SetStr(s) } }

// filled is a value that is a map of n texts.
func filled(format string, n int) func(pcommon.Value) {
	return func(v pcommon.Value) {
		fill(v.SetEmptyMap(), n, func(i int) (string, func(pcommon.Value)) { return fmt.Sprintf(format, i), text("on") })
	}
}

// one makes a single record with these attributes and n more.
func one(event string, own map[string]string, n int, put func(i int) (string, func(pcommon.Value))) plog.Logs {
	return recordsOn(nil, event, 1, func(_ int, r plog.LogRecord) {
		for name, value := range own {
			r.Attributes().PutStr(name, value)
		}
		fill(r.Attributes(), n, put)
	})
}

var (
	ownExposure = map[string]string{"user_id": "user-12345", "flag_key": "f", "variant": "a"}
	ownUser     = map[string]string{"user_id": "user-12345"}
)

// inherits makes a request of n short records that inherit one attribute of n parts.
func inherits(event, name string, value func(n int) func(pcommon.Value)) func(n int) plog.Logs {
	return func(n int) plog.Logs {
		return recordsOn(func(resource pcommon.Map) {
			value(n)(resource.PutEmpty(name))
			resource.PutStr("flag_key", "f")
		}, event, n, func(i int, r plog.LogRecord) {
			r.Attributes().PutStr("user_id", fmt.Sprintf("user-%05d", i))
			r.Attributes().PutStr("variant", "a")
		})
	}
}

func blanks(n int) func(pcommon.Value) {
	return func(v pcommon.Value) {
		list := v.SetEmptySlice()
		for range n {
			list.AppendEmpty().SetStr(" ")
		}
	}
}

var hostileShapes = []hostileShape{
	// All but two are repeats, and those beyond the limit would cost the most.
	{"one user and flag, alternating variants", "limits: {subject_records: 100000}", 1000, func(n int) plog.Logs {
		return recordsOn(func(m pcommon.Map) { m.PutStr("user_id", "user-12345"); m.PutStr("flag_key", "f") }, "$exposure", n,
			func(i int, r plog.LogRecord) { r.Attributes().PutStr("variant", string(rune('a'+i%2))) })
	}},
	{"one user and flag, later and later", "{}", 1000, func(n int) plog.Logs {
		return recordsOn(func(m pcommon.Map) { m.PutStr("user_id", "user-12345"); m.PutStr("flag_key", "f") }, "$exposure", n,
			func(i int, r plog.LogRecord) {
				setMillis(r, testTime-int64(i))
				r.Attributes().PutStr("variant", strconv.Itoa(i))
			})
	}},
	{"an assignment of flat variants and details", "{}", 2000, func(n int) plog.Logs {
		return one("$assignment", ownUser, 2*n, func(i int) (string, func(pcommon.Value)) {
			return fmt.Sprintf("f%06d.%s", (i/2*7919)%n, []string{"variant", "details"}[i%2]), text("on")
		})
	}},
	{"an assignment of a map, unsorted", "{}", 2000, func(n int) plog.Logs {
		return one("$assignment", ownUser, 1, func(int) (string, func(pcommon.Value)) {
			return "variants", func(v pcommon.Value) {
				fill(v.SetEmptyMap(), n, func(i int) (string, func(pcommon.Value)) { return fmt.Sprintf("f%06d", (i*7919)%n), text("on") })
			}
		})
	}},
	{"the map groups", "{}", 1000, func(n int) plog.Logs {
		return one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) { return "groups", filled("g%06d", n) })
	}},
	{"the map groups, backward", "{}", 1000, func(n int) plog.Logs {
		return one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) {
			return "groups", func(v pcommon.Value) {
				fill(v.SetEmptyMap(), n, func(i int) (string, func(pcommon.Value)) { return fmt.Sprintf("g%06d", n-i), text("x") })
			}
		})
	}},
	{"flat groups", "{}", 1000, func(n int) plog.Logs {
		return one("$exposure", ownExposure, n, func(i int) (string, func(pcommon.Value)) { return fmt.Sprintf("amplitude.groups.g%06d", i), text("x") })
	}},
	{"a group of many values", "{}", 1000, func(n int) plog.Logs {
		return one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) { return "amplitude.groups.g", blanks(n) })
	}},
	{"groups on the resource", "{}", 500, inherits("$exposure", "groups", func(n int) func(pcommon.Value) { return filled("g%06d", n) })},
	{"a configured group on the resource", "identity: {groups: {org: org}}", 500, inherits("$exposure", "org", blanks)},
	{"metadata on the resource", "{}", 500, inherits("$exposure", "metadata", func(n int) func(pcommon.Value) { return filled("m%06d", n) })},
	{"metadata on the resource, of evaluations", "{}", 500, func(n int) plog.Logs {
		return recordsOn(func(m pcommon.Map) { filled("m%06d", n)(m.PutEmpty("metadata")) }, "feature_flag.evaluation", n, func(i int, r plog.LogRecord) {
			r.Attributes().PutStr("user_id", fmt.Sprintf("user-%05d", i))
			r.Attributes().PutStr("feature_flag.key", "f")
			r.Attributes().PutStr("feature_flag.result.variant", "a")
		})
	}},
	{"variants on the resource", "limits: {inherited_mib: 1}", 500, inherits("$assignment", "variants", func(n int) func(pcommon.Value) { return filled("f%06d", n) })},
	{"a long user and device on the resource", "limits: {inherited_mib: 1}", 1000, func(n int) plog.Logs {
		return recordsOn(func(m pcommon.Map) {
			m.PutStr("user_id", strings.Repeat("u", 1000))
			m.PutStr("device_id", strings.Repeat("d", 1000))
		}, "$exposure", n, func(i int, r plog.LogRecord) {
			r.Attributes().PutStr("flag_key", "f")
			r.Attributes().PutStr("variant", strconv.Itoa(i))
		})
	}},
	{"a resource of many attributes", "{}", 500, func(n int) plog.Logs {
		return recordsOn(func(m pcommon.Map) {
			fill(m, n, func(i int) (string, func(pcommon.Value)) { return fmt.Sprintf("device.%06d", i), text("x") })
		}, "$exposure", n, func(i int, r plog.LogRecord) {
			r.Attributes().PutStr("user_id", fmt.Sprintf("user-%05d", i))
			r.Attributes().PutStr("flag_key", "f")
			r.Attributes().PutStr("variant", "a")
		})
	}},
	{"a resource of many attributes, and near misses", "{}", 500, func(n int) plog.Logs {
		return recordsOn(func(m pcommon.Map) {
			fill(m, n, func(i int) (string, func(pcommon.Value)) { return fmt.Sprintf("a%06d", i), text("x") })
		}, "$exposures", n, nil)
	}},
	{"many empty resources", "{}", 1000, func(n int) plog.Logs {
		ld := plog.NewLogs()
		for range n {
			ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
		}
		return ld
	}},
	{"metadata with keys that are not UTF-8", "{}", 1000, func(n int) plog.Logs {
		return one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) { return "metadata", filled("\xff%06d", n) })
	}},
	{"metadata with long keys", "{}", 500, func(n int) plog.Logs {
		return one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) {
			return "metadata", filled("%06d"+strings.Repeat("k", 1100), n)
		})
	}},
	{"metadata as JSON", "{}", 500, func(n int) plog.Logs {
		return one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) { return "metadata", text(objectText(n)) })
	}},
	{"variants as JSON", "{}", 2000, func(n int) plog.Logs {
		return one("$assignment", ownUser, 1, func(int) (string, func(pcommon.Value)) { return "variants", text(objectText(n)) })
	}},
	{"groups as JSON", "{}", 500, func(n int) plog.Logs {
		return one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) { return "groups", text(objectText(n)) })
	}},
	{"one name many times as JSON", "{}", 500, func(n int) plog.Logs {
		return one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) {
			return "metadata", text("{" + strings.Repeat(`"a":{"b":1},`, n) + `"c":1}`)
		})
	}},
	{"JSON that ends early", "{}", 500, func(n int) plog.Logs {
		return one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) {
			return "metadata", text(`{"a":` + strings.Repeat("[1,", n))
		})
	}},
	{"a body of JSON", "parse_json_body: true", 2000, func(n int) plog.Logs {
		return recordsOn(nil, "", 1, func(_ int, r plog.LogRecord) {
			r.Body().SetStr(`{"event.name":"$assignment","user_id":"user-12345","variants":` + objectText(n) + "}")
		})
	}},
	{"metadata as JSON on the resource", "limits: {inherited_mib: 1}", 250, inherits("$exposure", "metadata", func(n int) func(pcommon.Value) { return text(objectText(n)) })},
	{"variants as JSON on the resource", "limits: {inherited_mib: 1}", 250, inherits("$assignment", "variants", func(n int) func(pcommon.Value) { return text(objectText(n)) })},
	{"groups as JSON on the resource", "limits: {inherited_mib: 1}", 250, inherits("$exposure", "groups", func(n int) func(pcommon.Value) { return text(objectText(n)) })},
	{"an assignment as evaluate() returns it", "{}", 2000, func(n int) plog.Logs {
		return one("$assignment", ownUser, 1, func(int) (string, func(pcommon.Value)) {
			return "variants", func(v pcommon.Value) {
				fill(v.SetEmptyMap(), n, func(i int) (string, func(pcommon.Value)) {
					return fmt.Sprintf("f%06d", (i*7919)%n), func(v pcommon.Value) {
						_ = v.SetEmptyMap().FromRaw(map[string]any{"key": "on", "value": "on", "metadata": map[string]any{"flagVersion": 7, "segmentName": "all", "default": i%2 == 0}})
					}
				})
			}
		})
	}},
	{"an assignment whose metadata is JSON", "{}", 1000, func(n int) plog.Logs {
		return one("$assignment", ownUser, 1, func(int) (string, func(pcommon.Value)) {
			return "variants", func(v pcommon.Value) {
				fill(v.SetEmptyMap(), n, func(i int) (string, func(pcommon.Value)) {
					return fmt.Sprintf("f%06d", i), func(v pcommon.Value) {
						_ = v.SetEmptyMap().FromRaw(map[string]any{"key": "on", "metadata": `{"flagVersion":7,"segmentName":"all"}`})
					}
				})
			}
		})
	}},
	// Every form of a printed object reads the first one to its end: a very long name without any of their marks.
	{"a variant that is almost the print of an object", "{}", 4000, func(n int) plog.Logs {
		return one("$exposure", map[string]string{"user_id": "user-12345", "flag_key": "f"}, 1, func(int) (string, func(pcommon.Value)) {
			return "variant", text(strings.Repeat("app.Layout", n) + "@")
		})
	}},
	{"variants that are almost the prints of objects", "{}", 100, func(n int) plog.Logs {
		return recordsOn(nil, "$exposure", n, func(i int, r plog.LogRecord) {
			r.Attributes().PutStr("user_id", fmt.Sprintf("user-%05d", i))
			r.Attributes().PutStr("flag_key", "f")
			r.Attributes().PutStr("variant", strings.Repeat("app.Layout", 100)+"[")
		})
	}},
	{"the print of an object nested in itself", "{}", 4000, func(n int) plog.Logs {
		return one("$exposure", map[string]string{"user_id": "user-12345", "flag_key": "f"}, 1, func(int) (string, func(pcommon.Value)) {
			return "variant", text(strings.Repeat("Layout(", n) + strings.Repeat(")", n))
		})
	}},
	{"the print of an object on the resource", "{}", 500, func(n int) plog.Logs {
		return recordsOn(func(m pcommon.Map) {
			m.PutStr("flag_key", "f")
			m.PutStr("variant", strings.Repeat("app.Layout", 30*n)+"[")
		}, "$exposure", n, func(i int, r plog.LogRecord) { r.Attributes().PutStr("user_id", fmt.Sprintf("user-%05d", i)) })
	}},
	{"the print of an object in each of many attributes", "exposure: {variant: [v0, v1, v2, v3]}", 500, func(n int) plog.Logs {
		return one("$exposure", map[string]string{"user_id": "user-12345", "flag_key": "f"}, 4, func(i int) (string, func(pcommon.Value)) {
			return fmt.Sprintf("v%d", i), text(`"` + strings.Repeat(`\u003cLayout`, n) + `"`)
		})
	}},
	{"metadata nested in itself", "{}", 500, func(n int) plog.Logs {
		return one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) {
			return "metadata", func(v pcommon.Value) {
				for range n {
					m := v.SetEmptyMap()
					m.PutStr("\xff", "x")
					v = m.PutEmpty("d")
				}
			}
		})
	}},
	{"many records with names that are not UTF-8", `event_properties: {include: ["*"]}`, 4, func(n int) plog.Logs {
		return recordsOn(nil, "$exposure", n, func(i int, r plog.LogRecord) {
			r.Attributes().PutStr("user_id", fmt.Sprintf("user-%05d", i))
			r.Attributes().PutStr("flag_key", "f")
			fill(r.Attributes(), 1000, func(i int) (string, func(pcommon.Value)) { return fmt.Sprintf("\xff%06d", i), text("x") })
		})
	}},
	{"one record with many attributes", `event_properties: {include: ["*"]}`, 2000, func(n int) plog.Logs {
		return one("$exposure", ownExposure, n, func(i int) (string, func(pcommon.Value)) { return fmt.Sprintf("a%06d", i), text("x") })
	}},
	{"one attribute many times", `event_properties: {include: ["*"]}`, 1000, func(n int) plog.Logs {
		return one("$exposure", ownExposure, n, func(int) (string, func(pcommon.Value)) { return "user_id", text("user-67890") })
	}},
	{"an assignment of many events, each with a large property", `{event_properties: {include: ["*"]}, limits: {inherited_mib: 1, flags: 1000000}}`, 4000, func(n int) plog.Logs {
		return one("$assignment", ownUser, 2, func(i int) (string, func(pcommon.Value)) {
			if i == 0 {
				return "variants", filled("f%06d", n)
			}
			return "extra", func(v pcommon.Value) {
				list := v.SetEmptySlice()
				for range n {
					list.AppendEmpty().SetInt(1)
				}
			}
		})
	}},
	{"an event that claims to be shaped", "{}", 1000, shapedAssignment},
	{"a shaped event", "accept_shaped: true", 1000, shapedAssignment},
	{"a shaped event of many groups", "accept_shaped: true", 1000, func(n int) plog.Logs {
		return one("[Experiment] Assignment", map[string]string{"amplitude.user_id": "user-12345", "amplitude.insert_id": "x"}, n,
			func(i int) (string, func(pcommon.Value)) { return fmt.Sprintf("amplitude.groups.g%06d", i), text("x") })
	}},
	{"many operators", "{}", 1000, func(n int) plog.Logs {
		return one("$exposure", ownExposure, n, func(i int) (string, func(pcommon.Value)) {
			return fmt.Sprintf("amplitude.user_properties.$set.p%06d", i), text("x")
		})
	}},
	{"many flags", "{}", 500, func(n int) plog.Logs {
		return recordsOn(nil, "$exposure", n, func(i int, r plog.LogRecord) {
			r.Attributes().PutStr("user_id", "user-12345")
			r.Attributes().PutStr("flag_key", fmt.Sprintf("f%07d", i))
			r.Attributes().PutStr("variant", "a")
		})
	}},
	{"a result that becomes exposures", `{assignment: {emit: both}, limits: {flags: 100000}, event_properties: {include: ["*"]}}`, 500, func(n int) plog.Logs {
		return one("$assignment", ownUser, n, func(i int) (string, func(pcommon.Value)) {
			if i == 0 {
				return "variants", func(v pcommon.Value) {
					fill(v.SetEmptyMap(), n, func(i int) (string, func(pcommon.Value)) {
						return fmt.Sprintf("f%06d", i*7919%n), func(v pcommon.Value) {
							v.SetEmptyMap().PutStr("key", "on")
							v.Map().PutEmptyMap("metadata").PutStr("experimentKey", "run-1")
						}
					})
				}
			}
			return fmt.Sprintf("p%06d", i), text("x")
		})
	}},
	{"a result that becomes exposures with an SDK's insert_id", `{assignment: {emit: exposures}, insert_id: {format: sdk}, limits: {flags: 100000}}`, 500, func(n int) plog.Logs {
		return one("$assignment", ownUser, 1, func(int) (string, func(pcommon.Value)) { return "variants", filled("f%06d", n) })
	}},
	{
		"results that become exposures and are inherited", "{assignment: {emit: exposures}, limits: {inherited_mib: 1}}", 100,
		inherits("$assignment", "variants", func(n int) func(pcommon.Value) { return filled("f%06d", n) }),
	},
	{"one large body in many records", "{}", 20, func(n int) plog.Logs {
		return recordsOn(nil, "$exposure", n, func(i int, r plog.LogRecord) {
			r.Attributes().PutStr("user_id", fmt.Sprintf("user-%05d", i))
			r.Attributes().PutStr("flag_key", "f")
			filled("b%06d", 1000)(r.Body())
		})
	}},
}

// resultWithGroups is the result of n flags for a user with groups of 10 kB, which each exposure repeats.
func resultWithGroups(n int) plog.Logs {
	return one("$assignment", ownUser, 2, func(i int) (string, func(pcommon.Value)) {
		if i == 0 {
			return "variants", filled("f%06d", n)
		}
		return "groups", func(v pcommon.Value) {
			list := v.SetEmptyMap().PutEmptySlice("org")
			for i := range 10 {
				list.AppendEmpty().SetStr(strings.Repeat(strconv.Itoa(i), 1000))
			}
		}
	})
}

// objectText is JSON of n members.
func objectText(n int) string {
	var out strings.Builder
	out.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&out, `"m%06d":"on",`, (i*7919)%n)
	}
	out.WriteString(`"last":"on"}`)
	return out.String()
}

func shapedAssignment(n int) plog.Logs {
	return one("[Experiment] Assignment", map[string]string{"amplitude.user_id": "user-12345", "amplitude.insert_id": "x"}, 2*n,
		func(i int) (string, func(pcommon.Value)) {
			flag := (i / 2 * 7919) % n
			if i%2 == 0 {
				return fmt.Sprintf("[Experiment] f%06d.variant", flag), text("on")
			}
			return fmt.Sprintf("amplitude.user_properties.$set.[Experiment] f%06d", flag), text("on")
		})
}

// growth is how much faster than proportionally work may grow, because of the logarithm in sorting. Memory may also
// double, as lists do when they grow.
const (
	growth       = 1.3
	memoryGrowth = 2
)

// TestHostileShapes: work and memory grow with the size of a request, not with its square, whatever its shape is.
func TestHostileShapes(t *testing.T) {
	for _, shape := range hostileShapes {
		t.Run(shape.name, func(t *testing.T) {
			var first, firstMemory float64
			for _, times := range []int{1, 4, 16} {
				r := start(t, configOf(t, shape.config), nil)
				// Allocated once, regardless of the size.
				require.NoError(t, r.ConsumeLogs(t.Context(), batch(t, "$assignment", attrs{"user_id": "user-warm-up", "variants": attrs{"warm": "on"}})))
				ld := shape.make(times * shape.n)
				size := (&plog.ProtoMarshaler{}).LogsSize(ld)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				n := steps.Count(func() { require.NoError(t, r.ConsumeLogs(t.Context(), ld)) })
				runtime.ReadMemStats(&after)
				perByte, memory := float64(n)/float64(size), float64(after.TotalAlloc-before.TotalAlloc)/float64(size)
				t.Logf("%3d kB: %9d steps, %.2f a byte; %.1f bytes allocated a byte", size>>10, n, perByte, memory)
				if times == 1 {
					first, firstMemory = perByte, memory
					continue
				}
				assert.LessOrEqual(t, perByte, growth*first, "steps a byte, at %d times the size", times)
				assert.LessOrEqual(t, memory, memoryGrowth*firstMemory+1, "bytes allocated a byte, at %d times the size", times)
			}
		})
	}
}

// TestLimits: what exceeds a limit is counted with its reason, and neighbors are not affected.
func TestLimits(t *testing.T) {
	const rejected, leftOut = "otelcol_processor_amplitude_experiment_rejected", "otelcol_processor_amplitude_experiment_flags_left_out"
	for _, tc := range []struct {
		name, config string
		hostile      plog.Logs
		metric       string
		reason       string
		count        int
		events       int
	}{
		{"flags", "limits: {flags: 50}", hostileShapes[3].make(80), leftOut, "flag_limit", 30, 1},
		{"flags of a shaped event", "{accept_shaped: true, limits: {flags: 50}}", shapedAssignment(80), rejected, "flag_limit", 1, 0},
		{"records of one subject", "limits: {subject_records: 50}", recordsOn(func(m pcommon.Map) { _ = m.FromRaw(exposure(nil)) }, "$exposure", 80, nil), rejected, "subject_limit", 30, 1},
		{"inherited flags", "limits: {inherited_mib: 1}", inherits("$assignment", "variants", func(n int) func(pcommon.Value) { return filled("f%06d", n) })(100), rejected, "inherited_limit", 50, 50},
		{"what the exposures of one result copy", "{assignment: {emit: exposures}, limits: {inherited_mib: 1}}", resultWithGroups(2000), rejected, "inherited_limit", 1, 0},
		{"groups", "{}", hostileShapes[4].make(8), "otelcol_processor_amplitude_experiment_groups_left_out", "", 3, 1},
		{"keys of a map", "{}", one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) { return "metadata", filled("m%06d", 1030) }), "otelcol_processor_amplitude_experiment_properties_left_out", "", 6, 1},
		{"maps within maps", "event_properties: {include: [deep]}", one("$exposure", ownExposure, 1, func(int) (string, func(pcommon.Value)) {
			return "deep", func(v pcommon.Value) {
				for range 60 {
					v = v.SetEmptyMap().PutEmpty("d")
				}
				v.SetStr("end")
			}
		}), "otelcol_processor_amplitude_experiment_properties_left_out", "", 1, 1},
		{"keys that become equal when repaired", "{}", one("$exposure", ownExposure, 2, func(int) (string, func(pcommon.Value)) {
			return "metadata", func(v pcommon.Value) {
				v.SetEmptyMap().PutStr("\xff", "first")
				v.Map().PutStr("\xfe", "second")
			}
		}), "otelcol_processor_amplitude_experiment_properties_left_out", "", 1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := start(t, configOf(t, tc.config), nil)
			neighbor := tc.hostile.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
			neighbor.SetEventName("$exposure")
			setMillis(neighbor, testTime)
			require.NoError(t, neighbor.Attributes().FromRaw(attrs{"user_id": "user-neighbor", "flag_key": "other", "variant": "on"}))
			out := r.send(t, tc.hostile)
			label := "reason"
			if tc.reason == "" {
				label = ""
			}
			assert.Equal(t, tc.count, r.counter(t, tc.metric, label, tc.reason))
			require.Len(t, out, tc.events+1)
			user, _ := out[tc.events].Attributes().Get("amplitude.user_id")
			assert.Equal(t, "user-neighbor", user.Str())
		})
	}
}

// TestSenderIsGone: if the client does not wait anymore, nothing is read, remembered or handed on.
func TestSenderIsGone(t *testing.T) {
	r := start(t, configOf(t, "{}"), nil)
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the client has gone"))
	ld := hostileShapes[0].make(1000)
	n := steps.Count(func() { require.ErrorContains(t, r.ConsumeLogs(gone, ld), "the client has gone") })
	assert.Zero(t, n)
	assert.Zero(t, r.sink.LogRecordCount())
	assert.Equal(t, 1000, r.counter(t, "otelcol_processor_amplitude_experiment_records", "outcome", "refused"))
	// It sends the same again.
	require.NoError(t, r.ConsumeLogs(t.Context(), hostileShapes[0].make(1000)))
	assert.NotZero(t, r.sink.LogRecordCount())
}
