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
	Before    any    `json:"before"`    // null if it was not set
	After     any    `json:"after"`     // null if it is not set anymore
	Changed   bool   `json:"changed"`   // before differs from after
	// Jump: the variant of an experiment changed.
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
// affected property, warn for what is ignored. What does not fit into held is ignored.
func (p properties) applyOperators(ops map[string]any, b *Behavior, held *holding, record func(Change), warn func(string)) {
	w := writer{p, held, record, warn}
	if b.PlainProperties == PlainFirst {
		w.plain(ops, b.NullProperties)
		w.operations(ops)
		return
	}
	w.operations(ops)
	w.plain(ops, b.NullProperties)
}

// operations applies the operators, in Amplitude's order.
func (w *writer) operations(ops map[string]any) {
	for _, op := range operators {
		argument, present := ops[op]
		if !present {
			continue
		}
		if op == opClearAll {
			for _, name := range slices.Sorted(maps.Keys(w.p)) {
				w.write(name, nil, false, op)
			}
			continue
		}
		members, ok := argument.(map[string]any)
		if !ok {
			w.warn(op + " must be an object: ignored")
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			w.apply(op, name, members[name])
		}
	}
}

// plain sets the properties without operators.
func (w *writer) plain(ops map[string]any, nulls string) {
	for _, name := range slices.Sorted(maps.Keys(ops)) {
		value := ops[name]
		switch {
		case slices.Contains(operators, name):
		case strings.HasPrefix(name, "$"):
			w.warn("unknown operator " + quoted(name) + ": ignored")
		case value == nil && nulls == NullIgnore:
			w.warn("property " + quoted(name) + " is null: ignored")
		default:
			w.write(name, value, true, "set")
		}
	}
}

// writer writes the properties of one user or group.
type writer struct {
	p      properties
	held   *holding
	record func(Change)
	warn   func(string)
}

// write sets or removes a property.
func (w *writer) write(name string, value any, exists bool, op string) {
	p := w.p
	before, existed := p[name]
	var more int64
	if exists {
		more = valueCost + int64(len(name)) + weigh(value)
	}
	if existed {
		more -= valueCost + int64(len(name)) + weigh(before)
	}
	if more > 0 && !w.held.fits(more) {
		w.warn("property " + quoted(name) + " is not kept: its user or group exceeds what the sandbox keeps (retention.property_bytes)")
		return
	}
	w.held.add(more)
	if exists {
		p[name] = value
	} else {
		delete(p, name)
	}
	w.record(Change{
		Property: name, Operation: op, Before: before, After: value, existed: existed, exists: exists,
		Changed: existed != exists || !equal(before, value),
		Jump: existed && exists && strings.HasPrefix(name, experimentPrefix) && !equal(before, value) &&
			before != nil && value != nil,
	})
}

// maxList bounds the values of a property that is a list.
const maxList = 10_000

func (w *writer) apply(op, name string, argument any) {
	current, exists := w.p[name]
	put := func(value any) { w.write(name, value, true, op) }
	putList := func(list []any) {
		steps(len(list))
		if len(list) > maxList {
			w.warn(op + " to " + quoted(name) + ": more than " + strconv.Itoa(maxList) + " values: the rest is ignored")
			list = slices.Clone(list[:maxList])
		}
		put(list)
	}
	switch op {
	case opUnset:
		w.write(name, nil, false, op)
	case opSet:
		put(argument)
	case opSetOnce:
		if !exists || current == nil {
			put(argument)
		}
	case opAdd:
		sum, ok := add(current, argument)
		if !ok {
			w.warn("$add to " + quoted(name) + ": not a number: ignored")
			return
		}
		put(sum)
	case opAppend:
		putList(slices.Concat(asList(current), asList(argument)))
	case opPrepend:
		putList(slices.Concat(asList(argument), asList(current)))
	case opPreInsert:
		have := asList(current)
		putList(slices.Concat(without(asList(argument), have), have))
	case opPostInsert:
		have := asList(current)
		putList(slices.Concat(have, without(asList(argument), have)))
	case opRemove:
		if have, ok := current.([]any); ok {
			put(without(have, asList(argument)))
		}
	}
}

// asList returns a value as a list: nil is empty, a scalar is a list of one.
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

// without returns the members of from that are not in taken and, if from is inserted into taken, without duplicates.
func without(from, taken []any) []any {
	gone := make(map[string]struct{}, len(taken))
	for _, v := range taken {
		gone[identityOf(v)] = struct{}{}
	}
	steps(len(from) + len(taken))
	out := make([]any, 0, len(from))
	for _, v := range from {
		if _, there := gone[identityOf(v)]; !there {
			out = append(out, v)
		}
	}
	return out
}

// identityOf returns the same text for equal values only.
func identityOf(v any) string {
	n, isNumber := v.(json.Number)
	if !isNumber {
		return string(encode(v))
	}
	if i, err := n.Int64(); err == nil {
		return strconv.FormatInt(i, 10)
	}
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// namesShown is the maximum length of a name in warnings.
const namesShown = 200

// quoted returns a name as shown in warnings.
func quoted(name string) string { return strconv.Quote(cut(name, namesShown)) }

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

// add adds exactly if both are integers that fit.
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
