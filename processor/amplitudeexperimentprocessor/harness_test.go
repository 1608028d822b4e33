// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package amplitudeexperimentprocessor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/xpdata"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelcol-amplitude/otelcol-amplitude/internal/amplitude"
	"github.com/otelcol-amplitude/otelcol-amplitude/internal/pdatatest"
	"github.com/otelcol-amplitude/otelcol-amplitude/processor/amplitudeexperimentprocessor/internal/metadata"
)

// configOf reads a configuration from YAML over the defaults, and validates it as the Collector does.
func configOf(t testing.TB, yaml string) *Config {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	return configFrom(t, conf)
}

// accepting is a configuration that accepts events from other Collectors.
func accepting(t testing.TB, yaml string) *Config {
	t.Helper()
	cfg := configOf(t, yaml)
	cfg.AcceptShaped = true
	return cfg
}

// configFile reads the section amplitude_experiment of a file.
func configFile(t testing.TB, path string) *Config {
	t.Helper()
	file, err := confmaptest.LoadConf(path)
	require.NoError(t, err)
	conf, err := file.Sub(metadata.Type.String())
	require.NoError(t, err)
	return configFrom(t, conf)
}

func configFrom(t testing.TB, conf *confmap.Conf) *Config {
	t.Helper()
	cfg := NewFactory().CreateDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	return cfg
}

// arrivals is the clock of processors under test. Records in tests are from the past, and records older than seven days
// set no property, so the clock follows the newest record that was sent, by one second.
type arrivals struct{ ms atomic.Int64 }

func (c *arrivals) now() time.Time {
	if ms := c.ms.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Now()
}

// sending moves the clock past the records, unless that is in the future.
func (c *arrivals) sending(ld plog.Logs) {
	newest := c.ms.Load()
	for _, r := range recordsOf(ld) {
		if of := r.Timestamp().AsTime(); r.Timestamp() != 0 && of.Before(time.Now().Add(-time.Second)) {
			newest = max(newest, of.UnixMilli()+1000)
		}
	}
	c.ms.Store(newest)
}

// following is a processor that moves the clock with what is sent.
type following struct {
	processor.Logs
	clock *arrivals
}

func (f following) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	f.clock.sending(ld)
	return f.Logs.ConsumeLogs(ctx, ld)
}

// alike makes processors with the same input write the same, including the insert_id of a $identify.
var alike = WithRandom(func() uint64 { return 0 })

// newTestFactory returns a factory for processors whose clock follows the records that they receive.
func newTestFactory() processor.Factory {
	clock := &arrivals{}
	real := NewFactoryWithOptions(WithClock(clock.now), alike)
	create := func(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
		p, err := real.CreateLogs(ctx, set, cfg, next)
		if err != nil {
			return nil, err
		}
		return following{p, clock}, nil
	}
	return processor.NewFactory(metadata.Type, real.CreateDefaultConfig, processor.WithLogs(create, metadata.LogsStability))
}

// rig is a processor between a test and a sink.
type rig struct {
	processor.Logs
	sink      *consumertest.LogsSink
	telemetry *componenttest.Telemetry
}

// start creates and starts a processor whose clock follows what it receives; next may be nil.
func start(t testing.TB, cfg *Config, next consumer.Logs) *rig {
	t.Helper()
	return startOf(t, newTestFactory(), cfg, next)
}

func startOf(t testing.TB, factory processor.Factory, cfg *Config, next consumer.Logs) *rig {
	t.Helper()
	r := &rig{sink: &consumertest.LogsSink{}, telemetry: componenttest.NewTelemetry()}
	if next == nil {
		next = r.sink
	}
	set := processortest.NewNopSettings(metadata.Type)
	set.ID = component.NewIDWithName(metadata.Type, "test")
	set.TelemetrySettings = r.telemetry.NewTelemetrySettings()
	p, err := factory.CreateLogs(t.Context(), set, cfg, next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { // t.Context is already done
		require.NoError(t, p.Shutdown(context.Background()))
		require.NoError(t, r.telemetry.Shutdown(context.Background()))
	})
	r.Logs = p
	return r
}

// send passes a batch through and returns what came out of it.
func (r *rig) send(t testing.TB, ld plog.Logs) []plog.LogRecord {
	t.Helper()
	r.sink.Reset()
	require.NoError(t, r.ConsumeLogs(t.Context(), ld))
	var records []plog.LogRecord
	for _, batch := range r.sink.AllLogs() {
		records = append(records, recordsOf(batch)...)
	}
	return records
}

