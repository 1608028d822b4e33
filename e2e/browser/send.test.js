// The page's Send form, with a real Collector behind it: what it shows, what it sends, and what came of it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { picture, view } from "./lib/browser.js";
import { startCollector } from "./lib/collector.js";
import { holding } from "./lib/moments.js";
import { api, chromium, page, server as collector, watched } from "./lib/watched.js";

watched(startCollector, (collector) => collector.sandbox);

const sees = (text) => page.getByText(text).first().waitFor();
const open = (name) => view(page, collector.sandbox, name);
const send = () => page.getByRole("button", { name: "Send", exact: true }).click();
const outcome = () => page.locator(".outcome");
const code = (text) => page.locator(".code .json").filter({ hasText: text }).waitFor();
const fill = async (values) => {
  for (const [label, value] of Object.entries(values)) await page.getByLabel(label, { exact: true }).fill(value);
};

test("it is reached from every view, by its button and by its key", async () => {
  for (const view of ["live", "users", "experiments", "requests", "faults"]) {
    await open(view);
    await page.getByRole("link", { name: "Send", exact: true }).click();
    await page.getByRole("heading", { name: "Send an exposure" }).waitFor();
  }
  await open("faults");
  await page.keyboard.press("s");
  await page.getByRole("heading", { name: "Send an exposure" }).waitFor();
  await fill({ "Flag key": "typed" });
  await page.goto(`${collector.sandbox}/#/live`);
  await page.getByRole("link", { name: "Send", exact: true }).click();
  assert.equal(await page.getByLabel("Flag key").inputValue(), "typed", "what was typed stays");
});

test("what was typed stays, however soon the form is left", async () => {
  await open("send");
  await page.getByLabel("Flag key").waitFor();
  await page.evaluate(() => {
    const field = document.querySelector("[aria-label='Flag key']");
    field.value = "typed";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    location.hash = "#/live";
    dispatchEvent(new HashChangeEvent("hashchange")); // before the page is drawn again
  });
  await page.getByRole("region", { name: "Live events" }).waitFor();
  await page.getByRole("link", { name: "Send", exact: true }).click();
  assert.equal(await page.getByLabel("Flag key").inputValue(), "typed");
});

test("straight to the sandbox: the answer, the event and the property", async () => {
  await open("send");
  await fill({ "User id": "user-direct", "Experiment key": "exp-1" });
  await code("user-direct");
  await send();
  await outcome().getByText("Stored", { exact: true }).waitFor();
  assert.match(await outcome().innerText(), /Answer\s+200/);
  assert.match(await outcome().innerText(), /"events_ingested": 1/);
  assert.match(await outcome().innerText(), /"\[Experiment\] Experiment Key": "exp-1"/);
  assert.match(await outcome().innerText(), /\[Experiment\] my-flag is treatment/);
  await fill({ Variant: "" });
  await send();
  await outcome().getByText("is not set").waitFor();
  await fill({ "User id": "42" });
  await send();
  await outcome().getByText("user_id must have at least 5 characters").waitFor();
  assert.match(await outcome().innerText(), /Answer\s+400/);
  await api.control("faults", { action: "status", code: 503 });
  await send();
  await outcome().getByText("Service Unavailable").waitFor();
});

test("through the Collector: its event, and why a repeat has none", async () => {
  await open("send");
  await page.getByLabel("Through the Collector").check();
  await fill({ "User id": "user-otlp", "Device id": "device-otlp", Variant: "treatment" });
  await code("user-otlp");
  await send();
  await outcome().getByText("Stored", { exact: true }).waitFor();
  assert.match(await outcome().innerText(), /\[Experiment\] my-flag is treatment/);
  const { events } = await api.get("events?user_id=user-otlp");
  assert.equal(events.length, 1);
  assert.equal(events[0].event_type, "[Experiment] Exposure");
  assert.equal(events[0].device_id, "device-otlp");
  assert.ok(events[0].insert_id, "the processor made it");
  await send();
  await sees("No event came of it within 10 seconds");
  await sees("sends the same result once a day");
  await fill({ Variant: "" });
  await send();
  await outcome().getByText("is not set").waitFor();
});

test("whoever leaves the form waits for no event", async () => {
  await open("send");
  await page.getByLabel("Through the Collector").check();
  await fill({ "User id": "user-left" });
  await send();
  await outcome().getByText("Stored", { exact: true }).waitFor();
  const answer = await holding(page, "**/_sandbox/events?*");
  let asked = 0;
  page.on("request", (request) => { if (request.url().includes("/_sandbox/events?")) asked++; });
  await page.evaluate(() => {
    const { setTimeout } = globalThis;
    globalThis.setTimeout = (then) => setTimeout(then); // it asks again at once
  });
  await send(); // a repeat, of which no event comes
  const late = await answer();
  await page.goto(`${collector.sandbox}/#/experiments`);
  await page.getByRole("region", { name: "Experiments" }).waitFor();
  await late();
  await page.evaluate(() => new Promise((then) => setTimeout(then)));
  assert.equal(asked, 1);
});

