// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"context"
	"maps"
	"slices"
)

// Select selects events; empty fields select all, and without Verdicts only stored events are selected.
type Select struct {
	UserID, DeviceID, EventType, Flag string
	Verdicts                          []Verdict
}

func (q Select) filter() *filter {
	f := &filter{userID: q.UserID, deviceID: q.DeviceID, eventType: q.EventType, flag: q.Flag, verdicts: map[Verdict]bool{Stored: true}}
	if len(q.Verdicts) > 0 {
		f.verdicts = map[Verdict]bool{}
		for _, v := range q.Verdicts {
			f.verdicts[v] = true
		}
	}
	return f
}

// Event is a received event, with what the sandbox knows about it.
type Event struct {
	// JSON is the event as stored: as received, unless it was transformed or truncated.
	JSON string
	// Fields is JSON decoded; numbers are json.Number.
	Fields map[string]any
	Meta   Meta
}

// Events returns the selected events in order of arrival.
func (s *Server) Events(q Select) []Event {
	found := s.store.selectEvents(q.filter(), 1<<31, false)
	out := make([]Event, 0, len(found))
	for _, e := range found {
		value, err := parseValue([]byte(e.event))
		fields, _ := value.(map[string]any)
		if err == nil {
			out = append(out, Event{JSON: e.event, Fields: fields, Meta: e.meta()})
		}
	}
	return out
}

// AwaitEvents returns the selected events once there are at least n, or those present when ctx is done.
func (s *Server) AwaitEvents(ctx context.Context, q Select, n int) ([]Event, error) {
	c := condition{filter: q.filter(), count: n}
	for {
		met, _, changed := c.holds(s.store)
		if met {
			return s.Events(q), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s.Events(q), ctx.Err()
		}
	}
}

// User returns what is known about a user, by user_id, device_id or Amplitude ID.
func (s *Server) User(id string) (User, bool) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	p, u := s.store.findUser(id)
	if u == nil {
		return User{}, false
	}
	return u.detail(p), true
}

// Group returns the properties of a group.
func (s *Server) Group(groupType, value string) (map[string]any, bool) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	for _, p := range s.store.order {
		if g, ok := p.groups.byKey[groupKey(groupType, value)]; ok {
			return copyValue(map[string]any(g.properties)).(map[string]any), true
		}
	}
	return nil, false
}

// Stats returns the counts since startup or the last reset.
func (s *Server) Stats() Overview { return s.store.overview() }

// Routes lists the page, the read API and the control API as "METHOD /path".
func (s *Server) Routes() []string { return slices.Sorted(maps.Keys(s.control)) }

// copyValue copies a decoded JSON value.
func copyValue(v any) any {
	switch t := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, x := range t {
			out[k] = copyValue(x)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, x := range t {
			out[i] = copyValue(x)
		}
		return out
	default:
		return v
	}
}
