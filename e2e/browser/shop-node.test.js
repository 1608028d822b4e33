// examples/shop-node as a server of its own, whose Collector is away when the first customers come.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePorts, startCollector } from "./lib/collector.js";
import { environment } from "./lib/environment.js";
import { client } from "./lib/sandbox.js";

const main = fileURLToPath(new URL("../../examples/shop-node/main.js", import.meta.url));

test("what customers saw while the Collector was away arrives once it is there", { timeout: 300_000 }, async (t) => {
  // In the Collector's place: something that hangs up.
  const [port] = await freePorts(1);
  const away = createServer((socket) => socket.destroy()).listen(port, "127.0.0.1");
  const tried = new Promise((resolve) => away.once("connection", resolve));
  const shop = spawn("node", [main], {
    env: environment({ PORT: "0", SHOP_COLLECTOR: `http://127.0.0.1:${port}` }), stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => shop.kill("SIGKILL"));
  const ended = new Promise((resolve) => shop.once("exit", resolve));
  const [, url] = /(http:\S+)/.exec(await new Promise((resolve) => createInterface({ input: shop.stdout }).once("line", resolve)));
  const open = async (user, path, method = "GET") => {
    const response = await fetch(url + path, { method, headers: { Cookie: `user=${user}` } });
    return [response.status, await response.text()];
  };
  const get = async (user, path) => {
    const [, html] = await open(user, path);
    return Object.fromEntries([...html.matchAll(/data-flag="([^"]*)" data-variant="([^"]*)"/g)].map(([, flag, variant]) => [flag, variant]));
  };
  assert.deepEqual(await get("", "/checkout"), {}, "nobody is evaluated before signing in");
  const variants = { ...await get("customer-5001", "/"), ...await get("customer-5001", "/checkout") };
  assert.deepEqual(Object.keys(variants), ["holiday-banner", "recommendations", "checkout-flow", "free-shipping"]);

  const [, form] = /action="([^"]*)"/.exec((await open("customer-5001", "/checkout"))[1]);
  assert.deepEqual([(await open("customer-5001", form, "POST"))[0], (await open("customer-5001", form, "POST"))[0]], [200, 200]);
  for (const [user, path, method] of [["", form, "POST"], ["customer-5001", form, "GET"], ["customer-5001", "/order?id=7", "POST"]]) {
    assert.doesNotMatch((await open(user, path, method))[1], /Thank you/, `no order: ${method} ${path} of "${user}"`);
  }

  await tried;
  await new Promise((resolve) => away.close(resolve));
  const collector = await startCollector({ port, configs: ["examples/orders.yaml"] });
  t.after(() => collector.stop());
  const api = client(collector.sandbox);
  await api.get("await?count=4&timeout=60s");
  await api.get("await?verdict=duplicate&count=1&timeout=60s"); // the same order again, which may come in a later request
  await get("customer-5001", "/checkout"); // twice the same
  shop.kill("SIGTERM");
  assert.equal(await ended, 0, "the shop ends in order");

  assert.deepEqual(await collector.outcomes(), { exposure: 3, duplicate: 4, skipped: 1, outcome_event: 2 });
  const { events } = await api.get("events?verdict=all");
  const orders = events.filter(({ event_type }) => event_type === "Order Placed");
  assert.deepEqual(orders.map((event) => [event.sandbox.verdict, event.user_id, event.revenue, event.event_properties]).sort(), [
    ["duplicate", "customer-5001", 39, { "order.items": 1 }], ["stored", "customer-5001", 39, { "order.items": 1 }],
  ], "an order that is sent twice is one");
  assert.deepEqual(events.filter((event) => !orders.includes(event)).map((event) => [event.sandbox.verdict, event.event_type, event.user_id, event.event_properties["[Experiment] Flag Key"]]),
    ["recommendations", "checkout-flow", "free-shipping"].map((flag) => ["stored", "[Experiment] Exposure", "customer-5001", flag]));
  delete variants["holiday-banner"]; // the same for everybody
  assert.deepEqual((await api.get("users/customer-5001")).user_properties,
    Object.fromEntries(Object.entries(variants).map(([flag, variant]) => [`[Experiment] ${flag}`, variant])));
});
