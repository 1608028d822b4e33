// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package orderedqueue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/records/recordstest"
	"github.com/otelcol-amplitude/otelcol-amplitude/exporter/amplitudeexporter/internal/storagetest"
)

// The tests in this file check exporterhelper itself, without what this package adds. If one fails with a new core,
// look at what depends on its assumption (see doc.go), and whether that can be removed.

const (
	soon = time.Minute
	tick = time.Millisecond
)

// TestAssumptionQueueStorageIsNamedLogs: keepOrder opens the queue's storage client by this name.
func TestAssumptionQueueStorageIsNamedLogs(t *testing.T) {
	c := startCore(t, coreOptions{})
	assert.Equal(t, []string{fmt.Sprintf("%s %s %s", component.KindExporter, testID, ClientName)}, c.storage.clients)
}

// TestAssumptionIndexFormat: keepOrder reads the index and rewrites it.
func TestAssumptionIndexFormat(t *testing.T) {
	c := startCore(t, coreOptions{deliver: func(ctx context.Context, _ []string) error {
		<-ctx.Done()
		return nil
	}})
	c.send("first")
	c.send("second")
	var raw []byte
	require.Eventually(t, func() bool {
		raw = c.storage.get(indexKey)
		q, ok := parseIndex(raw)
		return ok && q.fields[fieldRead] == 1 && q.fields[fieldWrite] == 2
	}, soon, tick, "the index is %x", raw)
	q, _ := parseIndex(raw)
	assert.Equal(t, []uint64{0}, q.unfinished)
	assert.Equal(t, uint64(2), q.fields[fieldItems])
	assert.NotZero(t, q.fields[fieldBytes])
}

// TestAssumptionIndexAndRequestInOneBatch: queueClient recognizes by the operations of a Batch that a request is being
// taken out.
func TestAssumptionIndexAndRequestInOneBatch(t *testing.T) {
	c := startCore(t, coreOptions{stored: map[string][]byte{indexKey: index64(fieldWrite, 0)}})
	c.send("first")
	require.Eventually(t, func() bool { return len(c.delivered()) == 1 }, soon, tick)
	c.stop()
	assert.Equal(t, [][]string{
		{"set " + indexKey, "set 0"},    // puts the request in
		{"set " + indexKey, "get 0"},    // takes it out
		{"set " + indexKey, "delete 0"}, // removes it
	}, c.storage.batches)
}

// TestAssumptionMissingRequestIsSkipped: after keepOrder, finished requests are missing between unfinished ones.
func TestAssumptionMissingRequestIsSkipped(t *testing.T) {
	c := startCore(t, coreOptions{stored: map[string][]byte{
		indexKey: index64(fieldWrite, 3), "0": stored(t, "first"), "2": stored(t, "third"),
	}})
	require.Eventually(t, func() bool { return len(c.delivered()) == 2 }, soon, tick)
	assert.Equal(t, []string{"first", "third"}, c.delivered())
}

// TestAssumptionUnfinishedRequestsGoToTheEnd is why keepOrder exists:
// https://github.com/open-telemetry/opentelemetry-collector/issues/15475
func TestAssumptionUnfinishedRequestsGoToTheEnd(t *testing.T) {
	unfinished := protowire.AppendFixed64(protowire.AppendTag(nil, fieldUnfinished, protowire.Fixed64Type), 0)
	c := startCore(t, coreOptions{stored: map[string][]byte{
		indexKey: slices.Concat(index64(fieldRead, 1), index64(fieldWrite, 2), unfinished),
		"0":      stored(t, "first"), "1": stored(t, "second"),
	}})
	require.Eventually(t, func() bool { return len(c.delivered()) == 2 }, soon, tick)
	assert.Equal(t, []string{"second", "first"}, c.delivered(), "the core keeps the order of its queue over a restart: keepOrder can go")
}

// TestAssumptionFullStorageLosesRequests is why queueClient exists.
func TestAssumptionFullStorageLosesRequests(t *testing.T) {
	c := startCore(t, coreOptions{full: true, stored: map[string][]byte{indexKey: index64(fieldWrite, 1), "0": stored(t, "first")}})
	require.Eventually(t, func() bool { return c.storage.get("0") == nil }, soon, tick)
	c.stop()
	assert.Empty(t, c.delivered(), "the core delivers what it cannot note as taken out: queueClient can go")
}

