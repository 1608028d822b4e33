// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/event"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records"
)

// Resource attributes added to dead letters.
const (
	deadLetterReason = "dead_letter.reason"
	deadLetterField  = "dead_letter.field"
	deadLetterStatus = "dead_letter.status"
	deadLetterTime   = "dead_letter.time"
)

const (
	// deadLetterRecords bounds the records of one line, so that a receiver accepts it.
	deadLetterRecords = 100
	// These bound what waits for room in the file; any excess stays in the queue and blocks it.
	maxWaitingLetters = 10_000
	maxWaitingBytes   = 32 << 20
	// letterRetry is how often writing is retried while letters wait.
	letterRetry = 5 * time.Second
)

// deadLetters are the events that cannot be delivered: lines of OTLP JSON in a file, and those that wait for the file,
// in memory and, if the sending queue has a storage, in that storage.
type deadLetters struct {
	file  *letterFile
	store *slowStore // nil without storage
	// keeps: letters may wait here; if senders get the result, they may not.
	keeps bool
	clock clock
	log   *zap.Logger
	// written is called for records that are in the file, lost for those that never will be.
	written, lost func(event.Reason, int)

	mu             sync.Mutex
	waiting        []letterLine
	records, bytes int // of the waiting letters
	stop           context.CancelFunc
	life           context.Context
	retries        sync.WaitGroup
	retrying       bool
}

// letterLine is one line of the file.
type letterLine struct {
	line    []byte
	records int
	reason  event.Reason
	chunk   *slowChunk // nil without storage
}

// openDeadLetters creates the file, to detect an invalid path at startup. It returns nil if no file is configured.
func openDeadLetters(cfg DeadLetterConfig, keeps bool, c clock, log *zap.Logger) (*deadLetters, error) {
	if cfg.Path == "" {
		return nil, nil
	}
	d := &deadLetters{
		file:  &letterFile{path: cfg.Path, max: int64(cfg.MaxMegabytes) * megabyte, backups: cfg.MaxBackups, rotate: cfg.OnFull == onFullRotate, now: c.Now},
		keeps: keeps, clock: c, log: log,
	}
	if err := d.file.check(); err != nil {
		return nil, fmt.Errorf("dead_letter::path cannot be written: %w", err)
	}
	d.life, d.stop = context.WithCancel(context.Background())
	return d, nil
}

// restore loads the letters that waited when an earlier process ended.
func (d *deadLetters) restore(store *slowStore, left []*slowChunk) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.store = store
	for _, c := range left {
		reason, _ := c.logs.ResourceLogs().At(0).Resource().Attributes().Get(deadLetterReason)
		line, err := lineOf(c.logs, event.Reason(max(0, slices.Index(event.ReasonNames[:], reason.AsString()))))
		if err != nil {
			return err
		}
		line.chunk, c.logs = c, plog.Logs{}
		d.add(line)
	}
	if len(d.waiting) > 0 {
		d.retryLater()
	}
	return nil
}

