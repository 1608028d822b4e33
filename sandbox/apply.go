// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zeebo/xxh3"
)

// project is the state of one API key.
type project struct {
	number     int
	apiKey     string
	region     string
	identities *identities
	dedupe     dedupe
	accounts   accounts
	groups     *groups
	flags      *experiments
}

// upload is the part of a request that applying its events needs.
type upload struct {
	*store
	project    *project
	endpoint   string
	request    uint64
	receivedAt time.Time
	gap        time.Duration // how far the client's clock is behind
}

// apply adds a valid event to the project and returns its entry.
func (up *upload) apply(e *event) *entry {
	b, p, now := &up.behavior, up.project, up.receivedAt
	out := up.newEntry(e)
	insertID := e.insertID()
	if !e.identify() || b.DedupeIdentify {
		if first, seen := up.duplicateOf(p, e, insertID, out.seq, now); seen {
			out.verdict, out.firstSeq, out.firstAt = Duplicate, first.seq, first.at
			out.reason = "the insert_id was received before"
			if u := p.identities.find(e.userID); e.userID != "" && u != nil {
				out.amplitudeID = u.id
				u.duplicates++
			}
			return out
		}
	}
	if contains(b.BlockedEventTypes, e.eventType()) || contains(b.DeletedEventTypes, e.eventType()) {
		out.verdict, out.reason = Dropped, "the event type is blocked"
		if contains(b.DeletedEventTypes, e.eventType()) {
			out.reason = "the event type is deleted"
		}
		return out
	}
	u := p.identities.resolve(e.userID, e.deviceID, now)
	out.amplitudeID = u.id
	warn := func(text string) {
		if len(out.warnings) < requestWarnings && !contains(out.warnings, text) {
			out.warnings = append(out.warnings, text)
		}
	}
	up.lintEvent(p, e, u, now, insertID, warn)

	ops := up.transform(out, e, warn)
	if skip, _ := e.fields[fieldSkipUserPropertiesSync].(bool); !skip || !b.SkipUserPropertiesSync {
		up.applyProperties(out, u, ops, e, warn)
	}
	if groups := e.object(fieldGroups); len(groups) > 0 {
		up.applyGroups(p, u, groups, e, warn)
	}
	switch {
	case e.identify():
		out.verdict = Identify
	case up.unsetsOnly(e):
		out.verdict, out.reason = Identify, "without a variant, it only unsets the user property"
		p.flags.observe(out, u, e)
	default:
		out.verdict = Stored
		u.events++
		p.flags.observe(out, u, e)
	}
	for _, property := range p.flags.properties(out, b.ExperimentPropertyLimit) {
		warn(cut(property, namesShown) + " is beyond the " + strconv.Itoa(b.ExperimentPropertyLimit) + " experiment user properties of a project: Amplitude supports no more")
	}
	up.shed(u)
	p.groups.shed()
	return out
}

// newEntry returns what is known about an event before its verdict.
func (up *upload) newEntry(e *event) *entry {
	up.seq++
	out := &entry{
		seq: up.seq, project: up.project, request: up.request, index: e.index, receivedAt: up.receivedAt,
		endpoint: up.endpoint, event: string(e.raw), eventType: cut(e.eventType(), up.behavior.StringLimit),
		userID: e.userID, deviceID: e.deviceID, derived: e.derived, insertID: e.insertID(),
	}
	out.eventTime = up.receivedAt.UnixMilli()
	if n, ok := e.fields[fieldTime].(json.Number); ok {
		if f, err := n.Float64(); err == nil {
			out.eventTime = int64(f)
		}
	}
	out.eventTime += up.gap.Milliseconds()
	out.describe(e, up.behavior.StringLimit)
	return out
}

// describe finds the flags and the variant of the event. Names are truncated as Amplitude does.
func (out *entry) describe(e *event, limit int) {
	props := e.object(fieldEventProperties)
	text := func(names ...string) string {
		for _, name := range names {
			if s, ok := props[name].(string); ok {
				return cut(s, limit)
			}
		}
		return ""
	}
	switch out.eventType {
	case eventRawExposure, eventExposure, eventRawImpression, eventImpression:
		if flag := text(propertyFlagKey, rawFlagKey); flag != "" {
			out.flags = []string{flag}
		}
		out.variant = text(propertyVariant, rawVariant)
		out.run = text(propertyExperimentKey, rawExperimentKey)
	case eventAssignment:
		for name := range props {
			if flag, ok := strings.CutSuffix(name, suffixVariant); ok {
				out.flags = append(out.flags, strings.Clone(cut(strings.TrimPrefix(flag, experimentPrefix), limit)))
			}
		}
		slices.Sort(out.flags)
	}
}

