// Amplitude's own clients through the Collector of examples/amplitude-sdks.yaml: what they leave in Amplitude is what they
// leave there when they send to it themselves, and their callbacks say the same.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, beforeEach, test } from "node:test";
import { promisify } from "node:util";
import { Identify, Revenue, Types, createInstance } from "@amplitude/analytics-node";
import { LocalEvaluationClient } from "@amplitude/experiment-node-server";
import { startForSDKs } from "../browser/lib/collector.js";
import { client } from "../browser/lib/sandbox.js";
import { flag } from "./flags.js";

let collector, api;

before(async () => {
  collector = await startForSDKs();
  api = client(collector.sandbox);
}, { timeout: 300_000 });

after(() => collector?.stop());
beforeEach(() => api.control("reset"));

const options = (url, more = {}) => ({
  serverUrl: `${url}/2/httpapi`, flushIntervalMillis: 50, flushQueueSize: 50, logLevel: Types.LogLevel.None, ...more,
});

async function analytics(url, more, key = "sandbox") {
  const instance = createInstance();
  await instance.init(key, options(url, more)).promise;
  return instance;
}

const order = ({ event_type, user_id, insert_id }) => `${event_type} ${user_id} ${insert_id}`;
const sorted = (list) => list.sort((a, b) => order(a).localeCompare(order(b)));

// left is what is in Amplitude: of each event all that it says but how its operations were written, and what they made of users and
// groups. Without a time or an insert_id of its own, an event is the same whichever it has.
async function left({ users = [], groups = [], own = [] }) {
  const { events } = await api.get("events?limit=1000");
  return {
    events: sorted(events).map(({ sandbox, user_properties, group_properties, event_properties = {}, ...event }) => {
      for (const field of own) delete event[field];
      return { ...event, event_properties, verdict: sandbox.verdict };
    }),
    users: await Promise.all(users.map(async (user) => (await api.get(`users/${user}`)).user_properties)),
    groups: await Promise.all(groups.map(async (group) => (await api.get(`groups/${group}`)).group_properties)),
  };
}

// same runs a client against Amplitude and against the Collector, from nothing each time, and compares what is left of so many
// events and changes of properties.
async function same(count, send, what) {
  const results = [];
  for (const url of [collector.sandbox, collector.sdks]) {
    await api.control("reset");
    await send(url);
    const { met } = await api.get(`await?verdict=all&count=${count}&timeout=60s`);
    assert.equal(met, true, `${count} events arrive by ${url === collector.sdks ? "the Collector" : "themselves"}`);
    results.push(await left(what));
  }
  const [direct, through] = results;
  assert.deepEqual(through, direct);
  return through;
}

test("curl", async () => {
  const body = JSON.stringify({ api_key: "sandbox", events: [{ event_type: "$exposure", user_id: "user-curl", event_properties: { flag_key: "my-experiment", variant: "treatment" } }] });
  const { events, users } = await same(1, async (url) => {
    const { stdout } = await promisify(execFile)("curl", ["-sS", "-X", "POST", `${url}/2/httpapi`, "-H", "Content-Type: application/json", "-H", "Accept: */*", "--data", body]);
    assert.equal(JSON.parse(stdout).events_ingested, 1);
  }, { users: ["user-curl"], own: ["time", "insert_id", "library"] });
  assert.equal(events[0].event_type, "[Experiment] Exposure");
  assert.deepEqual(users, [{ "[Experiment] my-experiment": "treatment" }]);
});

test("@amplitude/analytics-node: events, revenue, plan, groups", async () => {
  const at = { user_id: "user-1001", device_id: "device-1", time: 1763895600123 };
  const { events } = await same(3, async (url) => {
    const amplitude = await analytics(url, { plan: { branch: "main", version: "7" }, ingestionMetadata: { sourceName: "ampli", sourceVersion: "2" } });
    const results = await Promise.all([
      amplitude.track("Song Played", { title: "Aria", list: [1, { a: null }], "amplitude.like": true }, { ...at, insert_id: "i-1", session_id: 1763895600000, app_version: "1.2", platform: "Web", ip: "192.0.2.1" }).promise,
      amplitude.revenue(new Revenue().setProductId("book").setPrice(3.99).setQuantity(2), { ...at, insert_id: "i-2" }).promise,
      amplitude.track({ event_type: "Order", event_properties: {}, groups: { org: ["acme", "globex"] }, price: 9.5, quantity: 2, currency: "EUR", insert_id: "i-3", ...at }).promise,
    ]);
    assert.deepEqual(results.map(({ code, message }) => [code, message]), Array(3).fill([200, "Event tracked successfully"]));
  }, { users: ["user-1001"] });
  assert.equal(events.length, 3);
});

