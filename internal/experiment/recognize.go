// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// recordKind is the kind of record that an event is made from.
type recordKind uint8

const (
	// kindNone: a record of others.
	kindNone recordKind = iota
	kindExposure
	kindEvaluation
	kindAssignment
	// kindIdentify is an un-exposure that an edge Collector sent as $identify.
	kindIdentify
	numKinds
)

// Where an event name may stand when the field of the record is empty.
const (
	attrOTelEventName = "otel.event.name"
	attrEventName     = "event.name"
)

// recognizer tells by its event name what a record is.
type recognizer map[string]recordKind

func newRecognizer(set *Settings) recognizer {
	names := recognizer{amplitude.EventIdentify: kindIdentify}
	add := func(kind recordKind, list []string) {
		for _, name := range list {
			names[name] = kind
		}
	}
	if set.Evaluation.Enabled {
		add(kindEvaluation, set.Evaluation.EventNames)
	}
	add(kindExposure, set.Exposure.EventNames)
	add(kindAssignment, set.Assignment.EventNames)
	// What an edge Collector made is known by the names that we write, whatever is configured to be read.
	for _, name := range []string{amplitude.EventRawExposure, amplitude.EventExposure} {
		if _, known := names[name]; !known {
			names[name] = kindExposure
		}
	}
	if _, known := names[amplitude.EventAssignment]; !known {
		names[amplitude.EventAssignment] = kindAssignment
	}
	return names
}

// recognize returns the kind of a record, kindNone for one of others, whether it is an event already, and whether it
// says anything under "amplitude." if it is one of others. It allocates nothing.
func (r recognizer) recognize(record plog.LogRecord) (kind recordKind, shaped, claims bool) {
	name := record.EventName()
	if name == "" {
		if name, claims = scan(record.Attributes()); name == "" {
			return kindNone, false, claims // most of what passes: spares the map
		}
	}
	if kind = r[name]; kind != kindNone {
		shaped = isShaped(kind, record)
		if kind != kindIdentify || shaped {
			return kind, shaped, false
		}
	}
	if !claims {
		_, claims = scan(record.Attributes())
	}
	return kindNone, false, claims
}

// eventName returns the name of the event that a record describes: its field, else an attribute
// that bridges and old conventions used. Never the body.
func eventName(record plog.LogRecord) string {
	if name := record.EventName(); name != "" {
		return name
	}
	name, _ := scan(record.Attributes())
	return name
}

// scan returns the event name that the attributes of a record say, and whether they may say anything under "amplitude.".
// It runs for almost every record that passes, so it looks at as little of a name as it can.
func scan(attributes pcommon.Map) (name string, claims bool) {
	const prefix = amplitude.AttrPrefix
	steps.Add(attributes.Len())
	for key, value := range attributes.All() {
		switch {
		case len(key) < len(prefix):
		case key[0] == prefix[0]:
			claims = claims || key[:len(prefix)] == prefix
		case key == attrOTelEventName && value.Type() == pcommon.ValueTypeStr && value.Str() != "":
			return value.Str(), true
		case key == attrEventName && value.Type() == pcommon.ValueTypeStr && name == "":
			name = value.Str()
		}
	}
	return name, claims
}

// isShaped tells whether a record is an event already: it carries an insert_id, and if it
// is an $identify, it changes experiment properties.
func isShaped(kind recordKind, record plog.LogRecord) bool {
	id, ok := steps.Get(record.Attributes(), amplitude.AttrInsertID)
	if !ok || id.Type() != pcommon.ValueTypeStr || id.Str() == "" {
		return false
	}
	if kind != kindIdentify {
		return kind != kindEvaluation
	}
	steps.Add(record.Attributes().Len())
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
