// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"
	"github.com/otelcol-amplitude/otelcol-amplitude/sandbox"
)

// varint is the length of a field of protobuf.
func varint(n int) (out []byte) {
	for ; n > 127; n >>= 7 {
		out = append(out, byte(n&127|128))
	}
	return append(out, byte(n))
}

// emptyRecords returns logs of about size bytes in which each record takes two bytes, but a hundred times as much once
// decoded.
func emptyRecords(size int) []byte {
	records := bytes.Repeat([]byte{0x12, 0}, size/2)
	scope := append(append([]byte{0x12}, varint(len(records))...), records...)
	return append(append([]byte{0x0a}, varint(len(scope))...), scope...)
}

// emptyRecordsJSON returns the same in JSON.
func emptyRecordsJSON(size int) []byte {
	return []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + strings.Repeat("{},", size/3-32) + `{}]}]}]}`)
}

// variantsOfAll makes assignments that inherit their flags from the resource.
func variantsOfAll(flags, records int) []byte {
	text := func(key, value string) map[string]any {
		return map[string]any{"key": key, "value": map[string]any{"stringValue": value}}
	}
	var variants, list []any
	for i := range flags {
		variants = append(variants, text(fmt.Sprint("f", i), "a"))
	}
	for i := range records {
		list = append(list, map[string]any{"eventName": "$assignment", "attributes": []any{text("user_id", fmt.Sprintf("user-%05d", i))}})
	}
	body, _ := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{
		"resource":  map[string]any{"attributes": []any{map[string]any{"key": "variants", "value": map[string]any{"kvlistValue": map[string]any{"values": variants}}}}},
		"scopeLogs": []any{map[string]any{"logRecords": list}},
	}}})
	return body
}

// bombs are requests of a few kilobytes once they are compressed.
var bombs = []struct {
	name, contentType string
	body              func(limit int) []byte // as large as the receiver accepts
	refused           bool
}{
	{"20 MB of empty records", "application/x-protobuf", func(int) []byte { return emptyRecords(20 << 20) }, true},
	{"20 MB of empty records in JSON", "application/json", func(int) []byte { return emptyRecordsJSON(20 << 20) }, true},
	{"empty records, as many as one request may have", "application/x-protobuf", func(limit int) []byte { return emptyRecords(limit - 64) }, false},
	{"the same in JSON", "application/json", func(limit int) []byte { return emptyRecordsJSON(limit - 64) }, false},
	{"flags of a resource in many records", "application/json", func(int) []byte { return variantsOfAll(2000, 1500) }, false},
}

// shipped are configurations as they are installed; one emitter represents all, which TestReceiversAreBounded compares.
// The first two differ the most; make bombs tries all of them.
var shipped = []string{
	"config.example.yaml", "examples/scale-out/edge.yaml",
	"deploy/docker/config.yaml", "deploy/systemd/config.yaml", "deploy/helm/values.yaml", "deploy/helm/values-edge.yaml",
	"examples/span-events.yaml", "examples/emitters/plain-exposure.yaml", "examples/shop-web/collector.yaml",
}

// TestShippedConfigurationsSurviveBombs: within the memory of its container, and with its Go settings, each shipped
// configuration answers four bombs at once and serves others in the meantime.
func TestShippedConfigurationsSurviveBombs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("RLIMIT_DATA is Linux's")
	}
	names := shipped
	if os.Getenv("SHIPPED") != "all" {
		names = names[:2]
	}
	packed := map[string][]byte{}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			far, err := sandbox.NewServer(sandbox.DefaultConfig())
			require.NoError(t, err)
			amplitude := httptest.NewServer(far)
			t.Cleanup(amplitude.Close)
			gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte("{}"))
			}))
			t.Cleanup(gateway.Close)
			c, limit := startShipped(t, name, amplitude.URL, gateway.URL)
			isEdge := strings.HasSuffix(name, "edge.yaml")
			post, body := c.PostLogs, func(raw []byte) []byte { return raw }
			takesLogs := name != "examples/span-events.yaml"
			if !takesLogs {
				// In protobuf, empty spans look like empty records.
				post = c.PostTraces
				body = func(raw []byte) []byte {
					return []byte(strings.NewReplacer("resourceLogs", "resourceSpans", "scopeLogs", "scopeSpans", "logRecords", "spans").Replace(string(raw)))
				}
			}
			if c.OTLPGRPC != "" {
				bombOverGRPC(t, c, limit, takesLogs)
			}
			for _, bomb := range bombs {
				key := fmt.Sprint(bomb.name, limit, takesLogs)
				if packed[key] == nil {
					packed[key] = compressed(t, body(bomb.body(limit)))
				}
				var all sync.WaitGroup
				for range 4 {
					all.Go(func() {
						code, err := post(bomb.contentType, "gzip", packed[key])
						refused := code/100 == 4 || code == http.StatusServiceUnavailable
						assert.True(t, refused || (!bomb.refused && code == http.StatusOK), "%s: %d, %v", bomb.name, code, err)
					})
				}
				if takesLogs {
					neighbor(t, c, bomb.name)
				}
				all.Wait()
				t.Logf("%s, %d kB on the wire: at most %d MB resident", bomb.name, len(packed[key])>>10, c.Peak(t))
			}
			if takesLogs {
				neighbor(t, c, "afterward")
			}
			if takesLogs && !isEdge {
				require.Eventually(t, func() bool { return far.Stats().EventsStored > 0 }, time.Minute, 50*time.Millisecond, "what neighbors sent arrives")
			}
			c.Stop(t)
			assert.NotContains(t, c.Logs(), "out of memory")
		})
	}
}