func (up *upload) duplicateOf(p *project, e *event, insertID string, seq uint64, now time.Time) (firstCopy, bool) {
	b := &up.behavior
	var keys []xxh3.Uint128
	if insertID != "" && (!e.derived || b.DedupeDerivedDevice) {
		if b.DedupeKey == DedupeInsert {
			keys = append(keys, dedupeKey("", insertID))
		} else {
			keys = append(keys, dedupeKey(e.deviceID, insertID))
		}
	}
	if id := idText(e.fields[fieldEventID]); b.DedupeEventID && id != "" {
		keys = append(keys, dedupeKey(e.deviceID, "event_id "+id+" "+idText(e.fields[fieldTime])))
	}
	for _, key := range keys {
		if first, seen := p.dedupe.find(key, now, b.DedupeWindow); seen {
			return first, true
		}
	}
	for _, key := range keys {
		p.dedupe.add(key, seq, now, b.DedupeWindow)
	}
	return firstCopy{}, false
}

// applyProperties applies user_properties and the fields that the profile shows.
func (up *upload) applyProperties(out *entry, u *user, ops map[string]any, e *event, warn func(string)) {
	b := &up.behavior
	if !b.EventOperators && !e.identify() && up.transforms(e) == "" {
		ops = withoutOperators(ops)
	}
	if b.PropertyOrder == OrderTime && len(ops) > 0 {
		if out.eventTime < u.propertyTime {
			return
		}
		u.propertyTime = out.eventTime
	}
	if len(ops) > 0 {
		if u.countUpdate(out.receivedAt, up.behavior.PropUpdateLimit) {
			u.properties.applyOperators(ops, b, &u.held, func(c Change) {
				if !c.Changed {
					return
				}
				c.Seq, c.EventType, c.Time, c.ReceivedAt = out.seq, out.eventType, out.eventTime, out.receivedAt.UnixMilli()
				u.remember(c, up.config.Retention.History)
				out.changes = append(out.changes, c)
			}, warn)
		} else {
			warn("over " + strconv.Itoa(up.behavior.PropUpdateLimit) + " property updates in an hour: user properties were not updated")
		}
	}
	for _, group := range resetGroups {
		some := false
		for _, field := range group {
			some = some || e.fields[field] != nil
		}
		if !some {
			continue
		}
		if u.fields == nil {
			u.fields = map[string]any{}
		}
		for _, field := range group {
			u.setField(field, e.fields[field], up.behavior.StringLimit)
		}
	}
	if language := e.text("language"); language != "" {
		if u.fields == nil {
			u.fields = map[string]any{}
		}
		u.setField("language", languageName(language), up.behavior.StringLimit)
	}
}

// setField sets a field that the profile shows, unless it is a map or list.
func (u *user) setField(field string, value any, limit int) {
	if text, ok := value.(string); ok {
		value = cut(text, limit)
	}
	u.held.add(weigh(value) - weigh(u.fields[field]))
	u.fields[field] = value
}

// withoutOperators returns the properties without $set and other operators.
func withoutOperators(ops map[string]any) map[string]any {
	plain := map[string]any{}
	for name, value := range ops {
		if !strings.HasPrefix(name, "$") {
			plain[name] = value
		}
	}
	return plain
}

// languageName maps the tags that demos use; others stay as they are.
func languageName(tag string) string {
	switch strings.ToLower(tag[:min(2, len(tag))]) {
	case "en":
		return "English"
	case "de":
		return "German"
	case "fr":
		return "French"
	case "es":
		return "Spanish"
	case "ja":
		return "Japanese"
	default:
		return tag
	}
}

func groupKey(kind, value string) string { return strconv.Itoa(len(kind)) + ":" + kind + value }

// applyGroups keeps the membership and, for $groupidentify, the properties of each group.
func (up *upload) applyGroups(p *project, u *user, groups map[string]any, e *event, warn func(string)) {
	types := 0
	for _, kind := range slices.Sorted(maps.Keys(groups)) {
		if types++; types > maxGroupTypes {
			warn("more than " + strconv.Itoa(maxGroupTypes) + " group types: the rest is ignored")
			return
		}
		values := asList(groups[kind])
		if len(values) > maxGroupValues {
			warn("more than " + strconv.Itoa(maxGroupValues) + " values of group type " + quoted(kind) + ": the rest is ignored")
			values = values[:maxGroupValues]
		}
		if e.eventType() == eventGroupIdentify {
			for _, value := range values {
				g := p.groups.of(groupKey(cut(kind, up.behavior.StringLimit), cut(asText(value), up.behavior.StringLimit)))
				g.applyOperators(e.object(fieldGroupProperties), &up.behavior, &g.held, func(Change) {}, warn)
			}
			continue
		}
		u.join(kind, groups[kind], values, warn)
	}
}

// join makes the user a member of groups of a type.
func (u *user) join(kind string, value any, values []any, warn func(string)) {
	if list, isList := value.([]any); isList && len(list) > len(values) {
		value = values
	}
	if u.groups == nil {
		u.groups = map[string]any{}
	}
	before, known := u.groups[kind]
	more := weigh(value) - weigh(before)
	if !known {
		more += valueCost + int64(len(kind))
	}
	if more > 0 && !u.held.fits(more) {
		warn("group type " + quoted(kind) + " is not kept: its user exceeds what the sandbox keeps (retention.property_bytes)")
		return
	}
	u.held.add(more)
	u.groups[kind] = value
}

// asText returns a group value as text.
func asText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return string(encode(v))
}
