// Amplitude's own clients against the sandbox: their callbacks say what they would say with Amplitude.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { Identify, Types, createInstance } from "@amplitude/analytics-node";
import { LocalEvaluationClient } from "@amplitude/experiment-node-server";
import { client, start } from "../browser/lib/sandbox.js";
import { flag } from "./flags.js";

let sandbox, api;

before(async () => {
  sandbox = await start();
  api = client(sandbox.url);
}, { timeout: 300_000 });

after(() => sandbox?.stop());
beforeEach(() => api.control("reset"));

const options = (more = {}) => ({
  serverUrl: `${sandbox.url}/2/httpapi`, flushIntervalMillis: 50, flushQueueSize: 50, logLevel: Types.LogLevel.None, ...more,
});

// analytics starts the analytics client. Its pause for throttled events, half a minute, is cut short.
async function analytics(key = "sandbox", more) {
  const instance = createInstance();
  await instance.init(key, options(more)).promise;
  await instance.add({
    name: "impatience",
    type: "before",
    setup: async (config, inner) => {
      const destination = inner.timeline.plugins.find((plugin) => plugin.type === "destination");
      Object.assign(destination, { throttleTimeout: 200, retryTimeout: 50 });
    },
    execute: async (event) => event,
  }).promise;
  return instance;
}

const events = async (filter = "") => (await api.get(`events?limit=100000&${filter}`)).events;
const properties = async (user) => (await api.get(`users/${user}`)).user_properties;

test("events are stored as they were tracked", async () => {
  const amplitude = await analytics();
  const { code, message } = await amplitude.track("Song Played", { title: "Aria" }, { user_id: "user-1", device_id: "device-1" }).promise;
  assert.equal(code, 200);
  assert.equal(message, "Event tracked successfully");
  const [stored] = await events();
  assert.equal(stored.event_type, "Song Played");
  assert.deepEqual(stored.event_properties, { title: "Aria" });
  assert.equal(stored.user_id, "user-1");
  assert.equal(stored.device_id, "device-1");
  assert.equal(stored.sandbox.warnings, undefined);
});

test("identify operations change the user", async () => {
  const amplitude = await analytics();
  const change = (build) => {
    const identify = new Identify();
    build(identify);
    return amplitude.identify(identify, { user_id: "user-1" }).promise;
  };
  await change((i) => i.set("plan", "free").setOnce("source", "ad").add("logins", 1).append("tags", "a"));
  const last = await change((i) => i.set("plan", "pro").setOnce("source", "mail").add("logins", 2).prepend("tags", "b").unset("none"));
  assert.equal(last.code, 200);
  await change((i) => i.preInsert("tags", ["c", "a"]).postInsert("seen", 1));
  await change((i) => i.remove("tags", "a"));
  assert.deepEqual(await properties("user-1"), { plan: "pro", source: "ad", logins: 3, tags: ["c", "b"], seen: [1] });
  await change((i) => i.clearAll());
  assert.deepEqual(await properties("user-1"), {});
  await amplitude.groupIdentify("company", "acme", new Identify().set("seats", 7), { device_id: "device-1" }).promise;
  assert.deepEqual((await api.get("groups/company/acme")).group_properties, { seats: 7 });
  assert.equal((await events()).length, 0);
});

test("an exposure is transformed and sets the experiment's property", async () => {
  const amplitude = await analytics();
  await amplitude.track("$exposure", { flag_key: "checkout", variant: "treatment" }, { user_id: "user-1" }).promise;
  const [stored] = await events();
  assert.equal(stored.event_type, "[Experiment] Exposure");
  assert.deepEqual(await properties("user-1"), { "[Experiment] checkout": "treatment" });
});

test("a batch that is too big is split until it fits", async () => {
  // Few and large: on a slow machine, too, all of them are queued before the client sends what it has.
  const amplitude = await analytics("sandbox", { flushQueueSize: 40, flushIntervalMillis: 1000 });
  const pad = "x".repeat(1000);
  const results = await Promise.all(Array.from({ length: 40 }, (_, i) =>
    amplitude.track("Big", { pad: Array(100).fill(pad) }, { user_id: `user-${i}`, insert_id: `big-${i}` }).promise));
  assert.ok(results.every(({ code }) => code === 200), JSON.stringify(results.find(({ code }) => code !== 200)?.message));
  const stats = await api.get("stats");
  assert.equal(stats.events_stored, 40);
  assert.equal(stats.duplicates, 0);
  assert.ok(stats.by_status["413"] >= 1);
});

test("throttled users are sent again until they pass; nothing is doubled", async () => {
  await api.control("throttle", { ids: ["user-busy"] });
  // As many as are sent at once: on a slow machine, too, all three are in the first request.
  const amplitude = await analytics("sandbox", { flushQueueSize: 3, flushIntervalMillis: 1000 });
  const all = Promise.all(["user-1", "user-busy", "user-2"].map((user) => amplitude.track("e", {}, { user_id: user }).promise));
  assert.equal((await api.get("await?verdict=throttled&count=2&timeout=60s")).met, true, "it comes back by itself");
  assert.ok((await api.get("events?verdict=all")).events.every((e) => e.sandbox.verdict === (e.user_id === "user-busy" ? "throttled" : "refused")));
  await fetch(`${sandbox.url}/_sandbox/throttle`, { method: "DELETE" });
  assert.deepEqual((await all).map(({ code }) => code), [200, 200, 200]);
  assert.deepEqual((await events()).map((e) => e.user_id).sort(), ["user-1", "user-2", "user-busy"]);
});

