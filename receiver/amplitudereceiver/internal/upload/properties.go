// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package upload // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"

import (
	"bytes"
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// eventProperties reads the event properties; each becomes an attribute.
func (r *Reader) eventProperties() error {
	if r.in.PeekKind() != beginObject {
		return r.invalid(amplitude.FieldEventProperties)
	}
	return r.readMembers(func(name []byte) error {
		if r.tooDeep(1) {
			return r.leaveOut(LeftOutDepth)
		}
		return r.value(r.put(r.names.attribute(familyProperty, name)), 1)
	})
}

// tooDeep reports whether the next value is a container that would be nested too deeply in one with the given depth.
func (r *Reader) tooDeep(depth int) bool {
	switch r.in.PeekKind() {
	case beginObject, beginArray:
		return depth >= amplitude.MaxDepth
	default:
		return false
	}
}

func (r *Reader) leaveOut(why LeftOut) error {
	r.counts.LeftOut[why]++
	return r.in.SkipValue()
}

// value reads a value, whose container has the given depth.
func (r *Reader) value(to pcommon.Value, depth int) error {
	switch r.in.PeekKind() {
	case beginObject:
		return r.mapValue(to, depth+1)
	case beginArray:
		return r.sliceValue(to, depth+1)
	}
	value, err := r.in.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case quoted:
		to.SetStr(string(r.unquoted(value)))
	case isTrue, isFalse:
		to.SetBool(value.Kind() == isTrue)
	case number:
		if n, ok := integer(value); ok {
			to.SetInt(n)
			return nil
		}
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil || math.IsInf(f, 0) {
			r.counts.LeftOut[LeftOutNumber]++
			return nil
		}
		to.SetDouble(f)
	default: // null: an empty value
	}
	return nil
}

func (r *Reader) mapValue(to pcommon.Value, depth int) error {
	var members xpdata.MapBuilder
	if err := r.readMembers(func(name []byte) error {
		if r.tooDeep(depth) {
			return r.leaveOut(LeftOutDepth)
		}
		return r.value(members.AppendEmpty(r.names.attribute(familyNested, name)), depth)
	}); err != nil {
		return err
	}
	members.UnsafeIntoMap(to.SetEmptyMap())
	return nil
}

func (r *Reader) sliceValue(to pcommon.Value, depth int) error {
	list := to.SetEmptySlice()
	if _, err := r.in.ReadToken(); err != nil {
		return err
	}
	for r.in.PeekKind() != endArray {
		if err := r.count(); err != nil {
			return err
		}
		if r.tooDeep(depth) {
			if err := r.leaveOut(LeftOutDepth); err != nil {
				return err
			}
			continue
		}
		if err := r.value(list.AppendEmpty(), depth); err != nil {
			return err
		}
	}
	_, err := r.in.ReadToken()
	return err
}

// operatorFamilies are the indexes of operators in amplitude.Operators.
var operatorFamilies = func() map[string]family {
	all := map[string]family{}
	for i, operator := range amplitude.Operators {
		all[operator] = family(i)
	}
	return all
}()

// operations reads user or group properties: operations, and plain properties, which become $set. Amplitude applies
// plain ones last, so they replace operations on the same property.
func (r *Reader) operations(field string, first family) error {
	if r.in.PeekKind() != beginObject {
		return r.invalid(field)
	}
	plain := r.plainBesideOperators()
	return r.readMembers(func(name []byte) error {
		operator, known := operatorFamilies[string(name)]
		switch {
		case known && string(name) == amplitude.OpClearAll:
			r.put(clearAll[first]).SetStr(amplitude.UnsetValue)
			return r.in.SkipValue()
		case known && r.in.PeekKind() == beginObject:
			return r.operands(amplitude.Operators[operator], first+operator, plain)
		case r.in.PeekKind() == null && known:
			return r.in.SkipValue()
		case known || (len(name) > 0 && name[0] == '$'):
			return r.leaveOut(LeftOutOperator)
		default:
			return r.operand(amplitude.OpSet, first+operatorFamilies[amplitude.OpSet], name)
		}
	})
}

