// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

const (
	// deadLetterMode is strict, because the file contains user data.
	deadLetterMode os.FileMode = 0o600
	megabyte                   = 1 << 20
	// backupTime is the format of the time in a backup's name, between the name and its extension.
	backupTime = "2006-01-02T15-04-05.000"
	// maxLinks is how many symbolic links are followed in a path.
	maxLinks = 40
)

// errLettersFull asks the operator to make room.
var errLettersFull = errors.New("the file and its backups are full (dead_letter::max_megabytes, max_backups): move the backups away, or set dead_letter::on_full to rotate")

// letterFile is a file of lines that is renamed to a backup with the time in its name when it is full. It is opened for
// each write, so that a file that another tool has moved, deleted or truncated in the meantime simply does not exist
// anymore.
type letterFile struct {
	path    string
	max     int64
	backups int // 0: any number
	// rotate removes the oldest backup if there are too many, and calls dropped with the number of its records.
	rotate  bool
	dropped func(file string, records int)
	now     func() time.Time
}

// check creates the file, and refuses one that cannot or should not be written.
func (l *letterFile) check() error {
	f, _, err := l.open()
	if err != nil {
		return err
	}
	return f.Close()
}

// append writes lines to the file and waits until they are on disk. It returns how many are, even with an error.
func (l *letterFile) append(lines [][]byte) (written int, err error) {
	for written < len(lines) && err == nil {
		var n int
		n, err = l.fill(lines[written:])
		written += n
	}
	return written, err
}

// fill writes lines until there are no more, or the file is full and was renamed.
func (l *letterFile) fill(lines [][]byte) (written int, err error) {
	f, size, err := l.open()
	if err != nil {
		return 0, err
	}
	if size > 0 && size+int64(len(lines[0])) > l.max {
		if err = f.Close(); err != nil {
			return 0, err
		}
		if err = l.setAside(); errors.Is(err, os.ErrNotExist) {
			err = nil // another process removed it
		}
		return 0, err
	}
	before := size
	for _, line := range lines {
		if size > before && size+int64(len(line)) > l.max {
			break
		}
		if err = writeLine(f, size, line); err != nil {
			break
		}
		size += int64(len(line))
		written++
	}
	info, statErr := f.Stat()
	if syncErr := errors.Join(f.Sync(), statErr, f.Close()); syncErr != nil {
		// It is unknown what is on disk. Writing a letter again may duplicate it, but does not lose it.
		return 0, errors.Join(err, syncErr)
	}
	if deleted(l.path, info) {
		// The file may have been copied to another disk before these lines were written.
		return 0, err
	}
	if err == nil && before == 0 {
		// The directory may not have the file yet.
		if err = syncDirectory(filepath.Dir(l.path)); err != nil {
			return 0, err
		}
	}
	return written, err
}

// writeLine writes a line at the end of the file, or nothing.
func writeLine(f *os.File, size int64, line []byte) error {
	n, err := f.Write(line)
	if err == nil || n == 0 {
		return err
	}
	// A partial line would corrupt the next one. It is left if another Collector writes to the same file: see prepare.
	if info, statErr := f.Stat(); statErr == nil && info.Size() == size+int64(n) {
		_ = f.Truncate(size)
	}
	return err
}

// deleted reports whether a written file no longer has any name, including this path.
func deleted(path string, written os.FileInfo) bool {
	now, err := os.Stat(path)
	return (err != nil || !os.SameFile(now, written)) && hasNoName(written)
}

// open opens the file for appending, creates it if necessary, restricts its permissions, and terminates a truncated
// line.
func (l *letterFile) open() (f *os.File, size int64, err error) {
	if err = regular(l.path); err != nil {
		return nil, 0, err
	}
	f, err = os.OpenFile(l.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, deadLetterMode)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
			return nil, 0, err
		}
		f, err = os.OpenFile(l.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, deadLetterMode)
	}
	if err != nil {
		return nil, 0, err
	}
	if size, err = prepare(f); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

