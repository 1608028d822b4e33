// The page in a browser: every view, and that it stays live.
import assert from "node:assert/strict";
import { test } from "node:test";
import { picture, view } from "./lib/browser.js";
import { assignment, exposure, start, story } from "./lib/sandbox.js";
import { api, chromium, page, server as sandbox, watched } from "./lib/watched.js";

watched(start, (sandbox) => sandbox.url);

const open = (name) => view(page, sandbox.url, name);
const rows = () => page.locator(".events .row");
const sees = (text) => page.getByText(text).first().waitFor();
const gone = (text) => page.getByText(text).first().waitFor({ state: "detached" });

test("an empty page says what to do, and the command it shows works", async () => {
  await open("live");
  await sees("Waiting for the first event");
  await picture(page, "empty");
  const command = await page.locator(".command pre").innerText();
  const body = command.match(/-d '(.*)'$/s)[1];
  const answer = await fetch(`${sandbox.url}/2/httpapi`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  assert.equal(answer.status, 200);
  await rows().first().waitFor();
  assert.match(await rows().first().innerText(), /user-12345/);
});

test("live: events land without a reload, each with its verdict", async () => {
  await open("live");
  await sees("Waiting for the first event");
  await api.send([exposure("user-1", "checkout", "treatment")]);
  await rows().first().waitFor();
  await api.send([exposure("user-1", "checkout", "treatment")]);
  await sees(/first copy .* earlier/);
  await api.send([exposure("user-2", "checkout", "control"), { ...exposure("user-3", "checkout", "control"), time: "noon" }]);
  await sees("time must be a whole number");
  await sees("another event of its request is invalid");
  await api.control("throttle", { ids: ["user-4"] });
  await api.send([exposure("user-4", "checkout", "control")]);
  await sees("its user or device exceeds its rate or quota");
  await api.send([exposure("user-1", "checkout", "control")]);
  await page.locator(".events .badge.jump").waitFor();
  const verdicts = await page.locator(".events .verdict").allInnerTexts();
  assert.deepEqual(verdicts, ["Stored", "Throttled", "Invalid", "Refused", "Duplicate", "Stored"]);
  await page.waitForFunction(() => /Stored\s+2/.test(document.querySelector(".summary").innerText));
});

test("live: a row opens to what was sent and what Amplitude makes of it", async () => {
  await open("live");
  await api.send([exposure("user-1", "checkout", "treatment")]);
  await rows().first().click();
  await sees("As Amplitude stores it");
  const texts = await page.locator(".json").allInnerTexts();
  assert.equal(JSON.parse(texts[0]).event_type, "$exposure");
  assert.equal(JSON.parse(texts[1]).event_type, "[Experiment] Exposure");
  await chromium.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: sandbox.url });
  await Promise.all([sees("Copied"), page.getByRole("button", { name: "Copy as curl" }).click()]); // it is said for a moment only
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^curl http.*\/2\/httpapi .*"api_key":"sandbox"/);
  assert.match(copied, /"flag_key":"checkout"/);
});

test("live: filters ask the server, and pausing holds what arrives", async () => {
  await open("live");
  await story(api);
  await page.getByLabel("Flag").fill("shipping-banner");
  await page.getByLabel("User id").fill("shopper-1008");
  await page.waitForFunction(() => document.querySelectorAll(".events .row").length === 2);
  assert.ok((await rows().allInnerTexts()).every((text) => text.includes("shipping-banner")));
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.querySelectorAll(".events .row").length > 100);
  await page.getByLabel("Verdict").selectOption("invalid");
  await page.waitForFunction(() => document.querySelectorAll(".events .row").length === 2);
  await page.getByLabel("Text in the event").fill("nothing like it");
  await sees("No event matches");
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".events .row").length > 100);
  await picture(page, "live");

  await page.getByRole("button", { name: "Pause" }).click();
  await api.send([exposure("user-late", "checkout-button", "control")]);
  await sees("Paused: 1 event since");
  assert.equal(await page.getByText("user-late").count(), 0);
  await page.getByRole("button", { name: "Resume" }).first().click();
  await sees("user-late");
});

