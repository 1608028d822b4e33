// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/extension/amplitudesandboxextension/sandbox"

import (
	"net/http"
	"strings"
	"time"
)

// request is one request to the ingestion API, as the request log keeps it.
type request struct {
	id         uint64
	method     string
	path       string
	header     http.Header
	receivedAt time.Time
	started    time.Time
	took       time.Duration
	wireBytes  int64
	bodyBytes  int
	body       string // decompressed, the beginning of it, the key masked
	cut        bool
	key        string // masked
	secret     string
	events     int
	status     int
	answer     string
	fault      string
	retry      int // how many equal bodies came before
	devices    []idKey
}

func newRequest(id uint64, r *http.Request, now time.Time) *request {
	return &request{
		id: id, method: r.Method, path: strings.TrimSuffix(r.URL.Path, "/"), header: r.Header.Clone(),
		receivedAt: now, started: time.Now(),
	}
}

func (q *request) size() int64 {
	const overhead = 1024
	n := int64(len(q.body)+len(q.answer)) + overhead
	for name, values := range q.header {
		n += int64(len(name))
		for _, v := range values {
			n += int64(len(v))
		}
	}
	return n
}

func (q *request) setBody(body []byte, limit int) {
	q.bodyBytes = len(body)
	q.cut = len(body) > limit
	q.body = string(body[:min(len(body), limit)])
}

func (q *request) setKey(key string) {
	q.secret = key
	q.key = MaskKey(key)
}

func (q *request) setDevices(events []*event) {
	seen := make(map[idKey]bool, len(events))
	for _, e := range events {
		if key := deviceKey(e.deviceID); !seen[key] {
			seen[key] = true
			q.devices = append(q.devices, key)
		}
	}
}

// setAnswer keeps the answer; the key is masked wherever it stands.
func (q *request) setAnswer(a answer) {
	const limit = 16 << 10
	q.status = a.status
	q.answer = q.masked(string(a.body[:min(len(a.body), limit)]))
	q.body = q.masked(q.body)
	for _, values := range q.header {
		for i := range values {
			values[i] = q.masked(values[i])
		}
	}
}

func (q *request) masked(text string) string {
	if q.secret == "" {
		return text
	}
	if len(q.secret) < maskedFrom {
		// A short key may be an ordinary word: it is masked where it is a whole value.
		text = strings.ReplaceAll(text, `"`+q.secret+`"`, `"`+q.key+`"`)
		return strings.ReplaceAll(text, errKey+q.secret, errKey+q.key)
	}
	return strings.ReplaceAll(text, q.secret, q.key)
}

// maskedFrom is the length from which on the ends of a key are shown.
const maskedFrom = 12

// MaskKey returns an API key as it may be shown: its ends when it is long, else nothing of it.
func MaskKey(key string) string {
	if len(key) < maskedFrom {
		return "****"
	}
	return key[:2] + "****" + key[len(key)-2:]
}
