// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudereceiver // import "github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver"

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/receiver/amplitudereceiver/internal/upload"
)

// answer is an HTTP answer before it is written.
type answer struct {
	status      int
	contentType string
	body        []byte
}

// acceptedBody is Amplitude's answer to accepted events.
type acceptedBody struct {
	Code             int   `json:"code"`
	ServerUploadTime int64 `json:"server_upload_time"`
	PayloadSizeBytes int   `json:"payload_size_bytes"`
	EventsIngested   int   `json:"events_ingested"`
}

// errorBody is Amplitude's answer to refused events.
type errorBody struct {
	Code         int              `json:"code"`
	Error        string           `json:"error"`
	MissingField string           `json:"missing_field,omitempty"`
	Missing      map[string][]int `json:"events_with_missing_fields,omitempty"`
	Invalid      map[string][]int `json:"events_with_invalid_fields,omitempty"`
	Lengths      map[string][]int `json:"events_with_invalid_id_lengths,omitempty"`
}

// Answers of the form APIs, which are plain text.
const (
	formSuccess      = "success"
	formMissingEvent = "missing_event"
	formInvalidKey   = "invalid_api_key"
	formInvalidEvent = "invalid_event"
)

const (
	// Answers about the pipeline, which Amplitude does not have.
	errNotNow = "The Collector cannot accept events now: retry later"
	errNever  = "The Collector's pipeline permanently refuses these events"
)

// jsonAnswer encodes the body like Amplitude: compact, with a line break.
func jsonAnswer(status int, body any) answer {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the bodies above can always be encoded
	return answer{status, "application/json", out.Bytes()}
}

func plainAnswer(status int, text string) answer {
	return answer{status, "text/plain; charset=utf-8", []byte(text)}
}

func (e endpoint) accepted(at time.Time, size, events int) answer {
	if e.isForm() {
		return plainAnswer(http.StatusOK, formSuccess)
	}
	return jsonAnswer(http.StatusOK, acceptedBody{http.StatusOK, at.UnixMilli(), size, events})
}

func (e endpoint) refused(r *upload.Refusal) answer {
	if e.isForm() && r.Status == http.StatusBadRequest {
		switch r.Reason {
		case upload.ReasonInvalidKey:
			return plainAnswer(r.Status, formInvalidKey)
		case upload.ReasonNoBody, upload.ReasonInvalidJSON, upload.ReasonInvalidEvent, upload.ReasonMissingMember:
			return plainAnswer(r.Status, formMissingEvent)
		default:
			return plainAnswer(r.Status, formInvalidEvent)
		}
	}
	body := errorBody{Code: r.Status, Error: r.Text, MissingField: r.MissingMember}
	switch r.Reason {
	case upload.ReasonMissingField:
		body.Missing = r.Fields
	case upload.ReasonIDLength:
		body.Lengths = r.Fields
	default:
		body.Invalid = r.Fields
	}
	return jsonAnswer(r.Status, body)
}

// refusedByNext returns the answer when the next component refuses events.
func (e endpoint) refusedByNext(permanent bool, events int) answer {
	switch {
	case !permanent:
		return jsonAnswer(http.StatusServiceUnavailable, errorBody{Code: http.StatusServiceUnavailable, Error: errNotNow})
	case e.isForm():
		return plainAnswer(http.StatusBadRequest, formInvalidEvent)
	}
	all := make([]int, events)
	for i := range all {
		all[i] = i
	}
	return jsonAnswer(http.StatusBadRequest, errorBody{
		Code: http.StatusBadRequest, Error: errNever, Invalid: map[string][]int{amplitude.FieldEventType: all},
	})
}
