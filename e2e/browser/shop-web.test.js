// examples/shop-web in Chromium: what its visitor sees is what Amplitude gets, once, and nothing else.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { open } from "../../examples/shop-web/serve.js";
import { visitor } from "../../examples/shop-web/visitor.js";
import { browser, picture } from "./lib/browser.js";
import { freePorts, startCollector } from "./lib/collector.js";
import { client } from "./lib/sandbox.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let collector, shop, chromium, api, page, problems, visit, made;

before(async () => {
  const [port] = await freePorts(1);
  collector = await startCollector({ configs: ["examples/shop-web/collector.yaml", "examples/orders.yaml"], env: { SHOP_ORIGIN: `http://127.0.0.1:${port}` } });
  shop = await open({ port, collector: collector.otlp });
  chromium = await browser();
  api = client(collector.sandbox);
}, { timeout: 300_000 });

after(async () => {
  await chromium?.close();
  await shop?.close();
  await collector?.stop();
});

beforeEach(async () => {
  await api.control("reset");
  made = await exposuresMade();
  problems = [];
  page = await chromium.context.newPage();
  await page.addInitScript(() => {
    globalThis.exposures = 0;
    addEventListener("exposure", () => globalThis.exposures++);
  });
  page.on("console", (message) => { if (message.type() === "error") problems.push(message.text()); });
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(`${shop.url}/style.css`); // of the shop's origin, but without its scripts
  await page.evaluate(() => localStorage.clear());
  visit = visitor(page);
});

afterEach(async () => {
  // Nothing may be on its way when the next test begins: neither from the page nor from the Collector.
  await page.waitForFunction(() => {
    const orders = [...document.querySelectorAll('#sent [data-field="flag"]')].filter(({ textContent }) => textContent === "order.placed").length;
    return document.querySelectorAll('#sent :is([data-state="taken"], [data-state="refused"])').length === globalThis.exposures + orders;
  });
  await page.close();
  const count = await exposuresMade() - made;
  if (count > 0) await arrived(count);
  assert.deepEqual(problems, []);
});

const device = () => page.evaluate(() => localStorage.getItem("shop.device_id"));
const properties = async (id) => (await api.get(`users/${id}`)).user_properties;
const propertiesOf = (variants) => Object.fromEntries(Object.entries(variants).map(([flag, variant]) => [`[Experiment] ${flag}`, variant]));

// exposuresMade is how many events the processor has made since it started.
const exposuresMade = async () => (await collector.outcomes()).exposure ?? 0;

const arrived = (count) => api.get(`await?event_type=${encodeURIComponent("[Experiment] Exposure")}&count=${count}&timeout=60s`);

// stored waits for so many events, and returns what each of them says. A $identify beside an event, such as that of a sign-in
// to another variant, is none.
async function stored(count) {
  await arrived(count);
  const { events } = await api.get("events?verdict=all");
  return events.filter((event) => event.sandbox.verdict !== "identify").map((event) => ({
    verdict: event.sandbox.verdict, type: event.event_type, user: event.user_id ?? "", device: event.device_id ?? "",
    flag: event.event_properties["[Experiment] Flag Key"], variant: event.event_properties["[Experiment] Variant"],
  }));
}

// exposure is what stored returns for a row of the page's table.
const exposure = ({ user, device, flag, variant }) => ({ verdict: "stored", type: "[Experiment] Exposure", user, device, flag, variant });

async function looksAtEverything() {
  await visit.scrollsDown();
  await visit.scrollsUp();
  await visit.opensCheckout();
  await visit.closesCheckout();
}

