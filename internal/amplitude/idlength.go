// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitude // import "github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"

import "sync"

// exporterIDLengths are the minimum id lengths of the exporters that run in this process.
var exporterIDLengths = struct {
	sync.Mutex
	running map[*int]struct{}
}{running: map[*int]struct{}{}}

// ExportIDsFrom lets the components of this process know that an exporter runs that leaves out ids of less than
// minLength UTF-16 code units. The exporter calls the returned function when it stops; again does nothing.
func ExportIDsFrom(minLength int) (stop func()) {
	entry := &minLength
	exporterIDLengths.Lock()
	defer exporterIDLengths.Unlock()
	exporterIDLengths.running[entry] = struct{}{}
	return func() {
		exporterIDLengths.Lock()
		defer exporterIDLengths.Unlock()
		delete(exporterIDLengths.running, entry)
	}
}

// ShortestExportedID returns the length of the shortest id that any exporter of this process sends, and false if none
// runs. The Collector starts exporters before the processors that feed them.
func ShortestExportedID() (length int, ok bool) {
	exporterIDLengths.Lock()
	defer exporterIDLengths.Unlock()
	for entry := range exporterIDLengths.running {
		if !ok || *entry < length {
			length, ok = *entry, true
		}
	}
	return length, ok
}
