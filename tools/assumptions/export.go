// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package main // import "github.com/otelcol-amplitude/otelcol-amplitude/tools/assumptions"

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// What a run sent is also read back through the Export API: the events as stored, which the user APIs show only partly.
// It has the events of an hour two hours after the hour ends.

const exportHour = "20060102T15"

// startOf returns the hour in which a run started, which is the prefix of its id.
func startOf(run string) (time.Time, error) {
	hour, _, _ := strings.Cut(run, "-")
	return time.Parse(exportHour, hour)
}

// exportedEvent is the part of a line of an export that rows need.
type exportedEvent struct {
	activityEvent
	UserID         string         `json:"user_id"`
	EventTime      string         `json:"event_time"`
	UserProperties map[string]any `json:"user_properties"`
}

// runHours is how long a run may have sent, in hours.
const runHours = 2

// export reads what the run sent, by user.
func (p *probe) export(ctx context.Context) (map[string]*activity, error) {
	start, err := startOf(p.run)
	if err != nil {
		return nil, err
	}
	path := "/api/2/export?start=" + start.Format(exportHour) + "&end=" + start.Add((runHours-1)*time.Hour).Format(exportHour)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.readURL+path, nil)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(p.apiKey, p.secretKey)
	const limit = 1 << 30 // for a test project
	status, archive, err := p.raw(r, limit)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return nil, errors.New("the Export API refuses the keys: SECRET_KEY is that of the project, and the region is the project's")
	case status == http.StatusNotFound:
		return nil, fmt.Errorf("the Export API has nothing of the hours from %s on: it has them two hours after their end", start.Format(exportHour))
	case status != http.StatusOK:
		return nil, fmt.Errorf("the Export API answered %d", status)
	}
	return readExport(archive, p.id(""))
}

// readExport reads the events of users whose ids start with a prefix from an archive.
func readExport(archive []byte, prefix string) (map[string]*activity, error) {
	files, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, fmt.Errorf("the export is no zip archive: %w", err)
	}
	users := map[string]*activity{}
	newest := map[string]string{}
	for _, file := range files.File {
		if err := eachLine(file, func(e *exportedEvent) {
			if !strings.HasPrefix(e.UserID, prefix) {
				return
			}
			a := users[e.UserID]
			if a == nil {
				a = &activity{}
				users[e.UserID] = a
			}
			if a.events = append(a.events, e.activityEvent); e.isMarker() || e.EventTime >= newest[e.UserID] {
				newest[e.UserID], a.properties = e.EventTime, e.UserProperties
			}
			if e.isMarker() {
				newest[e.UserID] = "9" // the last event of a user
			}
		}); err != nil {
			return nil, fmt.Errorf("%s of the export: %w", file.Name, err)
		}
	}
	return users, nil
}

func (e *exportedEvent) isMarker() bool { return e.Properties[propertyFlag] == markerFlag }

// eachLine yields the events of a gzipped file of JSON lines.
func eachLine(file *zip.File, yield func(*exportedEvent)) error {
	packed, err := file.Open()
	if err != nil {
		return err
	}
	defer func() { _ = packed.Close() }()
	lines, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	d := json.NewDecoder(lines)
	d.UseNumber()
	for {
		var e exportedEvent
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		yield(&e)
	}
}

// exported concludes a row from the export.
func (p *probe) exported(users map[string]*activity, r *result) {
	a := users[p.id(r.row.id)]
	if a == nil {
		r.conclude("", errors.New("the export has no event of the row: it was not sent in this run, or is not exported yet"))
		return
	}
	r.conclude(r.row.read(a), nil)
}