// clearAll are the attributes of the operator without properties.
var clearAll = map[family]string{
	familyUser:          amplitude.AttrUserPropertiesPrefix + amplitude.OpClearAll,
	familyGroupProperty: amplitude.AttrGroupPropertiesPrefix + amplitude.OpClearAll,
}

// operands reads the properties of an operator.
func (r *Reader) operands(operator string, f family, plain map[string]struct{}) error {
	return r.readMembers(func(name []byte) error {
		if _, overridden := plain[string(name)]; overridden {
			return r.in.SkipValue()
		}
		return r.operand(operator, f, name)
	})
}

// operand reads the value of a property of an operator.
func (r *Reader) operand(operator string, f family, name []byte) error {
	// Level 1 is the object of operators, level 2 the operator's object.
	const depth = 2
	switch kind := r.in.PeekKind(); {
	case len(name) == 0, operator == amplitude.OpAdd && kind != number:
		return r.leaveOut(LeftOutOperand)
	case operator == amplitude.OpUnset:
		r.put(r.names.attribute(f, name)).SetStr(amplitude.UnsetValue)
		return r.in.SkipValue()
	case r.tooDeep(depth):
		return r.leaveOut(LeftOutDepth)
	default:
		return r.value(r.put(r.names.attribute(f, name)), depth)
	}
}

// plainBesideOperators returns the names of plain properties in the next object, if it also has operators.
func (r *Reader) plainBesideOperators() map[string]struct{} {
	unread := bytes.TrimLeft(r.in.UnreadBuffer(), ": \t\r\n")
	in := r.e.operands
	in.Reset(bytes.NewBuffer(unread), lenient...)
	if in.PeekKind() != beginObject {
		return nil
	}
	_, _ = in.ReadToken() // the brace just seen
	var plain map[string]struct{}
	operators := false
	for in.PeekKind() == quoted {
		steps.Add(1)
		value, err := in.ReadValue()
		if err != nil {
			return nil // reading the object will fail the same way
		}
		if name := r.unquoted(value); len(name) > 0 && name[0] == '$' {
			operators = true
		} else {
			if plain == nil {
				plain = map[string]struct{}{}
			}
			plain[string(name)] = struct{}{}
		}
		if in.SkipValue() != nil {
			return nil
		}
	}
	if !operators {
		return nil
	}
	return plain
}

// groups reads the groups of an event: each type has one value or a list of values, which become text.
func (r *Reader) groups() error {
	if r.in.PeekKind() != beginObject {
		return r.invalid(amplitude.FieldGroups)
	}
	return r.readMembers(func(name []byte) error {
		if len(name) == 0 {
			return r.leaveOut(LeftOutGroup)
		}
		attribute := r.names.attribute(familyGroup, name)
		value, ok, err := r.groupValue()
		if ok {
			value.MoveTo(r.put(attribute))
		}
		return err
	})
}

// groupValue reads the value of a group type. ok is false if there is no usable value.
func (r *Reader) groupValue() (value pcommon.Value, ok bool, err error) {
	switch r.in.PeekKind() {
	case null:
		return value, false, r.in.SkipValue()
	case beginArray:
	default:
		text, ok, err := r.text()
		if !ok {
			r.counts.LeftOut[LeftOutGroup]++
			return value, false, err
		}
		return pcommon.NewValueStr(string(text)), true, err
	}
	value = pcommon.NewValueSlice()
	if _, err := r.in.ReadToken(); err != nil {
		return value, false, err
	}
	for r.in.PeekKind() != endArray {
		if err := r.count(); err != nil {
			return value, false, err
		}
		text, ok, err := r.text()
		if err != nil {
			return value, false, err
		}
		if ok {
			value.Slice().AppendEmpty().SetStr(string(text))
		} else {
			r.counts.LeftOut[LeftOutGroup]++
		}
	}
	_, err = r.in.ReadToken()
	return value, value.Slice().Len() > 0, err
}
