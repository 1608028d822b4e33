// Whatever stands in an event, the page shows it, and everything else beside it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { view } from "./lib/browser.js";
import { exposure, start } from "./lib/sandbox.js";
import { page, server as sandbox, watched } from "./lib/watched.js";

watched(start, (sandbox) => sandbox.url);

const post = (body) => fetch(`${sandbox.url}/2/httpapi`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
const send = (event) => post(JSON.stringify({ api_key: "sandbox", events: [event] }));

// Every type of JSON, and objects whose members shadow what every object has.
const values = [
  null, true, false, 0, -1.5, 1e308, "", " ", "<img src=x onerror=alert(1)>", [], [null], [[1], { a: 1 }], {}, { a: { b: [] } },
  { toString: 1, valueOf: 1 }, { toJSON: 1 }, { constructor: null, type: "script", props: { children: "alert(1)" } }, JSON.parse('{"__proto__": 1, "length": "x"}'),
];

const fields = [
  "event_type", "user_id", "device_id", "time", "insert_id", "session_id", "event_id", "event_properties", "user_properties", "groups", "group_properties",
  "platform", "os_name", "country", "city", "language", "ip", "price", "location_lat", "$skip_user_properties_sync", "plan", "sandbox", "verdict",
];

// look opens every view, and the newest rows of the first, and expects the neighbor in it.
async function look() {
  for (const name of ["live", "users", "experiments", "requests", "faults", "send"]) {
    await view(page, sandbox.url, name);
    await page.waitForFunction(() => document.querySelector("main").innerText.trim() !== "");
  }
  await view(page, sandbox.url, "live");
  const rows = page.locator(".events .row");
  await rows.first().waitFor();
  for (let i = 0; i < Math.min(3, await rows.count()); i++) await rows.nth(i).click();
  assert.equal(await page.getByText("cannot be shown").count(), 0);
  assert.match(await page.locator(".events").innerText(), /user-neighbor/);
}

for (const field of fields) {
  test(`${field} may be any JSON`, async () => {
    for (const value of values) await send({ ...exposure("user-hostile", "checkout", "treatment"), insert_id: `${field} ${JSON.stringify(value)}`, [field]: value });
    await send(exposure("user-hostile", "checkout", "control"));
    await send(exposure("user-neighbor", "checkout", "control"));
    await look();
    await view(page, sandbox.url, "users/user-hostile");
    await page.getByRole("heading", { name: "user-hostile" }).waitFor();
  });
}

test("properties, flags and variants may be any JSON", async () => {
  for (const value of values) {
    const text = JSON.stringify(value);
    await send({ ...exposure("user-hostile", "checkout", "treatment"), insert_id: `a ${text}`, event_properties: { flag_key: value, variant: value, experiment_key: value } });
    await send({ event_type: "[Experiment] Assignment", user_id: "user-hostile", insert_id: `b ${text}`, event_properties: { "[Experiment] f.variant": value, [text]: value } });
    for (const operator of ["$set", "$setOnce", "$add", "$append", "$unset", "$preInsert", "$clearAll", "plain"]) {
      await send({ event_type: "$identify", user_id: "user-hostile", insert_id: `${operator} ${text}`, user_properties: { [operator]: { "[Experiment] f": value, other: value } } });
      await send({ event_type: "$identify", user_id: "user-hostile", insert_id: `${operator} whole ${text}`, user_properties: { [operator]: value } });
    }
    await send({ event_type: "$groupidentify", user_id: "user-hostile", groups: { org: value }, group_properties: { $set: { a: value } } });
  }
  await send(exposure("user-neighbor", "checkout", "control"));
  await look();
  await view(page, sandbox.url, "users/user-hostile");
  await page.getByRole("heading", { name: "user-hostile" }).waitFor();
});

test("a body may be any JSON, or none", async () => {
  for (const value of values) {
    await post(JSON.stringify(value));
    await post(JSON.stringify({ api_key: value, events: value }));
    await post(JSON.stringify({ api_key: "sandbox", events: [value] }));
    await post(JSON.stringify({ api_key: "sandbox", events: value, options: value }));
  }
  await post("{");
  await send(exposure("user-neighbor", "checkout", "control"));
  await look();
});
