// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// Resource attributes that a dead letter adds.
const (
	deadLetterReason = "dead_letter.reason"
	deadLetterField  = "dead_letter.field"
	deadLetterStatus = "dead_letter.status"
	deadLetterTime   = "dead_letter.time"
)

const (
	// deadLetterMode: the file holds what users did.
	deadLetterMode os.FileMode = 0o600
	// deadLetterRecords bounds the records of one line, so that a receiver takes it.
	deadLetterRecords = 100
	megabyte          = 1 << 20
	// neverByItself is added to the size at which the library would rotate: we do, after syncing.
	neverByItself = 1 << 20
)

// deadLetter is a rotated file of OTLP JSON lines. The library renames and removes files; when to
// rotate is decided here, because a file is to be on disk before it is set aside.
type deadLetter struct {
	path    string
	max     int64
	marshal plog.JSONMarshaler

	mu   sync.Mutex
	file *lumberjack.Logger
	size int64
	// created is set while the directory may not yet have the file on disk.
	created bool
}

// openDeadLetter returns nil when there is to be no file.
func openDeadLetter(cfg DeadLetterConfig) (*deadLetter, error) {
	if cfg.Path == "" {
		return nil, nil
	}
	d := &deadLetter{path: cfg.Path, max: int64(cfg.MaxMegabytes) * megabyte}
	if err := d.prepare(); err != nil {
		return nil, fmt.Errorf("dead_letter::path cannot be written: %w", err)
	}
	d.file = &lumberjack.Logger{Filename: cfg.Path, MaxSize: cfg.MaxMegabytes + neverByItself, MaxBackups: cfg.MaxBackups}
	return d, nil
}

// prepare makes the file, closes it to others, and ends a line that a crash cut short.
func (d *deadLetter) prepare() (err error) {
	if err = os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(d.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, deadLetterMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm() != deadLetterMode {
		if err = f.Chmod(deadLetterMode); err != nil {
			return err
		}
	}
	d.size, d.created = info.Size(), true
	if d.size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err = f.ReadAt(last, d.size-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		n, err := f.WriteString("\n")
		d.size += int64(n)
		return err
	}
	return nil
}

// write appends the records, as they came, with what is known about why they failed, and waits until
// they are on disk: the queue lets go of them then. It returns how many are written when there is an error.
func (d *deadLetter) write(dead []undeliverable, now time.Time) (written int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for written < len(dead) && err == nil {
		n := group(dead[written:])
		var line []byte
		if line, err = d.marshal.MarshalLogs(letter(dead[written:written+n], now)); err != nil {
			break
		}
		if err = d.append(append(line, '\n')); err == nil {
			written += n
		}
	}
	if written == 0 {
		return 0, err
	}
	if syncErr := d.sync(); syncErr != nil {
		// Nobody knows what is on disk. Written once more, a letter may be there twice, but it is there.
		return 0, errors.Join(err, syncErr)
	}
	return written, err
}

// group is how many of the records, from the first, go into one line.
func group(dead []undeliverable) int {
	first := &dead[0]
	n := 1
	for n < len(dead) && n < deadLetterRecords &&
		dead[n].Failure == first.Failure && dead[n].Resource == first.Resource && dead[n].Scope == first.Scope {
		n++
	}
	return n
}

// letter makes the logs of one line.
func letter(dead []undeliverable, now time.Time) plog.Logs {
	logs := records.Collect(records.From(dead, func(u undeliverable) records.Ref { return u.Ref }))
	why := dead[0].Failure
	attributes := logs.ResourceLogs().At(0).Resource().Attributes()
	attributes.PutStr(deadLetterReason, why.Reason.String())
	if why.Field != "" {
		attributes.PutStr(deadLetterField, why.Field)
	}
	if why.Status != 0 {
		attributes.PutInt(deadLetterStatus, int64(why.Status))
	}
	attributes.PutStr(deadLetterTime, now.UTC().Format(time.RFC3339Nano))
	return logs
}

func (d *deadLetter) append(line []byte) error {
	if d.size > 0 && d.size+int64(len(line)) > d.max {
		if err := errors.Join(d.sync(), d.file.Rotate()); err != nil {
			return err
		}
		d.size, d.created = 0, true
	}
	n, err := d.file.Write(line)
	d.size += int64(n)
	if err != nil && n > 0 {
		// Half a line would spoil the next one.
		if m, newlineErr := d.file.Write([]byte{'\n'}); newlineErr == nil {
			d.size += int64(m)
		}
	}
	return err
}

// sync puts on disk what was written; it does so for every descriptor of the file.
func (d *deadLetter) sync() error {
	f, err := os.OpenFile(d.path, os.O_WRONLY, deadLetterMode)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err = errors.Join(f.Sync(), f.Close()); err != nil || !d.created {
		return err
	}
	if err = syncDirectory(filepath.Dir(d.path)); err == nil {
		d.created = false
	}
	return err
}

// close puts on disk what was written and closes the file. It may be called on nil and twice.
func (d *deadLetter) close() error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.sync(), d.file.Close())
}
