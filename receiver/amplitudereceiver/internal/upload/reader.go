// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package upload // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"

import (
	"bytes"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// maxValues bounds the values of a request: each takes many times its JSON size in memory.
const maxValues = 1_000_000

// clockSkew is the gap between a client's clock and this one from which Amplitude corrects event times.
const clockSkew = time.Minute

// Settings configure a reader.
type Settings struct {
	// Projects are the accepted API keys, each with the name of its project, which may be empty.
	Projects map[string]string
	// MinIDLength is the lowest minimum id length, in UTF-16 code units, that a request may ask for.
	MinIDLength int
	// RejectUnknown refuses events with members that are not fields; otherwise they are kept as event JSON.
	RejectUnknown bool
}

// Call is what is known about a request in addition to its body.
type Call struct {
	// Batch: it came to /batch, where an id that is too short is left out rather than refused.
	Batch bool
	// Remote is the address that replaces "$remote"; if it is empty, such an ip is left out.
	Remote string
	// Received is when it arrived.
	Received time.Time
}

// Upload is an accepted request.
type Upload struct {
	// Logs has one record for each event, in order.
	Logs plog.Logs
	// Events is how many there are.
	Events int
	Counts
}

// Counts are observations about accepted events.
type Counts struct {
	// LeftOut counts values that Amplitude ignores and that no record can hold.
	LeftOut [NumLeftOut]int
	// Unknown counts members that are not fields and are kept as event JSON.
	Unknown int
}

// LeftOut is why a value was left out of an event.
type LeftOut uint8

const (
	// LeftOutOperator is an unknown operator of user or group properties, or one whose value is not an object.
	LeftOutOperator LeftOut = iota
	// LeftOutOperand is a property that is invalid for its operator: without a name, or $add of something that is not a
	// number.
	LeftOutOperand
	// LeftOutGroup is a group without a type, or a value that is neither text nor a number nor a list of such.
	LeftOutGroup
	// LeftOutFlag is a $skip_user_properties_sync that is neither true nor false.
	LeftOutFlag
	// LeftOutDepth is a value that is nested deeper than Amplitude accepts.
	LeftOutDepth
	// LeftOutNumber is a number that does not fit into a double.
	LeftOutNumber
	// LeftOutID is an id that is too short, next to a good one, on /batch.
	LeftOutID
	// NumLeftOut is the number of them.
	NumLeftOut
)

// LeftOutNames are the reasons in metrics.
var LeftOutNames = [NumLeftOut]string{"operator", "operand", "group", "flag", "depth", "number", "id"}

// Reader reads requests. It reuses its memory, and must be used from one goroutine at a time.
type Reader struct {
	set   Settings
	names names

	// of the request being read
	call      Call
	minLength int
	gap       time.Duration
	values    int
	in        *jsontext.Decoder
	problems  problems
	counts    Counts

	// of the event being read
	e eventState
	// scratch holds a text while it is unquoted.
	scratch []byte
}

// eventState is what is known about an event while its members are read.
type eventState struct {
	index      int
	attributes xpdata.MapBuilder
	// width is how many attributes the last event had.
	width    int
	kind     string // event type
	hasKind  bool
	user     id
	device   id
	time     pcommon.Timestamp
	further  []byte // members of the event JSON
	form     formState
	operands *jsontext.Decoder
}

// id is a user or device id in an event.
type id struct {
	text    string
	present bool
	invalid bool // it is neither text nor a number
}

// NewReader returns a reader with these settings.
func NewReader(set Settings) *Reader {
	return &Reader{set: set, in: new(jsontext.Decoder), e: eventState{operands: new(jsontext.Decoder)}}
}

// lenient reads JSON whose syntax is checked, and accepts lone surrogates like most servers.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// strictNames is lenient, but refuses duplicate names.
var strictNames = []jsontext.Options{jsontext.AllowDuplicateNames(false), jsontext.AllowInvalidUTF8(true)}

var (
	errNotObject = errors.New("not an object")
	errValues    = fmt.Errorf("more than %d values", maxValues)
)

// envelope is the top object of a request.
type envelope struct {
	key       string
	events    []byte
	hasEvents bool
	minLength int
	uploaded  string
}

// Read reads the body of a request to /2/httpapi or /batch.
func (r *Reader) Read(body []byte, call Call) (*Upload, *Refusal) {
	if len(body) == 0 {
		return nil, refuse(ReasonNoBody)
	}
	top, err := r.envelope(body)
	switch {
	case err != nil:
		return nil, refuse(ReasonInvalidJSON)
	case top.key == "":
		return nil, missing("api_key")
	case !top.hasEvents:
		return nil, missing("events")
	}
	project, known := r.set.Projects[top.key]
	if !known {
		return nil, invalidKey(top.key)
	}
	r.begin(call, top.minLength)
	if sent, err := time.Parse(time.RFC3339Nano, top.uploaded); err == nil {
		if gap := call.Received.Sub(sent); gap >= clockSkew || gap <= -clockSkew {
			r.gap = gap
		}
	}
	return r.upload(project, top.events, func(records plog.LogRecordSlice) error {
		return r.events(records, r.event)
	})
}

// begin starts a request. The minimum id length is what the request asks for, but never below that of the settings.
func (r *Reader) begin(call Call, minLength int) {
	r.call, r.gap = call, 0
	r.minLength = max(r.set.MinIDLength, minLength)
}

// upload makes the records from a list of events. The last of duplicate members counts; they are rare, so the list is
// rewritten only if there are any.
func (r *Reader) upload(project string, list []byte, read func(plog.LogRecordSlice) error) (*Upload, *Refusal) {
	for try := range 2 {
		logs := plog.NewLogs()
		resource := logs.ResourceLogs().AppendEmpty()
		if project != "" {
			resource.Resource().Attributes().PutStr(amplitude.AttrProject, project)
		}
		records := resource.ScopeLogs().AppendEmpty().LogRecords()
		r.values, r.counts, r.problems = 0, Counts{}, problems{}
		r.e = eventState{width: r.e.width, further: r.e.further[:0], operands: r.e.operands}
		r.in.Reset(bytes.NewBuffer(list), strictNames...)
		err := read(records)
		switch {
		case err == nil:
			if refusal := r.problems.refusal(); refusal != nil {
				return nil, refusal
			}
			return &Upload{Logs: logs, Events: records.Len(), Counts: r.counts}, nil
		case errors.Is(err, jsontext.ErrDuplicateName) && try == 0:
			list = lastNames(list)
		case errors.Is(err, errNotObject):
			return nil, refuse(ReasonInvalidEvent)
		case errors.Is(err, errValues):
			return nil, refuse(ReasonTooLarge)
		default:
			return nil, refuse(ReasonInvalidJSON)
		}
	}
	return nil, refuse(ReasonInvalidJSON)
}

// envelope reads the top object, with its events unparsed. What it returns is valid JSON in UTF-8.
func (r *Reader) envelope(body []byte) (envelope, error) {
	top := envelope{minLength: amplitude.DefaultMinIDLength}
	if !utf8.Valid(body) {
		return top, errors.New("not UTF-8")
	}
	r.in.Reset(bytes.NewBuffer(body), lenient...)
	if r.in.PeekKind() != beginObject {
		return top, errNotObject
	}
	if _, err := r.in.ReadToken(); err != nil {
		return top, err
	}
	for r.in.PeekKind() == quoted {
		name, err := r.in.ReadToken()
		if err != nil {
			return top, err
		}
		member := name.String()
		value, err := r.in.ReadValue()
		steps.Add(1 + len(value))
		if err != nil {
			return top, err
		}
		switch member {
		case "api_key":
			top.key = textOf(value)
		case "client_upload_time":
			top.uploaded = textOf(value)
		case "options":
			top.minLength = minIDLength(value)
		case "events":
			end := r.in.InputOffset()
			top.events, top.hasEvents = body[end-int64(len(value)):end], value.Kind() == beginArray
		}
	}
	return top, r.end(endObject)
}

// end reads the last token of a text and checks that nothing follows.
func (r *Reader) end(kind jsontext.Kind) error {
	token, err := r.in.ReadToken()
	switch {
	case err != nil:
		return err
	case token.Kind() != kind || r.in.PeekKind() != nothing:
		return errors.New("more than one value")
	default:
		return nil
	}
}

// events reads a list of events, each with one.
func (r *Reader) events(records plog.LogRecordSlice, one func(plog.LogRecord) error) error {
	if _, err := r.in.ReadToken(); err != nil {
		return err
	}
	for r.in.PeekKind() != endArray {
		if records.Len() == amplitude.MaxRequestEvents {
			return errValues
		}
		if r.in.PeekKind() != beginObject {
			return errNotObject
		}
		r.e.index = records.Len()
		if err := one(records.AppendEmpty()); err != nil {
			return err
		}
	}
	return r.end(endArray)
}

// minIDLength returns the minimum id length in the options of a request.
func minIDLength(options jsontext.Value) int {
	length := amplitude.DefaultMinIDLength
	in := jsontext.NewDecoder(bytes.NewBuffer(options), lenient...)
	if in.PeekKind() != beginObject {
		return length
	}
	_, _ = in.ReadToken() // the brace just seen
	for in.PeekKind() == quoted {
		name, _ := in.ReadToken() // options are valid JSON
		steps.Add(1)
		wanted := name.String() == "min_id_length"
		value, _ := in.ReadValue()
		if n, whole := wholeNumber(value); wanted && whole && n >= 1 && n <= amplitude.MaxStringLength {
			length = int(n)
		}
	}
	return length
}

// textOf returns the text of a JSON string, or "".
func textOf(value jsontext.Value) string {
	if value.Kind() != quoted {
		return ""
	}
	text, _ := jsontext.AppendUnquote(nil, value) // a lone surrogate is replaced
	return string(text)
}