// TestAssumptionRequestsOfMaxDepthAreRead: the deepest values that shallow keeps can be read back, wherever they are.
func TestAssumptionRequestsOfMaxDepthAreRead(t *testing.T) {
	logs := oneRecord("deep")
	resource := logs.ResourceLogs().At(0)
	scope := resource.ScopeLogs().At(0)
	nest := func(v pcommon.Value, list bool) {
		for range maxDepth {
			if list {
				v = v.SetEmptySlice().AppendEmpty()
			} else {
				v = v.SetEmptyMap().PutEmpty("deep")
			}
		}
		v.SetStr("end")
	}
	for _, attributes := range []pcommon.Map{resource.Resource().Attributes(), scope.Scope().Attributes(), scope.LogRecords().At(0).Attributes()} {
		nest(attributes.PutEmpty("map"), false)
		nest(attributes.PutEmpty("list"), true)
	}
	nest(scope.LogRecords().At(0).Body(), false)
	kept, cut := shallow(logs)
	require.Zero(t, cut)
	raw, err := encoding{}.Marshal(t.Context(), newRequest(kept, nil))
	require.NoError(t, err)
	_, _, err = encoding{read: func(int) {}, unreadable: func(err error, _ int) { assert.NoError(t, err) }}.Unmarshal(raw)
	assert.NoError(t, err)
}

// TestAssumptionShutdownKeepsRequestsThatWait: a request between two attempts stays on disk. During an attempt, it may
// be deleted: https://github.com/open-telemetry/opentelemetry-collector/issues/15677
func TestAssumptionShutdownKeepsRequestsThatWait(t *testing.T) {
	tried := make(chan struct{}, 1)
	c := startCore(t, coreOptions{deliver: func(context.Context, []string) error {
		tried <- struct{}{}
		return errors.New("the destination is down")
	}})
	c.send("first")
	<-tried
	c.stop()
	assert.NotNil(t, c.storage.get("0"))
	q, ok := parseIndex(c.storage.get(indexKey))
	require.True(t, ok)
	assert.Equal(t, []uint64{0}, q.unfinished)
}

// TestAssumptionOneBatchAtATime: with one consumer, a batch that waits for its next attempt blocks all later ones,
// including those of other partitions.
func TestAssumptionOneBatchAtATime(t *testing.T) {
	for name, partition := range map[string][]string{"no partitions": nil, "partitions": {"tenant"}} {
		t.Run(name, func(t *testing.T) {
			c := startCore(t, coreOptions{inMemory: true, partition: partition, wait: 50 * time.Millisecond, deliver: failOnce(t)})
			for i := range 5 {
				ctx := client.NewContext(t.Context(), client.Info{Metadata: client.NewMetadata(map[string][]string{"tenant": {strconv.Itoa(i)}})})
				require.NoError(t, c.logs.ConsumeLogs(ctx, oneRecord(strconv.Itoa(i))))
			}
			require.Eventually(t, func() bool { return len(c.delivered()) == 5 }, soon, tick)
		})
	}
}

// failOnce fails once for each request, and again at its second attempt if another request came in between.
func failOnce(t *testing.T) func(context.Context, []string) error {
	var mu sync.Mutex
	var failed string
	return func(_ context.Context, ids []string) error {
		mu.Lock()
		defer mu.Unlock()
		if failed != "" {
			assert.Equal(t, failed, fmt.Sprint(ids))
			failed = ""
			return nil
		}
		failed = fmt.Sprint(ids)
		return errors.New("not now")
	}
}

// TestAssumptionStopDropsWhatWaits is why leavings exists: at shutdown, a queue in memory loses the batch that waits
// for its next attempt, and each later one that fails once. It logs that with words that quiet recognizes.
func TestAssumptionStopDropsWhatWaits(t *testing.T) {
	tried := make(chan struct{}, 10)
	c := startCore(t, coreOptions{inMemory: true, wait: time.Hour, deliver: func(context.Context, []string) error {
		tried <- struct{}{}
		return errors.New("the destination is down")
	}})
	c.send("first")
	<-tried
	c.send("second")
	c.stop()
	assert.Len(t, tried, 1, "the core tries what waits once more: leavings can go")
	for message, times := range map[string]int{"Will retry": 2, "Dropping data": 2} {
		said := c.log.FilterMessageSnippet(message).All()
		require.Len(t, said, times)
		for _, entry := range said {
			assert.True(t, strings.HasPrefix(entry.Message, exportingFailed), entry.Message)
		}
	}
}

