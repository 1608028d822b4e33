// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/steps"
)

// shapedProperties are the flags of a shaped event whose user property it unsets, and those that it sets or unsets.
type shapedProperties struct {
	unset      []string
	propertied []string
}

// readShaped reads an event that an edge Collector shaped: the same facts as in its raw record, so that both give the
// same subject and result. The event itself is not changed.
func (p *parser) readShaped(r *parsedRecord, record plog.LogRecord, now int64) decision {
	first := len(p.flags)
	groups := groupSet{list: p.groups, start: len(p.groups)}
	p.unset = p.unset[:0]
	p.propertied = p.propertied[:0]
	names := shapedNames
	if name := record.EventName(); name == amplitude.EventRawExposure || name == amplitude.EventRawImpression {
		names = rawNames
	} else if p.isCustom(name) {
		names, r.customEvent = rawNames, name
	}
	attributes := record.Attributes()
	text := func(name string) string { // the first value of a duplicate name wins, as in the exporter
		if value, ok := steps.Get(attributes, name); ok {
			return value.AsString()
		}
		return ""
	}
	r.UserID, r.DeviceID, r.ExperimentKey = text(amplitude.AttrUserID), text(amplitude.AttrDeviceID), text(names.experimentKey)
	exposed := Flag{Key: text(names.flagKey), Variant: text(names.variant)}
	steps.Add(attributes.Len())
	for name, value := range attributes.All() {
		switch name {
		case amplitude.AttrSkipUserPropertiesSync:
			r.skipsProperties = value.Type() == pcommon.ValueTypeBool && value.Bool()
		case amplitude.AttrUserID, amplitude.AttrDeviceID, names.flagKey, names.variant, names.experimentKey:
		default:
			p.readShapedFamily(r.kind, name, value, &groups)
		}
	}
	p.groups = groups.list
	if r.kind != kindExposure && len(p.flags)-first > p.set.Limits.Flags {
		return rejected(RejectFlagLimit)
	}
	switch r.kind {
	case kindOutcome:
	case kindIdentify:
		p.flags = p.flags[:first+len(p.sortFlags(p.flags[first:]))]
	case kindAssignment:
		flags := p.sortFlags(p.flags[first:])
		slices.Sort(p.unset)
		slices.Sort(p.propertied)
		for i := range flags {
			steps.Add(2)
			_, flags[i].Unassigned = slices.BinarySearch(p.unset, flags[i].Key)
			_, propertied := slices.BinarySearch(p.propertied, flags[i].Key)
			flags[i].NoProperty = !propertied
		}
		p.flags = p.flags[:first+len(flags)]
	default:
		exposed.Unassigned = exposed.Variant == ""
		// Amplitude sets the property of a raw exposure.
		exposed.NoProperty = record.EventName() != amplitude.EventRawExposure && !slices.Contains(p.propertied, exposed.Key)
		p.flags = append(p.flags, exposed)
	}
	for _, flag := range p.propertied {
		names := p.registry.seen(flag, now)
		for i := range p.flags[first:] {
			if f := &p.flags[first+i]; f.Key == flag {
				f.names = names
			}
		}
	}
	if len(p.flags) > first {
		exposed = p.flags[first]
	}
	r.trace.shaped(r, &exposed)
	return decision{outcome: AlreadyShaped}
}

func (p *parser) readShapedFamily(kind recordKind, name string, value pcommon.Value, groups *groupSet) {
	switch {
	case strings.HasPrefix(name, amplitude.AttrGroupsPrefix):
		groups.add(name[len(amplitude.AttrGroupsPrefix):], func() ([]string, int) { return groupValues(value) })
	case kind == kindIdentify && strings.HasPrefix(name, setExperiment):
		key := name[len(setExperiment):]
		p.propertied = append(p.propertied, key)
		p.flags = append(p.flags, Flag{Key: key, Variant: value.AsString()})
	case kind == kindIdentify && strings.HasPrefix(name, unsetExperiment):
		key := name[len(unsetExperiment):]
		p.propertied = append(p.propertied, key)
		p.flags = append(p.flags, Flag{Key: key, Unassigned: true})
	case strings.HasPrefix(name, unsetExperiment):
		p.unset = append(p.unset, name[len(unsetExperiment):])
		p.propertied = append(p.propertied, name[len(unsetExperiment):])
	case strings.HasPrefix(name, setExperiment):
		p.propertied = append(p.propertied, name[len(setExperiment):])
	case kind == kindAssignment && strings.HasSuffix(name, amplitude.SuffixVariant) && value.Type() == pcommon.ValueTypeStr:
		key := strings.TrimPrefix(strings.TrimSuffix(name, amplitude.SuffixVariant), p.set.Assignment.PropertyPrefix)
		p.flags = append(p.flags, Flag{Key: key, Variant: value.Str()})
	}
}

// leaveOut removes the operations that must not be done from an event that another Collector made, and returns its
// insert_id.
func (w *writer) leaveOut(e *Event, record plog.LogRecord) (insertID string) {
	attributes := record.Attributes()
	clear(w.kept)
	for i := range e.Flags {
		if flag := &e.Flags[i]; flag.LeftOut {
			w.kept[setExperiment+flag.Key], w.kept[unsetExperiment+flag.Key] = struct{}{}, struct{}{}
		}
	}
	if len(w.kept) > 0 {
		steps.Add(attributes.Len())
		attributes.RemoveIf(func(name string, _ pcommon.Value) bool {
			_, out := w.kept[name]
			return out
		})
		clear(w.kept)
	}
	if e.Verdict.Late {
		if record.EventName() == amplitude.EventRawExposure {
			rename(record)
		}
		attributes.PutBool(amplitude.AttrSkipUserPropertiesSync, true)
	}
	id, _ := steps.Get(attributes, amplitude.AttrInsertID)
	return id.AsString()
}

// rename turns a raw exposure into a transformed one, for which Amplitude sets no property.
func rename(record plog.LogRecord) {
	attributes := record.Attributes()
	for from, to := range map[string]string{
		rawNames.flagKey: shapedNames.flagKey, rawNames.variant: shapedNames.variant, rawNames.experimentKey: shapedNames.experimentKey,
	} {
		if value, ok := attributes.Get(from); ok {
			text := value.AsString()
			attributes.Remove(from)
			attributes.PutStr(to, text)
		}
	}
	record.SetEventName(amplitude.EventExposure)
}
