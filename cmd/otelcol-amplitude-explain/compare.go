// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// compare returns the differences between expected and actual results, one per line.
func compare(want []expectation, got []explanation) []string {
	var out []string
	if len(want) != len(got) {
		out = append(out, fmt.Sprintf("records: want %d, got %d", len(want), len(got)))
	}
	for i := range min(len(want), len(got)) {
		for _, line := range want[i].compare(&got[i]) {
			out = append(out, fmt.Sprintf("record %d: %s", i+1, line))
		}
	}
	return out
}

func (want *expectation) compare(got *explanation) []string {
	if want.Outcome != "" && want.Outcome != got.Outcome || want.Reason != "" && want.Reason != got.Reason {
		line := fmt.Sprintf("outcome: want %s, got %s", named(want.Outcome, want.Reason), named(got.Outcome, got.Reason))
		if because := got.because(); because != "" {
			line += ", since " + because
		}
		return []string{line} // another outcome has different events
	}
	if want.Events == nil {
		return nil
	}
	sent := got.sent()
	if len(sent) != len(want.Events) {
		return []string{fmt.Sprintf("events: want %d, got %d", len(want.Events), len(sent))}
	}
	var out []string
	for i, fields := range want.Events {
		prefix := ""
		if len(sent) > 1 {
			prefix = fmt.Sprintf("event %d: ", i+1)
		}
		wanted, err := canonical(fields)
		if err != nil {
			return append(out, prefix+err.Error())
		}
		event := sent[i].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(wanted.(map[string]any))) {
			for _, line := range differences(name, wanted.(map[string]any)[name], event[name], has(event, name)) {
				out = append(out, prefix+line)
			}
		}
	}
	return out
}

func named(outcome, reason string) string {
	switch {
	case reason == "":
		return outcome
	case outcome == "":
		return reason
	default:
		return outcome + " (" + reason + ")"
	}
}

// because returns why a record is not an event.
func (x *explanation) because() string {
	switch {
	case x.Hint != "":
		return x.Hint
	case x.Outcome == "duplicate" && len(x.Events) > 0:
		return x.Events[0].Because
	case x.Outcome == "skipped" && len(x.Rules) > 0:
		return x.Rules[len(x.Rules)-1].Because
	default:
		return ""
	}
}

// sent returns the events that the exporter would send, decoded.
func (x *explanation) sent() []any {
	events := []any{}
	for i := range x.Events {
		if e := &x.Events[i]; e.JSON != nil {
			decoded, err := decode(e.JSON)
			if err != nil {
				decoded = map[string]any{}
			}
			events = append(events, decoded)
		}
	}
	return events
}

// differences compares a field; maps are compared member by member, by path.
func differences(path string, want, got any, present bool) []string {
	if !present {
		return []string{fmt.Sprintf("%s: want %s, got none", path, shown(want))}
	}
	wanted, isMap := want.(map[string]any)
	found, isMapToo := got.(map[string]any)
	if !isMap || !isMapToo {
		if shown(want) == shown(got) {
			return nil
		}
		return []string{fmt.Sprintf("%s: want %s, got %s", path, shown(want), shown(got))}
	}
	names := maps.Clone(wanted)
	maps.Copy(names, found)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		member := fmt.Sprintf("%s[%q]", path, name)
		if !has(wanted, name) {
			out = append(out, fmt.Sprintf("%s: want none, got %s", member, shown(found[name])))
			continue
		}
		out = append(out, differences(member, wanted[name], found[name], has(found, name))...)
	}
	return out
}

func has(fields map[string]any, name string) bool {
	_, ok := fields[name]
	return ok
}

// canonical converts a YAML value to its JSON form.
func canonical(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("the expected event is not valid JSON: %w", err)
	}
	return decode(text)
}

// decode keeps numbers as written: an id of 19 digits does not fit a float.
func decode(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err
}

// shown returns a value as JSON with sorted keys.
func shown(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return string(bytes.TrimRight(text.Bytes(), "\n"))
}