// TestAssumptionBatchesBeginInOrder: batchOrder numbers batches when MergeSplit is called. It is called with nil at the
// start of a batch and with the next request after that, never concurrently, in the order of the queue, and no longer
// once the batch is delivered. Every batch that was begun is delivered once.
func TestAssumptionBatchesBeginInOrder(t *testing.T) {
	const requests = 500
	log := &probeLog{t: t}
	var sent int
	queue := exporterhelper.NewDefaultQueueConfig()
	batch := queue.Batch.GetOrInsertDefault()
	batch.Sizer, batch.MinSize, batch.MaxSize, batch.FlushTimeout = exporterhelper.RequestSizerTypeItems, 3, 0, time.Millisecond
	queue.QueueSize, queue.BlockOnOverflow = requests, true
	x, err := xexporterhelper.NewLogsRequest(t.Context(), coreSettings(),
		func(context.Context, plog.Logs) (xexporterhelper.Request, error) {
			sent++
			return &probe{log: log, numbers: []int{sent}}, nil
		},
		func(_ context.Context, r xexporterhelper.Request) error { return log.deliver(r.(*probe)) },
		xexporterhelper.WithQueueBatch(configoptional.Some(queue), xexporterhelper.QueueBatchSettings{}))
	require.NoError(t, err)
	require.NoError(t, x.Start(t.Context(), storagetest.Host{}))
	for i := range requests {
		require.NoError(t, x.ConsumeLogs(t.Context(), oneRecord("any")))
		if i%50 == 0 { // so that batches time out now and then
			require.Eventually(t, func() bool { return log.idle(i) }, soon, tick)
		}
	}
	require.NoError(t, x.Shutdown(context.WithoutCancel(t.Context())))

	assert.Len(t, log.merged, requests)
	assert.True(t, slices.IsSorted(log.merged), "MergeSplit is called in the order of the queue: %v", log.merged)
	assert.ElementsMatch(t, log.merged, log.deliveredNumbers)
}

// probe is a request that records what the batcher does to it.
type probe struct {
	log              *probeLog
	numbers          []int
	begun, delivered bool
}

func (p *probe) ItemsCount() int { return len(p.numbers) }
func (p *probe) BytesSize() int  { return len(p.numbers) }

func (p *probe) MergeSplit(_ context.Context, _ int, _ exporterhelper.RequestSizerType, other xexporterhelper.Request) ([]xexporterhelper.Request, error) {
	if !p.log.inside.CompareAndSwap(false, true) {
		p.log.t.Error("MergeSplit runs twice at a time")
	}
	defer p.log.inside.Store(false)
	runtime.Gosched()
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	added := p
	if other == nil {
		assert.False(p.log.t, p.begun, "a batch begins twice")
		p.begun = true
	} else {
		assert.True(p.log.t, p.begun, "a batch begins without MergeSplit(nil)")
		added = other.(*probe)
		p.numbers = append(p.numbers, added.numbers...)
	}
	assert.False(p.log.t, p.delivered, "a batch grows after it was delivered")
	p.log.merged = append(p.log.merged, added.numbers[len(added.numbers)-1])
	return []xexporterhelper.Request{p}, nil
}

type probeLog struct {
	t      *testing.T
	inside atomic.Bool

	mu                       sync.Mutex
	merged, deliveredNumbers []int
}

func (l *probeLog) deliver(p *probe) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	assert.True(l.t, p.begun, "a batch is delivered that was not begun")
	assert.False(l.t, p.delivered, "a batch is delivered twice")
	p.delivered = true
	l.deliveredNumbers = append(l.deliveredNumbers, p.numbers...)
	return nil
}

// idle reports whether request i and all before it are delivered.
func (l *probeLog) idle(i int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.deliveredNumbers) > i
}

// core is exporterhelper's unmodified persistent queue.
type core struct {
	t       *testing.T
	logs    exporter.Logs
	storage *memoryStorage
	stop    func()

	log *observer.ObservedLogs

	mu  sync.Mutex
	ids []string
}

type coreOptions struct {
	stored  map[string][]byte
	full    bool
	deliver func(ctx context.Context, ids []string) error
	// inMemory is a queue without a storage, with batches of one request.
	inMemory  bool
	partition []string
	// wait is the time until the next attempt; 0 means an hour.
	wait time.Duration
}

// coreSettings are those of an exporter with the id of the tests.
func coreSettings() exporter.Settings {
	set := exportertest.NewNopSettings(testID.Type())
	set.ID = testID
	return set
}

