// A page that each test has for itself, in front of one server for all tests of a file.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach } from "node:test";
import { browser, watch } from "./browser.js";
import { client } from "./sandbox.js";

// What the tests of a file use: the server, the browser, the sandbox's API, the page, and what the page complained about.
export let server, chromium, api, page, problems;

// watched starts the server with start; urlOf is where its page is.
export function watched(start, urlOf) {
  before(async () => {
    server = await start();
    chromium = await browser();
    api = client(urlOf(server));
  }, { timeout: 300_000 });

  after(async () => {
    await chromium?.close();
    await server?.stop();
  });

  beforeEach(async () => {
    await api.control("reset");
    ({ page, problems } = await watch(chromium, urlOf(server)));
  });

  afterEach(async () => {
    await page.close();
    assert.deepEqual(problems, []);
  });
}
