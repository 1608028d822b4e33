// Amplitude's browser clients, from pages in Chromium, through the Collector of examples/amplitude-sdks.yaml: what they leave in
// Amplitude is what they leave there when they send to it themselves.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, before, beforeEach, test } from "node:test";
import { browser } from "./lib/browser.js";
import { freePorts, startForSDKs } from "./lib/collector.js";
import { client } from "./lib/sandbox.js";

const script = (name) => readFileSync(createRequire(import.meta.url).resolve(name));
const files = {
  "/": ["text/html", `<!doctype html><title>Shop</title><script src="/amplitude.js"></script><script src="/experiment.js"></script><button id="buy">Buy</button>`],
  "/amplitude.js": ["text/javascript", script("@amplitude/analytics-browser/lib/scripts/amplitude-min.js")],
  "/experiment.js": ["text/javascript", script("@amplitude/experiment-js-client/dist/experiment.umd.js")],
};

let collector, api, chromium, shop, origin;

before(async () => {
  const [port] = await freePorts(1);
  origin = `http://127.0.0.1:${port}`;
  shop = createServer(({ url }, response) => {
    const [type, body] = files[url] ?? [];
    response.writeHead(type ? 200 : 404, { "Content-Type": type ?? "text/plain" }).end(body);
  });
  await new Promise((resolve) => shop.listen(port, "127.0.0.1", resolve));
  collector = await startForSDKs({ origin });
  api = client(collector.sandbox);
  chromium = await browser();
}, { timeout: 300_000 });

after(async () => {
  await chromium?.close();
  shop?.close();
  await collector?.stop();
});
beforeEach(() => api.control("reset"));

// open opens a page of a new visitor whose clients send to url. What the page asks for beside that and its own files is in asked.
async function open(url, options = {}) {
  const page = await chromium.context.newPage();
  const asked = [], types = [];
  page.on("request", (request) => {
    if (request.url().startsWith(url)) types.push(request.headers()["content-type"]);
    else if (!request.url().startsWith(origin)) asked.push(request.url());
  });
  await page.goto(origin);
  await page.evaluate(async ([serverUrl, options]) => {
    localStorage.clear();
    for (const cookie of document.cookie.split("; ")) document.cookie = `${cookie.split("=")[0]}=; max-age=0; path=/`;
    await globalThis.amplitude.init("sandbox", "customer-5001", {
      serverUrl, deviceId: "device-of-the-page", fetchRemoteConfig: false, flushIntervalMillis: 50,
      autocapture: { pageViews: true, sessions: true, attribution: false, formInteractions: false, fileDownloads: false, elementInteractions: false, webVitals: false, frustrationInteractions: false, networkTracking: false },
      ...options,
    }).promise;
  }, [`${url}/2/httpapi`, options]);
  return { page, asked, types };
}

// said is what an event says, but what is new in each visit.
const said = ({ sandbox, user_properties, event_properties = {}, time, insert_id, session_id, event_id, ip, ...event }) => {
  assert.equal(typeof time, "number");
  assert.match(String(insert_id), /^.{8,}$/);
  return { ...event, event_properties: { ...event_properties, "[Amplitude] Page View ID": undefined }, inSession: session_id > 0, numbered: Number.isInteger(event_id), verdict: sandbox.verdict };
};

const order = (events) => events.map(said).sort((a, b) => a.event_type.localeCompare(b.event_type));

// same visits the page for each way, from nothing, and compares what is left.
async function same(count, visit) {
  const results = [];
  for (const url of [collector.sandbox, collector.sdks]) {
    await api.control("reset");
    const { page, asked } = await open(url);
    await visit(page);
    const { met } = await api.get(`await?verdict=all&count=${count}&timeout=60s`);
    assert.equal(met, true, `${count} events arrive, of ${(await api.get("events?verdict=all")).events.map(({ event_type }) => event_type)}`);
    const { events } = await api.get("events");
    results.push({ events: order(events), ips: events.map(({ ip }) => ip), properties: (await api.get("users/customer-5001")).user_properties, asked });
    await page.close();
  }
  const [direct, through] = results;
  assert.deepEqual(through.events, direct.events);
  assert.deepEqual(through.properties, direct.properties);
  assert.deepEqual(through.asked, [], "nothing else is asked for");
  return { direct, through };
}

test("@amplitude/analytics-browser: page views, sessions, events, revenue, identify", async () => {
  const { direct, through } = await same(5, (page) => page.evaluate(async () => {
    const { amplitude } = globalThis;
    await amplitude.track("Song Played", { title: "Aria", list: [1, "a"] }).promise;
    await amplitude.revenue(new amplitude.Revenue().setProductId("book").setPrice(3.99).setQuantity(2)).promise;
    await amplitude.identify(new amplitude.Identify().set("plan", "pro").add("visits", 1)).promise;
  }));
  assert.deepEqual(direct.events.map(({ event_type }) => event_type), ["[Amplitude] Page Viewed", "revenue_amount", "session_start", "Song Played"]);
  assert.equal(through.properties.plan, "pro");
  assert.ok(direct.ips.every((ip) => ip === "$remote"), "Amplitude is to take the address that it sees");
  assert.ok(through.ips.every((ip) => ip === undefined), "which would be the Collector's");
});

test("@amplitude/experiment-js-client: exposures by way of analytics", async () => {
  const { through } = await same(3, (page) => page.evaluate(async () => {
    const { Experiment } = globalThis.Experiment;
    const experiment = Experiment.initializeWithAmplitudeAnalytics("client-key", {
      initialVariants: { checkout: { key: "treatment", value: "treatment" } }, source: "initialVariants", fetchOnStart: false, pollOnStart: false,
    });
    experiment.variant("checkout");
  }));
  const exposure = through.events.find(({ event_type }) => event_type === "[Experiment] Exposure");
  assert.equal(exposure.event_properties["[Experiment] Flag Key"], "checkout");
  assert.equal(exposure.event_properties["[Experiment] Variant"], "treatment");
  assert.equal(through.properties["[Experiment] checkout"], "treatment");
});

test("navigator.sendBeacon: what a page sends as it closes arrives", async () => {
  const { page, types } = await open(collector.sdks, { transport: "beacon", flushIntervalMillis: 60_000, flushQueueSize: 1000 });
  await page.evaluate(() => {
    addEventListener("pagehide", () => globalThis.amplitude.flush());
    globalThis.amplitude.track("Tab Closed");
  });
  await page.goto("about:blank");
  await page.close();
  const { met } = await api.get(`await?event_type=${encodeURIComponent("Tab Closed")}&count=1&timeout=60s`);
  assert.equal(met, true);
  assert.ok(types.every((type) => type === "text/plain;charset=UTF-8"), types.join());
});

test("a page of another origin may not send", async () => {
  const page = await chromium.context.newPage();
  await page.goto(origin.replace("127.0.0.1", "other.test"));
  const outcome = await page.evaluate((url) => fetch(`${url}/2/httpapi`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ api_key: "sandbox", events: [{ event_type: "e", user_id: "user-1" }] }),
  }).then(({ status }) => status, (error) => error.name), collector.sdks);
  assert.equal(outcome, "TypeError");
  await page.close();
});
