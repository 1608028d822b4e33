// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/time/rate"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
)

// nearMiss is what a record lacks to be recognized.
type nearMiss uint8

const (
	// nearNoEventName: it names a flag, or says in its body what it is, but has no event name.
	nearNoEventName nearMiss = iota
	// nearSimilarName: its event name is almost one that is recognized.
	nearSimilarName
	numNearMisses
)

var nearMissNames = [numNearMisses]string{"no_event_name", "similar_event_name"}

// nearMissHints tell what to do about each.
var nearMissHints = [numNearMisses]string{
	nearNoEventName: "a record is recognized by its event name alone: have the application set EventName, or the attribute event.name, to did_you_mean",
	nearSimilarName: "event names are compared exactly: correct the name in the application, or add it to the event_names of exposure, evaluation or assignment",
}

// nearExample describes one near miss. Found and service are as the application wrote them: cut and escape them.
type nearExample struct {
	service string
	// found is the event name, or the attribute or body that stands in for it.
	found string
	meant string
}

// looksPerSecond bounds how many foreign records are looked at more closely, so that the price does not grow with
// the traffic: an ordinary log record has no event name, and each of its attributes would have to be compared.
const looksPerSecond = 1000

const attrServiceName = "service.name"

// nearMissFinder looks among the foreign records for those that were meant as events.
type nearMissFinder struct {
	names recogniser
	// candidates are the event names worth suggesting.
	candidates []string
	// byAttribute has, per attribute that holds a flag key, the event name that it asks for.
	byAttribute map[string]string
	looks       *rate.Limiter
}

func newNearMissFinder(cfg *Config, names recogniser) *nearMissFinder {
	f := &nearMissFinder{names: names, byAttribute: map[string]string{}, looks: rate.NewLimiter(looksPerSecond, looksPerSecond)}
	for name := range names {
		if name != amplitude.EventIdentify {
			f.candidates = append(f.candidates, name)
		}
	}
	slices.Sort(f.candidates)
	add := func(attributes, eventNames []string) {
		for _, name := range attributes {
			if _, taken := f.byAttribute[name]; !taken && len(eventNames) > 0 {
				f.byAttribute[name] = eventNames[0]
			}
		}
	}
	if cfg.Evaluation.Enabled {
		add(cfg.Evaluation.FlagKey, cfg.Evaluation.EventNames)
	}
	add(cfg.Exposure.FlagKey, cfg.Exposure.EventNames)
	return f
}

// search looks at a sample of a batch, which must be as it came, and counts what it finds. Records beyond the
// second's share are not looked at; a large batch is looked at in steps, from a random one on.
func (f *nearMissFinder) search(c *counts, ld plog.Logs, records int, now time.Time) {
	share := min(records, int(f.looks.TokensAt(now)))
	if share < 1 || !f.looks.AllowN(now, share) {
		return
	}
	step := (records + share - 1) / share
	next := rand.IntN(step) //nolint:gosec // a sample
	for _, resource := range ld.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			list := scope.LogRecords()
			for ; next < list.Len(); next += step {
				kind, example, found := f.look(list.At(next))
				if !found {
					continue
				}
				c.nearMisses[kind]++
				if service, ok := resource.Resource().Attributes().Get(attrServiceName); ok {
					example.service = service.AsString()
				}
				c.nearExample[kind] = example
			}
			next -= list.Len()
		}
	}
}

// look tells whether a record is a near miss; one that is recognized is none. It allocates nothing.
func (f *nearMissFinder) look(record plog.LogRecord) (nearMiss, nearExample, bool) {
	if name := eventName(record); name != "" {
		if f.names[name] != sourceNone {
			return 0, nearExample{}, false
		}
		meant, ok := didyoumean.Closest(name, f.candidates)
		return nearSimilarName, nearExample{found: name, meant: meant}, ok
	}
	body := record.Body()
	if body.Type() == pcommon.ValueTypeStr && f.names[body.Str()] != sourceNone {
		return nearNoEventName, nearExample{found: body.Str(), meant: body.Str()}, true
	}
	if example, ok := f.flagKey(record.Attributes()); ok {
		return nearNoEventName, example, true
	}
	if body.Type() == pcommon.ValueTypeMap {
		if example, ok := f.flagKey(body.Map()); ok {
			return nearNoEventName, example, true
		}
	}
	return 0, nearExample{}, false
}

// flagKey looks for an attribute that holds a flag key.
func (f *nearMissFinder) flagKey(attributes pcommon.Map) (nearExample, bool) {
	for name := range attributes.All() {
		if meant, ok := f.byAttribute[name]; ok {
			return nearExample{found: name, meant: meant}, true
		}
	}
	return nearExample{}, false
}

// printable cuts a text that others wrote and escapes what a terminal or a viewer of logs could take for more than
// text, such as control characters and marks that turn the direction of writing.
func printable(text string) string {
	text = shown(text)
	if strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return text
	}
	var safe strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			safe.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		safe.WriteString(quoted[1 : len(quoted)-1])
	}
	return safe.String()
}
