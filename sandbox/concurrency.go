// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package sandbox // import "github.com/otelcol-amplitude/otelcol-amplitude/sandbox"

import "github.com/zeebo/xxh3"

// printsKept is the number of requests among which a retry is recognized.
const printsKept = 5000

// fingerprint is of the events of a request, whatever the rest of its body says.
func fingerprint(spans [][]byte) xxh3.Uint128 {
	var h xxh3.Hasher
	for _, span := range spans {
		_, _ = h.Write(span)
		_, _ = h.Write([]byte{0})
	}
	return h.Sum128()
}

// arrive notes the devices of a request in progress and how often its events came before. The caller holds the lock.
func (in *ingestion) arrive() {
	s := in.server
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
		s.warn(warning{At: in.log.receivedAt.UnixMilli(), Request: in.log.id, Text: "one device in two requests at a time: their order is lost"})
	}
	if in.log.fingerprint != (xxh3.Uint128{}) {
		in.log.retry = s.seen(in.log.fingerprint)
	}
}

// seen counts a fingerprint and returns how often it was counted before.
func (s *Server) seen(print xxh3.Uint128) int {
	if s.prints.n >= printsKept {
		oldest := s.prints.at(0)
		if s.printed[oldest]--; s.printed[oldest] <= 0 {
			delete(s.printed, oldest)
		}
		s.prints.drop()
	}
	before := s.printed[print]
	s.printed[print]++
	s.prints.push(print)
	return before
}

// leave ends what arrive began. The caller holds the lock.
func (in *ingestion) leave() {
	for _, key := range in.log.devices {
		if in.server.inflight[key]--; in.server.inflight[key] <= 0 {
			delete(in.server.inflight, key)
		}
	}
	in.log.devices = nil
}
