// The page when a key, an address, an event or an answer comes at the worst moment: as soon as a view is seen, between a click and
// the next paint, or after what was asked for later. Nothing may depend on who is faster.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { view } from "./lib/browser.js";
import { holding, moments } from "./lib/moments.js";
import { exposure, start, story } from "./lib/sandbox.js";
import { api, page, server as sandbox, watched } from "./lib/watched.js";

watched(start, (sandbox) => sandbox.url);
beforeEach(() => moments(page));

const open = (name) => view(page, sandbox.url, name);
const rows = () => page.locator(".events .row");

test("an address that changes as soon as the page is seen is followed", async () => {
  await page.addInitScript(() => globalThis.once("main", () => globalThis.goTo("#/users")));
  await page.goto(`${sandbox.url}/#/live`);
  await page.getByRole("region", { name: "Users" }).waitFor();
});

test("keys work as soon as what they are for is seen", async () => {
  await api.send(["user-1", "user-2", "user-3"].map((user) => exposure(user, "checkout", "treatment")));
  for (const [name, seen, at] of [["users", ".people li", (hash) => hash.startsWith("#/users/user-")], ["requests", ".requests tbody tr", (hash) => /^#\/requests\/\d+$/.test(hash)]]) {
    await open("experiments");
    const hash = await page.evaluate(([name, seen]) => new Promise((resolve) => {
      globalThis.once(seen, () => {
        globalThis.press("j");
        resolve(location.hash);
      });
      globalThis.goTo(`#/${name}`);
    }), [name, seen]);
    assert.ok(at(hash), `${name}: ${hash}`);
  }
  await open("experiments");
  const label = await page.evaluate(async () => {
    globalThis.goTo("#/live");
    await null;
    globalThis.press("/");
    return document.activeElement.getAttribute("aria-label");
  });
  assert.equal(label, "Text in the event");
});

test("a key that is pressed twice moves twice, however fast", async () => {
  await api.send(["user-1", "user-2", "user-3"].map((user) => exposure(user, "checkout", "treatment")));
  await open("users");
  await page.locator(".people li").nth(2).waitFor();
  const visited = await page.evaluate(async () => {
    const visited = [];
    for (let i = 0; i < 3; i++) {
      globalThis.press("j");
      visited.push(location.hash);
      await null; // the page is drawn, and no event of the address has come
    }
    return visited;
  });
  assert.equal(new Set(visited).size, 3, visited.join());
});

test("what arrives right after Pause waits; what arrives right after Resume comes above it", async () => {
  await api.send([exposure("user-1", "checkout", "treatment")]);
  await open("live");
  await rows().first().waitFor();
  const shown = await page.evaluate(async () => {
    const { events: [event] } = await (await fetch("/_sandbox/events")).json();
    const arrives = (n) => globalThis.told("/_sandbox/stream?verdict", "events", { missed: 0, events: [{ ...event, sandbox: { ...event.sandbox, seq: 1000 + n, user_id: `user-late-${n}` } }] });
    const users = () => [...document.querySelectorAll(".events .who")].map((who) => who.textContent);
    const click = async (name) => {
      [...document.querySelectorAll(".toolbar button")].find((button) => button.textContent === name).click();
      await null;
    };
    await click("Pause");
    arrives(1);
    await null;
    const paused = users();
    await click("Resume");
    arrives(2);
    await null;
    return { paused, resumed: users() };
  });
  assert.deepEqual(shown, { paused: ["user-1"], resumed: ["user-late-2", "user-late-1", "user-1"] });
});

// holdingOlder shows the newest events, and holds back the answers to the requests for older ones.
async function holdingOlder() {
  await story(api);
  await open("live");
  await rows().nth(199).waitFor();
  return holding(page, "**/_sandbox/events?*");
}

test("Older events pressed twice at once shows them once", async () => {
  const answer = await holdingOlder();
  await page.getByRole("button", { name: "Older events" }).dblclick();
  const both = [await answer(), await answer()];
  for (const letGo of both) await letGo();
  await rows().nth(399).waitFor();
  assert.equal(await rows().count(), 400);
});

test("older events of another filter are not shown when they come late", async () => {
  const answer = await holdingOlder();
  await page.getByRole("button", { name: "Older events" }).click();
  const late = await answer();
  await page.getByLabel("Verdict").selectOption("duplicate");
  await page.waitForFunction(() => {
    const verdicts = [...document.querySelectorAll(".events .verdict")];
    return verdicts.length > 0 && verdicts.every((verdict) => verdict.innerText === "Duplicate");
  });
  await late();
  assert.deepEqual([...new Set(await page.locator(".events .verdict").allInnerTexts())], ["Duplicate"]);
});

test("a request's answer that comes late does not take the place of the next one's", async () => {
  for (const user of ["user-1", "user-2"]) await api.send([exposure(user, "checkout", "treatment")]);
  await api.control("faults", { action: "status", code: 503 });
  await api.send([exposure("user-3", "checkout", "treatment")]);
  await open("requests");
  await page.getByLabel("Status").selectOption("503");
  await page.waitForFunction(() => !document.querySelector(".requests .status.good"));
  const [second, first] = (await api.get("requests?status=200")).requests.map(({ id }) => id);
  const answer = await holding(page, `**/_sandbox/requests/${first}`);
  await page.goto(`${sandbox.url}/#/requests/${first}`);
  const late = await answer();
  await page.goto(`${sandbox.url}/#/requests/${second}`);
  await page.locator(".card .json").filter({ hasText: "user-2" }).waitFor();
  await late();
  assert.equal(await page.locator(".card .json").filter({ hasText: "user-2" }).count(), 1);
});

test("while answers take longer than the pause between two, each is shown as it comes", async () => {
  await open("users");
  await page.getByText("No users yet").waitFor();
  const answer = await holding(page, "**/_sandbox/users?*");
  await api.send([exposure("user-1", "checkout", "treatment")]);
  const early = await answer("user-1");
  await api.send([exposure("user-2", "checkout", "treatment")]);
  const late = await answer("user-2");
  await early();
  await page.locator(".people").getByText("user-1").waitFor();
  await late();
  await page.locator(".people").getByText("user-2").waitFor();
});
