// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Levels of a warning.
const (
	levelWarning = "warning"
	levelInfo    = "info"
)

// secondsBound is the time, in ms, below which a value is probably in seconds.
const secondsBound = 1e11

// starterBatch is the number of events per request recommended for the starter plan.
const starterBatch = 10

// warn keeps a warning. The caller holds the lock.
func (s *store) warn(w warning) {
	if w.Level == "" {
		w.Level = levelWarning
	}
	s.warnings.push(w)
	s.stats.warnings++
}

// lint records what real Amplitude silently accepts in a request although it is probably a mistake.
func (in *ingestion) lint(now time.Time) {
	say := func(text string) {
		in.store.warn(warning{At: now.UnixMilli(), Request: in.log.id, Text: text})
		in.log.warn(text)
	}
	if in.formType {
		say("the Content-Type is " + typeForm + ", as curl --data sends it: it should be " + typeJSON)
	}
	if in.log.keyMisplaced {
		say("the API key is in the URL or in a header: it belongs in the body only")
	}
	if in.behavior.StarterPlan && len(in.events) > starterBatch {
		say("more than " + strconv.Itoa(starterBatch) + " events in a request: the starter plan advises against it")
	}
	text, _ := in.parsed.fields["client_upload_time"].(string)
	if sent, err := time.Parse(time.RFC3339Nano, text); err == nil && now.Sub(sent) > clockSkew {
		say("client_upload_time is " + now.Sub(sent).Round(time.Second).String() + " old: the times of the events are shifted by that")
	}
}

// lintEvent does the same for a stored event.
func (up *upload) lintEvent(p *project, e *event, u *user, now time.Time, insertID string, warn func(string)) {
	if insertID == "" {
		warn("no insert_id: a retry would be stored twice")
	}
	for _, field := range e.empty {
		warn(field + " is empty: omit it when there is none, because Amplitude lists the empty string among the ids that it refuses")
	}
	if n, ok := e.fields[fieldTime].(json.Number); ok {
		ms, _ := n.Float64()
		switch {
		case ms < secondsBound:
			warn("time looks like seconds; it must be milliseconds")
		case ms > float64(now.Add(24*time.Hour).UnixMilli()):
			warn("time is more than a day in the future")
		}
		if ms < u.newest {
			up.stats.unsorted++
		}
		u.newest = max(u.newest, ms)
	}
	if id := idText(e.fields[fieldEventID]); id != "" && !e.identify() {
		if cut(id, up.behavior.StringLimit) == u.eventID {
			warn("event_id " + cut(id, namesShown) + " repeats: it must increase, because Amplitude uses it for de-duplication")
		}
		u.eventID = cut(id, up.behavior.StringLimit)
	}
	for _, group := range resetGroups {
		sent := 0
		for _, field := range group {
			if e.fields[field] != nil {
				sent++
			}
		}
		if sent > 0 && sent < len(group) {
			warn("only " + strconv.Itoa(sent) + " of the " + strconv.Itoa(len(group)) + " fields " + strings.Join(group, ", ") + ": the others are reset")
		}
	}
	if _, custom := e.object(fieldEventProperties)[rawFlagKey]; custom && transformed[e.eventType()] == "" && !strings.HasPrefix(e.eventType(), "$") &&
		!strings.HasPrefix(e.eventType(), experimentPrefix) {
		warn("an exposure with a custom event name counts toward event volume, and is analyzed only if its user property was set before it arrives")
	}
	if n := p.identities.usersOf(e.deviceID); n > up.behavior.SharedDeviceUsers {
		warn("its device was used by " + strconv.Itoa(n) + " users: anonymous events from it are attributed to the last one")
	}
	if u.updatesSince(now, updateSeconds) > updateSeconds {
		warn("user_properties arrive more than once a second for this user: beyond " +
			strconv.Itoa(up.behavior.PropUpdateLimit) + " an hour they are silently dropped")
	}
}

// updateSeconds is the number of seconds over which property updates are averaged for a warning.
const updateSeconds = 10