// write appends the unmodified records with the reasons for their failure, and waits until they are on disk: only then
// does the queue release them. What the file does not accept waits here, up to a bound. It returns how many records it
// took, and why not more.
func (d *deadLetters) write(ctx context.Context, dead []undeliverable) (taken int, err error) {
	var letters []letterLine
	var all []plog.Logs
	for group := range groups(dead) {
		logs := letterOf(group, d.clock.Now())
		letter, err := lineOf(logs, group[0].Reason)
		if err != nil {
			return 0, err
		}
		letters, all = append(letters, letter), append(all, logs)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	written := 0
	if err = d.flush(ctx); err == nil { // waiting letters come first
		written, err = d.append(letters)
	}
	for i, letter := range letters {
		if i >= written {
			if keepErr := d.keep(ctx, letter, all[i]); keepErr != nil {
				return taken, errors.Join(err, keepErr)
			}
		}
		taken += letter.records
	}
	if err != nil {
		d.log.Warn("Failed to write to the dead letter file; dead letters wait until it can be written",
			zap.Int("letters", d.records), zap.Int("at_most", maxWaitingLetters), zap.Error(err))
	}
	return taken, nil
}

// groups yields the records for each line, in order.
func groups(dead []undeliverable) iter.Seq[[]undeliverable] {
	return func(yield func([]undeliverable) bool) {
		for len(dead) > 0 {
			n := 1
			for n < len(dead) && n < deadLetterRecords && dead[n].Failure == dead[0].Failure &&
				dead[n].Resource == dead[0].Resource && dead[n].Scope == dead[0].Scope {
				n++
			}
			if !yield(dead[:n]) {
				return
			}
			dead = dead[n:]
		}
	}
}

// letterOf returns the logs of one line.
func letterOf(dead []undeliverable, now time.Time) plog.Logs {
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

func lineOf(logs plog.Logs, reason event.Reason) (letterLine, error) {
	line, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	return letterLine{line: append(line, '\n'), records: logs.LogRecordCount(), reason: reason}, err
}

// append writes letters to the file and counts them.
func (d *deadLetters) append(letters []letterLine) (written int, err error) {
	lines := make([][]byte, len(letters))
	for i := range letters {
		lines[i] = letters[i].line
	}
	written, err = d.file.append(lines)
	for _, letter := range letters[:written] {
		d.written(letter.reason, letter.records)
	}
	return written, err
}

// flush writes the letters that wait.
func (d *deadLetters) flush(ctx context.Context) error {
	if len(d.waiting) == 0 {
		return nil
	}
	written, err := d.append(d.waiting)
	for _, letter := range d.waiting[:written] {
		d.records -= letter.records
		d.bytes -= len(letter.line)
		if letter.chunk == nil {
			continue
		}
		letter.chunk.live = 0
		if storeErr := d.store.shrink(ctx, letter.chunk, nil); storeErr != nil {
			d.log.Warn("A dead letter stays in the storage and will be written again after a restart", zap.Error(storeErr))
		}
	}
	d.waiting = slices.Delete(d.waiting, 0, written)
	if len(d.waiting) == 0 {
		d.log.Info("The dead letter file can be written again")
	}
	return err
}

// keep makes a letter wait.
func (d *deadLetters) keep(ctx context.Context, letter letterLine, logs plog.Logs) error {
	switch {
	case !d.keeps || d.life.Err() != nil:
		return errors.New("dead letters cannot wait now, so their events stay in the queue")
	case d.records+letter.records > maxWaitingLetters || d.bytes+len(letter.line) > maxWaitingBytes:
		return fmt.Errorf("%d dead letters are already waiting, and events behind them", d.records)
	case d.store != nil:
		letter.chunk = &slowChunk{live: letter.records}
		if err := d.store.put(ctx, letter.chunk, logs); err != nil {
			return err
		}
	}
	d.add(letter)
	d.retryLater()
	return nil
}

func (d *deadLetters) add(letter letterLine) {
	d.waiting = append(d.waiting, letter)
	d.records += letter.records
	d.bytes += len(letter.line)
}

// retryLater retries periodically until nothing waits.
func (d *deadLetters) retryLater() {
	if d.retrying {
		return
	}
	d.retrying = true
	d.retries.Go(func() {
		for {
			due, stop := d.clock.At(d.clock.Now().Add(letterRetry))
			select {
			case <-d.life.Done():
			case <-due:
			}
			stop()
			if d.life.Err() != nil {
				return
			}
			d.mu.Lock()
			_ = d.flush(d.life) // the reason was logged when it began
			d.retrying = len(d.waiting) > 0
			again := d.retrying
			d.mu.Unlock()
			if !again {
				return
			}
		}
	})
}

// waits returns how many dead letters wait for their file.
func (d *deadLetters) waits() int {
	if d == nil {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.records
}

// close tries one last time to write what waits. What is in a storage stays there for the next process. It may be
// called on nil, and twice.
func (d *deadLetters) close(ctx context.Context) error {
	if d == nil {
		return nil
	}
	d.stop()
	d.retries.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.flush(ctx)
	if d.store != nil {
		if len(d.waiting) > 0 {
			d.log.Info("Dead letters that did not fit into their file stay in the storage", zap.Int("letters", d.records))
		}
		err = d.store.close(ctx)
		d.store = nil
	} else if len(d.waiting) > 0 {
		d.log.Error("Dead letters are lost: their file cannot be written and the sending queue has no storage", zap.Int("letters", d.records), zap.Error(err))
		for _, letter := range d.waiting {
			d.lost(letter.reason, letter.records)
		}
		err = nil
	}
	d.waiting, d.records, d.bytes = nil, 0, 0
	return err
}