// bombOverGRPC sends the bombs in protobuf, four at once, over OTLP/gRPC.
func bombOverGRPC(t *testing.T, c *harness.Collector, limit int, takesLogs bool) {
	t.Helper()
	send := c.CallLogs
	if !takesLogs {
		send = c.CallTraces
	}
	for _, bomb := range bombs {
		if bomb.contentType != "application/x-protobuf" {
			continue
		}
		body := bomb.body(limit)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				err := send(body)
				code := status.Code(err)
				refused := code == codes.ResourceExhausted || code == codes.Unavailable || code == codes.InvalidArgument
				assert.True(t, refused || (!bomb.refused && err == nil), "%s over gRPC: %v", bomb.name, err)
			})
		}
		if takesLogs {
			neighbor(t, c, bomb.name+" over gRPC")
			require.EventuallyWithT(t, func(check *assert.CollectT) {
				assert.NoError(check, c.CallLogs(exposureOf(t, "neighbor by gRPC of "+bomb.name)))
			}, time.Minute, 100*time.Millisecond)
		}
		all.Wait()
		t.Logf("%s over gRPC: at most %d MB resident", bomb.name, c.Peak(t))
	}
}

// exposureOf makes a protobuf request with an exposure of a user.
func exposureOf(t *testing.T, user string) []byte {
	t.Helper()
	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetEventName("$exposure")
	for name, value := range map[string]string{"user_id": user, "flag_key": "f", "variant": "on"} {
		record.Attributes().PutStr(name, value)
	}
	body, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	return body
}

