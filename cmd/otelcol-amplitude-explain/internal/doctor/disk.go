// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package doctor // import "github.com/otelcol-amplitude/otelcol-amplitude/cmd/otelcol-amplitude-explain/internal/doctor"

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// littleSpace is the free space below which a queue may fill the disk soon: an hour of 1,000 events a second.
	littleSpace = 1 << 30
	// othersBits are the permissions of others, neither owner nor group.
	othersBits = 0o007
)

// deadLetters checks the files for events that cannot be delivered.
func (e *examination) deadLetters() {
	owner := map[string]string{}
	for _, x := range e.collector.exporters {
		path := x.config.DeadLetter.Path
		subject := "exporters::" + x.id
		if x.invalid != nil || path == "" {
			continue
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			absolute = path
		}
		if other, taken := owner[absolute]; taken {
			e.problem(subject, "it writes dead letters to the same file as exporters::%s, %s: give each its own", other, path)
			continue
		}
		owner[absolute] = x.id
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			e.problem(subject, "dead_letter::path %s is not a regular file: set one that is", path)
			continue
		}
		e.directory(subject, "dead_letter::path", filepath.Dir(path), true)
	}
}

// storages checks the directories of file_storage and their content. It opens no file: a Collector may be using it.
func (e *examination) storages() {
	used := map[string]bool{}
	for _, x := range e.collector.exporters {
		if queue := x.config.QueueConfig.Get(); x.invalid == nil && queue != nil && queue.StorageID != nil {
			used[queue.StorageID.String()] = true
		}
	}
	for _, p := range e.collector.processors {
		if p.invalid == nil && p.config.Dedup.StorageID != nil {
			used[p.config.Dedup.StorageID.String()] = true
		}
	}
	started, _ := e.collector.conf.Get("service::extensions").([]any)
	for id := range used {
		if !slices.Contains(started, any(id)) {
			e.problem("extensions::"+id, "it is used as storage but not started: add it to service::extensions")
		}
	}
	for id, section := range sectionsOf(e.collector.conf, "extensions", "file_storage") {
		if !used[id] {
			continue
		}
		subject := "extensions::" + id
		directory, _ := section.Get("directory").(string)
		if directory == "" {
			e.problem(subject, "it has no directory: set one that survives the Collector")
			continue
		}
		create, _ := section.Get("create_directory").(bool)
		if !e.directory(subject, "directory", directory, create) {
			continue
		}
		if fsync, _ := section.Get("fsync").(bool); !fsync {
			e.problem(subject, "fsync is off: a power failure loses what was acknowledged in the last seconds; turn it on, or accept that")
		}
		e.leftQueues(subject, directory)
	}
}

// leftQueues finds queues in a directory that no configured exporter reads.
func (e *examination) leftQueues(subject, directory string) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return // reported already
	}
	const prefix = "exporter_"
	var read []string // prefixes of the files that are read
	for _, x := range e.collector.exporters {
		_, name, _ := strings.Cut(x.id, "/")
		read = append(read, name+"_")
	}
	for _, entry := range entries {
		// The storage names a file exporter_<type>_<name>_<what for>.
		rest, ours := strings.CutPrefix(entry.Name(), prefix+exporterType+"_")
		if !ours {
			continue
		}
		if slices.ContainsFunc(read, func(known string) bool { return strings.HasPrefix(rest, known) }) {
			continue
		}
		id := exporterType
		if end := strings.LastIndex(rest, "_"); end > 0 {
			id += "/" + rest[:end]
		}
		e.problem(subject, "%s holds the queue of an exporter %s, which is not in the configuration, and its events are stuck there: configure an exporter with that name until it is empty", filepath.Join(directory, entry.Name()), id)
	}
}

// directory checks whether files can be written to a directory and persist. It writes an empty file and removes it. If
// the Collector creates the directory at startup, it checks the nearest existing parent instead.
func (e *examination) directory(subject, key, path string, made bool) bool {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && made:
		parent := filepath.Dir(path)
		for _, err := os.Stat(parent); errors.Is(err, os.ErrNotExist) && parent != filepath.Dir(parent); _, err = os.Stat(parent) {
			parent = filepath.Dir(parent)
		}
		if err := probe(parent); err != nil {
			e.problem(subject, "%s: there is no directory %s, and this user cannot make it in %s (%s): run this as the user of the Collector, or make it for that user", key, path, parent, oneLine(err))
			return false
		}
		e.ok(subject, "%s: %s is not there yet, and can be made at the start", key, path)
		return true
	case errors.Is(err, os.ErrNotExist):
		e.problem(subject, "%s: the directory %s does not exist: create it, owned by the Collector's user", key, path)
		return false
	case err != nil:
		e.problem(subject, "%s: %s", key, oneLine(err))
		return false
	case !info.IsDir():
		e.problem(subject, "%s: %s is not a directory", key, path)
		return false
	}
	if err := probe(path); err != nil {
		e.problem(subject, "%s: this user cannot write to %s (%s): run this as the Collector's user, and give that user the directory", key, path, oneLine(err))
		return false
	}
	if info.Mode().Perm()&othersBits != 0 && hasPermissions {
		e.problem(subject, "%s: everyone can read %s (%04o), which holds what users did: chmod 0750", key, path, info.Mode().Perm())
	}
	if free, known := freeSpace(path); known && free < littleSpace {
		e.problem(subject, "%s: %s has %d MB left: an hour of outage can need a gigabyte", key, path, free>>20)
		return true
	}
	e.ok(subject, "%s: %s is writable and can be synced", key, path)
	return true
}

// probe writes a file, syncs and removes it.
func probe(directory string) error {
	f, err := os.CreateTemp(directory, ".otelcol-amplitude-doctor-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString("probe\n")
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}
