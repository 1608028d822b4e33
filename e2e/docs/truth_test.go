// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"
)

const (
	setExperiment   = "amplitude.user_properties.$set.[Experiment] "
	unsetExperiment = "amplitude.user_properties.$unset.[Experiment] "
	none            = "–"
)

// rig is a processor under test, with a sink that keeps its output and can refuse it.
type rig struct {
	processor.Logs
	sink      consumertest.LogsSink
	refuses   bool
	telemetry *componenttest.Telemetry
}

// next is the next component.
func (r *rig) next(ctx context.Context, logs plog.Logs) error {
	if r.refuses {
		return errors.New("refused by the test")
	}
	return r.sink.ConsumeLogs(ctx, logs)
}

func newRig(t *testing.T, conf *confmap.Conf) *rig {
	t.Helper()
	// The records arrive soon after they happened, because records older than seven days set no property.
	arrival := recordTime.Add(48 * time.Hour)
	factory := amplitudeexperimentprocessor.NewFactoryWithOptions(amplitudeexperimentprocessor.WithClock(func() time.Time { return arrival }))
	cfg := factory.CreateDefaultConfig()
	require.NoError(t, conf.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	r := &rig{telemetry: componenttest.NewTelemetry()}
	set := processortest.NewNopSettings(factory.Type())
	set.ID = component.NewID(factory.Type())
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	next, err := consumer.NewLogs(r.next)
	require.NoError(t, err)
	r.Logs, err = factory.CreateLogs(t.Context(), set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { // t.Context is done by now
		require.NoError(t, r.Shutdown(context.Background()))
		require.NoError(t, r.telemetry.Shutdown(context.Background()))
	})
	return r
}

// out returns the output since the last call.
func (r *rig) out() []plog.LogRecord {
	var records []plog.LogRecord
	for _, logs := range r.sink.AllLogs() {
		for _, resource := range logs.ResourceLogs().All() {
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					records = append(records, record)
				}
			}
		}
	}
	r.sink.Reset()
	return records
}

// counted returns the outcome of the only record, and its reason if it has one.
func (r *rig) counted(t *testing.T) []string {
	t.Helper()
	var labels []string
	for _, name := range []string{"records", "skipped", "rejected"} {
		metric, err := r.telemetry.GetMetric("otelcol_processor_amplitude_experiment_" + name)
		if err != nil {
			continue // nothing was counted
		}
		for _, point := range metric.Data.(metricdata.Sum[int64]).DataPoints {
			for _, of := range []string{"outcome", "reason"} {
				if label, ok := point.Attributes.Value(attribute.Key(of)); ok && point.Value > 0 {
					labels = append(labels, label.AsString())
				}
			}
		}
	}
	return labels
}

// eachRow runs a test for each row of the tables with a marker.
func eachRow(t *testing.T, marker string, test func(t *testing.T, base flat, row []string)) {
	t.Helper()
	rows := 0
	for _, p := range pages(t) {
		for _, one := range p.tables {
			if one.marker != marker {
				continue
			}
			require.Greater(t, len(one.rows), 2, one.at)
			for _, row := range one.rows[2:] {
				rows++
				t.Run(p.path+": "+row[0], func(t *testing.T) { test(t, readFlat(t, one.base), row) })
			}
		}
	}
	require.Positive(t, rows, "no table is marked %q", marker)
}