test("a user who stays throttled is given up after the client's last try", async () => {
  await api.control("throttle", { ids: ["user-busy"] });
  const amplitude = await analytics("sandbox", { flushMaxRetries: 3 });
  const result = await amplitude.track("e", {}, { user_id: "user-busy" }).promise;
  assert.equal(result.code, 500);
  assert.match(result.message, /retry/);
  assert.equal((await api.get("stats")).throttled, 3);
});

test("events over the daily quota are given up, as with Amplitude", async () => {
  await api.control("quota", { ids: ["user-spam"] });
  const amplitude = await analytics("sandbox", { serverUrl: `${sandbox.url}/batch` });
  const [spam, fine] = await Promise.all([
    amplitude.track("e", {}, { user_id: "user-spam" }).promise, amplitude.track("e", {}, { user_id: "user-1" }).promise,
  ]);
  assert.equal(spam.code, 429);
  assert.equal(fine.code, 200);
  assert.deepEqual((await events()).map((e) => e.user_id), ["user-1"]);
});

test("a wrong key drops everything, and the client says so", async () => {
  const amplitude = await analytics("no-such-key");
  const result = await amplitude.track("e", {}, { user_id: "user-1" }).promise;
  assert.equal(result.code, 400);
  assert.match(result.message, /Invalid API key/);
  assert.equal((await events()).length, 0);
});

test("one invalid event is dropped, its neighbors arrive", async () => {
  const amplitude = await analytics();
  const results = await Promise.all([
    amplitude.track("a", {}, { user_id: "user-1" }).promise,
    amplitude.track("b", {}, { user_id: "user-2", time: "noon" }).promise,
    amplitude.track("c", {}, { user_id: "2" }).promise,
    amplitude.track("d", {}, { user_id: "user-3" }).promise,
  ]);
  assert.deepEqual(results.map(({ code }) => code), [200, 400, 400, 200]);
  assert.deepEqual((await events()).map((e) => e.event_type), ["a", "d"]);
});

test("an outage, and an error after storing: nothing lost, nothing doubled", async () => {
  await api.control("faults", [{ action: "status", code: 503, times: 2 }, { action: "ingest_then_status", code: 502 }]);
  const amplitude = await analytics();
  const result = await amplitude.track("e", {}, { user_id: "user-1" }).promise;
  assert.equal(result.code, 200);
  const stats = await api.get("stats");
  assert.equal(stats.events_stored, 1);
  assert.equal(stats.duplicates, 1);
  assert.deepEqual(stats.by_status, { 200: 1, 502: 1, 503: 2 });
});

test("a silenced device is given up", async () => {
  await api.control("silence", { devices: ["device-loop"] });
  const amplitude = await analytics();
  const [loop, fine] = await Promise.all([
    amplitude.track("e", {}, { device_id: "device-loop" }).promise, amplitude.track("e", {}, { device_id: "device-1" }).promise,
  ]);
  assert.equal(loop.code, 400);
  assert.equal(fine.code, 200);
});

test("the experiment server client's assignments give the right user properties", async () => {
  const experiment = new LocalEvaluationClient("server-key", {
    bootstrap: {
      "my-experiment": flag("my-experiment", "treatment"),
      "my-flag": flag("my-flag", "off"),
      slots: flag("slots", "treatment", { flagType: "mutual-exclusion-group" }),
    },
    assignmentConfig: { apiKey: "sandbox", ...options() },
  });
  await experiment.evaluate({ user_id: "123456789", device_id: "device-1" });
  assert.equal((await api.get(`await?user=123456789&flag=my-experiment&value=treatment&timeout=60s`)).met, true);
  await experiment.evaluate({ user_id: "123456789", device_id: "device-1" });
  const [stored, ...more] = await events();
  assert.equal(more.length, 0, "the client drops repeats itself");
  assert.equal(stored.event_type, "[Experiment] Assignment");
  assert.deepEqual(stored.event_properties, {
    "my-experiment.variant": "treatment", "my-experiment.details": "v3 rule:All Users",
    "my-flag.variant": "off", "my-flag.details": "v3 rule:All Users", "slots.variant": "treatment", "slots.details": "v3 rule:All Users",
  });
  assert.deepEqual(stored.sandbox.flags, ["my-experiment", "my-flag", "slots"]);
  assert.deepEqual(await properties("123456789"), { "[Experiment] my-experiment": "treatment" });
  assert.match(stored.insert_id, /^123456789 device-1 -?\d+ \d+$/);
});

test("the experiment server client's exposures set and count", async () => {
  const experiment = new LocalEvaluationClient("server-key", {
    bootstrap: { "my-experiment": flag("my-experiment", "treatment") },
    exposureConfig: { apiKey: "sandbox", ...options() },
  });
  const user = { user_id: "user-exposed", device_id: "device-1" };
  experiment.evaluateV2(user, undefined, { tracksExposure: true });
  assert.equal((await api.get("await?user=user-exposed&flag=my-experiment&value=treatment&timeout=60s")).met, true);
  const { experiments } = await api.get("experiments");
  assert.equal(experiments.length, 1);
  assert.equal(experiments[0].flag, "my-experiment");
  assert.deepEqual(experiments[0].variants.map(({ variant, users }) => [variant, users]), [["treatment", 1]]);
});
