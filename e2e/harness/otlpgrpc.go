// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

package harness // import "github.com/otelcol-amplitude/otelcol-amplitude/e2e/harness"

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
)

// CallLogs sends an OTLP request in protobuf to the Collector's gRPC receiver, compressed, over a connection of its own.
// The error has the receiver's status.
func (c *Collector) CallLogs(request []byte) error {
	return call(c.OTLPGRPC, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", request)
}

// CallTraces is CallLogs for traces.
func (c *Collector) CallTraces(request []byte) error {
	return call(c.OTLPGRPC, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", request)
}

// callPatience is longer than any answer takes, even on a busy machine.
const callPatience = 2 * time.Minute

func call(address, method string, request []byte) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), callPatience)
	defer cancel()
	return conn.Invoke(ctx, method, request, &struct{}{}, grpc.ForceCodec(encoded{}), grpc.UseCompressor(gzip.Name))
}

// encoded is the codec of requests that are encoded already; answers are not read.
type encoded struct{}

func (encoded) Name() string { return "proto" }

func (encoded) Marshal(request any) ([]byte, error) {
	body, ok := request.([]byte)
	if !ok {
		return nil, fmt.Errorf("a request is bytes (got %T)", request)
	}
	return body, nil
}

func (encoded) Unmarshal([]byte, any) error { return nil }
