// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// recordKind is the kind of record that an event is made from.
type recordKind uint8

const (
	// kindNone: a foreign record.
	kindNone recordKind = iota
	kindExposure
	kindEvaluation
	kindAssignment
	// kindImpression is an exposure that counts every time and has no user property.
	kindImpression
	// kindIdentify is an un-exposure that an edge Collector sent as $identify.
	kindIdentify
	// kindOutcome is something a user did by which an experiment is measured. It mentions no flag.
	kindOutcome
	numKinds
)

// The fields of Amplitude's own event, where a whole one is the content of a record.
const (
	fieldEventType       = "event_type"
	fieldEventProperties = "event_properties"
)

// OpenTelemetry's event names for feature-flag evaluations: EventEvaluationOld is that of conventions before v1.29.
const (
	EventEvaluation    = "feature_flag.evaluation"
	EventEvaluationOld = "feature_flag"
)

// recognition is the result of recognizing a record.
type recognition struct {
	kind recordKind
	// shaped: it is already an event. unlisted: its name is recognized only because of that.
	shaped, unlisted bool
	// older: an evaluation with the older of the conventional event names. tracking: a call to OpenFeature's track,
	// which names the outcome in an attribute.
	older, tracking bool
	// name is the event name of an outcome.
	name string
	// claims: a foreign record has attributes under "amplitude.".
	claims bool
	// body is the body, or the map in its JSON text.
	body pcommon.Value
}

// recognizer recognizes a record by its event name.
type recognizer struct {
	// listed are the configured event names. own are those that the processor writes: a record with one is already an
	// event.
	listed, own map[string]recordKind
	// attributes may hold an event name if the field of the record has none that is listed, in this order.
	attributes []string
	// lengths has, by the first byte of a name, a bit for each length, modulo 64, of the names worth comparing.
	lengths [256]uint64
	// outcomes are the names of records that are outcomes, renamed the names of their events, and tracking those of
	// calls to OpenFeature's track.
	outcomes pattern.List
	renamed  map[string]struct{}
	tracking map[string]struct{}
	// isCustom reports whether another Collector may have made an event of this name.
	isCustom func(name string) bool
	// parseBody reads a body that is the text of a JSON object.
	parseBody bool
}

func newRecognizer(set *Settings) *recognizer {
	r := &recognizer{
		listed: map[string]recordKind{},
		own: map[string]recordKind{
			amplitude.EventIdentify:    kindIdentify,
			amplitude.EventRawExposure: kindExposure,
			amplitude.EventExposure:    kindExposure,
			amplitude.EventAssignment:  kindAssignment,
		},
		attributes: set.EventName,
		renamed:    map[string]struct{}{},
		tracking:   map[string]struct{}{},
		isCustom:   func(string) bool { return false },
		parseBody:  set.ParseJSONBody,
	}
	add := func(kind recordKind, list []string) {
		for _, name := range list {
			r.listed[name] = kind
		}
	}
	if set.Evaluation.Enabled {
		add(kindEvaluation, set.Evaluation.EventNames)
	}
	add(kindExposure, set.Exposure.EventNames)
	add(kindAssignment, set.Assignment.EventNames)
	if set.Impression.Enabled {
		add(kindImpression, set.Impression.EventNames)
		r.own[amplitude.EventRawImpression], r.own[amplitude.EventImpression] = kindImpression, kindImpression
	}
	if set.Outcomes.enabled() {
		r.outcomes = pattern.NewList(set.Outcomes.Events)
		for _, to := range set.Outcomes.Rename {
			r.renamed[to] = struct{}{}
		}
		add(kindOutcome, set.Outcomes.Tracking.EventNames)
		for _, name := range set.Outcomes.Tracking.EventNames {
			r.tracking[name] = struct{}{}
		}
	}
	compare := func(name string) { r.lengths[name[0]] |= 1 << (len(name) % lengthBits) }
	for _, name := range r.attributes {
		compare(name)
		eachPrefix(name, compare)
	}
	compare(fieldEventType)
	compare(fieldEventProperties)
	return r
}

