// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Actions of a fault.
const (
	FaultStatus           = "status"             // answer Code without ingesting
	FaultIngestThenStatus = "ingest_then_status" // ingest, then answer Code
	FaultIngestThenReset  = "ingest_then_reset"  // ingest, then reset the connection
	FaultResetBeforeRead  = "reset_before_read"  // reset the connection immediately
	FaultSlowHeaders      = "slow_headers"       // answer after Delay
	FaultSlowBody         = "slow_body"          // stop for Delay in the middle of the answer
	FaultHang             = "hang"               // never answer; reset after Delay if there is one
	FaultSilent           = "silent"             // send nothing more on the connection, not even the answer to a ping; close it after Delay if there is one
	FaultGoAway           = "goaway"             // end the connection without an answer, like an idle one: with GOAWAY in HTTP/2, else by closing it
	FaultStatusBeforeRead = "status_before_read" // answer Code with the body unread, and close
	FaultWrongCode        = "wrong_code"         // HTTP 200 whose body says Code, or HTTP 400 whose body says 200
	FaultUnindexed400     = "unindexed_400"      // 400 with Text and no lists
	FaultBilling400       = "billing_400"        // 400 that names the plan
	FaultRedirect         = "redirect"           // Code, or 301, to Location
	FaultCaptivePage      = "captive_page"       // HTTP 200 with the login page of a network
)

// Forms of a fault's body.
const (
	BodyJSON      = "json"
	BodyHTML      = "html"
	BodyEmpty     = "empty"
	BodyTruncated = "truncated"
)

// Fault makes the next matching requests fail. Faults are consumed in order.
type Fault struct {
	ID int `json:"id"`
	// Match selects requests; empty fields match all.
	Match FaultMatch `json:"match"`
	// Times is the number of requests; 0 is 1, -1 is all until the fault is deleted.
	Times int `json:"times"`
	// Action is one of the Fault constants.
	Action string `json:"action"`
	// Code is the HTTP status of status, status_before_read, ingest_then_status and wrong_code, and of redirect, where 0 is 301.
	Code int `json:"code,omitempty"`
	// Body is json, html, empty or truncated.
	Body string `json:"body,omitempty"`
	// Headers are added to the answer, for instance Retry-After.
	Headers map[string]string `json:"headers,omitempty"`
	// Delay applies to slow_headers, slow_body, hang and silent.
	Delay Duration `json:"delay,omitempty"`
	// Text is the error of unindexed_400.
	Text string `json:"text,omitempty"`
	// Location is where redirect points.
	Location string `json:"location,omitempty"`
	// Hits counts the requests that hit the fault.
	Hits int `json:"hits"`
}

// FaultMatch selects requests.
type FaultMatch struct {
	Path     string `json:"path,omitempty"`
	APIKey   string `json:"api_key,omitempty"`
	Contains string `json:"contains,omitempty"` // text of the decompressed body, for instance a user id
	// LargerThan matches requests that announce more than this number of bytes on the wire.
	LargerThan int64 `json:"larger_than,omitempty"`
}

// Duration is a time.Duration that JSON writes as text such as "1.5s".
type Duration time.Duration

// MarshalText writes the duration as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// faultActions says for each action whether it needs a code, whether it needs a delay, and whether the ordinary steps
// may read the request.
var faultActions = map[string]struct{ code, delay, ingests bool }{
	FaultStatus:           {code: true},
	FaultIngestThenStatus: {code: true, ingests: true},
	FaultWrongCode:        {code: true, ingests: true},
	FaultSlowHeaders:      {delay: true, ingests: true},
	FaultSlowBody:         {delay: true, ingests: true},
	FaultIngestThenReset:  {ingests: true},
	FaultResetBeforeRead:  {ingests: true},
	FaultHang:             {},
	FaultSilent:           {},
	FaultGoAway:           {},
	FaultStatusBeforeRead: {code: true, ingests: true},
	FaultUnindexed400:     {},
	FaultBilling400:       {},
	FaultRedirect:         {},
	FaultCaptivePage:      {},
}

// redirects are the codes of FaultRedirect; 0 is the first.
var redirects = []int{301, 302, 303, 307, 308}

