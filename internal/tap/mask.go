// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package tap // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/tap"

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment/explain"
)

// Ids are masked by a keyed hash with a key that only this process knows: an id always has the same mask while the
// process runs, and nobody can find ids by trying them.
var maskKey = sync.OnceValue(func() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return key
})

// Mask returns the mask of an id. A value that Amplitude refuses as an id identifies nobody, and is kept; for an id
// that may be too short, the mask contains the length.
func Mask(id string) string {
	trimmed, problem := amplitude.CheckID(id, amplitude.DefaultMinIDLength)
	if problem == amplitude.IDEmpty || problem == amplitude.IDPlaceholder {
		return id
	}
	sum := hmac.New(sha256.New, maskKey())
	sum.Write([]byte(trimmed))
	masked := "id:" + hex.EncodeToString(sum.Sum(nil)[:4])
	if problem == amplitude.IDTooShort {
		masked += fmt.Sprintf("(%d characters)", utf8.RuneCountInString(trimmed))
	}
	return masked
}

// isPersonal reports whether the values of a fact identify a person.
func isPersonal(fact string) bool {
	switch fact {
	case amplitude.FieldUserID, amplitude.FieldDeviceID, amplitude.FieldSessionID, "context_id", "client.address", "groups":
		return true
	default:
		return strings.HasPrefix(fact, "groups.")
	}
}

// collectIDs collects all strings that identify a person, the longest first.
func (d *Decision) collectIDs() {
	add := func(text string) {
		if text != "" && Mask(text) != text && !slices.Contains(d.ids, text) {
			d.ids = append(d.ids, text)
		}
	}
	for i := range d.explanation.Facts {
		f := &d.explanation.Facts[i]
		if !isPersonal(f.Name) {
			continue
		}
		add(f.Value)
		if f.From != nil {
			add(f.From.Value)
		}
		for _, other := range f.Others {
			add(other.Value)
		}
	}
	for i := range d.explanation.Events {
		one := &d.explanation.Events[i]
		if !one.Sent {
			continue
		}
		for name, value := range one.Record.Attributes().All() {
			switch {
			case name == amplitude.AttrUserID, name == amplitude.AttrDeviceID, name == amplitude.AttrSessionID,
				name == amplitude.AttrPrefix+fieldIP, strings.HasPrefix(name, amplitude.AttrGroupsPrefix):
				add(value.AsString())
			}
		}
	}
	slices.SortFunc(d.ids, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
}

// masker replaces the ids of one decision.
type masker struct{ replace *strings.Replacer }

// fieldIP is the address of a client.
const fieldIP = "ip"

// shortest is the minimum length in bytes of an id that is replaced inside other texts, which may contain shorter ones
// by chance.
const shortest = 4

func newMasker(d *Decision) *masker {
	var pairs []string
	for _, id := range d.ids {
		if len(id) >= shortest {
			pairs = append(pairs, id, Mask(id))
		}
	}
	return &masker{strings.NewReplacer(pairs...)}
}

func (m *masker) text(text string) string { return m.replace.Replace(text) }

func (m *masker) id(id *ID) *ID {
	if id == nil {
		return nil
	}
	return &ID{Value: Mask(id.Value), From: id.From}
}

// insertID masks the ids that an insert_id starts with, including short ones.
func (m *masker) insertID(d *Decision, insertID string) string {
	for _, id := range []*ID{d.User, d.Device} {
		if id != nil && len(id.Value) < shortest && id.Value != "" {
			insertID = strings.Replace(insertID, id.Value+" ", Mask(id.Value)+" ", 1)
		}
	}
	return m.text(insertID)
}

// masked returns a copy of a decision that does not identify a person.
func (d Decision) masked() Decision {
	m := newMasker(&d)
	events := slices.Clone(d.Events)
	for i := range events {
		e := &events[i]
		e.InsertID, e.Why = m.insertID(&d, e.InsertID), m.text(e.Why)
		e.Properties = slices.Clone(e.Properties)
		for p := range e.Properties {
			e.Properties[p].Value = m.text(e.Properties[p].Value)
		}
		if e.JSON != nil {
			e.JSON = m.json(&d, e.JSON)
		}
	}
	d.explanation = m.explanation(&d)
	d.Events = events
	if d.Outcome == OutcomeRefused {
		d.Why = m.text(d.Why)
	} else {
		d.Why = d.explanation.Why() // including short ids
	}
	d.User, d.Device = m.id(d.User), m.id(d.Device)
	return d
}

func (m *masker) explanation(d *Decision) *explain.Explanation {
	x := *d.explanation
	x.Facts = slices.Clone(x.Facts)
	for i := range x.Facts {
		f := &x.Facts[i]
		mask := m.text
		if isPersonal(f.Name) {
			mask = Mask
		}
		f.Value = mask(f.Value)
		if f.From != nil {
			from := *f.From
			from.Value = mask(from.Value)
			f.From = &from
		}
		f.Others = slices.Clone(f.Others)
		for o := range f.Others {
			f.Others[o].Value = mask(f.Others[o].Value)
		}
	}
	x.Rules = slices.Clone(x.Rules)
	for i := range x.Rules {
		x.Rules[i].Result, x.Rules[i].Because = m.text(x.Rules[i].Result), m.text(x.Rules[i].Because)
	}
	x.Events = slices.Clone(x.Events)
	for i := range x.Events {
		if id := x.Events[i].InsertID; id != nil {
			shown := *id
			shown.Value = m.insertID(d, id.Value)
			x.Events[i].InsertID = &shown
		}
	}
	return &x
}

// json masks the ids in the JSON of an event: strings that contain them, and numbers.
func (m *masker) json(d *Decision, event []byte) []byte {
	out := make([]byte, 0, len(event))
	for rest := event; ; {
		begin := bytes.IndexByte(rest, '"')
		if begin < 0 {
			out = append(out, rest...)
			break
		}
		end := begin + 1
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end+1, len(rest))
		out = append(append(out, rest[:begin]...), m.literal(d, rest[begin:end])...)
		rest = rest[end:]
	}
	for _, id := range d.ids {
		if _, err := strconv.ParseInt(id, 10, 64); err == nil {
			for _, after := range []string{",", "}"} {
				out = bytes.ReplaceAll(out, []byte(":"+id+after), []byte(`:"`+Mask(id)+`"`+after))
			}
		}
	}
	return out
}

// literal masks the ids in a JSON text.
func (m *masker) literal(d *Decision, literal []byte) []byte {
	var text string
	if json.Unmarshal(literal, &text) != nil {
		return literal
	}
	masked := m.insertID(d, text)
	if slices.Contains(d.ids, text) {
		masked = Mask(text)
	}
	if masked == text {
		return literal
	}
	quoted, _ := json.Marshal(masked) // a string can always be encoded
	return quoted
}
