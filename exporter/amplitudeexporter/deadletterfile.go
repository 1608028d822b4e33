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
	// deadLetterMode: the file holds what users did.
	deadLetterMode os.FileMode = 0o600
	megabyte                   = 1 << 20
	// backupTime is the time in the name of a file that was set aside, between the name and its extension.
	backupTime = "2006-01-02T15-04-05.000"
	// maxLinks is how many links a path may lead through.
	maxLinks = 40
)

// errLettersFull asks for room.
var errLettersFull = errors.New("it and its backups are full (dead_letter::max_megabytes, max_backups): move the backups away, or set dead_letter::on_full to rotate")

// letterFile is a file of lines, set aside under a name with the time when it is full. It is opened for each write,
// so that a file that was moved, deleted or truncated meanwhile, by whatever tool, is simply not there any more.
type letterFile struct {
	path    string
	max     int64
	backups int // 0: any number
	// rotate removes the oldest backup when there are too many, and tells dropped how many records were in it.
	rotate  bool
	dropped func(file string, records int)
	now     func() time.Time
}

// check makes the file, and refuses one that cannot be written, or should not be.
func (l *letterFile) check() error {
	f, _, err := l.open()
	if err != nil {
		return err
	}
	return f.Close()
}

// append writes lines to the file and waits until they are on disk. It returns how many are when there is an error.
func (l *letterFile) append(lines [][]byte) (written int, err error) {
	for written < len(lines) && err == nil {
		var n int
		n, err = l.fill(lines[written:])
		written += n
	}
	return written, err
}

// fill writes lines until there are no more, or the file is full and has been set aside.
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
			err = nil // somebody else took it away
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
		// Nobody knows what is on disk. Written once more, a letter may be there twice, but it is there.
		return 0, errors.Join(err, syncErr)
	}
	if deleted(l.path, info) {
		// Whoever moved it to another disk may have copied it before these lines.
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
	// Half a line would spoil the next one. It is left where another Collector writes to the same file: see prepare.
	if info, statErr := f.Stat(); statErr == nil && info.Size() == size+int64(n) {
		_ = f.Truncate(size)
	}
	return err
}

// deleted tells whether a file that was written is not what the path names any more and has no other name either.
func deleted(path string, written os.FileInfo) bool {
	now, err := os.Stat(path)
	return (err != nil || !os.SameFile(now, written)) && hasNoName(written)
}

// open opens the file for appending, makes it if it is not there, closes it to others, and ends a line that was cut short.
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

// regular refuses a path that names anything but a regular file, before it is opened: opening a pipe may wait
// forever and opening a device may do anything.
func regular(path string) error {
	for at, links := path, 0; links < maxLinks; links++ {
		if open, err := filepath.Abs(at); err == nil && isOpenFile(open) {
			return fmt.Errorf("%s is a file that the process has open, not one that can be moved and set aside: name a regular file", path)
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
	return nil // what is not there is made; any other error is that of opening it
}

// isOpenFile tells whether an absolute path is a name for a descriptor, such as /dev/stdout.
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
	return fmt.Errorf("%s is %s: dead letters have to stay where they are written, so name a regular file", path, kind)
}

// setAside renames the full file, if there is room for another backup.
func (l *letterFile) setAside() error {
	path, err := filepath.EvalSymlinks(l.path) // a link stays, and backups lie beside what it names
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
		// Made first, so that of two Collectors with one path none takes the other's name.
		f, err := os.OpenFile(backup, os.O_CREATE|os.O_EXCL|os.O_WRONLY, deadLetterMode)
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

// nameOf splits the path of the file into what stands before and behind the time in the names of its backups.
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
	slices.Sort(all) // by time, which follows what they share
	return all, nil
}

// drop removes a backup and tells what was in it.
func (l *letterFile) drop(backup string) error {
	records, err := countLetters(backup)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err = os.Remove(backup); err == nil {
		l.dropped(backup, records)
	} else if errors.Is(err, os.ErrNotExist) {
		return nil // somebody took it away
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
