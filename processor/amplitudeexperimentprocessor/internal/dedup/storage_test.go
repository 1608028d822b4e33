// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package dedup

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

var storageID = component.MustNewID("mem_storage")

// memStorage is a storage extension in memory that can fail or lose its last writes, as in a crash.
type memStorage struct {
	component.StartFunc
	component.ShutdownFunc

	slow    chan struct{} // if set, writes wait until it is closed
	mu      sync.Mutex
	data    map[string][]byte
	failing error
	full    bool // fails, but can record that it lacks something
	dead    bool
	writes  int
	// history is the content after each write, if recorded; a kill keeps at least the writes that were waited for.
	recorded bool
	history  []map[string][]byte
	least    int
}

func newMemStorage() *memStorage { return &memStorage{data: make(map[string][]byte)} }

// after returns the storage that the next process finds: everything written up to now.
func (s *memStorage) after() *memStorage {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
	return &memStorage{data: maps.Clone(s.data)}
}

// cut returns what a kill leaves of the writes.
func (s *memStorage) cut(rng *rand.Rand) map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	least := max(0, s.least-1)
	return maps.Clone(s.history[least+rng.IntN(len(s.history)-least)])
}

func (s *memStorage) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = err
}

func (s *memStorage) keys() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.data)
}

func (s *memStorage) writeCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// edit changes the content directly.
func (s *memStorage) edit(change func(data map[string][]byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.data)
}

func (s *memStorage) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{storageID: s}
}

func (s *memStorage) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return s, nil
}

func (s *memStorage) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := s.Batch(ctx, op)
	return op.Value, err
}

func (s *memStorage) Set(ctx context.Context, key string, value []byte) error {
	return s.Batch(ctx, storage.SetOperation(key, value))
}

func (s *memStorage) Delete(ctx context.Context, key string) error {
	return s.Batch(ctx, storage.DeleteOperation(key))
}

func (s *memStorage) Batch(_ context.Context, ops ...*storage.Operation) error {
	if s.slow != nil {
		<-s.slow
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing != nil && (!s.full || len(ops) != 1 || ops[0].Key != lostKey) {
		return s.failing
	}
	for _, op := range ops {
		switch {
		case op.Type == storage.Get:
			op.Value = bytes.Clone(s.data[op.Key])
		case s.dead:
		case op.Type == storage.Set:
			s.writes++
			s.data[op.Key] = bytes.Clone(op.Value)
			if s.recorded {
				s.history = append(s.history, maps.Clone(s.data))
			}
		case op.Type == storage.Delete:
			delete(s.data, op.Key)
		}
	}
	return nil
}

func (s *memStorage) Walk(_ context.Context, do storage.WalkFunc) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, value := range maps.Clone(s.data) {
		ops, err := do(key, value)
		if err != nil {
			return err
		}
		for _, op := range ops {
			if op.Type == storage.Delete {
				delete(s.data, op.Key)
			}
		}
	}
	return nil
}

func (*memStorage) Close(context.Context) error { return nil }
