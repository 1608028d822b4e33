// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// answer is the raw answer to one request.
type answer struct {
	status int
	// retryAfter is what the Retry-After header asks for, 0 without one.
	retryAfter time.Duration
	// location is where a redirect points, or "".
	location string
	// body is the start of the body, up to a bound.
	body []byte
}

// action is what to do about an answer.
type action uint8

const (
	// actionDone: the events are delivered.
	actionDone action = iota + 1
	// actionSift: some events are listed as bad or throttled; the others can be sent immediately.
	actionSift
	// actionHalve: the request is too large.
	actionHalve
	// actionBisect: something in the request is bad, but Amplitude does not say which event.
	actionBisect
	// actionProbe: something between here and Amplitude refuses the request, because of an event in it or its sender;
	// see lane.probe.
	actionProbe
	// actionRetry: the failure may be temporary, or needs a configuration change; retry the same later.
	actionRetry
	// actionPause: the whole project is throttled.
	actionPause
)

// Waits that Amplitude documents or its clients agree on.
const (
	throttleWait = 30 * time.Second
	quotaWait    = time.Hour
	projectWait  = 60 * time.Second
	// longestWait bounds the wait of a Retry-After header.
	longestWait = time.Hour
)

// response is an interpreted answer.
type response struct {
	action action
	status int
	// reason is the reason for events that are dead-lettered because of this answer.
	reason event.Reason
	// location is where a redirect points, which is not followed.
	location string
	// text is Amplitude's error text if it is a documented one, which contains no id, payload or key.
	text string
	// wait is how long to wait before the next try, or 0 for the back-off.
	wait time.Duration
	// rejected are the events listed as bad, by index in the request.
	rejected []rejection
	// throttled are the indexes of events listed as throttled, ascending.
	throttled []int
	// throttledIDs are the users and devices listed as throttled; true means over the daily quota.
	throttledIDs map[event.Identity]bool
	// misconfigured: the configuration may have to be changed.
	misconfigured bool
	// err is set instead of a status if there was no answer.
	err error
	// unexpected is how a successful answer contradicts itself: body_code, count, not_json, page, or "".
	unexpected string
}

// rejection is an event listed as bad.
type rejection struct {
	index  int
	reason event.Reason
	field  string
}

// textInvalidAPIKey is how Amplitude refuses a key.
const textInvalidAPIKey = "Invalid API key" //nolint:gosec // an error text of Amplitude

// unexpectedPage: a success status with a page instead of Amplitude's answer.
const unexpectedPage = "page"

// documentedErrors are the prefixes of the error texts that Amplitude is known to send.
var documentedErrors = []string{
	"Invalid request path", "Missing request body", "Invalid JSON request body", "Request missing required field",
	"Invalid event JSON", textInvalidAPIKey, "Invalid field values on some events", "Invalid id length for user_id or device_id",
	"Events silenced for device_id", "Too many requests for some devices and users", "Too many requests", "Payload too large", "Forbidden",
}

// interpret interprets the answer to a request with n events. It has no other inputs. The status decides; the body only
// adds details, because a proxy may have written it.
func interpret(a answer, n int) response {
	body := parseBody(a.body)
	res := response{status: a.status, wait: min(a.retryAfter, longestWait), text: body.documentedText()}
	switch code := a.status; {
	case code >= 200 && code < 300:
		res.action = actionDone
		res.wait = 0
		res.unexpected = body.contradiction(n)
		if isPage(a.body) {
			// A sign-in page of a network, or a page of a proxy: nothing was stored.
			res.action, res.unexpected = actionRetry, unexpectedPage
		}
	case code == http.StatusRequestEntityTooLarge:
		res.action, res.reason = actionHalve, event.ReasonTooLarge
	case code == http.StatusTooManyRequests:
		body.readThrottled(&res, n)
		body.readRejected(&res, n)
		if len(res.throttled) == 0 && len(res.throttledIDs) == 0 && len(res.rejected) == 0 {
			res.action = actionPause
			if res.wait == 0 {
				res.wait = projectWait
			}
		} else {
			res.action = actionSift
		}
	case code == http.StatusBadRequest:
		interpretBadRequest(&res, body, n)
	case code == http.StatusForbidden:
		res.action, res.reason = actionProbe, event.ReasonForbidden
	case isConfigurationError(code):
		res.action, res.misconfigured = actionRetry, true
	case code >= 500 || code < 400 || isTransient(code):
		res.action = actionRetry
		if code < 400 {
			res.location = a.location
		}
	default:
		// Other client errors may be about the content, as from a filter between here and Amplitude.
		res.action, res.reason = actionProbe, event.ReasonRefused
	}
	return res
}

func interpretBadRequest(res *response, body body, n int) {
	switch {
	case res.text == textInvalidAPIKey, res.text == "Invalid request path", res.text == "Missing request body", body.text("missing_field") != "":
		res.action, res.misconfigured = actionRetry, true
		return
	}
	body.readRejected(res, n)
	body.readThrottled(res, n)
	if len(res.rejected) > 0 || len(res.throttled) > 0 || len(res.throttledIDs) > 0 {
		res.action = actionSift
		return
	}
	res.action, res.reason = actionBisect, event.ReasonRefused
	if body == nil {
		res.action = actionProbe // not Amplitude's words
	}
}

