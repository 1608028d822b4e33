// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// The same for React Native: @amplitude/experiment-react-native-client, whose exposures become OpenTelemetry log records.
import { Experiment, type ExperimentClient, type ExposureTrackingProvider } from "@amplitude/experiment-react-native-client";
import { type Logger, logs } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";

type User = ReturnType<ExperimentClient["getUser"]>;

export const exposuresTo = (logger: Logger, user: () => User): ExposureTrackingProvider => ({
  track({ flag_key, variant, experiment_key, metadata }) {
    const { user_id, device_id } = user() ?? {};
    logger.emit({
      eventName: "$exposure",
      // What evaluation says is JSON: text, numbers, booleans, and lists and maps of them.
      attributes: { flag_key, variant, experiment_key, metadata: metadata as never, "user.id": user_id, "device.id": device_id },
    });
  },
});

// start writes what the user of the application meets to a Collector.
export function start(deploymentKey: string, collector: string): ExperimentClient {
  const exporter = new OTLPLogExporter({ url: `${collector}/v1/logs` });
  logs.setGlobalLoggerProvider(new LoggerProvider({ processors: [new BatchLogRecordProcessor(exporter)] }));
  const client: ExperimentClient = Experiment.initialize(deploymentKey, {
    exposureTrackingProvider: exposuresTo(logs.getLogger("experiment"), () => client.getUser()),
  });
  return client;
}