func (f *Fault) validate() error {
	needs, known := faultActions[f.Action]
	switch {
	case !known:
		return fmt.Errorf("action must be one of the documented faults (got %q)", f.Action)
	case needs.code && (f.Code < 200 || f.Code > 599):
		return fmt.Errorf("code must be an HTTP status from 200 to 599 (got %d)", f.Code)
	case f.Action == FaultIngestThenStatus && f.Code == 503:
		return errors.New("code must not be 503 for ingest_then_status: a 503 never ingests")
	case f.Action == FaultRedirect && f.Code != 0 && !slices.Contains(redirects, f.Code):
		return fmt.Errorf("code must be 301, 302, 303, 307 or 308 for redirect (got %d)", f.Code)
	case f.Action == FaultStatusBeforeRead && (f.Match.Contains != "" || f.Match.APIKey != ""):
		return errors.New("match must not use the body for status_before_read, which leaves it unread: use path or larger_than")
	case f.Match.LargerThan < 0:
		return fmt.Errorf("match.larger_than must not be negative (got %d)", f.Match.LargerThan)
	case needs.delay && f.Delay <= 0:
		return errors.New(`delay must be a positive duration such as "2s"`)
	case f.Times < -1:
		return fmt.Errorf("times must be -1 or more (got %d)", f.Times)
	case !slices.Contains([]string{"", BodyJSON, BodyHTML, BodyEmpty, BodyTruncated}, f.Body):
		return fmt.Errorf("body must be json, html, empty or truncated (got %q)", f.Body)
	case f.Match.Path != "" && !strings.HasPrefix(f.Match.Path, "/"):
		return fmt.Errorf("match.path must start with a slash (got %q)", f.Match.Path)
	}
	return nil
}

// faultsKept bounds the fault script.
const faultsKept = 1000

// script is the list of armed faults. Callers of its methods hold the store's lock.
type script struct {
	faults []*Fault
	lastID int
}

// add appends faults and gives them their ids.
func (s *script) add(faults []Fault) error {
	if len(s.faults)+len(faults) > faultsKept {
		return fmt.Errorf("at most %d faults can be active at a time", faultsKept)
	}
	for i := range faults {
		if err := faults[i].validate(); err != nil {
			return err
		}
	}
	for i := range faults {
		f := &faults[i]
		if f.Times == 0 {
			f.Times = 1
		}
		s.lastID++
		f.ID, f.Hits = s.lastID, 0
		added := *f
		s.faults = append(s.faults, &added)
	}
	return nil
}

// remove deletes a fault, or all of them if id is 0, and reports whether there was one.
func (s *script) remove(id int) bool {
	before := len(s.faults)
	s.faults = slices.DeleteFunc(s.faults, func(f *Fault) bool { return id == 0 || f.ID == id })
	return len(s.faults) < before
}

// list returns the current faults; keys to match are masked.
func (s *script) list() []Fault {
	out := make([]Fault, 0, len(s.faults))
	for _, f := range s.faults {
		copied := *f
		if copied.Match.APIKey != "" {
			copied.Match.APIKey = MaskKey(copied.Match.APIKey)
		}
		out = append(out, copied)
	}
	return out
}

// take consumes the first fault that matches. If that depends on the body, it asks for it.
func (s *script) take(q *request, body []byte, read bool) (fault *Fault, needBody bool) {
	for i, f := range s.faults {
		m := &f.Match
		if m.Path != "" && strings.TrimSuffix(m.Path, "/") != q.path {
			continue
		}
		if m.LargerThan > 0 && q.announced <= m.LargerThan {
			continue
		}
		if m.APIKey != "" || m.Contains != "" {
			if !read {
				return nil, true
			}
			if !strings.Contains(string(body), m.Contains) || (m.APIKey != "" && bodyKey(body) != m.APIKey) {
				continue
			}
		}
		f.Hits++
		copied := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return &copied, false
	}
	return nil, false
}

// bodyKey is the API key of a body, "" when there is none.
func bodyKey(body []byte) string {
	var top struct {
		APIKey string `json:"api_key"`
	}
	if err := json.Unmarshal(body, &top); err != nil {
		return ""
	}
	return top.APIKey
}
