// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"fmt"
	"net/http"
	"time"
)

// Bounds of the wait of /_sandbox/await.
const (
	awaitStandard = 10 * time.Second
	awaitLongest  = 5 * time.Minute
)

// condition is what /_sandbox/await waits for: a property of a user, a number of events, or both.
type condition struct {
	user, property, value string
	hasValue, absent      bool
	filter                *filter // nil: no events asked for
	count                 int

	// seen counts the events that match up to a seq, since the reset that epoch counts.
	seen          int
	cursor, epoch uint64
}

// holds reports whether the condition is met, and what it saw; changed is closed when that may have changed.
func (c *condition) holds(s *store) (met bool, seen map[string]any, changed chan struct{}) {
	s.mu.Lock()
	changed = s.changed
	met, seen = c.userHas(s)
	var news []*entry
	if c.filter != nil {
		if c.epoch != s.epoch {
			c.epoch, c.cursor, c.seen = s.epoch, 0, 0
		}
		news, c.cursor = s.newer(c.cursor), s.seq
	}
	s.mu.Unlock()
	if c.filter == nil {
		return met, seen, changed
	}
	for _, e := range news {
		if c.filter.matches(e) {
			c.seen++
		}
	}
	seen["events"] = c.seen
	return met && c.seen >= c.count, seen, changed
}

// userHas reports whether the user meets the condition. The caller holds the lock.
func (c *condition) userHas(s *store) (bool, map[string]any) {
	seen := map[string]any{}
	met := true
	if c.user != "" {
		_, u := s.findUser(c.user)
		var value any
		exists := false
		if u != nil {
			value, exists = u.properties[c.property]
		}
		seen["user_found"] = u != nil
		if c.property != "" {
			seen["value"] = value
			switch {
			case c.absent:
				met = u != nil && !exists
			case c.hasValue:
				met = exists && asText(value) == c.value
			default:
				met = exists
			}
		} else {
			met = u != nil
		}
	}
	return met, seen
}

// getAwait waits until a user has a property value or events have arrived, and answers 200, or 408 on timeout.
func (s *streamAPI) getAwait(w http.ResponseWriter, r *http.Request) {
	c, timeout, err := awaitQuery(r)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	began := time.Now()
	for {
		met, seen, changed := c.holds(s.store)
		seen["waited_ms"] = time.Since(began).Milliseconds()
		if met {
			seen["met"] = true
			writeJSON(w, http.StatusOK, seen)
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			seen["met"] = false
			seen["error"] = fmt.Sprintf("not met within %s", timeout)
			writeJSON(w, http.StatusRequestTimeout, seen)
			return
		case <-r.Context().Done():
			return
		case <-s.closed.Done():
			writeError(w, http.StatusServiceUnavailable, "the sandbox is stopping")
			return
		}
	}
}

func awaitQuery(r *http.Request) (*condition, time.Duration, error) {
	q := r.URL.Query()
	timeout := awaitStandard
	if text := q.Get("timeout"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 || d > awaitLongest {
			return nil, 0, errQuery(`timeout must be a duration up to 5m, such as "10s" (got ` + string(encode(text)) + ")")
		}
		timeout = d
	}
	c := &condition{
		user: q.Get("user"), property: q.Get("property"), value: q.Get("value"), hasValue: q.Has("value"), absent: q.Get("absent") == "true",
	}
	// A flag with a user and no property means the flag's experiment property.
	if flag := q.Get("flag"); flag != "" && c.user != "" && c.property == "" && (c.hasValue || c.absent) {
		c.property = experimentPrefix + flag
		q.Del("flag")
		r.URL.RawQuery = q.Encode()
	}
	if c.property != "" && c.user == "" {
		return nil, 0, errQuery("property needs user: a user_id or device_id")
	}
	for _, name := range []string{"count", "user_id", "device_id", "event_type", "flag", "verdict", "text"} {
		if !q.Has(name) {
			continue
		}
		f, err := queryFilter(r)
		if err != nil {
			return nil, 0, err
		}
		count, err := number(r, "count", 1)
		if err != nil {
			return nil, 0, err
		}
		c.filter, c.count = f, int(min(count, 1<<31))
		break
	}
	if c.user == "" && c.filter == nil {
		return nil, 0, errQuery("nothing to wait for: pass user and property, or an event filter with count")
	}
	return c, timeout, nil
}
