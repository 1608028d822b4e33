// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// maxSeed keeps the seeds small: the fuzzer changes small inputs more often.
const maxSeed = 32 << 10

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

// fuzz sends a request through each configuration: never a panic, the law of records holds, and what came out passes
// through another time unchanged.
func fuzz(f *testing.F, proto bool) {
	f.Helper()
	addSeeds(f, proto)
	f.Fuzz(func(t *testing.T, body []byte) {
		var ld plog.Logs
		var err error
		if proto {
			ld, err = (&plog.ProtoUnmarshaler{}).UnmarshalLogs(body)
		} else {
			ld, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(body)
		}
		if err != nil {
			return
		}
		for _, yaml := range configurations[1:8] {
			fuzzOne(t, yaml, copyOf(ld))
		}
	})
}

func fuzzOne(t *testing.T, yaml string, ld plog.Logs) {
	t.Helper()
	cfg := configOf(t, yaml)
	sink := &consumertest.LogsSink{}
	p, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, p.Shutdown(t.Context())) }()
	experiment := p.(*experimentProcessor)

	s := experiment.scratch.Get().(*scratch)
	incoming := experiment.read(s, ld, experiment.now().UnixMilli())
	require.Equal(t, ld.LogRecordCount(), incoming)
	s.reset()
	shapedBefore := 0
	for _, record := range recordsOf(ld) {
		if insertIDOf(record) != "" {
			shapedBefore++
		}
	}
	require.NoError(t, p.ConsumeLogs(t.Context(), ld))
	require.LessOrEqual(t, len(sink.AllLogs()), 1)
	if len(sink.AllLogs()) == 0 {
		return
	}
	out := sink.AllLogs()[0]
	for _, record := range recordsOf(out) {
		if record.EventName() == amplitude.EventExposure && shapedBefore == 0 {
			checkEvent(t, record)
		}
	}
	again := copyOf(out)
	sink.Reset()
	second, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), configOf(t, yaml), sink)
	require.NoError(t, err)
	require.NoError(t, second.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, second.Shutdown(t.Context())) }()
	require.NoError(t, second.ConsumeLogs(t.Context(), again))
	if shapedBefore == 0 {
		require.Len(t, sink.AllLogs(), 1)
		require.Equal(t, encode(t, out), encode(t, sink.AllLogs()[0]))
	}
}

func FuzzConsumeLogsJSON(f *testing.F) { fuzz(f, false) }

func FuzzConsumeLogsProto(f *testing.F) { fuzz(f, true) }