test("live: older events are a click away", async () => {
  await story(api);
  await open("live");
  await page.waitForFunction(() => document.querySelectorAll(".events .row").length === 200);
  await page.getByRole("button", { name: "Older events" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".events .row").length === 400);
  const ids = await page.locator(".event").evaluateAll((items) => items.map((item) => Number(item.id.slice("event-".length))));
  assert.deepEqual(ids, [...ids].sort((a, b) => b - a));
  assert.equal(new Set(ids).size, 400);
});

test("live: an assignment shows its variants, an un-exposure no variant, and a change its values", async () => {
  await open("live");
  await api.send([assignment("user-1", { "checkout-flow": "one-page", recommendations: "none" })]);
  await rows().first().waitFor();
  assert.match(await rows().first().innerText(), /checkout-flow\s*→\s*one-page\s*recommendations\s*→\s*none/);
  await rows().first().click();
  assert.match(await page.locator(".facts").innerText(), /checkout-flow: not set → one-page/);
  await api.send([exposure("user-1", "recommendations", null)]);
  await page.waitForFunction(() => document.querySelectorAll(".events .row").length === 2);
  assert.match(await rows().first().innerText(), /recommendations\s*→\s*no variant/);
});

test("a count leads to what it counts", async () => {
  await story(api);
  await open("requests");
  await page.locator(".summary").getByRole("link", { name: "2", exact: true }).first().waitFor();
  for (const [label, verdicts] of [["Duplicates", /^Duplicate$/], ["Refused", /^(Invalid|Refused|Silenced)$/], ["Stored", /^Stored$/]]) {
    await page.locator(".summary div").filter({ hasText: label }).getByRole("link").click();
    await page.waitForFunction((pattern) => {
      const shown = [...document.querySelectorAll(".events .verdict")].map((v) => v.innerText);
      return shown.length > 0 && shown.every((text) => new RegExp(pattern).test(text));
    }, verdicts.source);
  }
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => location.hash === "#/live");
  await page.locator(".summary div").filter({ hasText: "Requests" }).getByRole("link").click();
  await page.getByRole("region", { name: "Requests" }).waitFor();
});

test("no event yet, but requests: the page says where to look; OTLP at the wrong end gets a hint", async () => {
  await open("live");
  await sees("Waiting for the first event");
  assert.equal((await fetch(`${sandbox.url}/v1/logs`, { method: "POST", body: "{}" })).status, 400);
  await sees("Requests arrived, but no event in them could be read");
  await page.locator("main").getByRole("link", { name: "Requests" }).click();
  await sees("Invalid request path");
  await page.locator(".requests tbody tr").first().click();
  await sees(/port 4318/);
});

test("user: properties now, who set them, and where the variant changed", async () => {
  await story(api);
  await open("users/shopper-1001");
  await sees("changed once");
  assert.match(await page.locator(".properties").innerText(), /checkout-button\s+control/);
  assert.match(await page.locator(".history").innerText(), /treatment →\s*control\s*variant changed/);
  assert.match(await page.locator(".user").innerText(), /company: acme/);
  await picture(page, "user");
  await api.send([exposure("shopper-1001", "checkout-button", null)]);
  await sees("and is not set anymore");
  assert.doesNotMatch(await page.locator(".properties").innerText(), /checkout-button/);
  await page.getByLabel("Find a user or device").fill("shopper-1233");
  await page.waitForFunction(() => document.querySelectorAll(".people li").length === 1);
  await page.locator(".people a").click();
  await page.getByRole("heading", { name: "shopper-1233" }).waitFor();
});

