// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// The file to carry over, with exposure.js and ../../shop-node/outbox.js: what is seen, and bought, becomes OpenTelemetry log
// records, sent to a Collector straight from the browser.
import { EventHook } from "@openfeature/open-telemetry-hooks";
import { OpenFeature } from "@openfeature/web-sdk";
import { logs } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { Outbox } from "../../shop-node/outbox.js";
import { WhenSeen } from "./exposure.js";

// start registers everything; tell hears what becomes of each record (see Outbox).
export function start(collector, tell) {
  const exporter = new OTLPLogExporter({
    url: `${collector}/v1/logs`,
    // Without headers the SDK uses sendBeacon, which cannot tell whether a record arrived. With them it uses
    // fetch with keepalive, which can, and which also outlives the page.
    headers: {},
  });
  // The resource says that this is a browser: version, language and user agent are then those of the user.
  const resource = resourceFromAttributes({
    "service.name": "shop-web", "service.version": "1.0.0", "telemetry.sdk.language": "webjs",
    "browser.language": navigator.language, "user_agent.original": navigator.userAgent,
  });
  // Records leave when they are this old, and when the page is hidden or left.
  const batches = new BatchLogRecordProcessor(new Outbox(exporter, { tell }), { scheduledDelayMillis: 500 });
  logs.setGlobalLoggerProvider(new LoggerProvider({ resource, processors: [batches] }));
  OpenFeature.addHooks(new WhenSeen(new EventHook({
    // The ids of those who were evaluated (see identity.js).
    attributeMapper: ({ context }) => ({ "device.id": context.deviceId, ...(context.userId && { "user.id": context.userId }) }),
    // The targeting key is a user or a browser, depending on who looks; the two ids above say which.
    excludeAttributes: ["feature_flag.context.id"],
  })));
}

// ordered writes that somebody has bought something: under the ids that flags are evaluated with (see identity.js), and with the
// logger of the hook, as in ../../shop-node/telemetry.js.
export const ordered = ({ deviceId, userId }, { id, items, revenue }) => logs.getLogger("@openfeature/open-telemetry-hooks", "1.0.0").emit({
  eventName: "order.placed",
  attributes: { "device.id": deviceId, ...(userId && { "user.id": userId }), "order.id": id, "order.items": items, revenue, currency: "EUR" },
});
