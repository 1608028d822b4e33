// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// dictFields are the members whose nesting is limited.
var dictFields = []string{fieldEventProperties, fieldUserProperties, fieldGroups, fieldGroupProperties}

// event is one element of a request's events array, decoded once.
type event struct {
	index  int
	raw    []byte // as received
	fields map[string]any

	// Effective ids: trimmed, numbers as digits; deviceID is derived from userID when absent.
	userID, deviceID string
	derived          bool
	stripped         []string // ids that were removed for being short
	empty            []string // ids that are present but empty

	cut bool // some text is beyond the string limit
}

func (e *event) text(field string) string {
	s, _ := e.fields[field].(string)
	return s
}

func (e *event) object(field string) map[string]any {
	o, _ := e.fields[field].(map[string]any)
	return o
}

func (e *event) eventType() string { return e.text(fieldEventType) }

// identify reports whether the event only changes properties.
func (e *event) identify() bool {
	t := e.eventType()
	return t == eventIdentify || t == eventGroupIdentify
}

// insertID returns insert_id as text; a number becomes its digits.
func (e *event) insertID() string { return idText(e.fields[fieldInsertID]) }

// Problem is why one event was refused: the field and the rule it breaks.
type Problem struct {
	Field string `json:"field"`
	Rule  string `json:"rule"`
}

// validation is the outcome of step 14: the problems of each class, and the class that is reported.
type validation struct {
	missing, invalidIDs, lengths, invalid indexes
	problems                              map[int][]Problem
}

func (v *validation) add(class *indexes, index int, field, rule string) {
	if *class == nil {
		*class = indexes{}
	}
	class.add(field, index)
	if v.problems == nil {
		v.problems = map[int][]Problem{}
	}
	v.problems[index] = append(v.problems[index], Problem{field, rule})
}

// answer reports the first class that has a problem, as Amplitude reports one class at a time.
func (v *validation) answer(b *Behavior) (answer, bool) {
	switch {
	case v.missing != nil:
		return b.badRequest(errMissing, member{"events_with_missing_fields", b.lists(v.missing)}), true
	case v.invalidIDs != nil && b.InvalidIDIndexed:
		return b.badRequest(errFields, member{"events_with_invalid_fields", b.lists(v.invalidIDs)}), true
	case v.invalidIDs != nil:
		return b.badRequest(errFields), true
	case v.lengths != nil:
		return b.jsonAnswer(400, member{"events_with_invalid_id_lengths", b.lists(v.lengths)}, member{"error", errIDLength}), true
	case v.invalid != nil:
		return b.badRequest(errFields, member{"events_with_invalid_fields", b.lists(v.invalid)}), true
	default:
		return answer{}, false
	}
}

// validator holds what the checks of one request need.
type validator struct {
	behavior  *Behavior
	endpoint  Endpoint
	apiKey    string
	minLength int
}

// validate checks every event and determines its effective ids.
func (c *validator) validate(events []*event) *validation {
	v := &validation{}
	for _, e := range events {
		c.required(v, e)
		c.ids(v, e)
		c.values(v, e)
	}
	return v
}

// required is step 14a for the event type; ids() does the ids.
func (c *validator) required(v *validation, e *event) {
	if e.fields[fieldEventType] == nil {
		v.add(&v.missing, e.index, fieldEventType, "is required")
	}
}

// ids is steps 14b and 14c, and the part of 14a that depends on them.
func (c *validator) ids(v *validation, e *event) {
	present := 0
	for _, id := range []struct {
		field string
		to    *string
	}{{fieldUserID, &e.userID}, {fieldDeviceID, &e.deviceID}} {
		value := e.fields[id.field]
		if value == nil {
			continue
		}
		switch value.(type) {
		case string, json.Number:
		default:
			present++
			v.add(&v.invalid, e.index, id.field, "must be text")
			continue
		}
		text, why := checkID(idText(value), c.minLength, maxText)
		if why == idEmpty && c.behavior.EmptyID == EmptyIDAbsent {
			e.empty = append(e.empty, id.field)
			continue
		}
		switch why {
		case idEmpty, idRefused:
			v.add(&v.invalidIDs, e.index, id.field, "is a value that Amplitude refuses as an id")
		case idShort:
			if c.endpoint.ShortIDMode == ShortIDStrip {
				e.stripped = append(e.stripped, id.field)
				continue
			}
			v.add(&v.lengths, e.index, id.field, "must have at least "+strconv.Itoa(c.minLength)+" characters")
		case idLong:
			text = cut(text, c.behavior.StringLimit)
		case idGood:
		}
		present++
		*id.to = text
	}
	switch {
	case present == 0:
		v.add(&v.missing, e.index, c.behavior.MissingIDField, "user_id or device_id is required")
	case e.deviceID == "":
		e.deviceID, e.derived = deriveDeviceID(c.apiKey, e.userID), true
	}
}