func compressed(t *testing.T, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(raw)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// neighbor is an application whose exposure must be accepted, possibly after retries.
func neighbor(t *testing.T, c *harness.Collector, user string) {
	t.Helper()
	body := fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"$exposure","attributes":[{"key":"user_id","value":{"stringValue":"neighbor of %s"}},{"key":"flag_key","value":{"stringValue":"f"}},{"key":"variant","value":{"stringValue":"on"}}]}]}]}]}`, user)
	require.Eventually(t, func() bool {
		code, err := c.PostLogs("application/json", "", []byte(body))
		return err == nil && code == http.StatusOK
	}, time.Minute, 100*time.Millisecond, "a neighbor of %s is served", user)
}

// startShipped starts the Collector with a configuration, changing only addresses and directories. It returns the size
// of the largest body that the configuration accepts.
func startShipped(t *testing.T, name, amplitude, gateway string) (c *harness.Collector, limit int) {
	t.Helper()
	path := filepath.Join(harness.Root(), filepath.FromSlash(name))
	var more []string
	switch {
	case strings.HasPrefix(name, "deploy/helm"):
		path = chartConfiguration(t, path)
	case strings.HasPrefix(name, "examples/shop-web"):
		path, more = filepath.Join(harness.Root(), "config.example.yaml"), []string{path}
	}
	var content struct {
		Receivers struct {
			OTLP struct {
				Protocols struct {
					HTTP struct {
						Limit int `yaml:"max_request_body_size"`
					}
				}
			}
		}
		Extensions map[string]any
		Processors map[string]map[string]any
		Exporters  map[string]any
		Service    struct{ Extensions []string }
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &content))
	at := harness.NewAddresses(t)
	dir, deployment := t.TempDir(), harness.DeploymentOf(t, name)
	sets := []string{
		"receivers::otlp::protocols::http::endpoint: " + at.OTLPHTTP,
		"extensions::health_check::endpoint: " + at.Health,
		"service::extensions: [" + strings.Join(append(content.Service.Extensions, "health_check"), ", ") + "]",
		"service::telemetry::metrics: {level: none, readers: []}",
	}
	if strings.Contains(string(text), "grpc:") {
		sets = append(sets, "receivers::otlp::protocols::grpc::endpoint: "+at.OTLPGRPC)
	} else {
		at.OTLPGRPC = ""
	}
	if content.Exporters["amplitude"] != nil {
		sets = append(sets, "exporters::amplitude::api_key: sandbox", "exporters::amplitude::endpoint: "+amplitude+"/2/httpapi")
	}
	if content.Extensions["amplitude_sandbox"] != nil {
		sets = append(sets, "extensions::amplitude_sandbox::endpoint: "+at.Sandbox)
	}
	if content.Extensions["file_storage"] != nil {
		sets = append(sets, "extensions::file_storage::directory: "+dir, "exporters::amplitude::dead_letter::path: "+filepath.Join(dir, "dead.jsonl"))
	}
	// A percentage refers to the memory of the container, not of this machine.
	if content.Processors["memory_limiter"]["limit_percentage"] != nil {
		mib := deployment.Memory >> 20
		for _, limiter := range []string{"processors", "extensions"} {
			sets = append(sets, fmt.Sprintf("%s::memory_limiter: {limit_percentage: 0, spike_limit_percentage: 0, limit_mib: %d, spike_limit_mib: %d}", limiter, mib*8/10, mib*2/10))
		}
	}
	if content.Exporters["otlp_http"] != nil && strings.HasPrefix(name, "deploy/") {
		sets = append(sets, "exporters::otlp_http::endpoint: "+gateway)
	}
	limit = content.Receivers.OTLP.Protocols.HTTP.Limit
	require.NotZero(t, limit)
	return harness.Start(t, path, harness.Options{
		Addresses: at, Dir: dir, More: more, Sets: sets, DataLimit: deployment.Memory,
		Env: append(deployment.Environ(), "AMPLITUDE_API_KEY=sandbox", "MY_POD_IP=127.0.0.1", "GATEWAY="+gateway),
	}), limit
}

// chartConfiguration writes the configuration in the chart's values to a separate file.
func chartConfiguration(t *testing.T, values string) string {
	t.Helper()
	var content struct {
		Config map[string]any `yaml:"alternateConfig"`
	}
	text, err := os.ReadFile(values)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &content))
	encoded, err := yaml.Marshal(content.Config)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "chart.yaml")
	require.NoError(t, os.WriteFile(path, encoded, 0o600))
	return path
}

// TestReceiversAreBounded: every OTLP receiver that we ship or document says how large a request may be.
func TestReceiversAreBounded(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.yaml", "*.md", "docs/*.md", "deploy/*/*.yaml", "examples/*.yaml", "examples/*/*.yaml", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(harness.Root(), filepath.FromSlash(pattern)))
		require.NoError(t, err)
		files = append(files, found...)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	checked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		texts := []string{string(text)}
		if filepath.Ext(file) == ".md" {
			texts = nil
			for _, found := range block.FindAllStringSubmatch(string(text), -1) {
				texts = append(texts, found[1])
			}
		}
		for _, one := range texts {
			var content map[string]any
			if yaml.Unmarshal([]byte(one), &content) != nil {
				continue
			}
			if inner, ok := content["alternateConfig"].(map[string]any); ok {
				content = inner
			}
			receivers, _ := content["receivers"].(map[string]any)
			for name, receiver := range receivers {
				if name != "otlp" && !strings.HasPrefix(name, "otlp/") {
					continue
				}
				protocols, _ := receiver.(map[string]any)["protocols"].(map[string]any)
				if http, ok := protocols["http"].(map[string]any); ok && http["endpoint"] != nil {
					checked++
					assert.NotNil(t, http["max_request_body_size"], "%s: %s over HTTP", file, name)
				}
				if grpc, ok := protocols["grpc"].(map[string]any); ok && grpc["endpoint"] != nil {
					checked++
					assert.NotNil(t, grpc["max_recv_msg_size_mib"], "%s: %s over gRPC", file, name)
					assert.NotNil(t, grpc["max_concurrent_streams"], "%s: %s over gRPC", file, name)
				}
			}
		}
	}
	assert.Greater(t, checked, 20)
}

// TestSlowConnectionsDoNotBlock: connections that never finish a request do not keep others from being served.
func TestSlowConnectionsDoNotBlock(t *testing.T) {
	c, limit := startShipped(t, "config.example.yaml", "http://127.0.0.1:1", "")
	for range 200 {
		conn, err := net.Dial("tcp", c.OTLPHTTP)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{", limit)
		require.NoError(t, err)
	}
	neighbor(t, c, "slow connections")
	assert.LessOrEqual(t, c.Resident(t), 400)
}