func startCore(t *testing.T, o coreOptions) *core {
	t.Helper()
	c := &core{t: t, storage: &memoryStorage{content: o.stored, full: o.full}}
	if c.storage.content == nil {
		c.storage.content = map[string][]byte{}
	}
	released, release := context.WithCancel(context.WithoutCancel(t.Context()))
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.NumConsumers = 1
	queue.StorageID = &storagetest.ID
	queue.Batch = configoptional.None[exporterhelper.BatchConfig]()
	if o.inMemory {
		queue.StorageID = nil
		queue.Batch = exporterhelper.NewDefaultQueueConfig().Batch
		batch := queue.Batch.GetOrInsertDefault()
		batch.Sizer, batch.MinSize, batch.Partition.MetadataKeys = exporterhelper.RequestSizerTypeItems, 1, o.partition
	}
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval, retry.MaxInterval, retry.MaxElapsedTime = cmp.Or(o.wait, time.Hour), time.Hour, 0
	set := coreSettings()
	var observed zapcore.Core
	observed, c.log = observer.New(zapcore.DebugLevel)
	set.Logger = zap.New(observed)
	logs, err := xexporterhelper.NewLogsRequest(t.Context(), set,
		func(_ context.Context, logs plog.Logs) (xexporterhelper.Request, error) {
			return newRequest(logs, nil), nil
		},
		func(_ context.Context, r xexporterhelper.Request) error {
			ids := recordstest.InsertIDs(r.(*request).logs)
			if o.deliver != nil {
				if err := o.deliver(released, ids); err != nil {
					return err
				}
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.ids = append(c.ids, ids...)
			return nil
		},
		exporterhelper.WithRetry(retry),
		xexporterhelper.WithQueueBatch(configoptional.Some(queue), xexporterhelper.QueueBatchSettings{
			Encoding: encoding{read: func(int) {}, unreadable: func(error, int) {}}, ReferenceCounter: references{},
		}))
	require.NoError(t, err)
	c.logs = logs
	require.NoError(t, logs.Start(t.Context(), storagetest.Host{Storage: c.storage}))
	c.stop = sync.OnceFunc(func() { assert.NoError(t, logs.Shutdown(context.WithoutCancel(t.Context()))) })
	t.Cleanup(func() {
		release()
		c.stop()
	})
	return c
}

func (c *core) send(id string) {
	c.t.Helper()
	require.NoError(c.t, c.logs.ConsumeLogs(c.t.Context(), oneRecord(id)))
}

func (c *core) delivered() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ids)
}

func oneRecord(id string) plog.Logs {
	logs := plog.NewLogs()
	recordstest.AppendExposure(recordstest.AppendSlice(logs), "user-00001", id)
	return logs
}

// stored is a request in its form on disk.
func stored(t *testing.T, id string) []byte {
	t.Helper()
	raw, err := encoding{}.Marshal(t.Context(), newRequest(oneRecord(id), nil))
	require.NoError(t, err)
	return raw
}

// index64 is one field of an index.
func index64(field protowire.Number, value uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, field, protowire.Fixed64Type), value)
}

// memoryStorage is a storage that records its operations. If it is full, it can only delete.
type memoryStorage struct {
	component.StartFunc
	component.ShutdownFunc

	mu      sync.Mutex
	content map[string][]byte
	full    bool
	clients []string
	batches [][]string
}

// GetClient returns the storage itself.
func (m *memoryStorage) GetClient(_ context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	m.clients = append(m.clients, fmt.Sprintf("%s %s %s", kind, id, name))
	return memoryClient{m}, nil
}

func (m *memoryStorage) get(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.content[key]
}

type memoryClient struct{ *memoryStorage }

func (c memoryClient) Get(_ context.Context, key string) ([]byte, error) { return c.get(key), nil }

func (c memoryClient) Set(_ context.Context, key string, value []byte) error {
	return c.apply(storage.SetOperation(key, value))
}

func (c memoryClient) Delete(_ context.Context, key string) error {
	return c.apply(storage.DeleteOperation(key))
}

func (c memoryClient) Close(context.Context) error { return nil }

// Batch records the operations and applies all of them or none.
func (c memoryClient) Batch(_ context.Context, operations ...*storage.Operation) error {
	names := map[storage.OpType]string{storage.Get: "get", storage.Set: "set", storage.Delete: "delete"}
	var batch []string
	for _, o := range operations {
		batch = append(batch, names[o.Type]+" "+o.Key)
	}
	c.mu.Lock()
	c.batches = append(c.batches, batch)
	c.mu.Unlock()
	return c.apply(operations...)
}

func (c memoryClient) apply(operations ...*storage.Operation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := maps.Clone(c.content)
	for _, o := range operations {
		switch o.Type {
		case storage.Get:
			o.Value = next[o.Key]
		case storage.Set:
			if c.full {
				return storage.ErrStorageFull
			}
			next[o.Key] = o.Value
		case storage.Delete:
			delete(next, o.Key)
		}
	}
	c.content = next
	return nil
}
