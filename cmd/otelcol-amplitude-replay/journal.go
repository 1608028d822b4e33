// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude/replay"
)

// journal records the letters that need not be sent again, as JSON lines.
type journal struct {
	file    *os.File
	handled map[string]entry
}

type entry struct {
	Letter  string         `json:"letter"`
	Outcome replay.Outcome `json:"outcome"`
	Why     string         `json:"why,omitempty"`
	Time    time.Time      `json:"time"`
}

// openJournal reads what earlier runs recorded. A last line that was truncated by a kill belongs to a letter that is
// sent again.
func openJournal(path string) (*journal, error) {
	const private = 0o600
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, private) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, handled: map[string]entry{}}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Letter != "" {
			j.handled[e.Letter] = e
		}
	}
	if err := lines.Err(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

// note records what was handled, and waits until it is on disk.
func (j *journal) note(entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	text := []byte("\n") // ends a truncated line
	for _, e := range entries {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
		j.handled[e.Letter] = e
	}
	if _, err := j.file.Write(text); err != nil {
		return err
	}
	return j.file.Sync()
}

func (j *journal) close() error { return j.file.Close() }
