// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// source is the kind of record that an event is made from.
type source uint8

const (
	// sourceNone: none of ours.
	sourceNone source = iota
	sourceExposure
	sourceEvaluation
	sourceAssignment
	// sourceIdentify is an un-exposure that an edge Collector sent as $identify.
	sourceIdentify
	numSources
)

// Where an event name may stand when the field of the record is empty.
const (
	attrOTelEventName = "otel.event.name"
	attrEventName     = "event.name"
)

// recogniser tells by its event name what a record is.
type recogniser map[string]source

func newRecogniser(cfg *Config) recogniser {
	names := recogniser{amplitude.EventIdentify: sourceIdentify}
	add := func(of source, list []string) {
		for _, name := range list {
			names[name] = of
		}
	}
	if cfg.Evaluation.Enabled {
		add(sourceEvaluation, cfg.Evaluation.EventNames)
	}
	add(sourceExposure, cfg.Exposure.EventNames)
	add(sourceAssignment, cfg.Assignment.EventNames)
	// What an edge Collector made is known by the names that we write, whatever is configured to be read.
	for _, name := range []string{amplitude.EventRawExposure, amplitude.EventExposure} {
		if _, known := names[name]; !known {
			names[name] = sourceExposure
		}
	}
	if _, known := names[amplitude.EventAssignment]; !known {
		names[amplitude.EventAssignment] = sourceAssignment
	}
	return names
}

// recognise returns sourceNone for a record that is none of ours. It allocates nothing.
func (r recogniser) recognise(record plog.LogRecord) source {
	name := eventName(record)
	if name == "" {
		return sourceNone // most of what passes: spares the map
	}
	return r[name]
}

// eventName returns the name of the event that a record describes: its field, else an attribute
// that bridges and old conventions used. Never the body.
func eventName(record plog.LogRecord) string {
	if name := record.EventName(); name != "" {
		return name
	}
	name := ""
	for key, value := range record.Attributes().All() {
		switch {
		case key == attrOTelEventName && value.Type() == pcommon.ValueTypeStr && value.Str() != "":
			return value.Str()
		case key == attrEventName && value.Type() == pcommon.ValueTypeStr && name == "":
			name = value.Str()
		}
	}
	return name
}

// isShaped tells whether a record of ours is an event already: it carries an insert_id, and if it
// is an $identify, it changes experiment properties.
func isShaped(of source, record plog.LogRecord) bool {
	id, ok := record.Attributes().Get(amplitude.AttrInsertID)
	if !ok || id.Type() != pcommon.ValueTypeStr || id.Str() == "" {
		return false
	}
	if of != sourceIdentify {
		return of != sourceEvaluation
	}
	for name := range record.Attributes().All() {
		if strings.HasPrefix(name, unsetExperiment) || strings.HasPrefix(name, setExperiment) {
			return true
		}
	}
	return false
}

const (
	setExperiment   = amplitude.AttrSetPrefix + amplitude.ExperimentPrefix
	unsetExperiment = amplitude.AttrUnsetPrefix + amplitude.ExperimentPrefix
)
