// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// maxSeed keeps the seeds small: the fuzzer changes small inputs more often.
const maxSeed = 12 << 10

func addSeeds(f *testing.F, proto bool) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "captures", "*"))
	require.NoError(f, err)
	for _, file := range files {
		name := filepath.Base(file)
		body, err := os.ReadFile(file)
		require.NoError(f, err)
		if strings.HasSuffix(name, ".notes.json") || strings.HasSuffix(name, ".meta") || len(body) > maxSeed {
			continue
		}
		ld, err := unmarshal(name, body)
		require.NoError(f, err)
		if proto {
			f.Add([]byte(encode(f, ld)))
			continue
		}
		encoded, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
		require.NoError(f, err)
		f.Add(encoded)
	}
}

// fuzzed is a processor used for all inputs, and what it received and handed on.
type fuzzed struct {
	*rig
	in, out int
	// gateway accepts the output; without a memory, it must pass everything on.
	gateway *fuzzed
}

func startFuzzed(f *testing.F) []*fuzzed {
	f.Helper()
	var processors []*fuzzed
	for _, yaml := range []string{
		"{identity: {min_id_length: 1}, dedup: {max_entries: 1000}}",
		"{identity: {min_id_length: 1}, dedup: {enabled: false}}",
		"{exposure: {unassigned: identify, wire: raw}, event_properties: {include: ['*']}, dedup: {enabled: false}}",
		"{identity: {groups: {team: feature_flag.key}}, event_properties: {include: ['*a*']}, assignment: {property_prefix: ''}, insert_id: {format: sdk}, dedup: {enabled: false}}",
	} {
		cfg := configOf(f, yaml)
		p := &fuzzed{rig: start(f, cfg, nil)}
		if !cfg.Dedup.Enabled {
			p.gateway = &fuzzed{rig: start(f, accepting(f, yaml), nil)}
		}
		processors = append(processors, p)
	}
	return processors
}

// fuzz sends requests through some configurations: there is no panic, the counts of records add up, and the output
// passes unchanged a second time.
func fuzz(f *testing.F, unmarshaler plog.Unmarshaler) {
	f.Helper()
	_, proto := unmarshaler.(*plog.ProtoUnmarshaler)
	addSeeds(f, proto)
	processors := startFuzzed(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		ld, err := unmarshaler.UnmarshalLogs(body)
		if err != nil {
			return
		}
		for _, p := range processors {
			p.try(t, copyOf(ld))
		}
	})
}

func (p *fuzzed) try(t *testing.T, ld plog.Logs) {
	t.Helper()
	shaped := map[string]bool{}
	for _, record := range recordsOf(ld) {
		shaped[insertIDOf(record)] = true
	}
	p.count(t, ld)
	if len(p.sink.AllLogs()) == 0 {
		return
	}
	out := p.sink.AllLogs()[0]
	for _, record := range recordsOf(out) {
		if id := insertIDOf(record); !shaped[id] {
			checkEvent(t, record)
		}
	}
	if p.gateway == nil {
		return
	}
	before := encode(t, out)
	p.gateway.count(t, copyOf(out))
	require.Len(t, p.gateway.sink.AllLogs(), 1)
	require.Equal(t, before, encode(t, p.gateway.sink.AllLogs()[0]))
}

// count sends a batch and checks the counts of everything sent so far.
func (p *fuzzed) count(t *testing.T, ld plog.Logs) {
	t.Helper()
	p.in += ld.LogRecordCount()
	p.out += len(p.send(t, ld))
	checkLaw(t, p.rig, p.in, p.out)
}

func FuzzConsumeLogsJSON(f *testing.F) { fuzz(f, &plog.JSONUnmarshaler{}) }

func FuzzConsumeLogsProto(f *testing.F) { fuzz(f, &plog.ProtoUnmarshaler{}) }