test("experiment: variants, ratio, changes, the budget of properties", async () => {
  await open("experiments");
  await sees("No exposures yet");
  await story(api);
  const card = (name) => page.locator(".run").filter({ has: page.getByRole("heading", { name }) });
  await card("checkout-button").getByText("Ratio as expected").waitFor();
  await card("shipping-banner").getByText(/Sample ratio mismatch, p < 0.0001/).waitFor();
  await card("checkout-button").locator(".numbers").getByText("2 users").waitFor(); // the page shows what came so far
  await card("search-ranking").locator(".numbers").getByText("1 user out").waitFor();
  assert.match(await card("checkout-button").locator(".numbers").innerText(), /Variant changes\s+2\s+2 users/);
  assert.match(await card("search-ranking").locator(".numbers").innerText(), /Un-exposures\s+1/);
  assert.match(await page.locator(".budget").innerText(), /3 of 1,500/);
  assert.equal(await card("search-ranking").locator("rect.bar").count(), 3);
  assert.match(await card("checkout-button").locator(".diagnostics").innerText(), /Changed\s+2/, "what the processor's diagnostics would say");
  assert.equal(await card("search-ranking").locator("polyline.line").count(), 3, "a line for each variant");
  await api.send([{ event_type: "[Experiment] Assignment", user_id: "shopper-9999", event_properties: { "[Experiment] checkout-button.variant": "control" } }]);
  await card("checkout-button").locator(".funnel").getByText(/^Assigned [1-9]/).waitFor();
  await picture(page, "experiments");
  await api.send([exposure("new-1", "brand-new", "a"), exposure("new-2", "brand-new", "b")]);
  await card("brand-new").getByText("Too early").waitFor();
  // A bar over the whole width is all users, and who is un-exposed counts in none.
  const widths = () => card("brand-new").locator("rect.bar").evaluateAll((bars) => bars.map((bar) => Number(bar.getAttribute("width"))));
  assert.deepEqual(await widths(), [50, 50]);
  await api.send([exposure("new-2", "brand-new", null)]);
  await card("brand-new").getByText("1 user out").waitFor();
  assert.deepEqual(await widths(), [100, 0]);
});

test("requests: status, size, retry, masked key; one opens to its answer", async () => {
  await open("requests");
  await sees("No requests yet");
  await story(api);
  const row = (text) => page.locator(".requests tbody tr").filter({ hasText: text });
  await row("retry 1").waitFor();
  await row("01****ef").waitFor();
  await picture(page, "requests");
  await row("01****ef").click();
  await page.locator(".expanded .json").filter({ hasText: "Invalid API key: 01****ef" }).waitFor();
  assert.doesNotMatch(await page.content(), /0123456789abcdef/);
  await page.getByLabel("Status").selectOption("503");
  await page.waitForFunction(() => document.querySelectorAll(".requests tbody tr:not(.expanded)").length === 1);
});

test("faults: a button arms one, a request meets it", async () => {
  await open("faults");
  await sees("No fault is armed");
  await page.getByRole("button", { name: /^Unavailable, three times/ }).click();
  await sees("next 3");
  await picture(page, "faults");
  assert.equal((await api.send([exposure("user-1", "f", "a")])).status, 503);
  await sees("next 2");
  await page.getByRole("button", { name: "Disarm all" }).click();
  await sees("All disarmed"); // the last of several requests
  await sees("No fault is armed");
  assert.equal((await api.send([exposure("user-1", "f", "a")])).status, 200);
  await page.getByLabel("user_id or device_id").fill("user-1");
  await page.getByRole("button", { name: "Throttle for 30 s" }).click();
  await page.locator(".armed").getByText("throttled").waitFor();
  assert.equal((await api.send([exposure("user-1", "f", "b")])).status, 429);
  await page.getByRole("button", { name: "+ 1 hour" }).click();
  await sees("1h0m0s ahead");
  assert.equal((await api.send([exposure("user-1", "f", "b")])).status, 200);
  await page.getByLabel("Short ids on /2/httpapi").selectOption("strip");
  await sees("Short ids: strip");
  assert.equal((await api.get("config")).behavior.v2.short_id_mode, "strip");
});