test("@amplitude/analytics-node: identify with every operator, in order; groups", async () => {
  const { users, groups } = await same(8, async (url) => {
    const amplitude = await analytics(url);
    const change = (id, build, more = {}) => {
      const identify = new Identify();
      build(identify);
      return amplitude.identify(identify, { user_id: "user-1002", insert_id: id, ...more }).promise;
    };
    const results = [
      await change("1", (i) => i.set("plan", "free").setOnce("source", "ad").add("logins", 1).append("tags", "a")),
      await change("2", (i) => i.set("plan", "pro").setOnce("source", "mail").add("logins", 2).prepend("tags", "b").unset("none")),
      await change("3", (i) => i.preInsert("tags", ["c", "a"]).postInsert("seen", 1)),
      await change("4", (i) => i.remove("tags", "a")),
      await change("5", (i) => i.set("gone", 1), { user_id: "user-1003" }),
      await change("6", (i) => i.clearAll(), { user_id: "user-1003" }),
      await amplitude.setGroup("org", "acme", { user_id: "user-1002", insert_id: "7" }).promise,
      await amplitude.groupIdentify("org", "acme", new Identify().set("seats", 7).add("n", 1), { device_id: "device-1", insert_id: "8" }).promise,
    ];
    assert.ok(results.every(({ code }) => code === 200));
  }, { users: ["user-1002", "user-1003"], groups: ["org/acme"], own: ["time"] });
  assert.deepEqual(users, [{ plan: "pro", source: "ad", logins: 3, tags: ["c", "b"], seen: [1], org: "acme" }, {}]);
  assert.deepEqual(groups, [{ seats: 7, n: 1 }]);
});

test("@amplitude/analytics-node: what is refused is told, and its neighbors arrive", async () => {
  await same(2, async (url) => {
    const amplitude = await analytics(url);
    const results = await Promise.all([
      amplitude.track("a", {}, { user_id: "user-1", insert_id: "1" }).promise, amplitude.track("b", {}, { user_id: "user-2", time: "noon" }).promise,
      amplitude.track("c", {}, { user_id: "2" }).promise, amplitude.track("d", {}, { user_id: "user-3", insert_id: "4" }).promise,
    ]);
    assert.deepEqual(results.map(({ code }) => code), [200, 400, 400, 200]);
    const stranger = await (await analytics(url, {}, "no-such-key")).track("e", {}, { user_id: "user-1" }).promise;
    assert.equal(stranger.code, 400);
    assert.match(stranger.message, /Invalid API key/);
    await api.get("await?count=2&timeout=60s");
    await api.control("reset");
    for (const id of ["1", "4"]) assert.equal((await amplitude.track("a", {}, { user_id: "user-1", insert_id: id }).promise).code, 200);
  }, { own: ["time"] });
});

test("@amplitude/analytics-node: a batch that is too big is split until it fits", async () => {
  const pad = "x".repeat(1000);
  await same(40, async (url) => {
    const amplitude = await analytics(url, { flushQueueSize: 40, flushIntervalMillis: 1000 });
    const results = await Promise.all(Array.from({ length: 40 }, (_, i) =>
      amplitude.track("Big", { pad: Array(100).fill(pad) }, { user_id: `user-${1000 + i}`, insert_id: `big-${i}` }).promise));
    assert.ok(results.every(({ code }) => code === 200));
  }, { own: ["time"] });
});

