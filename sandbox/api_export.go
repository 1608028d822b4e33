// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Amplitude's Export API: GET /api/2/export?start=20060102T15&end=20060102T15 answers with a zip of gzipped JSON lines,
// the events that a project uploaded from the start of the first hour to the end of the last, in UTC. Its credentials
// are API key and secret key; the sandbox has no secret keys and accepts any. Amplitude has the events of an hour two
// hours after it ends, the sandbox immediately.

const (
	exportHour = "20060102T15"
	exportTime = "2006-01-02 15:04:05.000000"
	// exportMost is the longest range.
	exportMost = 365 * 24 * time.Hour
	// exportLargest is the maximum size of an export in bytes before compression; Amplitude's is 4 GB.
	exportLargest = 64 << 20
)

// exported is what an exported event has in addition to its own fields.
type exported struct {
	at    time.Time
	event string
	more  map[string]any
}

func (s *usersAPI) getExport(w http.ResponseWriter, r *http.Request) {
	key, _, given := r.BasicAuth()
	from, to, err := exportRange(r)
	s.mu.Lock()
	p := s.projects[key]
	var events []exported
	size := 0
	if given && p != nil && err == nil {
		events, size = s.exported(p, from, to)
	}
	s.mu.Unlock()
	switch {
	case !given || p == nil:
		w.Header().Set("WWW-Authenticate", `Basic realm="API key and secret key of a project"`)
		writeError(w, http.StatusUnauthorized, "the API key and secret key of a project go into the Authorization header")
	case err != nil:
		writeError(w, http.StatusBadRequest, err.Error())
	case size > exportLargest:
		writeError(w, http.StatusBadRequest, "the export is too large: choose a shorter range")
	case len(events) == 0:
		writeError(w, http.StatusNotFound, "no event of the project was uploaded in this range")
	default:
		archive, err := zipped(p.number, events)
		if err != nil {
			writeError(w, http.StatusInternalServerError, err.Error())
			return
		}
		w.Header().Set("Content-Type", "application/zip")
		_, _ = w.Write(archive)
	}
}

// exportRange reads the first hour and the end of the last one.
func exportRange(r *http.Request) (from, to time.Time, err error) {
	for _, one := range []struct {
		name string
		into *time.Time
	}{{"start", &from}, {"end", &to}} {
		if *one.into, err = time.Parse(exportHour, r.URL.Query().Get(one.name)); err != nil {
			return from, to, fmt.Errorf("%s must be an hour such as 20261126T07", one.name)
		}
	}
	to = to.Add(time.Hour)
	switch {
	case !to.After(from):
		return from, to, errors.New("end must not be before start")
	case to.Sub(from) > exportMost:
		return from, to, errors.New("a range may have at most 365 days")
	}
	return from, to, nil
}

// exported lists the events that a project stored in a range of time, the oldest first. The caller holds the lock.
func (s *store) exported(p *project, from, to time.Time) (events []exported, size int) {
	properties := map[int64]json.RawMessage{} // the current ones: those at the time of each event are not kept
	for i := range s.events.n {
		e := s.events.at(i)
		if e.project != p || e.verdict != Stored || e.receivedAt.Before(from) || !e.receivedAt.Before(to) {
			continue
		}
		at := e.receivedAt.UTC().Format(exportTime)
		more := map[string]any{
			"app": p.number, "amplitude_id": e.amplitudeID, "uuid": strconv.FormatUint(e.seq, 10), "$insert_id": e.insertID,
			"event_time": time.UnixMilli(e.eventTime).UTC().Format(exportTime), "server_received_time": at, "server_upload_time": at,
			"device_id": e.deviceID,
		}
		of, known := properties[e.amplitudeID]
		if u := p.identities.byID[e.amplitudeID]; u != nil && !known {
			of = encode(map[string]any(u.properties))
			properties[e.amplitudeID] = of
		}
		more["user_properties"] = of
		if size += len(e.event) + len(of); size > exportLargest {
			return nil, size
		}
		events = append(events, exported{e.receivedAt.UTC(), e.event, more})
	}
	return events, size
}

// zipped returns the archive of events: a gzipped file of JSON lines for each hour.
func zipped(project int, events []exported) ([]byte, error) {
	slices.SortStableFunc(events, func(a, b exported) int { return a.at.Compare(b.at) })
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for len(events) > 0 {
		hour := events[0].at.Truncate(time.Hour)
		n := 0
		for n < len(events) && events[n].at.Truncate(time.Hour).Equal(hour) {
			n++
		}
		file, err := archive.Create(fmt.Sprintf("%d/%d_%s_%d#0.json.gz", project, project, hour.Format(time.DateOnly), hour.Hour()))
		if err != nil {
			return nil, err
		}
		lines := gzip.NewWriter(file)
		for i := range events[:n] {
			if err := events[i].write(lines); err != nil {
				return nil, err
			}
		}
		if err := lines.Close(); err != nil {
			return nil, err
		}
		events = events[n:]
	}
	err := archive.Close()
	return out.Bytes(), err
}

func (e *exported) write(to *gzip.Writer) error {
	var line map[string]json.RawMessage
	if err := json.Unmarshal([]byte(e.event), &line); err != nil {
		return err
	}
	for _, name := range []string{fieldTime, fieldInsertID} {
		delete(line, name) // has another name
	}
	for name, value := range e.more {
		line[name] = encode(value)
	}
	_, err := to.Write(append(encode(line), '\n'))
	return err
}