const lengthBits = 64

// recognize recognizes a record by the first of its names that is a configured event name: its field, then its
// attributes, then its body if that is a map. It does not allocate for a foreign record, unless it has to parse its
// body.
func (r *recognizer) recognize(record plog.LogRecord) (is recognition) {
	is.body = record.Body()
	if name := record.EventName(); name != "" && r.take(&is, name, record) {
		return is
	}
	name, claims := r.scan(record.Attributes())
	if name != "" && r.take(&is, name, record) {
		return is
	}
	if is.body.Type() == pcommon.ValueTypeStr && r.parseBody {
		is.body = r.parsed(is.body)
	}
	if is.body.Type() == pcommon.ValueTypeMap {
		if name, _ = r.scan(is.body.Map()); name != "" && r.take(&is, name, record) {
			return is
		}
	}
	is.claims = claims
	return is
}

// take recognizes a record by a name, if the name is configured.
func (r *recognizer) take(is *recognition, name string, record plog.LogRecord) bool {
	kind := r.listed[name]
	switch {
	case kind != kindNone:
		is.shaped = isShaped(kind, record)
	case r.isShapedName(&kind, name) && isShaped(kind, record):
		is.unlisted = kind != kindIdentify
		is.shaped = true
	case r.isOutcome(name):
		kind = kindOutcome
		is.shaped = isShaped(kind, record)
	default:
		return false
	}
	if is.body.Type() == pcommon.ValueTypeStr && r.parseBody {
		if object, ok := parseObject(is.body.Str()); ok {
			is.body = object
		}
	}
	is.kind = kind
	if kind == kindOutcome {
		is.name = name
		_, is.tracking = r.tracking[name]
	}
	is.older = kind == kindEvaluation && name == EventEvaluationOld
	return true
}

// isShapedName reports whether an unlisted name is that of an event from another Collector, and of which kind.
func (r *recognizer) isShapedName(kind *recordKind, name string) bool {
	*kind = r.own[name]
	if *kind == kindNone && r.isCustom(name) {
		*kind = kindExposure
	}
	if _, renamed := r.renamed[name]; *kind == kindNone && renamed {
		*kind = kindOutcome
	}
	return *kind != kindNone
}

// isOutcome reports whether a record of this name is an outcome: never one of Amplitude's own, whatever a pattern says.
func (r *recognizer) isOutcome(name string) bool {
	return len(r.outcomes) > 0 && name != "" && name[0] != '$' && name[0] != '[' && r.outcomes.Match(name)
}

// isOurs reports whether a record with this name can be recognized.
func (r *recognizer) isOurs(name string) bool {
	return r.listed[name] != kindNone || r.own[name] != kindNone || r.isOutcome(name)
}

// scan returns the first configured event name in a map of attributes, and whether the map may have names under
// "amplitude.". It runs for almost every record that passes, so it inspects as little of a name as possible.
func (r *recognizer) scan(attributes pcommon.Map) (name string, claims bool) {
	const prefix = amplitude.AttrPrefix
	steps.Add(attributes.Len())
	best := len(r.attributes)
	var eventType string
	isEvent := false
	for key, value := range attributes.All() {
		if key == "" || r.lengths[key[0]]>>(len(key)%lengthBits)&1 == 0 {
			claims = claims || (len(key) >= len(prefix) && key[0] == prefix[0] && key[:len(prefix)] == prefix)
			continue
		}
		claims = claims || strings.HasPrefix(key, prefix)
		for i, attribute := range r.attributes[:best] {
			if text := textAt(key, value, attribute, maxNested); text != "" && r.isOurs(text) {
				name, best = text, i
				break
			}
		}
		switch key {
		case fieldEventType:
			if value.Type() == pcommon.ValueTypeStr {
				eventType = value.Str()
			}
		case fieldEventProperties:
			isEvent = value.Type() == pcommon.ValueTypeMap || (value.Type() == pcommon.ValueTypeStr && strings.HasPrefix(strings.TrimLeft(value.Str(), jsonSpace), "{"))
		}
	}
	if name == "" && isEvent && r.isOurs(eventType) {
		name = eventType
	}
	return name, claims
}

