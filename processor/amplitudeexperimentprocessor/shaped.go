// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor"

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
)

// readShaped reads an event that an edge Collector shaped: the same facts that its raw record told,
// so that both give the same subject and result. The event itself stays as it is.
func (in *interpreter) readShaped(s *scratch, f *facts, record plog.LogRecord) {
	f.shaped = true
	f.outcome = outcomeAlreadyShaped
	firstFlag, firstGroup := len(s.flags), len(s.groups)
	// The flags whose user property is unset, and whether any property is set or unset at all.
	s.unset = s.unset[:0]
	s.propertied = s.propertied[:0]
	flagKey, variant, experimentKey := amplitude.PropertyFlagKey, amplitude.PropertyVariant, amplitude.PropertyExperimentKey
	if record.EventName() == amplitude.EventRawExposure {
		flagKey, variant, experimentKey = amplitude.RawFlagKey, amplitude.RawVariant, amplitude.RawExperimentKey
	}
	for name, value := range record.Attributes().All() {
		switch name {
		case amplitude.AttrUserID:
			f.userID = value.AsString()
		case amplitude.AttrDeviceID:
			f.deviceID = value.AsString()
		case flagKey:
			f.flagKey = value.AsString()
		case variant:
			f.variant = value.AsString()
		case experimentKey:
			f.experimentKey = value.AsString()
		default:
			in.readShapedFamily(s, f, name, value)
		}
	}
	if f.source == sourceAssignment {
		flags := sortFlags(s.flags[firstFlag:])
		for i := range flags {
			flags[i].unassigned = slices.Contains(s.unset, flags[i].key)
			flags[i].noProperty = !slices.Contains(s.propertied, flags[i].key)
		}
		s.flags = s.flags[:firstFlag+len(flags)]
		f.flags = span{int32(firstFlag), int32(len(s.flags))}
	} else {
		s.flags = s.flags[:firstFlag]
		if f.source == sourceIdentify && len(s.unset) > 0 {
			f.flagKey = s.unset[0]
		}
		f.unassigned = f.variant == ""
	}
	for _, flag := range s.propertied {
		f.names = in.registry.seen(flag)
	}
	if f.source == sourceAssignment {
		f.names = nil
	}
	groups := s.groups[firstGroup:]
	slices.SortFunc(groups, func(a, b group) int { return strings.Compare(a.kind, b.kind) })
	f.groups = span{int32(firstGroup), int32(len(s.groups))}
}

func (in *interpreter) readShapedFamily(s *scratch, f *facts, name string, value pcommon.Value) {
	switch {
	case strings.HasPrefix(name, amplitude.AttrGroupsPrefix):
		if values := groupValues(value); len(values) > 0 {
			s.groups = append(s.groups, group{kind: name[len(amplitude.AttrGroupsPrefix):], values: values})
		}
	case strings.HasPrefix(name, unsetExperiment):
		s.unset = append(s.unset, name[len(unsetExperiment):])
		s.propertied = append(s.propertied, name[len(unsetExperiment):])
	case strings.HasPrefix(name, setExperiment):
		s.propertied = append(s.propertied, name[len(setExperiment):])
	case f.source == sourceAssignment && strings.HasSuffix(name, amplitude.SuffixVariant) && value.Type() == pcommon.ValueTypeStr:
		key := strings.TrimPrefix(strings.TrimSuffix(name, amplitude.SuffixVariant), in.cfg.Assignment.PropertyPrefix)
		s.flags = append(s.flags, flagResult{key: key, variant: textRef{text: value.Str()}})
	}
}