test("names and values are text, never markup", async () => {
  const evil = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
  await api.send([{ ...exposure(`${evil} user`, evil, evil), groups: { [evil]: evil } }, assignment("user-2", { [evil]: evil })]);
  await api.send([{ event_type: evil, user_id: "user-3", time: "x" }]);
  await api.send([exposure("user-4", "f", "a")], "/2/httpapi", evil);
  for (const view of ["live", "users", `users/${encodeURIComponent(`${evil} user`)}`, "experiments", "requests", "faults"]) {
    await open(view);
    if (view !== "faults" && view !== "requests") await page.locator("main").getByText("<script>").first().waitFor();
    assert.notEqual(await page.title(), "owned");
    assert.equal(await page.locator("main script, main img").count(), 0, view);
  }
  await open("live");
  await rows().last().click();
  await page.locator(".json").first().waitFor();
  assert.notEqual(await page.title(), "owned");
});

test("the keyboard does everything", async () => {
  await story(api);
  await open("live");
  await rows().first().waitFor();
  const at = async (key, view) => {
    await page.keyboard.press(key);
    await page.locator(`nav a[aria-current="page"]`, { hasText: view }).waitFor();
  };
  await at("2", "Users");
  await page.locator(".people li").first().waitFor();
  await page.keyboard.press("j");
  await page.locator(".user h2").waitFor();
  await at("3", "Experiments");
  await at("4", "Requests");
  await at("5", "Faults");
  await at("1", "Live");
  await rows().first().waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await page.locator(".event.at.open").waitFor();
  assert.equal(await page.locator(".event").evaluateAll((items) => items.findIndex((item) => item.matches(".open"))), 0);
  await page.keyboard.press("p");
  await sees("Paused");
  await page.keyboard.press("p");
  await gone("Paused");
  await page.keyboard.press("/");
  await page.keyboard.type("1 shopper");
  assert.equal(await page.getByLabel("Text in the event").inputValue(), "1 shopper", "keys type while a field has the focus");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await page.getByRole("complementary", { name: "Words and keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("t");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await page.keyboard.press("t");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
  await page.evaluate(() => localStorage.clear());
});

test("dark, and on a phone: nothing sticks out", async () => {
  await story(api);
  await page.emulateMedia({ colorScheme: "dark" });
  await open("live");
  await rows().first().waitFor();
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(ground, "rgb(19, 20, 22)");
  await picture(page, "dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 390, height: 844 });
  await api.control("faults", { status: 503 }); // a badge beside the last tab
  for (const view of ["live", "users", "users/shopper-1001", "experiments", "requests", "faults"]) {
    await open(view);
    await page.locator("main > *").first().waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390, view);
    assert.ok((await page.locator("nav a").evaluateAll((tabs) => tabs.map((tab) => tab.getBoundingClientRect().right))).every((right) => right <= 390), "no tab is cut");
    if (view === "live") await picture(page, "phone");
  }
});

test("a restart and a reset are seen without a reload", async () => {
  await api.send([exposure("user-1", "f", "a")]);
  await open("live");
  await rows().first().waitFor();
  await page.getByRole("button", { name: "Reset" }).click();
  await page.getByRole("button", { name: "Forget everything" }).click();
  await sees("Waiting for the first event");
  await api.send([exposure("user-2", "f", "a")]);
  await rows().first().waitFor();
  assert.match(await rows().first().innerText(), /user-2/);
});

test("100,000 events: the page stays small and live", async () => {
  const batch = (n) => Array.from({ length: 2000 }, (_, i) => exposure(`user-${n}-${i}`, `flag-${i % 20}`, i % 2 ? "on" : "off"));
  for (let n = 0; n < 50; n++) assert.equal((await api.send(batch(n), "/batch")).status, 200);
  await open("live");
  await rows().first().waitFor();
  assert.ok(await rows().count() <= 400);
  for (let n = 50; n < 55; n++) await api.send(batch(n), "/batch");
  await api.send([exposure("user-newest", "flag-1", "on")]);
  await sees("user-newest");
  assert.ok(await rows().count() <= 400);
  await page.getByLabel("User id").fill("user-30-7");
  await page.waitForFunction(() => document.querySelectorAll(".events .row").length === 1);
  await page.goto(`${sandbox.url}/#/experiments`);
  await page.locator(".run").nth(19).waitFor();
});