// textAt returns the text of the attribute with a dotted name; key is the name itself or the first part of its path
// through maps.
func textAt(key string, value pcommon.Value, name string, depth int) string {
	switch {
	case key == name:
		if value.Type() == pcommon.ValueTypeStr {
			return value.Str()
		}
	case depth > 0 && len(key) < len(name) && name[len(key)] == '.' && name[:len(key)] == key && value.Type() == pcommon.ValueTypeMap:
		for inner, v := range value.Map().All() {
			if text := textAt(inner, v, name[len(key)+1:], depth-1); text != "" {
				return text
			}
		}
	}
	return ""
}

// eachPrefix yields the prefixes of a dotted name that may be names of maps with the rest.
func eachPrefix(name string, yield func(prefix string)) {
	for i := range len(name) {
		if name[i] == '.' && i > 0 && i < len(name)-1 {
			yield(name[:i])
		}
	}
}

// parsed returns the map in the JSON text of a body, or the body itself: a text without a configured event name is not
// parsed.
func (r *recognizer) parsed(body pcommon.Value) pcommon.Value {
	text := body.Str()
	if !strings.HasPrefix(strings.TrimLeft(text, jsonSpace), "{") || !r.mentions(text) {
		return body
	}
	if value, ok := parseObject(text); ok {
		return value
	}
	return body
}

// mentions reports whether a JSON text may contain a configured event name.
func (r *recognizer) mentions(text string) bool {
	if strings.Contains(text, `\u`) || strings.Contains(text, `\/`) { // names may be escaped, as PHP does with slashes
		return true
	}
	for name := range r.listed {
		if strings.Contains(text, name) {
			return true
		}
	}
	for i := range r.outcomes {
		if strings.Contains(text, r.outcomes[i].Head()) {
			return true
		}
	}
	return false
}

// nameSeen is an event name of a record, and where it was found.
type nameSeen struct{ name, where string }

// namesOf returns all event names of a record in the order in which they are checked, for explanations.
func (r *recognizer) namesOf(record plog.LogRecord) (seen []nameSeen) {
	if name := record.EventName(); name != "" {
		seen = append(seen, nameSeen{name, "EventName"})
	}
	look := func(m pcommon.Map, where string) {
		for _, attribute := range append(r.attributes[:len(r.attributes):len(r.attributes)], fieldEventType) {
			if _, isEvent := m.Get(fieldEventProperties); attribute == fieldEventType && !isEvent {
				continue
			}
			for key, value := range m.All() {
				if text := textAt(key, value, attribute, maxNested); text != "" {
					seen = append(seen, nameSeen{text, where + attribute})
					break
				}
			}
		}
	}
	look(record.Attributes(), "")
	body := record.Body()
	if body.Type() == pcommon.ValueTypeStr && r.parseBody {
		body = r.parsed(body)
	}
	if body.Type() == pcommon.ValueTypeMap {
		look(body.Map(), "body ")
	}
	return seen
}

// firstName returns the first event name of a record, configured or not, without reading its body. It does not
// allocate.
func (r *recognizer) firstName(record plog.LogRecord) string {
	if name := record.EventName(); name != "" {
		return name
	}
	for _, attribute := range r.attributes {
		if value, ok := record.Attributes().Get(attribute); ok && value.Type() == pcommon.ValueTypeStr && value.Str() != "" {
			return value.Str()
		}
	}
	return ""
}

// isShaped reports whether a record is already an event: it has an insert_id and, if it is a $identify, it changes
// experiment properties. An evaluation never is.
func isShaped(kind recordKind, record plog.LogRecord) bool {
	if kind == kindEvaluation {
		return false
	}
	id, ok := steps.Get(record.Attributes(), amplitude.AttrInsertID)
	if !ok || id.Type() != pcommon.ValueTypeStr || id.Str() == "" {
		return false
	}
	if kind != kindIdentify {
		return true
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
