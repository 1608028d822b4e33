// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import "github.com/zeebo/xxh3"

// fingerprintsKept is the number of requests among which a retry is recognized.
const fingerprintsKept = 5000

// fingerprint identifies the events of a request, regardless of the rest of its body.
func fingerprint(texts [][]byte) xxh3.Uint128 {
	var h xxh3.Hasher
	for _, text := range texts {
		_, _ = h.Write(text)
		_, _ = h.Write([]byte{0})
	}
	return h.Sum128()
}

// arrive notes the devices of a request in progress and how often its events were sent before. The caller holds the
// lock.
func (in *ingestion) arrive() {
	s := in.store
	seen := make(map[idKey]bool, len(in.events))
	most := 0
	for _, e := range in.events {
		key := deviceKey(e.deviceID)
		if seen[key] {
			continue
		}
		seen[key] = true
		in.log.devices = append(in.log.devices, key)
		s.inflight[key]++
		most = max(most, s.inflight[key])
	}
	end := s.stats.endpoint(in.log.path)
	end.MaxConcurrency = max(end.MaxConcurrency, most)
	if most > 1 {
		s.warn(warning{At: in.log.receivedAt.UnixMilli(), Request: in.log.id, Text: "two concurrent requests have the same device: the order of their events is undefined"})
	}
	if in.log.fingerprint != (xxh3.Uint128{}) {
		in.log.retry = s.retries.seen(in.log.fingerprint)
	}
}

// retries counts the requests with the same events among the newest.
type retries struct {
	newest *ring[xxh3.Uint128]
	counts map[xxh3.Uint128]int
}

func newRetries() retries {
	return retries{
		newest: newRing(fingerprintsKept, 1<<40, func(xxh3.Uint128) int64 { return 1 }),
		counts: map[xxh3.Uint128]int{},
	}
}

// seen returns how many requests with this fingerprint came before, and adds one.
func (r *retries) seen(print xxh3.Uint128) int {
	if r.newest.n >= fingerprintsKept {
		oldest := r.newest.at(0)
		if r.counts[oldest]--; r.counts[oldest] <= 0 {
			delete(r.counts, oldest)
		}
		r.newest.drop()
	}
	before := r.counts[print]
	r.counts[print]++
	r.newest.push(print)
	return before
}

// leave undoes arrive. The caller holds the lock.
func (in *ingestion) leave() {
	for _, key := range in.log.devices {
		if in.store.inflight[key]--; in.store.inflight[key] <= 0 {
			delete(in.store.inflight, key)
		}
	}
	in.log.devices = nil
}