test("an exposure is what was seen: at once, after scrolling, after opening", async () => {
  await visit.comes(shop.url);
  const variants = await visit.sees();
  const expected = [];
  for (const [flag, look] of [["headline", () => {}], ["recommendations", visit.scrollsDown], ["checkout-flow", async () => { await visit.scrollsUp(); await visit.opensCheckout(); }]]) {
    await look();
    expected.push({ user: "", device: await device(), flag, variant: variants[flag] });
    // Each of them alone: all three flags have been evaluated from the beginning.
    const rows = await visit.sent(expected.length);
    assert.deepEqual(rows.map(({ user, device, flag, variant }) => ({ user, device, flag, variant })), expected);
    assert.deepEqual(await stored(expected.length), expected.map(exposure));
  }
  assert.deepEqual(await properties(await device()), propertiesOf(variants));
  const [event] = (await api.get("events")).events;
  assert.deepEqual([event.app_version, event.language, event.user_agent], await page.evaluate(() => ["1.0.0", navigator.language, navigator.userAgent]));
  assert.ok(!JSON.stringify(event).includes("feature_flag."), "what nobody allowed does not travel");
});

test("what is larger than the screen is seen, too", async () => {
  await visit.comes(shop.url);
  await page.addStyleTag({ content: '[data-flag="recommendations"] { min-height: 500vh }' });
  await page.locator('[data-flag="recommendations"]').evaluate((element) => element.scrollIntoView());
  const rows = await visit.sent(2);
  assert.deepEqual(rows.map(({ flag }) => flag), ["headline", "recommendations"]);
});

test("who signs in is exposed again, under both ids, and their properties follow", async () => {
  await visit.comes(shop.url);
  await looksAtEverything();
  const rows = await visit.sent(3);
  const seen = {};
  for (const customer of ["customer-2003", "customer-2004"]) {
    await visit.signsIn(customer);
    await looksAtEverything();
    seen[customer] = await visit.sees();
    rows.push(...(await visit.sent(rows.length + 3)).slice(rows.length));
    assert.deepEqual([...new Set(rows.slice(-3).map(({ user }) => user))], [customer]);
    assert.deepEqual([...new Set(rows.slice(-3).map(({ device }) => device))], [await device()]);
    await stored(rows.length);
    assert.deepEqual(await properties(customer), propertiesOf(seen[customer]));
    await picture(page, "shop-web", "");
    await visit.signsOut();
    await visit.scrollsUp();
    rows.push(...(await visit.sent(rows.length + 1)).slice(rows.length));
  }
  assert.notDeepEqual(seen["customer-2003"], seen["customer-2004"], "the test needs two customers who differ");
  assert.deepEqual(await stored(rows.length), rows.map(exposure));
  // The browser that signed in is the customer's; after signing out it is another one, that of nobody.
  const devices = [...new Set(rows.map(({ device }) => device))];
  assert.equal(devices.length, 3);
  assert.equal((await api.get(`users/${devices[0]}`)).user_id, "customer-2003");
  assert.equal((await api.get(`users/${devices[2]}`)).user_id, undefined);
});

test("what nobody sees before signing in is not counted for the customer", async () => {
  await visit.comes(shop.url);
  await visit.sent(1);
  await visit.signsIn("customer-3001");
  await visit.scrollsDown();
  const rows = await visit.sent(3);
  assert.deepEqual(rows.map(({ user, flag }) => [user, flag]), [["", "headline"], ["customer-3001", "headline"], ["customer-3001", "recommendations"]]);
  assert.deepEqual(await stored(3), rows.map(exposure));
  assert.equal(rows[2].variant, (await visit.sees()).recommendations);
});

test("a reload shows the same and adds nothing", async () => {
  await visit.comes(shop.url);
  await visit.signsIn("customer-4001");
  await looksAtEverything();
  const variants = await visit.sees();
  const rows = await visit.sent(4);
  await stored(4);
  const before = await collector.outcomes();
  await visit.comes(shop.url);
  await looksAtEverything();
  assert.deepEqual(await visit.sees(), variants);
  const again = await visit.sent(3);
  assert.deepEqual(again.map(exposure), rows.slice(1).map(exposure), "the page sends the same again");
  assert.equal((await collector.outcomes()).duplicate, (before.duplicate ?? 0) + 3);
  await visit.signsOut(); // a new browser: one more event, behind which no repeat can be on its way
  rows.push((await visit.sent(4))[3]);
  assert.deepEqual(await stored(5), rows.map(exposure));
});

