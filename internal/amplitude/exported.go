// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitude // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"

import (
	"strings"
	"sync"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pattern"
)

// exported is what an exporter of this process sends.
type exported struct {
	minIDLength    int
	onlyExperiment bool
	events         pattern.List
}

// exporters are those that run in this process.
var exporters = struct {
	sync.Mutex
	running map[*exported]struct{}
}{running: map[*exported]struct{}{}}

// Export registers a running exporter that leaves out ids with less than minIDLength UTF-16 code units and sends only
// events whose names match one of the patterns. The exporter calls the returned function when it stops; further calls
// do nothing.
func Export(minIDLength int, events []string) (stop func()) {
	entry := &exported{minIDLength, OnlyExperimentEvents(events), pattern.NewList(events)}
	exporters.Lock()
	defer exporters.Unlock()
	exporters.running[entry] = struct{}{}
	return func() {
		exporters.Lock()
		defer exporters.Unlock()
		delete(exporters.running, entry)
	}
}

// ShortestExportedID returns the length of the shortest id that any exporter of this process sends, and false if none
// runs. The Collector starts exporters before the processors and receivers that feed them.
func ShortestExportedID() (length int, ok bool) {
	exporters.Lock()
	defer exporters.Unlock()
	for entry := range exporters.running {
		if !ok || entry.minIDLength < length {
			length, ok = entry.minIDLength, true
		}
	}
	return length, ok
}

// ExportedOnlyExperiment reports whether exporters run in this process and all of them send only events of Amplitude
// Experiment.
func ExportedOnlyExperiment() bool {
	exporters.Lock()
	defer exporters.Unlock()
	for entry := range exporters.running {
		if !entry.onlyExperiment {
			return false
		}
	}
	return len(exporters.running) > 0
}

// NotExported returns those of the event names, or patterns of names, that no exporter of this process sends; none if
// no exporter runs.
func NotExported(names []string) (kept []string) {
	exporters.Lock()
	defer exporters.Unlock()
	if len(exporters.running) == 0 {
		return nil
	}
	for _, name := range names {
		leaves := false
		for entry := range exporters.running {
			leaves = leaves || entry.events.Match(name) // a pattern is treated like one of its names
		}
		if !leaves {
			kept = append(kept, name)
		}
	}
	return kept
}

// OnlyExperimentEvents reports whether patterns of event names match only names of Amplitude Experiment and of property
// changes: "[Experiment] ..." and "$...", which have a meaning to Amplitude.
func OnlyExperimentEvents(patterns []string) bool {
	for _, pattern := range patterns {
		if !strings.HasPrefix(pattern, ExperimentPrefix) && !strings.HasPrefix(pattern, "$") {
			return false
		}
	}
	return true
}