// TestTruth sends what the first cell of each row describes, and compares: event, user property, sent, counted as.
func TestTruth(t *testing.T) {
	keys := configKeys(t)
	eachRow(t, "truth", func(t *testing.T, record flat, row []string) {
		require.Len(t, row, 5)
		conf := confmap.New()
		for _, change := range spans(row[0]) {
			name, text, hasValue := strings.Cut(change, ": ")
			switch {
			case slices.Contains(keys, name):
				require.NoError(t, conf.Merge(confmap.NewFromStringMap(map[string]any{name: value(t, text)})))
			case hasValue:
				record.set(t, name, value(t, text))
			case name == "EventName":
				record.eventName = ""
			default:
				_, known := record.attributes[name]
				require.True(t, known, "%q is neither a change nor an attribute of the record above the table", change)
				delete(record.attributes, name)
			}
		}
		r := newRig(t, conf)
		require.NoError(t, r.ConsumeLogs(t.Context(), record.logs(t)))

		events, properties, sent := []string{}, []string{}, "no"
		for _, one := range r.out() {
			if _, isEvent := one.Attributes().Get(amplitude.AttrInsertID); !isEvent {
				assert.Equal(t, record.attributes, one.Attributes().AsRaw())
				assert.Equal(t, record.eventName, one.EventName())
				sent = "as it is"
				continue
			}
			sent = "yes"
			events = append(events, one.EventName())
			properties = append(properties, propertyChanges(one)...)
		}
		assert.Equal(t, cellTexts(row[1]), events, "event")
		assert.Equal(t, cellTexts(row[2]), properties, "user property")
		assert.Equal(t, row[3], sent, "sent")
		assert.Equal(t, spans(row[4]), r.counted(t), "counted as")
	})
}

// configKeys are the top-level keys of the processor's configuration.
func configKeys(t *testing.T) []string {
	t.Helper()
	conf := confmap.New()
	require.NoError(t, conf.Marshal(amplitudeexperimentprocessor.NewFactory().CreateDefaultConfig()))
	return slices.Collect(maps.Keys(conf.ToStringMap()))
}

// cellTexts returns the code spans of a cell, or nothing if it is a dash.
func cellTexts(cell string) []string {
	if cell == none {
		return []string{}
	}
	return spans(cell)
}

// propertyChanges describes what an event does to the user's experiment properties, in the words of the tables.
func propertyChanges(event plog.LogRecord) []string {
	changes := []string{}
	for name, value := range event.Attributes().All() {
		if flag, ok := strings.CutPrefix(name, setExperiment); ok {
			changes = append(changes, flag+" = "+value.Str())
		} else if flag, ok := strings.CutPrefix(name, unsetExperiment); ok {
			changes = append(changes, flag+" unset")
		}
	}
	slices.Sort(changes)
	return changes
}

// TestSequences sends the records listed in the first cell, one batch each: a variant, or "none", followed by how much
// later than the base record it happened, or "refused" if the next component refuses it. It compares which ones were
// sent as events, and the user property in the end.
func TestSequences(t *testing.T) {
	eachRow(t, "sequence", func(t *testing.T, base flat, row []string) {
		r := newRig(t, confmap.New())
		property, sent := none, []string{}
		for _, step := range spans(row[0]) {
			record := flat{eventName: base.eventName, time: base.time, attributes: maps.Clone(base.attributes)}
			words := strings.Fields(step)
			record.attributes["variant"] = words[0]
			if words[0] == "none" {
				delete(record.attributes, "variant")
			}
			r.refuses = false
			for _, word := range words[1:] {
				if word == "refused" {
					r.refuses = true
					continue
				}
				later, err := time.ParseDuration(word)
				require.NoError(t, err)
				record.time = record.time.Add(later)
			}
			err := r.ConsumeLogs(t.Context(), record.logs(t))
			require.Equal(t, r.refuses, err != nil, "%v", err)
			for _, event := range r.out() {
				if event.EventName() != amplitude.EventIdentify {
					sent = append(sent, step)
				}
				if skip, ok := event.Attributes().Get(amplitude.AttrSkipUserPropertiesSync); ok && skip.Bool() {
					continue
				}
				for _, change := range propertyChanges(event) {
					_, value, isSet := strings.Cut(change, " = ")
					if property = none; isSet {
						property = value
					}
				}
			}
		}
		assert.Equal(t, spans(row[1]), sent, "sent")
		assert.Equal(t, strings.Trim(row[2], "`"), property, "property in the end")
	})
}