// deriveDeviceID returns the device id for a user without one.
func deriveDeviceID(apiKey, userID string) string {
	sum := sha256.Sum256([]byte(apiKey + userID))
	return "hash-" + hex.EncodeToString(sum[:])[:32]
}

// values is step 14d.
func (c *validator) values(v *validation, e *event) {
	for field, value := range e.fields {
		if value == nil {
			continue
		}
		kind, known := eventFields[field]
		if !known {
			if c.behavior.UnknownKeys == Reject {
				v.add(&v.invalid, e.index, field, "is not a field of an event")
			}
			continue
		}
		if field == fieldEventType {
			c.eventType(v, e, value)
			continue
		}
		if rule := wrongKind(kind, value); rule != "" {
			v.add(&v.invalid, e.index, field, rule)
			continue
		}
		if !e.cut {
			e.cut = tooLong(value, c.behavior.StringLimit)
		}
	}
	if !c.behavior.RejectDepth {
		return
	}
	for _, field := range dictFields {
		if dict := e.object(field); dict != nil && deeper(dict, c.behavior.MaxDepth) {
			v.add(&v.invalid, e.index, field, "must not be nested deeper than "+strconv.Itoa(c.behavior.MaxDepth))
		}
	}
}

func (c *validator) eventType(v *validation, e *event, value any) {
	text, isText := value.(string)
	reserved := slices.Contains(reservedEventTypes, text)
	switch {
	case !isText || strings.TrimSpace(text) == "":
		v.add(&v.invalid, e.index, fieldEventType, "must be text that is not blank")
	case reserved:
		v.add(&v.invalid, e.index, fieldEventType, "is reserved for Amplitude")
	}
}

// wrongKind returns the rule that value breaks, or "".
func wrongKind(kind valueKind, value any) string {
	switch kind {
	case kindText:
		switch value.(type) {
		case map[string]any, []any:
			return "must be text"
		}
	case kindWhole:
		if n, ok := value.(json.Number); !ok || !integral(n) {
			return "must be a whole number"
		}
	case kindNumber:
		if _, ok := value.(json.Number); !ok {
			return "must be a number"
		}
	case kindObject:
		if _, ok := value.(map[string]any); !ok {
			return "must be an object"
		}
	case kindID, kindFlag:
		// Ids have their own check; a flag of another type is ignored.
	}
	return ""
}

// integral reports whether a number is an integer, regardless of notation.
func integral(n json.Number) bool {
	if _, err := n.Int64(); err == nil {
		return true
	}
	f, err := n.Float64()
	return err == nil && f == math.Trunc(f)
}

// idText returns an id as text; a number becomes its digits.
func idText(v any) string {
	switch id := v.(type) {
	case string:
		return id
	case json.Number:
		if _, err := id.Int64(); err == nil {
			return id.String()
		}
		if f, err := id.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<63 {
			return strconv.FormatInt(int64(f), 10)
		}
		return id.String()
	default:
		return ""
	}
}

func tooLong(v any, limit int) bool {
	switch t := v.(type) {
	case string:
		return len(t) > limit && utf16Length(t) > limit
	case map[string]any:
		for _, x := range t {
			if tooLong(x, limit) {
				return true
			}
		}
	case []any:
		for _, x := range t {
			if tooLong(x, limit) {
				return true
			}
		}
	}
	return false
}

// cutText returns v with every text at most limit UTF-16 units long.
func cutText(v any, limit int) any {
	switch t := v.(type) {
	case string:
		return cut(t, limit)
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, x := range t {
			out[k] = cutText(x, limit)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, x := range t {
			out[i] = cutText(x, limit)
		}
		return out
	default:
		return v
	}
}

// deeper reports whether v is nested more than levels deep.
func deeper(v any, levels int) bool {
	switch t := v.(type) {
	case map[string]any:
		if levels == 0 {
			return true
		}
		for _, x := range t {
			if deeper(x, levels-1) {
				return true
			}
		}
	case []any:
		if levels == 0 {
			return true
		}
		for _, x := range t {
			if deeper(x, levels-1) {
				return true
			}
		}
	}
	return false
}
