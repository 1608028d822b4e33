// Starts a sandbox, or uses the one at SANDBOX_URL, and talks to it.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { environment } from "./environment.js";

const repository = fileURLToPath(new URL("../../..", import.meta.url));

// start returns { url, stop }. The program is built from this checkout.
export async function start() {
  if (process.env.SANDBOX_URL) {
    return { url: process.env.SANDBOX_URL.replace(/\/$/, ""), stop: async () => {} };
  }
  const folder = mkdtempSync(path.join(tmpdir(), "amplitude-sandbox-"));
  const program = path.join(folder, "amplitude-sandbox");
  execFileSync("go", ["build", "-o", program, "./cmd/amplitude-sandbox"], { cwd: repository, stdio: "inherit" });
  const child = spawn(program, ["-endpoint", "127.0.0.1:0"], { env: environment(), stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const lines = createInterface({ input: child.stdout });
  const url = await Promise.race([
    new Promise((resolve) => lines.once("line", resolve)),
    ended.then((code) => { throw new Error(`the sandbox ended with ${code}`); }),
  ]);
  return {
    url,
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function client(url) {
  const call = async (method, path, body) => {
    const response = await fetch(url + path, {
      method, headers: { "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : null };
  };
  return {
    get: async (path) => (await call("GET", `/_sandbox/${path}`)).body,
    control: (path, body = {}) => call("POST", `/_sandbox/${path}`, body),
    send: (events, path = "/2/httpapi", key = "sandbox") => call("POST", path, { api_key: key, events }),
  };
}

export const exposure = (user, flag, variant, more = {}) => ({
  event_type: "$exposure", user_id: user, insert_id: `${user} ${flag} ${variant} ${JSON.stringify(more)}`,
  event_properties: { flag_key: flag, variant, ...more },
});

export const assignment = (user, variants) => ({
  event_type: "[Experiment] Assignment", user_id: user, insert_id: `${user} assignment`,
  event_properties: Object.fromEntries(Object.entries(variants).map(([flag, variant]) => [`[Experiment] ${flag}.variant`, variant])),
  user_properties: { $set: Object.fromEntries(Object.entries(variants).map(([flag, variant]) => [`[Experiment] ${flag}`, variant])), $unset: {} },
});

// story sends what a small shop's day looks like: three experiments, one with a broken ratio, repeats and mistakes.
export async function story(api) {
  const users = Array.from({ length: 240 }, (_, i) => `shopper-${1000 + i}`);
  const checkout = (i) => ((i * 37) % 100 < 47 ? "treatment" : "control");
  const search = (i) => ["control", "semantic", "hybrid"][(i * 31) % 101 % 3];
  const shipping = (i) => (i % 4 === 0 ? "free" : "paid");
  const events = users.flatMap((user, i) => [
    assignment(user, { "checkout-button": checkout(i), "search-ranking": search(i) }),
    exposure(user, "checkout-button", checkout(i)),
    ...(i < 150 ? [exposure(user, "search-ranking", search(i), { experiment_key: "exp-2" })] : []),
    ...(i < 130 ? [exposure(user, "shipping-banner", shipping(i))] : []),
  ]);
  for (let i = 0; i < events.length; i += 100) await api.send(events.slice(i, i + 100));
  await api.send([exposure("shopper-1001", "checkout-button", "treatment"), exposure("shopper-1004", "checkout-button", "control")]);
  await api.send([exposure("shopper-1002", "checkout-button", "treatment"), exposure("shopper-1003", "search-ranking", null)]);
  await api.send([{ event_type: "Order Completed", user_id: "shopper-1001", insert_id: "order-1", time: Date.now(), event_properties: { total: 59.9, currency: "EUR" }, groups: { company: "acme" } }]);
  await api.send([exposure("shopper-1005", "checkout-button", "treatment", { n: 1 }), { ...exposure("shopper-1006", "checkout-button", "control", { n: 1 }), time: "2026-11-23T09:00:00Z" }]);
  await api.send([{ event_type: "$exposure", user_id: "42", insert_id: "short", event_properties: { flag_key: "checkout-button", variant: "control" } }]);
  await api.control("throttle", { ids: ["shopper-1007"], until: "+5s" });
  await api.send([exposure("shopper-1007", "search-ranking", "hybrid", { n: 2 })]);
  await api.control("faults", { action: "status", code: 503 });
  await api.send([exposure("shopper-1008", "shipping-banner", "free", { n: 2 })]);
  await api.send([exposure("shopper-1008", "shipping-banner", "free", { n: 2 })]);
  await api.send([exposure("shopper-1009", "search-ranking", "semantic", { n: 3 })], "/2/httpapi", "0123456789abcdef0123456789abcdef");
  await api.send([{ event_type: "$identify", user_id: "shopper-1001", insert_id: "identify-1", user_properties: { $set: { plan: "pro" }, $add: { orders: 1 } } }]);
  await api.send([exposure("shopper-1001", "checkout-button", "control", { back: true })]);
}
