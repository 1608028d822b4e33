// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package experiment // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/experiment"

import (
	"maps"
	"slices"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/freelist"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// Mapper maps records to events by its settings. It may be used concurrently, with one [Batch] each.
type Mapper struct {
	set         *Settings
	registry    *flagRegistry
	names       *recognizer
	tables      [numKinds]*fieldTable
	groupTypes  []string
	skipReasons map[string]SkipReason
	offVariants [numKinds][]string
	include     pattern.List
	// customEvents are the event names that metadata may set.
	customEvents pattern.List
	// outcomeProperties are the patterns of the attributes that are sent with an outcome.
	outcomeProperties pattern.List
	outcomeLimit      *minuteLimit
	nearMisses        *nearMissFinder
	twins             twinMemory
	// idle keeps batches for the calls to come.
	idle freelist.List[*Batch]
}

// New makes a Mapper of valid settings.
func New(set Settings) *Mapper {
	m := &Mapper{
		set:         &set,
		registry:    newFlagRegistry(&set),
		names:       newRecognizer(&set),
		groupTypes:  slices.Sorted(maps.Keys(set.Identity.Groups)),
		skipReasons: make(map[string]SkipReason, len(set.Evaluation.SkipReasons)),
		include:     pattern.NewList(set.Include),

		customEvents: pattern.NewList(set.Exposure.CustomEvents),

		outcomeProperties: pattern.NewList(set.Outcomes.Properties),
		outcomeLimit:      newMinuteLimit(set.Outcomes.MaxPerMinute),

		idle: freelist.New[*Batch](freelist.Calls()),
	}
	m.names.isCustom = m.isCustom
	m.nearMisses = newNearMissFinder(&set, m.names)
	for _, kind := range []recordKind{kindExposure, kindEvaluation, kindAssignment, kindImpression, kindIdentify, kindOutcome} {
		m.tables[kind] = newFieldTable(&set, m.groupTypes, kind)
	}
	m.offVariants[kindExposure] = set.Exposure.OffVariants
	m.offVariants[kindImpression] = set.Exposure.OffVariants
	m.offVariants[kindEvaluation] = set.Evaluation.OffVariants
	m.offVariants[kindAssignment] = set.Assignment.OffVariants
	for _, reason := range set.Evaluation.SkipReasons {
		m.skipReasons[reason] = skipReasonOf(reason)
	}
	return m
}

// Batch returns a batch to be read; the caller ends it with [Batch.End].
func (m *Mapper) Batch() *Batch {
	if b, ok := m.idle.Get(); ok {
		return b
	}
	return newBatch(m)
}