// isPage reports whether a body is HTML or XML, which Amplitude never sends.
func isPage(body []byte) bool {
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // the mark with which some servers begin their files
	return bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// isConfigurationError reports whether a status means that the request went to the wrong place or had the wrong form.
func isConfigurationError(code int) bool {
	switch code {
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone,
		http.StatusLengthRequired, http.StatusUnsupportedMediaType:
		return true
	}
	return false
}

// isTransient reports whether a client error may be temporary, or caused between here and Amplitude.
func isTransient(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusProxyAuthRequired, http.StatusMisdirectedRequest, http.StatusTooEarly, http.StatusLocked:
		return true
	}
	return false
}

// body is an untrusted JSON object; nil if the answer was not one.
type body map[string]json.RawMessage

func parseBody(raw []byte) body {
	var b body
	if json.Unmarshal(raw, &b) != nil {
		return nil
	}
	return b
}

func (b body) text(key string) string {
	var s string
	_ = json.Unmarshal(b[key], &s)
	return s
}

func (b body) number(key string) (float64, bool) {
	var n *float64
	if json.Unmarshal(b[key], &n) != nil || n == nil {
		return 0, false
	}
	return *n, true
}

// documentedText returns the documented prefix of the error text, or "": other text may contain ids or the key.
func (b body) documentedText() string {
	text := b.text("error")
	for _, known := range documentedErrors {
		if strings.HasPrefix(text, known) {
			return known
		}
	}
	return ""
}

// contradiction returns how the body of a successful answer to n events contradicts it.
func (b body) contradiction(n int) string {
	if b == nil {
		return "not_json"
	}
	if code, ok := b.number("code"); ok && (code < 200 || code >= 300) {
		return "body_code"
	}
	if ingested, ok := b.number("events_ingested"); ok && int(ingested) != n {
		return "count"
	}
	return ""
}

// rejectedLists are the objects that list events by invalid field.
var rejectedLists = []struct {
	key    string
	reason event.Reason
}{
	{"events_with_missing_fields", event.ReasonMissingField},
	{"events_with_invalid_fields", event.ReasonRejectedField},
	{"events_with_invalid_id_lengths", event.ReasonRejectedID},
}

func (b body) readRejected(res *response, n int) {
	named := map[int]bool{}
	add := func(index int, r event.Reason, field string) {
		if !named[index] {
			named[index] = true
			res.rejected = append(res.rejected, rejection{index: index, reason: r, field: knownField(field)})
		}
	}
	for _, list := range rejectedLists {
		var byField map[string]json.RawMessage
		_ = json.Unmarshal(b[list.key], &byField)
		names := make([]string, 0, len(byField))
		for name := range byField {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			for _, index := range parseIndexes(byField[name], n) {
				add(index, list.reason, name)
			}
		}
	}
	for _, index := range parseIndexes(b["silenced_events"], n) {
		add(index, event.ReasonSilenced, "device_id")
	}
	slices.SortFunc(res.rejected, func(x, y rejection) int { return x.index - y.index })
}

// knownField returns the name if it is a field of an event, else "": other text may contain anything.
func knownField(name string) string {
	switch name {
	case amplitude.FieldEventType, amplitude.FieldTime, amplitude.FieldEventProperties, amplitude.FieldUserProperties,
		amplitude.FieldGroups, amplitude.FieldGroupProperties:
		return name
	}
	if event.IsField(name) {
		return name
	}
	return ""
}

func (b body) readThrottled(res *response, n int) {
	res.throttled = parseIndexes(b["throttled_events"], n)
	slices.Sort(res.throttled)
	for _, list := range []struct {
		key      string
		identify func(string) event.Identity
		quota    bool
	}{
		{"throttled_users", event.UserIdentity, false},
		{"throttled_devices", event.DeviceIdentity, false},
		{"exceeded_daily_quota_users", event.UserIdentity, true},
		{"exceeded_daily_quota_devices", event.DeviceIdentity, true},
	} {
		var ids map[string]json.RawMessage
		_ = json.Unmarshal(b[list.key], &ids)
		for id := range ids {
			if res.throttledIDs == nil {
				res.throttledIDs = map[event.Identity]bool{}
			}
			res.throttledIDs[list.identify(id)] = list.quota
		}
	}
}

// parseIndexes returns the indexes below n in a list, and ignores anything else in it.
func parseIndexes(raw json.RawMessage, n int) []int {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var indexes []int
	for _, element := range list {
		var index *float64
		if json.Unmarshal(element, &index) != nil || index == nil {
			continue
		}
		if i := int(*index); float64(i) == *index && i >= 0 && i < n {
			indexes = append(indexes, i)
		}
	}
	return indexes
}
