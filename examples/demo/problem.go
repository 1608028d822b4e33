// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// printProblem prints why events may be missing: the Collector's own first error, and what to do.
func printProblem(w io.Writer) {
	log, err := os.ReadFile(collectorLog)
	if err != nil {
		fmt.Fprintf(w, "\nThe Collector's log cannot be read: %v\n", err)
		return
	}
	if line := firstError(log); line != "" {
		fmt.Fprintf(w, "\nThe Collector's first error (all of them are in %s):\n  %s\n", collectorLog, line)
	} else {
		fmt.Fprintf(w, "\nThe Collector's log, %s, has no error.\n", collectorLog)
	}
	fmt.Fprintf(w, `What to do:
  git diff %s     # this command needs the file's sandbox, and an exporter that sends to it with its key
  docs/troubleshooting.md            # every other cause, with the command that identifies it
`, config)
}

// firstError returns the first error line of a Collector's log without the repeated columns, or "". A line has five
// columns: time, level, source location, message and fields as JSON.
func firstError(log []byte) string {
	for line := range bytes.Lines(log) {
		columns := strings.SplitN(strings.TrimSpace(string(line)), "\t", 5)
		if len(columns) < 4 || columns[1] != "error" {
			continue
		}
		var text strings.Builder
		text.WriteString(columns[3])
		var fields map[string]any
		if len(columns) == 5 && json.Unmarshal([]byte(columns[4]), &fields) == nil {
			delete(fields, "resource")
			for _, name := range slices.Sorted(maps.Keys(fields)) {
				fmt.Fprintf(&text, "\n    %s: %v", name, fields[name])
			}
		}
		return text.String()
	}
	return ""
}