func recordsOf(ld plog.Logs) []plog.LogRecord {
	var records []plog.LogRecord
	for _, resource := range ld.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				records = append(records, record)
			}
		}
	}
	return records
}

// testTime is noon UTC of a day in the past, which no default rule changes.
const testTime = int64(1_768_478_400_000)

// record makes a log record at testTime, with attributes given as Go values.
func record(t testing.TB, ld plog.Logs, event string, attributes map[string]any) plog.LogRecord {
	t.Helper()
	if ld.ResourceLogs().Len() == 0 {
		ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	}
	added := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
	added.SetEventName(event)
	setMillis(added, testTime)
	pdatatest.PutSorted(t, added.Attributes(), attributes)
	return added
}

func setMillis(r plog.LogRecord, ms int64) {
	r.SetTimestamp(pcommon.Timestamp(ms * 1_000_000))
}

// batch makes a batch of one record.
func batch(t testing.TB, event string, attributes map[string]any) plog.Logs {
	t.Helper()
	ld := plog.NewLogs()
	record(t, ld, event, attributes)
	return ld
}

// fold turns a flat record back into the nested event of Amplitude's HTTP API, without time and insert_id.
func fold(r plog.LogRecord) map[string]any {
	event := map[string]any{"event_type": r.EventName(), "event_properties": map[string]any{}}
	put := func(outer, name string, value any) {
		if _, ok := event[outer]; !ok {
			event[outer] = map[string]any{}
		}
		event[outer].(map[string]any)[name] = value
	}
	for name, value := range r.Attributes().All() {
		field, isField := strings.CutPrefix(name, amplitude.AttrPrefix)
		operation, isProperty := strings.CutPrefix(field, amplitude.FieldUserProperties+".")
		kind, isGroup := strings.CutPrefix(field, amplitude.FieldGroups+".")
		switch {
		case !isField:
			put("event_properties", name, value.AsRaw())
		case field == amplitude.FieldInsertID:
		case isProperty:
			operator, property, _ := strings.Cut(operation, ".")
			if _, ok := event["user_properties"]; !ok {
				event["user_properties"] = map[string]any{}
			}
			operators := event["user_properties"].(map[string]any)
			if _, ok := operators[operator]; !ok {
				operators[operator] = map[string]any{}
			}
			operators[operator].(map[string]any)[property] = value.AsRaw()
		case isGroup:
			put("groups", kind, value.AsRaw())
		default:
			event[field] = value.AsRaw()
		}
	}
	return event
}

func insertIDOf(r plog.LogRecord) string {
	id, ok := r.Attributes().Get(amplitude.AttrInsertID)
	if !ok {
		return ""
	}
	return id.Str()
}

// capture reads a request body that a real application sent.
func capture(t testing.TB, name string) plog.Logs {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "captures", name))
	require.NoError(t, err)
	ld, err := unmarshal(name, body)
	require.NoError(t, err)
	return ld
}

func unmarshal(name string, body []byte) (plog.Logs, error) {
	if strings.HasSuffix(name, ".pb") {
		return (&plog.ProtoUnmarshaler{}).UnmarshalLogs(body)
	}
	return (&plog.JSONUnmarshaler{}).UnmarshalLogs(body)
}

// counter sums a metric over the data points whose label has the given value; an empty label sums all.
func (r *rig) counter(t testing.TB, name, label, value string) int {
	t.Helper()
	got, err := r.telemetry.GetMetric(name)
	if err != nil {
		return 0 // nothing has been counted yet
	}
	return sumPoints(got, label, value)
}

// switchable is a next component that can refuse.
type switchable struct {
	err  error
	sink *consumertest.LogsSink
}

func (*switchable) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *switchable) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	if s.err != nil {
		return s.err
	}
	return s.sink.ConsumeLogs(ctx, ld)
}

// appendTwice adds an attribute twice, which a request can contain but pdata's API does not produce.
func appendTwice(t testing.TB, attributes pcommon.Map, name, first, second string) {
	t.Helper()
	builder := xpdata.MapBuilder{}
	for key, value := range attributes.All() {
		value.CopyTo(builder.AppendEmpty(key))
	}
	builder.AppendEmpty(name).SetStr(first)
	builder.AppendEmpty(name).SetStr(second)
	builder.UnsafeIntoMap(attributes)
}
