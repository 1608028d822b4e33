// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// The file to carry over, with outbox.js: each flag evaluation, and each order, becomes an OpenTelemetry log record, sent to a
// Collector.
// Import it before the first flag is evaluated.
import { EventHook } from "@openfeature/open-telemetry-hooks";
import { OpenFeature } from "@openfeature/server-sdk";
import { DiagConsoleLogger, DiagLogLevel, diag } from "@opentelemetry/api";
import { logs } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { Outbox } from "./outbox.js";

// Without this the SDK keeps to itself what it could not send.
diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);

const endpoint = process.env.SHOP_COLLECTOR ?? "http://127.0.0.1:4318";

const provider = new LoggerProvider({
  resource: resourceFromAttributes({ "service.name": "shop-node", "deployment.environment.name": "demo" }),
  processors: [
    // When its queue is full, the SDK drops records without a word; so the queue is long.
    new BatchLogRecordProcessor(new Outbox(new OTLPLogExporter({ url: `${endpoint}/v1/logs` }), { inOrder: true }), {
      scheduledDelayMillis: 500, maxExportBatchSize: 1_000, maxQueueSize: 100_000,
    }),
  ],
});
logs.setGlobalLoggerProvider(provider);
OpenFeature.addHooks(new EventHook());

// ordered writes that a user has bought something. The id is the one that the user's flags are evaluated with. The logger has the
// hook's name and version: OTLP groups records by logger, and an order must not end up before what its user saw first.
export const ordered = ({ user, id, items, revenue }) => logs.getLogger("@openfeature/open-telemetry-hooks", "1.0.0").emit({
  eventName: "order.placed",
  attributes: { "user.id": user, "order.id": id, "order.items": items, revenue, currency: "EUR" },
});

// stop sends what is still queued, and fails if that takes longer than half a minute. Call it before the process ends.
export const stop = () => provider.shutdown();
