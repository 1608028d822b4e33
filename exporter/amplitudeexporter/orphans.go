// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexporter // import "github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter"

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/orderedqueue"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/storageclient"
)

// A queue on disk belongs to the exporter's name: with another name it is not found, and its events wait forever.
// Therefore, each storage has a list of the exporters that had a queue there.
const (
	// queuesClient is the name of the list's client within the storage extension; its owner is the exporters' type.
	queuesClient = "queues"
	// queuesKey holds the exporters' names, one per line.
	queuesKey = "exporters"
)

// configured are the exporters of this process with a queue in a storage. All are created before the first one starts.
var configured = &queueOwners{count: map[queueOwner]int{}}

type queueOwner struct{ storage, exporter component.ID }

type queueOwners struct {
	mu    sync.Mutex
	count map[queueOwner]int
}

// add counts an exporter until the returned function is called.
func (q *queueOwners) add(o queueOwner) (remove func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count[o]++
	return sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.count[o]--; q.count[o] == 0 {
			delete(q.count, o)
		}
	})
}

// of returns the sorted names of the exporters with a queue in a storage.
func (q *queueOwners) of(storageID component.ID) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var names []string
	for o := range q.count {
		if o.storage == storageID {
			names = append(names, o.exporter.String())
		}
	}
	slices.Sort(names)
	return names
}

// findOrphans records the exporter in its storage, and warns about exporters that have events there but are not
// configured. It runs before the exporter opens its own clients. A storage that fails here will fail there, too.
func (x *amplitudeExporter) findOrphans(ctx context.Context, host component.Host) {
	queue := x.cfg.QueueConfig.Get()
	if queue == nil || queue.StorageID == nil {
		return
	}
	extension, err := storageclient.Find(host, *queue.StorageID)
	if err != nil {
		return
	}
	own := configured.of(*queue.StorageID)
	if len(own) == 0 || own[0] != x.set.ID.String() {
		return // another exporter does this for all of them
	}
	list, err := storageclient.Open(ctx, extension, *queue.StorageID, component.KindExporter, component.NewID(x.set.ID.Type()), queuesClient)
	if err != nil {
		x.log.Debug("Failed to open the list of queues", zap.Error(err))
		return
	}
	defer func() { _ = list.Close(ctx) }()
	raw, err := list.Get(ctx, queuesKey)
	if err != nil {
		return
	}
	known := map[string]struct{}{}
	for name := range strings.Lines(string(raw)) {
		name = strings.TrimSpace(name)
		var id component.ID
		if slices.Contains(own, name) || id.UnmarshalText([]byte(name)) != nil {
			continue
		}
		if waiting := x.storedUnder(ctx, extension, *queue.StorageID, id); waiting > 0 {
			known[name] = struct{}{}
			x.set.Logger.Warn("Events in the storage belong to an exporter that is not configured, because it was renamed or removed; they stay there until an exporter with that name is configured",
				zap.String("exporter", name), zap.Int("requests", waiting), zap.Stringer("storage", *queue.StorageID),
				zap.String("see", operationsDocs+"#rename-an-exporter"))
		}
	}
	for _, name := range own {
		known[name] = struct{}{}
	}
	if text := strings.Join(slices.Sorted(maps.Keys(known)), "\n"); text != string(raw) {
		if err := list.Set(ctx, queuesKey, []byte(text)); err != nil {
			x.log.Debug("Failed to write the list of queues", zap.Error(err))
		}
	}
}

// storedUnder returns how many requests wait in the queue and in the slow lane of an exporter that is not running.
func (x *amplitudeExporter) storedUnder(ctx context.Context, extension storage.Extension, storageID, id component.ID) (requests int) {
	for name, count := range map[string]func(context.Context, storage.Client) (int, error){
		orderedqueue.ClientName: orderedqueue.Stored,
		slowStoreName:           slowStored,
		letterStoreName:         slowStored,
	} {
		client, err := storageclient.Open(ctx, extension, storageID, component.KindExporter, id, name)
		if err != nil {
			continue
		}
		if n, err := count(ctx, client); err == nil {
			requests += n
		}
		_ = client.Close(ctx)
	}
	return requests
}
