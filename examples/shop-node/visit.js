// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Lets 30 shoppers into the shop and prints, as JSON, what should be found at Amplitude: made of what the
// shoppers saw on their pages, not of what the shop logged.
import { stop } from "./telemetry.js";
import { open } from "./shop.js";
import { openBooks } from "./books.js";

const shop = await open();
const books = openBooks();

// get opens a page as a shopper and notes what the flags decided there.
async function get(user, path) {
  const response = await fetch(shop.url + path, { headers: { Cookie: `user=${user}` } });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  const seen = {}, text = await response.text();
  for (const [, flag, variant] of text.matchAll(/data-flag="([^"]*)" data-variant="([^"]*)"/g)) {
    seen[flag] = variant;
    if (flag === "holiday-banner") books.skipped();
    else books.saw({ user }, flag, variant);
  }
  return { seen, order: /action="([^"]*order[^"]*)"/.exec(text)?.[1] };
}

async function visit(user, n) {
  for (let views = 0; views <= n % 4; views++) await get(user, "/");
  const { seen: { "checkout-flow": variant }, order } = await get(user, "/checkout");
  if (n % 10 === 4) { // support moves the shopper to the other checkout, and back again
    await get(user, `/checkout?variant=${variant === "control" ? "one-page" : "control"}`);
    await get(user, "/checkout");
  }
  // Every second shopper buys, and three of four of those whose checkout has one page.
  if (variant === "one-page" ? n % 4 === 3 : n % 2 === 1) return;
  const response = await fetch(shop.url + order, { method: "POST", headers: { Cookie: `user=${user}` } });
  if (!response.ok) throw new Error(`${order} answered ${response.status}`);
  books.ordered(variant);
}

const shoppers = Array.from({ length: 30 }, (_, n) => `customer-${1001 + n}`);
await Promise.all(shoppers.map(visit)); // all at once, as in a shop
await shop.close();
await stop();
console.log(JSON.stringify(books.close()));
