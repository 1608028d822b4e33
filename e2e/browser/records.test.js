// The view Records: what the Collector decides about each record, and why, in the page of the sandbox that runs in it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { picture, pictureOf, view } from "./lib/browser.js";
import { startCollector } from "./lib/collector.js";
import { moments } from "./lib/moments.js";
import { api, page, server as collector, watched } from "./lib/watched.js";

watched(() => startCollector({ configs: [
  "yaml:exporters::amplitude::events: [\"[Experiment] Exposure\", \"$$identify\"]",
] }), (collector) => collector.sandbox);

const attributes = (of) => Object.entries(of).map(([key, value]) => ({ key, value: typeof value === "object" ? { kvlistValue: { values: attributes(value) } } : { stringValue: value } }));
const record = (eventName, of, age = 0) => ({ eventName, timeUnixNano: `${Date.now() - age}000000`, attributes: attributes(of) });
const exposure = (user, flag, variant, age) => record("$exposure", { user_id: user, flag_key: flag, ...(variant && { variant }) }, age);
const evaluation = (user, flag, of) => record("feature_flag.evaluation", { "feature_flag.context.id": user, "feature_flag.key": flag, ...of });

// send posts records of the service "shop" in one request, again if the Collector has no room for it.
async function send(...logRecords) {
  const body = JSON.stringify({ resourceLogs: [{ resource: { attributes: attributes({ "service.name": "shop" }) }, scopeLogs: [{ logRecords }] }] });
  for (;;) {
    const answer = await fetch(`${collector.otlp}/v1/logs`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    await answer.text();
    if (answer.ok) return;
    assert.ok([429, 503].includes(answer.status), `the Collector answers ${answer.status}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// open shows the view, and waits until the Collector tells it what it decides.
async function open(filter = "") {
  const told = page.waitForResponse((response) => response.url().includes("/_sandbox/records"));
  await view(page, collector.sandbox, `records${filter}`);
  await told;
}

// openedPicture opens a row, and takes a picture of what it says.
async function openedPicture(name, line) {
  await line.click();
  const opened = page.locator(".record.open");
  await opened.locator(".detail").getByText("Why", { exact: true }).or(opened.locator("pre")).first().waitFor();
  await pictureOf(page, opened, `cause-${name}`, 240);
  await line.click();
  await opened.waitFor({ state: "detached" });
}

const rows = () => page.locator(".records .line");
const row = (...texts) => texts.reduce((found, text) => found.filter({ hasText: text }), rows());
const seen = (...texts) => row(...texts).first().waitFor();

test("ten wrong records each find their cause on the page", async () => {
  await api.control("throttle", { ids: ["user-throttled"], until: "+10m" });
  await api.control("faults", { action: "unindexed_400", times: -1, match: { contains: "user-refused" } });
  await open();
  await page.getByText("Watching for the next record").waitFor();
  await send(exposure("user-12345", "checkout", "treatment"));
  await seen("user-12345", "exposure", "Delivered", "200", "[Experiment] checkout → treatment");

  await send(record("$exposures", { user_id: "user-name", flag_key: "checkout", variant: "treatment" }));
  await send(exposure("42", "checkout", "treatment"));
  await send(evaluation("user-static", "banner", { "feature_flag.result.variant": "on", "feature_flag.result.reason": "static" }));
  await send(evaluation("user-novariant", "banner", { "feature_flag.result.reason": "split" }));
  await send(exposure("user-json", "colors", "{\"color\":\"red\"}"));
  await send(exposure("user-12345", "checkout", "control", 3_600_000));
  await send(exposure("user-12345", "checkout", "treatment"));
  await send(record("$assignment", { user_id: "user-assigned", variants: { search: "semantic" } }));
  await send(exposure("user-throttled", "checkout", "control"));
  await send(exposure("user-refused", "checkout", "control"), exposure("user-67890", "checkout", "control")); // one batch: the other shows that it is not the sender
  const causes = {
    "wrong-name": ["“$exposures”", "dropped", "did you mean \"$exposure\"?"],
    "short-id": ["rejected", "short_id", "user_id 42 from user_id is refused: short_id"],
    static: ["user-static", "skipped", "static", "\"static\" is in evaluation.skip_reasons"],
    "no-variant": ["user-novariant", "skipped", "no_variant", "no attribute gives a variant"],
    "json-text": ["user-json", "rejected", "bad_variant", "is refused: bad_variant"],
    late: ["user-12345", "exposure", "late", "a newer result is known for the same user and flag", "none is changed"],
    repeat: ["user-12345", "duplicate", "an earlier record reported the same result"],
    "not-allowed": ["user-assigned", "assignment", "Not delivered", "not_allowed"],
    throttled: ["user-throttled", "429", "On its way"],
    refused: ["user-refused", "400", "Not delivered"],
  };
  for (const cause of Object.values(causes)) await seen(...cause);
  await seen("user-67890", "200", "Delivered");
  await picture(page, "records", undefined, true);
  for (const [name, cause] of Object.entries(causes)) await openedPicture(name, row(...cause).first());

  for (const [of, hint] of [["not_allowed", /not delivered: not_allowed: no pattern of the exporter's events/], ["user-refused", /not delivered: refused 400; .* but not this one/], ["user-throttled", /on its way; 429 .* retried automatically/]]) {
    await row(of).click();
    assert.match(await page.locator(".record .detail").innerText(), hint);
  }
  await row("short_id").click();
  const detail = page.locator(".record .detail");
  assert.match(await detail.innerText(), /What to do\s+the id is shorter than identity\.min_id_length/);
  assert.match(await detail.innerText(), /An id was looked for in\s+amplitude\.user_id, user\.id/);
  assert.match(await detail.locator("pre").innerText(), /rejected \(short_id\)[\s\S]*read[\s\S]*refused 42 from user_id \(record\): short_id[\s\S]*decided/);
  await row("user-12345", "200", "→ treatment").click();
  assert.match(await detail.locator("pre").innerText(), /becomes[\s\S]*insert_id[\s\S]*"event_type": "\[Experiment\] Exposure"[\s\S]*became of it[\s\S]*delivered; 200/);
  await detail.getByText("as event").waitFor();
  await picture(page, "record");
  await row("user-12345", "late").click();
  await detail.getByText("Stored as event").waitFor(); // its first tries were refused with others of their requests
  await detail.getByRole("link", { name: "user-12345" }).click();
  await page.getByText("treatment").first().waitFor();
});

test("filters ask the Collector, and a count leads to its records", async () => {
  await open();
  const stamp = Date.now();
  const mixed = async () => {
    await send(
      exposure(`user-${stamp}`, "checkout", "treatment"), exposure(`user-${stamp}`, "checkout", "treatment"),
      exposure("user-other", "search", `v${stamp}`), evaluation("user-static", "banner", { "feature_flag.result.variant": "on", "feature_flag.result.reason": "static" }),
      exposure("4", "checkout", "on"));
  };
  await mixed();
  await seen(`user-${stamp}`);
  const only = async (count, ...texts) => {
    await page.waitForFunction(() => document.querySelectorAll(".records .line").length === 0);
    await mixed();
    await seen(...texts);
    assert.equal(await rows().count(), count);
  };
  const filtered = (change) => Promise.all([page.waitForResponse((response) => response.url().includes("/_sandbox/records")), change()]);
  await filtered(() => page.getByLabel("Outcome", { exact: true }).selectOption("skipped"));
  await only(1, "static");
  await filtered(() => page.getByLabel("Outcome", { exact: true }).selectOption("all"));
  await filtered(() => page.getByLabel("Reason").selectOption("short_id"));
  await only(1, "rejected");
  await filtered(() => page.getByLabel("Reason").selectOption(""));
  await filtered(() => page.getByLabel("User or device id").fill("user-static"));
  await only(1, "banner");
  await filtered(() => page.getByLabel("User or device id").fill(""));
  await filtered(() => page.getByLabel("Flag").fill("search"));
  await only(1, "user-other");
  await filtered(() => page.getByLabel("Flag").fill(""));
  await filtered(() => page.getByLabel("Service").fill("another"));
  await page.getByText("No record matches").waitFor();
  await filtered(() => page.getByRole("button", { name: "Clear the filter" }).click());

  await filtered(() => page.locator(".summary div").filter({ hasText: "Repeats dropped" }).getByRole("link").click());
  await mixed();
  await seen("duplicate");
  assert.ok((await rows().allInnerTexts()).every((text) => /duplicate|repaired/.test(text)));
});

// On a page whose Collector tells what the test says. A record has only what its row shows.
test("what is told while the page is paused is shown after that; a Collector that was restarted counts anew", async () => {
  await moments(page);
  await open();
  const shown = await page.evaluate(async () => {
    const record = (seq, state) => ({ seq, time: new Date().toISOString(), outcome: "exposure", service: `shop-${seq}`, events: [{ type: "[Experiment] Exposure", state }] });
    const tells = async (...records) => {
      globalThis.told("/_sandbox/records", "records", { missed: 0, records });
      await null;
    };
    const click = async (name) => {
      [...document.querySelectorAll(".toolbar button")].find((button) => button.textContent === name).click();
      await null;
    };
    const rows = () => [...document.querySelectorAll(".records .record")].map((row) => [row.querySelector("small span").textContent, row.querySelector(".sent .state").textContent].join(" "));
    await globalThis.opened("/_sandbox/records");
    await tells(record(1, "taken"));
    await click("Pause");
    await tells(record(2, "taken"));
    await tells(record(1, "delivered")); // more is known of a record above which another one waits
    const paused = rows();
    await click("Resume");
    const resumed = rows();
    globalThis.told("/_sandbox/records", "open");
    await tells(record(1, "taken"));
    return { paused, resumed, restarted: rows() };
  });
  assert.deepEqual(shown, {
    paused: ["shop-1 On its way"], resumed: ["shop-2 On its way", "shop-1 Delivered"], restarted: ["shop-1 On its way"],
  });
});

test("with 100,000 records flowing the page stays live, what is rare is seen, and all counts agree", { timeout: 600_000 }, async () => {
  const before = await collector.outcomes();
  await moments(page);
  await open();
  const requests = 100, size = 1000;
  let next = 0;
  const one = async () => {
    while (next < requests) {
      const n = next++;
      await send(...Array.from({ length: size }, (_, i) => (n === 50 && i === 500
        ? exposure("7", "rare", "on")
        : evaluation(`user-${10_000 + (i % 200)}`, "everybody", { "feature_flag.result.variant": "on", "feature_flag.result.reason": "static" }))));
    }
  };
  // Newer ones push it out of the window again: on a busy machine before somebody who looks now and then has seen it.
  await page.evaluate(() => {
    globalThis.rare = new Promise((resolve) => globalThis.once(".record.bad", () => resolve(document.querySelector(".record.bad").innerText)));
  });
  await Promise.all([one(), one(), one()]);
  assert.match(await page.evaluate(() => globalThis.rare), /rare[\s\S]*short_id/);
  assert.ok(await rows().count() <= 200);
  await page.getByText(/more were too many to show; rare outcomes first/).waitFor();

  // The summary, the view, the API and the metrics count the same.
  await page.waitForFunction(() => /Records\s+100,000/.test(document.querySelector(".summary").innerText));
  const { records } = await api.get("stats");
  const now = await collector.outcomes();
  const since = Object.fromEntries(Object.entries(now).map(([outcome, n]) => [outcome, n - (before[outcome] ?? 0)]).filter(([, n]) => n > 0));
  assert.deepEqual(records, since);
  assert.deepEqual(records, { skipped: requests * size - 1, rejected: 1 });
  const shown = await page.locator(".outcomes").innerText();
  assert.match(shown, /99,999\s*skipped/);
  assert.match(shown, /1\s*rejected/);
});
