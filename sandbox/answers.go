// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// Texts of the "error" member, as documented or seen.
const (
	errPath      = "Invalid request path"
	errNoBody    = "Missing request body"
	errJSON      = "Invalid JSON request body"
	errMissing   = "Request missing required field"
	errEventJSON = "Invalid event JSON"
	errKey       = "Invalid API key: "
	errFields    = "Invalid field values on some events"
	errIDLength  = "Invalid id length for user_id or device_id"
	errSilenced  = "Events silenced for device_id"
	errThrottled = "Too many requests for some devices and users"
	errProject   = "Too many requests"
	errTooLarge  = "Payload too large"
	errForbidden = "Forbidden"

	errUnauthorized = "Unauthorized"
)

// answer is an HTTP answer before it is written.
type answer struct {
	status      int
	contentType string
	body        []byte
	header      http.Header // further headers, nil for none
}

// member is one key of an object whose keys keep their order.
type member struct {
	key   string
	value any
}

// indexes maps a field to the indexes of the events that fail on it.
type indexes map[string][]int

func (x indexes) add(field string, index int) { x[field] = append(x[field], index) }

// first returns the lowest index of each field only.
func (x indexes) first() indexes {
	out := make(indexes, len(x))
	for field, list := range x {
		out[field] = list[:1]
	}
	return out
}

// encode writes compact JSON without HTML escapes and without a newline.
func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte(fmt.Sprintf("%q", err.Error()))
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// encodeObject writes members in their order.
func encodeObject(members []member) []byte {
	out := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, encode(m.key)...)
		out = append(out, ':')
		out = append(out, encode(m.value)...)
	}
	return append(out, '}')
}

// jsonAnswer is an answer of Amplitude: members in order, and a newline if so configured.
func (b *Behavior) jsonAnswer(status int, members ...member) answer {
	text := encodeObject(append([]member{{"code", status}}, members...))
	if b.JSONBodyNewline {
		text = append(text, '\n')
	}
	return answer{status: status, contentType: "application/json", body: text}
}

func (b *Behavior) badRequest(text string, more ...member) answer {
	return b.jsonAnswer(http.StatusBadRequest, append([]member{{"error", text}}, more...)...)
}

func (b *Behavior) missingField(field string) answer {
	return b.badRequest(errMissing, member{"missing_field", field})
}

// lists applies the index mode.
func (b *Behavior) lists(x indexes) indexes {
	if b.IndexMode == IndexFirst {
		return x.first()
	}
	return x
}

// failure is an answer that may also come from something in front of Amplitude: 403, 413, 5xx.
func (b *Behavior) failure(status int, text string) answer {
	if b.HTMLErrors {
		return htmlAnswer(status, text)
	}
	return b.jsonAnswer(status, member{"error", text})
}

func htmlAnswer(status int, text string) answer {
	return answer{
		status:      status,
		contentType: "text/html",
		body:        fmt.Appendf(nil, "<html><head><title>%d %s</title></head></html>", status, text),
	}
}

func (b *Behavior) accepted(uploadTime int64, payloadBytes, ingested int) answer {
	return b.jsonAnswer(
		http.StatusOK,
		member{"server_upload_time", uploadTime},
		member{"payload_size_bytes", payloadBytes},
		member{"events_ingested", ingested},
	)
}

// withoutEmpty drops members that are empty maps when so configured.
func (b *Behavior) withoutEmpty(members []member) []member {
	if !b.OmitEmpty {
		return members
	}
	return slices.DeleteFunc(members, func(m member) bool {
		rates, ok := m.value.(map[string]int)
		return ok && len(rates) == 0
	})
}

// throttled is the 429 with lists; the quota maps appear where the endpoint has a quota.
func (b *Behavior) throttled(e Endpoint, t *throttling) answer {
	members := []member{
		{"error", errThrottled},
		{"eps_threshold", e.EPSThreshold},
		{"throttled_devices", t.devices},
		{"throttled_users", t.users},
	}
	if e.DailyQuota {
		members = append(members, member{"exceeded_daily_quota_users", t.quotaUsers}, member{"exceeded_daily_quota_devices", t.quotaDevices})
	}
	members = append(members, member{"throttled_events", t.list()})
	return b.jsonAnswer(http.StatusTooManyRequests, b.withoutEmpty(members)...)
}

func (b *Behavior) projectThrottled() answer {
	members := []member{{"error", errProject}}
	if b.ProjectLists {
		none := map[string]int{}
		members = append(members, member{"throttled_devices", none}, member{"throttled_users", none}, member{"throttled_events", []int{}})
	}
	return b.jsonAnswer(http.StatusTooManyRequests, members...)
}

// silenced is the 400 for silenced devices, with what is throttled among the other events.
func (b *Behavior) silenced(e Endpoint, devices map[string]bool, events []int, t *throttling) answer {
	return b.jsonAnswer(http.StatusBadRequest, b.withoutEmpty([]member{
		{"eps_threshold", e.EPSThreshold},
		{"error", errSilenced},
		{"exceeded_daily_quota_devices", t.quotaDevices},
		{"silenced_devices", slices.Sorted(maps.Keys(devices))},
		{"silenced_events", events},
		{"throttled_devices", t.devices},
		{"throttled_events", t.list()},
	})...)
}
