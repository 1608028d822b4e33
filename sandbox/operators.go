// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Change is one step in the history of a property.
type Change struct {
	Property  string `json:"property"`
	Operation string `json:"operation"` // the operator, "set" for a plain property
	Before    any    `json:"before"`    // null when it was not set
	After     any    `json:"after"`     // null when it is not set any more
	Changed   bool   `json:"changed"`   // before differs from after
	// Jump tells that an experiment's variant became another one.
	Jump       bool   `json:"variant_changed,omitempty"`
	Seq        uint64 `json:"seq"`
	EventType  string `json:"event_type"`
	Time       int64  `json:"time"`        // ms, the event's own time
	ReceivedAt int64  `json:"received_at"` // ms
	existed    bool
	exists     bool
}

// properties are the properties of a user or a group.
type properties map[string]any

// applyOperators applies user_properties (or group_properties) in the server's order: $clearAll, $unset, $set,
// $setOnce, $add, $append, $prepend, $preInsert, $postInsert, $remove, then plain keys. record is called for each
// property that an operation addressed, warn for what is ignored.
func (p properties) applyOperators(ops map[string]any, nulls string, record func(Change), warn func(string)) {
	for _, op := range operators {
		argument, present := ops[op]
		if !present {
			continue
		}
		if op == opClearAll {
			for _, name := range slices.Sorted(maps.Keys(p)) {
				p.write(name, nil, false, op, record)
			}
			continue
		}
		members, ok := argument.(map[string]any)
		if !ok {
			warn(op + " must be an object: ignored")
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			p.apply(op, name, members[name], record, warn)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ops)) {
		value := ops[name]
		switch {
		case slices.Contains(operators, name):
		case strings.HasPrefix(name, "$"):
			warn("unknown operator " + strconv.Quote(name) + ": ignored")
		case value == nil && nulls == NullIgnore:
			warn("property " + strconv.Quote(name) + " is null: ignored")
		default:
			p.write(name, value, true, "set", record)
		}
	}
}

// write sets or removes a property.
func (p properties) write(name string, value any, exists bool, op string, record func(Change)) {
	before, existed := p[name]
	if exists {
		p[name] = value
	} else {
		delete(p, name)
	}
	record(Change{
		Property: name, Operation: op, Before: before, After: value, existed: existed, exists: exists,
		Changed: existed != exists || !equal(before, value),
		Jump: existed && exists && strings.HasPrefix(name, experimentPrefix) && !equal(before, value) &&
			before != nil && value != nil,
	})
}

func (p properties) apply(op, name string, argument any, record func(Change), warn func(string)) {
	current, exists := p[name]
	put := func(value any) { p.write(name, value, true, op, record) }
	switch op {
	case opUnset:
		p.write(name, nil, false, op, record)
	case opSet:
		put(argument)
	case opSetOnce:
		if !exists || current == nil {
			put(argument)
		}
	case opAdd:
		sum, ok := add(current, argument)
		if !ok {
			warn("$add to " + strconv.Quote(name) + ": not a number: ignored")
			return
		}
		put(sum)
	case opAppend:
		put(slices.Concat(asList(current), asList(argument)))
	case opPrepend:
		put(slices.Concat(asList(argument), asList(current)))
	case opPreInsert:
		have := asList(current)
		put(slices.Concat(without(asList(argument), have), have))
	case opPostInsert:
		have := asList(current)
		put(slices.Concat(have, without(asList(argument), have)))
	case opRemove:
		if have, ok := current.([]any); ok {
			put(without(have, asList(argument)))
		}
	}
}

// asList is a value as a list: nothing is empty, a scalar is a list of one.
func asList(v any) []any {
	switch l := v.(type) {
	case nil:
		return []any{}
	case []any:
		return l
	default:
		return []any{l}
	}
}

// without returns the members of from that equal none of the members of taken, nor an earlier one of the result
// when from is inserted into taken.
func without(from, taken []any) []any {
	out := make([]any, 0, len(from))
	for _, v := range from {
		if !slices.ContainsFunc(taken, func(x any) bool { return equal(v, x) }) {
			out = append(out, v)
		}
	}
	return out
}

// equal compares by value: 1 and 1.0 are the same number.
func equal(a, b any) bool {
	x, isNumber := a.(json.Number)
	y, isNumber2 := b.(json.Number)
	if isNumber && isNumber2 {
		if x == y {
			return true
		}
		p, err := x.Float64()
		q, err2 := y.Float64()
		_, notInt := x.Int64()
		_, notInt2 := y.Int64()
		return err == nil && err2 == nil && p == q && (notInt != nil || notInt2 != nil)
	}
	if s, ok := a.(string); ok {
		t, ok := b.(string)
		return ok && s == t
	}
	return reflect.DeepEqual(a, b)
}

// add adds exactly while both are whole numbers that fit.
func add(current, argument any) (json.Number, bool) {
	n, ok := argument.(json.Number)
	if !ok {
		return "", false
	}
	have := json.Number("0")
	if current != nil {
		if have, ok = current.(json.Number); !ok {
			return "", false
		}
	}
	a, err := have.Int64()
	b, err2 := n.Int64()
	if sum := a + b; err == nil && err2 == nil && (sum > a) == (b > 0) {
		return json.Number(strconv.FormatInt(sum, 10)), true
	}
	x, err := have.Float64()
	y, err2 := n.Float64()
	sum := x + y
	if err != nil || err2 != nil || math.IsInf(sum, 0) {
		return "", false
	}
	return json.Number(strconv.FormatFloat(sum, 'g', -1, 64)), true
}
