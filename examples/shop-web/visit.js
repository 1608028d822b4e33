// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Visits the page with Chromium and prints, as JSON, what should be found at Amplitude: made of what the page
// says it has sent.
import { browser } from "../../e2e/browser/lib/browser.js";
import { openBooks } from "../shop-node/books.js";
import { open } from "./serve.js";
import { visitor } from "./visitor.js";

const shop = await open();
const chromium = await browser();
try {
  const books = openBooks();
  const page = await chromium.context.newPage();
  const { comes, signsIn, signsOut, scrollsDown, scrollsUp, opensCheckout, closesCheckout, sent } = visitor(page);

  // looks at everything, and notes what the page says it has sent then: before, there were so many records.
  const looks = async (before) => {
    await scrollsDown();
    await scrollsUp();
    await opensCheckout();
    await closesCheckout();
    const records = (await sent(before + 3)).slice(before);
    for (const { flag, variant, user, device } of records) books.saw({ user, device }, flag, variant);
    return records[0].device;
  };
  for (const customer of ["customer-1001", "customer-1002"]) {
    await comes(shop.url); // somebody whom nobody knows
    const device = await looks(0);
    await signsIn(customer);
    await looks(3);
    await comes(shop.url); // the same again: repeats
    await looks(0);
    await signsOut();
    await looks(3);
    books.became(device, customer);
  }
  console.log(JSON.stringify(books.close()));
} finally {
  await chromium.close();
  await shop.close();
}
