// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package upload // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"

import (
	"bytes"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// Identifications are the input of the form APIs: whose properties change, and how.
type Identifications struct {
	// Key is the API key.
	Key string
	// JSON is one identification, or a list of them.
	JSON string
	// Group: groups are identified rather than users.
	Group bool
}

// formState is what an identification says in addition to its event.
type formState struct {
	groupType  string
	groupValue pcommon.Value
	hasValue   bool
}

// groupDevice is the prefix of the device id for a group identification, which has no user: Amplitude accepts no event
// without an id, and clients make one up, too. Each group has its own, because Amplitude throttles by device.
const groupDevice = "group-"

// ReadForm reads the form of a request to /identify or /groupidentify.
func (r *Reader) ReadForm(form Identifications, call Call) (*Upload, *Refusal) {
	project, known := r.set.Projects[form.Key]
	if !known {
		return nil, invalidKey(form.Key)
	}
	text := []byte(form.JSON)
	if !utf8.Valid(text) {
		return nil, refuse(ReasonInvalidJSON)
	}
	r.in.Reset(bytes.NewBuffer(text), lenient...)
	value, err := r.in.ReadValue()
	if err != nil || r.in.PeekKind() != nothing {
		return nil, refuse(ReasonInvalidJSON)
	}
	if value.Kind() == beginObject {
		text = append(append([]byte{'['}, text...), ']')
	} else if value.Kind() != beginArray {
		return nil, refuse(ReasonInvalidEvent)
	}
	r.begin(call, amplitude.DefaultMinIDLength)
	taken, refusal := r.upload(project, text, func(records plog.LogRecordSlice) error {
		return r.events(records, func(record plog.LogRecord) error { return r.identification(record, form.Group) })
	})
	if refusal == nil && taken.Events == 0 {
		return nil, refuse(ReasonInvalidEvent)
	}
	return taken, refusal
}

// identification reads one identification into the record of its event.
func (r *Reader) identification(record plog.LogRecord, group bool) error {
	r.e.kind, r.e.hasKind = amplitude.EventIdentify, true
	read := r.eventMember
	if group {
		r.e.kind = amplitude.EventGroupIdentify
		read = r.groupMember
	}
	err := r.readMembers(func(name []byte) error {
		if string(name) == amplitude.FieldEventType {
			return r.in.SkipValue()
		}
		return read(name)
	})
	if err != nil {
		return err
	}
	if group {
		r.group()
	}
	r.finish(record)
	return nil
}

// group determines which group is identified.
func (r *Reader) group() {
	f := &r.e.form
	switch {
	case f.groupType == "":
		r.problems.add(ReasonMissingField, "group_type", r.e.index)
		return
	case !f.hasValue:
		r.problems.add(ReasonMissingField, "group_value", r.e.index)
		return
	}
	if !r.e.user.present && !r.e.device.present {
		r.e.device = id{text: amplitude.Truncate(groupDevice+f.groupType+"-"+f.groupValue.AsString(), amplitude.MaxStringLength), present: true}
	}
	f.groupValue.MoveTo(r.put(r.names.attribute(familyGroup, []byte(f.groupType))))
}

// groupMember reads a member of an identification of groups.
func (r *Reader) groupMember(name []byte) (err error) {
	f := &r.e.form
	switch string(name) {
	case "group_type":
		var text []byte
		if text, _, err = r.text(); err == nil {
			f.groupType = string(text)
		}
		return err
	case "group_value":
		f.groupValue, f.hasValue, err = r.groupValue()
		return err
	default:
		return r.eventMember(name)
	}
}