test("a region changes the code, and nothing else", async () => {
  await open("send");
  await fill({ "User id": "user-eu-1" });
  for (const [to, url] of [["us", "https://api2.amplitude.com/2/httpapi"], ["eu", "https://api.eu.amplitude.com/2/httpapi"]]) {
    await page.getByLabel("Server").selectOption(to);
    for (const language of ["curl", "Node.js", "Go"]) {
      await page.getByRole("tab", { name: language }).click();
      await code(url);
      await code("AMPLITUDE_API_KEY");
    }
  }
  await send();
  await outcome().getByText("Stored", { exact: true }).waitFor();
  assert.equal((await api.get("events?user_id=user-eu-1")).events.length, 1);
});

test("the code that it shows for the Collector runs, in three languages", async () => {
  await open("send");
  await page.getByLabel("Through the Collector").check();
  const directory = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
  for (const [language, run] of [
    ["curl", (text) => execFileSync("sh", ["-c", text], { stdio: "pipe" })],
    ["Go", (text) => {
      const file = path.join(mkdtempSync(path.join(tmpdir(), "send-")), "main.go");
      writeFileSync(file, text);
      execFileSync("go", ["run", file], { cwd: directory("examples/shop-go") });
    }],
    ["Node.js", (text) => execFileSync("node", ["--input-type=module", "--eval", text], { cwd: directory("examples/shop-node") })],
  ]) {
    const user = `user of ${language}`;
    await fill({ "User id": user });
    await page.getByRole("tab", { name: language }).click();
    await code(user);
    run(await page.locator(".code .json").innerText());
    const met = await fetch(`${collector.sandbox}/_sandbox/await?user=${encodeURIComponent(user)}&flag=my-flag&value=treatment&timeout=60s`);
    assert.equal(met.status, 200, `${language}: ${await met.text()}`);
  }
});

test("another site's page writes nothing, and the page says so", async () => {
  const site = createServer((_, response) => response.setHeader("Content-Type", "text/html").end("<title>evil</title>"));
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  const other = await chromium.context.newPage();
  try {
    const event = { event_type: "$exposure", user_id: "user-evil", event_properties: { flag_key: "my-flag", variant: "owned" } };
    const write = (url, mode) => other.evaluate(([to, body, how]) => fetch(to, {
      method: "POST", mode: how, headers: { "Content-Type": "application/x-www-form-urlencoded" }, body,
    }).then((answer) => answer.type === "opaque" ? "sent" : answer.status, () => "unreadable"), [url, JSON.stringify({ api_key: "sandbox", events: [event] }), mode]);
    await other.goto(`http://evil.test:${site.address().port}/`);
    assert.equal(await write(`${collector.sandbox}/2/httpapi`, "no-cors"), "sent");
    assert.equal(await write(`${collector.sandbox}/2/httpapi`, "cors"), "unreadable");
    // A name of the site's own that leads here.
    const rebound = collector.sandbox.replace("127.0.0.1", "rebound.test");
    assert.equal((await other.goto(`${rebound}/`)).status(), 403);
    assert.equal(await write("/2/httpapi", "same-origin"), 403);
    assert.equal(await write("/_sandbox/send", "same-origin"), 403);

    await open("requests");
    await sees("Refused, since a page of another site made them");
    assert.match(await page.locator(".refusal").innerText(), /2 requests from http:\/\/evil\.test:\d+.*1 request from http:\/\/rebound\.test:\d+/s);
    assert.equal((await api.get("events?verdict=all")).events.length, 0);
    assert.equal((await api.get("stats")).requests, 0);

    // Pages of this machine, such as an application's in development, may write.
    await other.goto(`http://localhost:${site.address().port}/`);
    assert.equal(await write(`${collector.sandbox}/2/httpapi`, "cors"), 200);
  } finally {
    await other.close();
    site.close();
  }
});

test("Requests shows the founding request's body, and warns", async () => {
  const body = '{"api_key":"sandbox","events":[{"event_type":"$exposure","user_id":"user-12345","device_id":"","event_properties":{"flag_key":"my-flag","variant":"on"}}]}';
  execFileSync("curl", ["-sf", "--request", "POST", "--url", `${collector.sandbox}/2/httpapi`, "--data", body]);
  await fetch(`${collector.sandbox}/2/httpapi`, { method: "POST", headers: { "Content-Type": "text/plain" }, body: '{"shown": "although refused"}' });
  await open("requests");
  await page.locator(".requests tbody tr").filter({ hasText: "3 warnings" }).click();
  await sees("as curl --data sends it");
  await sees("device_id is empty");
  await page.locator(".requests tbody tr").filter({ hasText: "400" }).first().click();
  await sees("although refused");
});

test("pictures: wide and narrow, light and dark; nothing sticks out", async () => {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: width === 390 ? 844 : 860 });
      await open("send");
      const name = ["send", scheme === "dark" && "dark", width === 390 && "phone"].filter(Boolean).join("-");
      await fill({ "User id": `user-${name}` });
      await page.getByLabel("Through the Collector").check();
      await code(`user-${name}`);
      await send();
      await outcome().getByText("Stored", { exact: true }).waitFor();
      await outcome().getByText("is treatment").waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, name);
      await picture(page, name, "sandbox-", true);
      await page.getByLabel("Straight to this sandbox").check();
    }
  }
});