func prepare(f *os.File) (size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, notRegular(f.Name(), info.Mode())
	}
	if info.Mode().Perm() != deadLetterMode {
		if err = f.Chmod(deadLetterMode); err != nil {
			return 0, err
		}
	}
	size = info.Size()
	if size == 0 {
		return 0, nil
	}
	last := make([]byte, 1)
	if _, err = f.ReadAt(last, size-1); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if last[0] != '\n' {
		n, err := f.WriteString("\n")
		return size + int64(n), err
	}
	return size, nil
}

// regular refuses a path to anything but a regular file before it is opened: opening a pipe may block forever, and
// opening a device may do anything.
func regular(path string) error {
	for at, links := path, 0; links < maxLinks; links++ {
		if open, err := filepath.Abs(at); err == nil && isOpenFile(open) {
			return fmt.Errorf("%s is an open file of the process, which cannot be renamed: set a regular file", path)
		}
		to, err := os.Readlink(at)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(at), to)
		}
		at = to
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return notRegular(path, info.Mode())
	}
	return nil // a missing file is created; opening will return any other error
}

// isOpenFile reports whether an absolute path refers to a file descriptor, such as /dev/stdout.
func isOpenFile(path string) bool {
	switch path {
	case "/dev/stdin", "/dev/stdout", "/dev/stderr":
		return true
	}
	return strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/")
}

func notRegular(path string, mode os.FileMode) error {
	kind := "not a regular file"
	switch {
	case mode.IsDir():
		kind = "a directory"
	case mode&os.ModeNamedPipe != 0:
		kind = "a pipe"
	case mode&os.ModeSocket != 0:
		kind = "a socket"
	case mode&os.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("%s is %s: dead letters have to stay where they are written, so set a regular file", path, kind)
}

// setAside renames the full file to a backup, if there is room for another one.
func (l *letterFile) setAside() error {
	path, err := filepath.EvalSymlinks(l.path) // a symbolic link stays, and backups are next to its target
	if err != nil {
		return err
	}
	for l.backups > 0 {
		old, err := backupsOf(path)
		if err != nil {
			return err
		}
		if len(old) < l.backups {
			break
		}
		if !l.rotate {
			return errLettersFull
		}
		if err = l.drop(old[0]); err != nil {
			return err
		}
	}
	name, extension := nameOf(path)
	for at := l.now().UTC(); ; at = at.Add(time.Millisecond) {
		backup := name + at.Format(backupTime) + extension
		// Created first, so that of two Collectors with the same path neither takes the other's name.
		f, err := os.OpenFile(backup, os.O_CREATE|os.O_EXCL|os.O_WRONLY, deadLetterMode) //nolint:gosec // next to the file that the configuration names
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err = f.Close(); err == nil {
			err = os.Rename(path, backup)
		}
		if err != nil {
			_ = os.Remove(backup)
			return err
		}
		return syncDirectory(filepath.Dir(path))
	}
}

// nameOf splits the path of the file into the parts before and after the time in the names of its backups.
func nameOf(path string) (name, extension string) {
	extension = filepath.Ext(path)
	return strings.TrimSuffix(path, extension) + "-", extension
}

// backupsOf lists the backups of a file, the oldest first.
func backupsOf(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	name, extension := nameOf(path)
	var all []string
	for _, entry := range entries {
		file := filepath.Join(filepath.Dir(path), entry.Name())
		if !strings.HasPrefix(file, name) || !strings.HasSuffix(file, extension) || len(file) < len(name)+len(extension) {
			continue
		}
		if _, err := time.Parse(backupTime, file[len(name):len(file)-len(extension)]); err == nil {
			all = append(all, file)
		}
	}
	slices.Sort(all) // by time, which follows the common prefix
	return all, nil
}

// drop removes a backup and reports how many records it had.
func (l *letterFile) drop(backup string) error {
	records, err := countLetters(backup)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err = os.Remove(backup); err == nil {
		l.dropped(backup, records)
	} else if errors.Is(err, os.ErrNotExist) {
		return nil // another process removed it
	}
	return err
}

// countLetters counts the records in a file of dead letters.
func countLetters(path string) (records int, err error) {
	f, err := os.Open(path) //nolint:gosec // a backup of the file that the configuration names
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	reader := bufio.NewReader(f)
	for {
		line, err := reader.ReadBytes('\n')
		if logs, jsonErr := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line); jsonErr == nil {
			records += logs.LogRecordCount()
		}
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return records, err
		}
	}
}