test("an order comes after what was seen before it, under the same ids", async () => {
  await visit.comes(shop.url);
  await visit.signsIn("customer-6001");
  await visit.opensCheckout();
  await visit.closesCheckout();
  await visit.sent(3);
  await visit.buys();
  const [order] = (await visit.sent(4)).slice(3);
  assert.deepEqual([order.flag, order.variant, order.user, order.device], ["order.placed", "", "customer-6001", await device()]);
  await api.get(`await?event_type=${encodeURIComponent("Order Placed")}&count=1&timeout=60s`);
  const [event] = (await api.get("events")).events.filter(({ event_type }) => event_type === "Order Placed");
  assert.deepEqual([event.user_id, event.device_id, event.revenue, event.currency, event.event_properties], ["customer-6001", await device(), 39, "EUR", { "order.items": 1 }]);
  const { experiments } = await api.get("experiments");
  const { "checkout-flow": variant } = await visit.sees();
  const checkout = experiments.find(({ flag }) => flag === "checkout-flow").variants.find((one) => one.variant === variant);
  assert.deepEqual(checkout.outcomes.map(({ event_type, events, users }) => [event_type, events, users]), [["Order Placed", 1, 1]]);
});

test("leaving the page right away loses nothing", async () => {
  await visit.comes(shop.url); // the headline is seen, and not sent yet
  const id = await device();
  await page.goto("about:blank");
  const [event] = await stored(1);
  assert.equal(event.device, id);
  assert.equal(event.flag, "headline");
});

test("without a connection records wait, and arrive once it is back", async () => {
  await page.route(`${collector.otlp}/**`, (route) => route.abort());
  await visit.comes(shop.url);
  await page.locator('#sent [data-state="waiting"]').waitFor();
  assert.equal((await api.get("stats")).events, 0);
  await page.unroute(`${collector.otlp}/**`);
  await page.evaluate(() => dispatchEvent(new Event("online")));
  const rows = await visit.sent(1);
  assert.deepEqual(await stored(1), rows.map(exposure));
  assert.ok(problems.every((problem) => /ERR_FAILED|Fetch request errored/.test(problem)), problems.join("\n"));
  problems = [];
});

test("what the Collector refuses for good is said, not tried forever", async () => {
  let requests = 0;
  await page.route(`${collector.otlp}/**`, (route) => {
    requests++;
    return route.fulfill({ status: 401, headers: { "Access-Control-Allow-Origin": shop.url } });
  });
  await visit.comes(shop.url);
  await page.locator('#sent [data-state="refused"]').waitFor();
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await visit.scrollsDown();
  await page.waitForFunction(() => document.querySelectorAll('#sent [data-state="refused"]').length === 2);
  assert.equal(requests, 2);
  assert.ok(problems.every((problem) => /401|non-retryable/.test(problem)), problems.join("\n"));
  problems = [];
});

test("the Collector takes records from the shop's origin only", async () => {
  const ask = async (origin) => (await fetch(`${collector.otlp}/v1/logs`, {
    method: "OPTIONS", headers: { Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type" },
  })).headers.get("access-control-allow-origin");
  assert.equal(await ask(shop.url), shop.url);
  assert.equal(await ask("https://elsewhere.example"), null);
});

for (const colorScheme of ["light", "dark"]) {
  test(`everybody can use it (${colorScheme})`, async () => {
    await page.emulateMedia({ colorScheme });
    const check = async (state) => {
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      assert.deepEqual(violations.map(({ id, nodes }) => `${state}: ${id} at ${nodes.map(({ html }) => html).join(" ")}`), []);
    };
    await visit.comes(shop.url);
    await visit.sent(1);
    await check("anonymous");
    // By keyboard alone.
    await page.getByLabel("Customer id").press("Enter");
    await page.getByText("Signed in as customer-1001").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), "sign-out");
    await check("signed in");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.locator("dialog[open]").waitFor();
    await check("checkout");
    await page.keyboard.press("Enter");
    await page.locator("dialog[open]").waitFor({ state: "detached" });
    assert.equal(await page.evaluate(() => document.activeElement.id), "buy", "the focus goes back to where it was");
    await page.setViewportSize({ width: 390, height: 800 });
    await check("on a phone");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390, "nothing sticks out sideways");
  });
}
