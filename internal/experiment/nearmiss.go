// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"math/rand/v2"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/time/rate"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/didyoumean"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// NearMiss is why a record is not recognized.
type NearMiss uint8

const (
	// NoEventName means that it names a flag, or has an event name in its body, but has no event name.
	NoEventName NearMiss = iota
	// SimilarEventName means that its event name is almost one that is recognized.
	SimilarEventName
	// NumNearMisses is the number of them.
	NumNearMisses
)

var nearMissNames = [NumNearMisses]string{"no_event_name", "similar_event_name"}

// String returns the name that metrics use.
func (n NearMiss) String() string { return nearMissNames[n] }

var nearMissHints = [NumNearMisses]string{
	NoEventName:      "a record is recognized only by its event name: set EventName, or the attribute event.name, to did_you_mean in the application",
	SimilarEventName: "event names must match exactly: fix the name in the application, or add it to the event_names of exposure, evaluation or assignment",
}

// Hint says what to do about it.
func (n NearMiss) Hint() string { return nearMissHints[n] }

// NearMisses counts near misses, with an example of each kind.
type NearMisses struct {
	Count   [NumNearMisses]int
	Example [NumNearMisses]NearExample
}

// NearExample describes one near miss. Found and Service are unchanged from the application: cut and escape them.
type NearExample struct {
	Service string
	// Found is the event name, or the attribute or body that stands in for it.
	Found string
	Meant string
}

// looksPerSecond bounds how many foreign records are examined, and looksAtOnce how many of one batch, so that the cost
// does not grow with traffic: an ordinary log record has no event name, and each of its attributes would have to be
// compared.
const (
	looksPerSecond = 1000
	looksAtOnce    = 250
)

const attrServiceName = "service.name"

// nearMissFinder finds foreign records that were probably meant as events.
type nearMissFinder struct {
	names *recognizer
	// candidates are the event names worth suggesting.
	candidates []string
	// flagKeys are the attributes that hold a flag key. There are so few that comparing with each is faster than a map.
	flagKeys []flagKeyAttribute
	looks    *rate.Limiter
}

// flagKeyAttribute is an attribute that holds a flag key, and the event name that it suggests.
type flagKeyAttribute struct{ name, eventName string }

func newNearMissFinder(set *Settings, names *recognizer) *nearMissFinder {
	f := &nearMissFinder{names: names, looks: rate.NewLimiter(looksPerSecond, looksAtOnce)}
	for name := range names.listed {
		f.candidates = append(f.candidates, name)
	}
	slices.Sort(f.candidates)
	add := func(attributes, eventNames []string) {
		for _, name := range attributes {
			if len(eventNames) > 0 {
				f.flagKeys = append(f.flagKeys, flagKeyAttribute{name: name, eventName: eventNames[0]})
			}
		}
	}
	if set.Evaluation.Enabled {
		add(set.Evaluation.FlagKey, set.Evaluation.EventNames)
	}
	add(set.Exposure.FlagKey, set.Exposure.EventNames)
	return f
}

// search examines a sample of an unmodified batch, and returns what it finds. Records beyond the second's share are not
// examined; a large batch is sampled at regular steps from a random start.
func (f *nearMissFinder) search(ld plog.Logs, records int, now time.Time) (found NearMisses) {
	share := min(records, int(f.looks.TokensAt(now)))
	if share < 1 || !f.looks.AllowN(now, share) {
		return found
	}
	step := (records + share - 1) / share
	next := rand.IntN(step) //nolint:gosec // a sample
	for _, resource := range ld.ResourceLogs().All() {
		service, looked := "", false // of the resource, looked up once
		for _, scope := range resource.ScopeLogs().All() {
			list := scope.LogRecords()
			for ; next < list.Len(); next += step {
				kind, example, ok := f.look(list.At(next))
				if !ok {
					continue
				}
				found.Count[kind]++
				if !looked {
					looked = true
					if name, ok := steps.Get(resource.Resource().Attributes(), attrServiceName); ok {
						service = name.AsString()
					}
				}
				example.Service = service
				found.Example[kind] = example
			}
			next -= list.Len()
		}
	}
	return found
}

// look reports whether a record is a near miss; a recognized record is not. It does not allocate.
func (f *nearMissFinder) look(record plog.LogRecord) (NearMiss, NearExample, bool) {
	if f.names.recognize(record).kind != kindNone {
		return 0, NearExample{}, false
	}
	if name := f.names.firstName(record); name != "" {
		meant, ok := didyoumean.Closest(name, f.candidates)
		return SimilarEventName, NearExample{Found: name, Meant: meant}, ok
	}
	body := record.Body()
	if body.Type() == pcommon.ValueTypeStr && f.names.listed[body.Str()] != kindNone {
		return NoEventName, NearExample{Found: body.Str(), Meant: body.Str()}, true
	}
	if example, ok := f.flagKey(record.Attributes()); ok {
		return NoEventName, example, true
	}
	if body.Type() == pcommon.ValueTypeMap {
		if example, ok := f.flagKey(body.Map()); ok {
			return NoEventName, example, true
		}
	}
	return 0, NearExample{}, false
}

// flagKey finds an attribute that holds a flag key.
func (f *nearMissFinder) flagKey(attributes pcommon.Map) (NearExample, bool) {
	steps.Add(attributes.Len())
	for name := range attributes.All() {
		for i := range f.flagKeys {
			if f.flagKeys[i].name == name {
				return NearExample{Found: name, Meant: f.flagKeys[i].eventName}, true
			}
		}
	}
	return NearExample{}, false
}
