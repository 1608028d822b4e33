// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

import { Experiment, Source } from "@amplitude/experiment-js-client";
import { logs } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { exposuresTo } from "./exposures.js";

// With headers the exporter uses fetch with keepalive, which can tell whether a record arrived; without, sendBeacon, which cannot.
const exporter = new OTLPLogExporter({ url: `${COLLECTOR}/v1/logs`, headers: {} });
logs.setGlobalLoggerProvider(new LoggerProvider({
  resource: resourceFromAttributes({ "service.name": "experiment-web", "telemetry.sdk.language": "webjs", "user_agent.original": navigator.userAgent }),
  processors: [new BatchLogRecordProcessor(exporter, { scheduledDelayMillis: 500 })],
}));

const client = Experiment.initialize(DEPLOYMENT_KEY, {
  serverUrl: SERVER || location.origin, // of yours, leave this line out: Amplitude evaluates
  source: Source.LocalStorage,
  pollOnStart: false,
  exposureTrackingProvider: exposuresTo(logs.getLogger("experiment"), () => client.getUser()),
});

const user = document.querySelector("#user");

// look evaluates the flags of a user, and shows what the headline is for them: only that is an exposure.
async function look(user_id) {
  await client.fetch({ user_id, device_id: deviceId() });
  if (user_id !== user.value) return; // somebody else was chosen in the meantime
  const { key } = client.variant("headline", { key: "control" });
  const headline = document.querySelector("#headline");
  headline.textContent = { season: "Winter is soup season" }[key] ?? "Everything for your kitchen";
  headline.dataset.variant = key;
  headline.dataset.user = user_id;
}

function deviceId() {
  const id = localStorage.getItem("device_id") ?? crypto.randomUUID();
  localStorage.setItem("device_id", id);
  return id;
}

user.addEventListener("change", () => look(user.value));
await look(user.value);
