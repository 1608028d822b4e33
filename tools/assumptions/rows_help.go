// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/assumptions"

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// beyondFloat is an integer that float64 cannot represent.
const beyondFloat = 1<<53 + 1

func hoursAgo(n int) int64 { return time.Now().Add(-time.Duration(n) * time.Hour).UnixMilli() }

func text(n int) string { return strings.Repeat("x", n) }

// rawExposure returns an exposure or impression as clients send it, without a variant if it is empty.
func rawExposure(user, eventType, insertID, variant string) event {
	properties := event{"flag_key": flagKey}
	if variant != "" {
		properties["variant"] = variant
	}
	return event{"event_type": eventType, "user_id": user, "insert_id": user + " raw " + insertID, "event_properties": properties}
}

// plain returns an `$identify` of a separate user, which is free of volume, for rows about requests.
func (p *probe) plain(id string, more ...event) event {
	e := identify(p.id(id), p.id(id)+" "+strconv.FormatInt(time.Now().UnixNano(), 36), event{"$set": event{"check_amplitude_text": "a"}})
	for _, m := range more {
		maps.Copy(e, m)
	}
	maps.DeleteFunc(e, func(_ string, value any) bool { return value == nil })
	return e
}

// many returns n of them for a number of users.
func (p *probe) many(id string, n, users int) []event {
	events := make([]event, n)
	for i := range events {
		user := p.id(id + "-" + strconv.Itoa(i%users))
		events[i] = identify(user, user+" "+strconv.Itoa(i), event{"$set": event{"check_amplitude_text": "a"}})
	}
	return events
}

// padded returns a body padded to size bytes with white space.
func padded(body []byte, size int) []byte {
	return append(body, bytes.Repeat([]byte(" "), max(0, size-len(body)))...)
}

// refused checks that a request got a 400.
func refused(a reply, err error) error {
	if err == nil && a.status != 400 {
		return errors.New("the request with an invalid event got " + strconv.Itoa(a.status) + " and not 400")
	}
	return err
}

// statusAnd returns the status, and text if the error starts with it.
func statusAnd(a reply, text string) string {
	if strings.HasPrefix(a.error(), text) {
		return strconv.Itoa(a.status) + " " + text
	}
	return a.accepted() + " " + a.error()
}

// naming reports whether a 400 names user_id in a list.
func naming(a reply, list string) string {
	switch {
	case a.status != 400:
		return a.accepted()
	case indexes(a, list, "user_id") != nil:
		return "400 that names user_id"
	default:
		return "400 that names no event"
	}
}

// indexes returns the events that a list in an answer names for a field.
func indexes(a reply, list, field string) []any {
	fields, _ := a.fields[list].(map[string]any)
	found, _ := fields[field].([]any)
	return found
}

// onlyKey returns the field that a list in an answer names.
func onlyKey(a reply, list string) string {
	fields, _ := a.fields[list].(map[string]any)
	if len(fields) == 0 {
		return a.accepted()
	}
	return strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}

// number returns a JSON number as an integer, -1 if it is not one.
func number(v any) int64 {
	switch n := v.(type) {
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return i
		}
		if f, err := n.Float64(); err == nil {
			return int64(f)
		}
	case float64:
		return int64(n)
	case string: // in the form that the user APIs may return
		if i, err := strconv.ParseInt(n, 10, 64); err == nil {
			return i
		}
	}
	return -1
}

var times = map[int64]string{0: "not at all", 1: "once", 2: "twice", -1: "not at all"}

// stored describes how often the row's event is there.
func stored(a *activity) string {
	if found, ok := times[int64(a.count())]; ok {
		return found
	}
	return strconv.Itoa(a.count()) + " times"
}

// transformed reports whether the row's event has the type and the properties that Amplitude gives it.
func transformed(a *activity, eventType string) string {
	for _, e := range a.events {
		if e.Type == eventType && e.Properties[propertyFlag] == flagKey {
			return "transformed"
		}
	}
	return "not transformed"
}

// value returns a property of the row's event.
func (a *activity) value(name string) any {
	for _, e := range a.events {
		if e.Properties[propertyFlag] == flagKey {
			return e.Properties[name]
		}
	}
	return nil
}

func length(v any) string { return strconv.Itoa(utf8.RuneCountInString(fmt.Sprint(v))) }
