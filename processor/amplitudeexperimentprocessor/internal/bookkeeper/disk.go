// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package bookkeeper // import "github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/bookkeeper"

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/diagnostics"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/printable"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/storageclient"
)

const (
	// indexKey holds the keys of the flags, as JSON.
	indexKey = "flags"
	// flagPrefix begins the key of a flag.
	flagPrefix = "flag/"
)

// disk keeps a book on a storage extension: each flag under its own key, and the list of those keys.
type disk struct {
	*Settings
	client   storage.Client
	failures failures
	// written are the versions of the flags in the storage.
	written map[string]uint64
	index   []byte
	buffer  []byte
}

func openDisk(ctx context.Context, host component.Host, set *Settings) (*disk, error) {
	extension, err := storageclient.Find(host, *set.Storage)
	if err != nil {
		return nil, err
	}
	client, err := storageclient.Open(ctx, extension, *set.Storage, component.KindProcessor, set.Owner, "diagnostics")
	if err != nil {
		return nil, err
	}
	return &disk{Settings: set, client: client, written: map[string]uint64{}}, nil
}

// load reads the stored counts. A flag that cannot be read starts over.
func (d *disk) load(ctx context.Context) {
	const message = "Failed to read the stored flag counts; counting starts over"
	index, err := d.client.Get(ctx, indexKey)
	var keys []string
	if err == nil && index != nil {
		err = json.Unmarshal(index, &keys)
	}
	if err != nil {
		d.failures.note(err, d.Logger, message)
		return
	}
	d.index = index
	for _, key := range keys {
		d.written[key] = 0 // save removes what is no longer counted
		content, err := d.client.Get(ctx, flagPrefix+key)
		if err == nil && content != nil {
			var restart *diagnostics.Restart
			if restart, err = d.Book.Load(key, content); restart != nil {
				d.restarts(restart)
			}
			d.written[key] = d.Book.Version(key, diagnostics.Own)
		}
		if err != nil {
			d.failures.note(fmt.Errorf("flag %q: %w", printable.Text(key), err), d.Logger, message)
		}
	}
	d.Book.Expire(d.Clock().UnixMilli())
}

func (d *disk) restarts(r *diagnostics.Restart) {
	d.Logger.Info("The expected shares of a flag have changed; its test for a sample ratio mismatch starts over with persons first seen from now on",
		zap.String("flag", printable.Text(r.Flag)), zap.String("before", r.Before), zap.String("now", r.Now))
}

// save writes the flags that have changed, and removes those that are over.
func (d *disk) save(ctx context.Context) {
	var errs []error
	keys := d.Book.Flags()
	slices.Sort(keys)
	index, err := json.Marshal(keys)
	if err == nil && string(index) != string(d.index) {
		if err = d.client.Set(ctx, indexKey, index); err == nil {
			d.index = index
		}
	}
	errs = append(errs, err)
	for _, key := range keys {
		before, known := d.written[key]
		if version := d.Book.Version(key, diagnostics.Own); known && version == before {
			continue
		}
		content, version := d.Book.Encode(d.buffer[:0], key, diagnostics.Own)
		if content == nil {
			continue
		}
		d.buffer = content
		if err := d.client.Set(ctx, flagPrefix+key, content); err != nil {
			errs = append(errs, err)
			continue
		}
		d.written[key] = version
	}
	for key := range d.written {
		if _, there := slices.BinarySearch(keys, key); there {
			continue
		}
		if err := d.client.Delete(ctx, flagPrefix+key); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(d.written, key)
	}
	d.failures.note(errors.Join(errs...), d.Logger, "Failed to store the flag counts; after a restart, counting starts over")
}