test("@amplitude/experiment-node-server: assignments and exposures", async () => {
  const user = { user_id: "user-2001", device_id: "device-1" };
  const { events, users } = await same(3, async (url) => {
    const experiment = new LocalEvaluationClient("server-key", {
      bootstrap: { "my-experiment": flag("my-experiment", "treatment"), "my-flag": flag("my-flag", "off") },
      assignmentConfig: { apiKey: "sandbox", ...options(url) }, exposureConfig: { apiKey: "sandbox", ...options(url) },
    });
    await experiment.evaluate(user);
    await api.get("await?user=user-2001&count=1&timeout=60s");
    experiment.evaluateV2(user, ["my-experiment"], { tracksExposure: true });
    // Two clients send at once: whose event is a millisecond older and comes second sets no property.
  }, { users: ["user-2001"], own: ["time", "$skip_user_properties_sync"] });
  assert.deepEqual(events.map(({ event_type }) => event_type).sort(), ["[Experiment] Assignment", "[Experiment] Assignment", "[Experiment] Exposure"]);
  assert.deepEqual(users, [{ "[Experiment] my-experiment": "treatment" }]);
});

test("an exposure of an SDK and one from OpenTelemetry are one, and keep the insert_id of the first", async () => {
  const otlp = (user) => fetch(`${collector.otlp}/v1/logs`, {
    method: "POST", headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{
      eventName: "$exposure", timeUnixNano: `${Date.now()}000000`,
      attributes: Object.entries({ flag_key: "checkout", variant: "on", user_id: user, device_id: "device-1" }).map(([key, value]) => ({ key, value: { stringValue: value } })),
    }] }] }] }),
  });
  const sdk = async (user) => (await analytics(collector.sdks)).track("$exposure", { flag_key: "checkout", variant: "on" }, { user_id: user, device_id: "device-1", insert_id: `of the SDK for ${user}` }).promise;
  const duplicates = (await collector.outcomes()).duplicate ?? 0;
  assert.equal((await sdk("user-3001")).code, 200);
  assert.equal((await otlp("user-3001")).status, 200);
  assert.equal((await otlp("user-3002")).status, 200);
  assert.equal((await sdk("user-3002")).code, 200);
  await api.get("await?count=2&timeout=60s");
  const { events } = await api.get("events");
  assert.equal(events.length, 2);
  const [first, second] = ["user-3001", "user-3002"].map((user) => events.find((event) => event.user_id === user));
  assert.equal(first.insert_id, "of the SDK for user-3001");
  assert.notEqual(second.insert_id, "of the SDK for user-3002");
  assert.equal(((await collector.outcomes()).duplicate ?? 0) - duplicates, 2, "the processor dropped the repeats");
  assert.deepEqual((await api.get("users/user-3001")).user_properties, { "[Experiment] checkout": "on" });
});

test("while the queue is full the client is asked to wait, and sends again what was not taken", { timeout: 300_000 }, async () => {
  const full = await startForSDKs({ changes: [
    "exporters::amplitude::max_queue_wait: 100ms", "exporters::amplitude::retry_on_failure: {initial_interval: 100ms, max_interval: 200ms}",
    "exporters::amplitude::sending_queue: {queue_size: 4, batch: {flush_timeout: 50ms, min_size: 1, max_size: 2}}",
  ] });
  try {
    const far = client(full.sandbox);
    await far.control("faults", [{ action: "status", code: 503, times: 1_000_000 }]);
    const warnings = [];
    const amplitude = await analytics(full.sdks, { flushQueueSize: 1, loggerProvider: { ...console, disable() {}, enable() {}, log() {}, debug() {}, error() {}, warn: (text) => warnings.push(String(text)) } });
    const all = Promise.all(Array.from({ length: 20 }, (_, i) => amplitude.track("e", {}, { user_id: `user-${4000 + i}`, insert_id: `full-${i}` }).promise));
    const deadline = Date.now() + 60_000;
    while (warnings.length === 0) {
      assert.ok(Date.now() < deadline, "the queue becomes full");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.match(warnings[0], /Status 'failed'/);
    await fetch(`${full.sandbox}/_sandbox/faults`, { method: "DELETE" });
    assert.deepEqual([...new Set((await all).map(({ code }) => code))], [200], "in the end all are taken");
    assert.equal((await far.get("await?count=20&timeout=60s")).met, true);
    assert.equal((await far.get("stats")).events_stored, 20);
  } finally {
    await full.stop();
  }
});
