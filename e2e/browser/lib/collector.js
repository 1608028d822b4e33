// Starts the built Collector with config.example.yaml on free ports, and with what an example adds to it.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { environment } from "./environment.js";

const repository = fileURLToPath(new URL("../../..", import.meta.url));

// freePorts are so many ports that nothing listens on, below those that systems give to clients: one from there may go to a
// connection of the browser before the Collector listens.
export async function freePorts(count) {
  const ports = new Set();
  while (ports.size < count) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (ports.has(port)) continue;
    await new Promise((resolve) => {
      const server = createServer().once("error", resolve).listen(port, "127.0.0.1", () => server.close(() => resolve(ports.add(port))));
    });
  }
  return [...ports];
}

// startCollector returns { otlp, sandbox, outcomes, stop } once the Collector is healthy. It listens for OTLP over HTTP
// on port, or on a free one.
export async function startCollector({ configs = [], env = {}, port } = {}) {
  const [grpc, free, sandbox, health, metrics] = await freePorts(5);
  const http = port ?? free;
  const changes = [
    `receivers::otlp::protocols::grpc::endpoint: 127.0.0.1:${grpc}`,
    `receivers::otlp::protocols::http::endpoint: 127.0.0.1:${http}`,
    `exporters::amplitude::endpoint: http://127.0.0.1:${sandbox}/2/httpapi`,
    `extensions::amplitude_sandbox::endpoint: 127.0.0.1:${sandbox}`,
    `extensions::amplitude_sandbox::otlp_endpoint: http://127.0.0.1:${http}`,
    `extensions::health_check::endpoint: 127.0.0.1:${health}`,
  ];
  return run({ configs: ["config.example.yaml", ...configs], changes, env, ports: { http, sandbox, health, metrics } });
}

// startForSDKs starts the Collector with examples/amplitude-sdks.yaml; sdks is where Amplitude's SDKs send. Changes are more of
// the configuration. A Collector that is started again has the ports of the one before.
export async function startForSDKs({ origin = "http://127.0.0.1:8587", changes = [], ports } = {}) {
  const [sdks, http, sandbox, health, metrics] = ports?.all ?? await freePorts(5);
  const env = {
    SDK_ENDPOINT: `127.0.0.1:${sdks}`, OTLP_HTTP_ENDPOINT: `127.0.0.1:${http}`, SANDBOX_ENDPOINT: `127.0.0.1:${sandbox}`,
    HEALTH_ENDPOINT: `127.0.0.1:${health}`, SHOP_ORIGIN: origin,
  };
  const all = [sdks, http, sandbox, health, metrics];
  return { sdks: `http://127.0.0.1:${sdks}`, ports: { all }, ...await run({ configs: ["examples/amplitude-sdks.yaml"], changes, env, ports: { http, sandbox, health, metrics } }) };
}

// run starts the Collector and waits until it is healthy.
async function run({ configs, changes, env, ports: { http, sandbox, health, metrics } }) {
  const readers = `service::telemetry::metrics::readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: ${metrics}}}}}]`;
  const child = spawn("bin/otelcol-amplitude", [...configs, ...[...changes, readers].map((change) => `yaml:${change}`)].flatMap((config) => ["--config", config]), {
    cwd: repository, env: environment(env), stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "", code;
  child.stderr.on("data", (text) => { log += text; });
  const ended = new Promise((resolve) => child.once("error", (error) => { log += error; resolve(code = -1); }).once("exit", (status) => resolve(code = status ?? -1)));
  const deadline = Date.now() + 120_000;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${health}`).catch(() => null);
    if (answer?.ok) break;
    if (code !== undefined || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`the Collector did not start (run \`make build\`):\n${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    otlp: `http://127.0.0.1:${http}`,
    sandbox: `http://127.0.0.1:${sandbox}`,
    // outcomes is what the processor did with its records: outcome -> count.
    outcomes: async () => {
      const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
      const counts = {};
      for (const [, labels, value] of text.matchAll(/^otelcol_processor_amplitude_experiment_records\w*\{(.*)\} (\S+)$/gm)) {
        const [, outcome] = /\boutcome="([^"]*)"/.exec(labels);
        counts[outcome] = (counts[outcome] ?? 0) + Number(value);
      }
      return counts;
    },
    stop: async (signal = "SIGTERM") => {
      child.kill(signal);
      await ended;
    },
  };
}
