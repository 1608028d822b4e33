// examples/experiment-web in Chromium: what Amplitude Experiment's own client takes for an exposure is what Amplitude gets.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { open } from "../../examples/experiment-web/serve.js";
import { browser, watch } from "./lib/browser.js";
import { freePorts, startCollector } from "./lib/collector.js";
import { holding } from "./lib/moments.js";
import { client } from "./lib/sandbox.js";

let collector, shop, chromium, api, page, problems;

before(async () => {
  const [port] = await freePorts(1);
  collector = await startCollector({ configs: ["examples/shop-web/collector.yaml"], env: { SHOP_ORIGIN: `http://127.0.0.1:${port}` } });
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
  ({ page, problems } = await watch(chromium, shop.url));
  await page.goto(`${shop.url}/sdk/v2/flags`); // of the page's origin, but without its script
  await page.evaluate(() => localStorage.clear());
});

afterEach(async () => {
  await page.close();
  assert.deepEqual(problems.filter((problem) => problem !== `asked for ${collector.otlp}/v1/logs`), [], "it asks Amplitude for nothing");
});

const exposed = encodeURIComponent("[Experiment] Exposure");

// shows waits until the page shows a variant to a customer.
const shows = (customer, variant) => page.locator(`#headline[data-user="${customer}"][data-variant="${variant}"]`).waitFor();

async function stored(count) {
  await api.get(`await?event_type=${exposed}&count=${count}&timeout=60s`);
  return (await api.get("events")).events;
}

test("an exposure of the client arrives with its ids, its experiment and its metadata", async () => {
  await page.goto(shop.url);
  await shows("customer-1001", "season");
  const [event] = await stored(1);
  assert.equal(event.user_id, "customer-1001");
  assert.equal(event.device_id, await page.evaluate(() => localStorage.getItem("device_id")));
  assert.deepEqual(event.event_properties, {
    "[Experiment] Flag Key": "headline", "[Experiment] Variant": "season", "[Experiment] Experiment Key": "exp-1",
    metadata: { experimentKey: "exp-1", segmentName: "All Other Users", flagVersion: 7 },
  });
  assert.deepEqual((await api.get("users/customer-1001")).user_properties, { "[Experiment] headline": "season" });
});

test("who is in no variant leaves the experiment", async () => {
  await page.goto(shop.url);
  await shows("customer-1001", "season");
  await stored(1);
  await page.locator("#user").selectOption("customer-1002");
  await shows("customer-1002", "control");
  const [, event] = await stored(2);
  assert.equal(event.user_id, "customer-1002");
  assert.equal(event.event_properties["[Experiment] Variant"], undefined);
  assert.deepEqual(event.user_properties, { $unset: { "[Experiment] headline": "-" } });
});

test("coming again adds nothing", async () => {
  await page.goto(shop.url);
  await shows("customer-1001", "season");
  await stored(1);
  await page.reload();
  await shows("customer-1001", "season");
  await page.locator("#user").selectOption("customer-1003"); // behind which no repeat can be on its way
  await shows("customer-1003", "season");
  assert.deepEqual((await stored(2)).map(({ user_id }) => user_id), ["customer-1001", "customer-1003"]);
});

test("an answer that comes late shows nothing to the one who was chosen since", async () => {
  const answer = await holding(page, "**/sdk/v2/vardata*");
  await page.goto(shop.url);
  const late = await answer();
  await page.locator("#user").selectOption("customer-1003");
  await (await answer())();
  await shows("customer-1003", "season");
  await late();
  assert.equal(await page.locator("#headline").getAttribute("data-user"), "customer-1003");
  assert.deepEqual((await stored(1)).map(({ user_id }) => user_id), ["customer-1003"]);
});

test("the same for React Native holds the types of Amplitude's client", () => {
  execFileSync("npm", ["test"], { cwd: fileURLToPath(new URL("../../examples/experiment-react-native", import.meta.url)), stdio: "pipe" });
});
