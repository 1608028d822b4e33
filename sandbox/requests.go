// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
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
	announced  int64 // Content-Length, -1 when unknown
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
	warnings   []string // bounded, each text once
	retry      int      // how many requests with the same events came before
	devices    []idKey

	limit        int    // of body
	bodyRead     bool   // the body was read, so that an empty one is empty
	full         []byte // the beginning of the body until the answer is known
	fingerprint  xxh3.Uint128
	query        string // until the answer is known
	keyMisplaced bool   // the API key is in the URL or in a header
}

func newRequest(id uint64, r *http.Request, now time.Time) *request {
	return &request{
		id: id, method: r.Method, path: strings.TrimSuffix(r.URL.Path, "/"), header: r.Header.Clone(),
		receivedAt: now, started: time.Now(), query: r.URL.RawQuery, announced: r.ContentLength,
	}
}

func (q *request) size() int64 {
	const overhead = 1024
	n := int64(len(q.body)+len(q.answer)) + overhead
	for _, text := range q.warnings {
		n += int64(len(text))
	}
	for name, values := range q.header {
		n += int64(len(name))
		for _, v := range values {
			n += int64(len(v))
		}
	}
	return n
}

// keyReserve is how much more of a body is searched than is kept, so that a truncated key is masked, too.
const keyReserve = 4 << 10

func (q *request) setBody(body []byte, limit int) {
	q.bodyBytes, q.limit, q.bodyRead = len(body), limit, true
	q.cut = len(body) > limit
	q.full = body[:min(len(body), limit+keyReserve)]
}

func (q *request) setKey(key string) {
	q.secret = key
	q.key = MaskKey(key)
	q.keyMisplaced = strings.Contains(q.query, key)
	for name, values := range q.header {
		for _, v := range values {
			// Keys such as "sandbox" also occur in host and client names.
			q.keyMisplaced = q.keyMisplaced || v == key || (len(key) >= maskedFrom && strings.Contains(v, key)) || name == "Authorization"
		}
	}
}

// requestWarnings bounds the warnings kept with a request; /_sandbox/warnings has all of them.
const requestWarnings = 20

func (q *request) warn(texts ...string) {
	for _, text := range texts {
		if len(q.warnings) < requestWarnings && !contains(q.warnings, text) {
			q.warnings = append(q.warnings, text)
		}
	}
}

// bodyNote returns why there is no body to show although one was announced, or "".
func (q *request) bodyNote() string {
	switch {
	case q.body != "" && !utf8.ValidString(q.body):
		return strconv.Itoa(q.bodyBytes) + " bytes that are not text"
	case !q.bodyRead && q.announced != 0:
		return "not read"
	default:
		return ""
	}
}

// setAnswer stores the answer with all occurrences of the key masked.
func (q *request) setAnswer(a answer) {
	const limit = 16 << 10
	q.status = a.status
	q.answer = q.masked(string(a.body[:min(len(a.body), limit)]))
	if q.full != nil {
		text := keyMember.ReplaceAllString(q.masked(string(q.full)), "${1}****${2}")
		text = keyField.ReplaceAllString(text, "${1}****")
		q.body, q.full = strings.Clone(text[:min(len(text), q.limit)]), nil
	}
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
		// A short key may be an ordinary word: it is masked only as a complete value.
		text = strings.ReplaceAll(text, `"`+q.secret+`"`, `"`+q.key+`"`)
		return strings.ReplaceAll(text, errKey+q.secret, errKey+q.key)
	}
	return strings.ReplaceAll(text, q.secret, q.key)
}

// The key in a body that cannot be parsed, as JSON and as a form. Each expression starts with literal text, which is
// found quickly; a combined expression took most of the time of a request.
var (
	keyMember = regexp.MustCompile(`("api_key"\s*:\s*")[^"]*(")`)
	keyField  = regexp.MustCompile(`(api_key=)[^&\s]+`)
)

// maskedFrom is the length from which the ends of a key are shown.
const maskedFrom = 12

// realKey matches the format of Amplitude's keys: such a key may belong to a real project, and is never shown.
var realKey = regexp.MustCompile(`^[0-9A-Fa-f]{32}$`)

// MaskKey returns an API key in a form that may be shown: its ends if it is long, else nothing of it.
func MaskKey(key string) string {
	if len(key) < maskedFrom {
		return "****"
	}
	return key[:2] + "****" + key[len(key)-2:]
}
