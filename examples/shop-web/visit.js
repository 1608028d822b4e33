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
  const { comes, signsIn, signsOut, scrollsDown, scrollsUp, opensCheckout, closesCheckout, buys, sent } = visitor(page);

  // looks at everything, and notes what the page says it has sent then: before, there were so many records.
  const looks = async (before) => {
    await scrollsDown();
    await scrollsUp();
    await opensCheckout();
    await closesCheckout();
    const records = (await sent(before + 3)).slice(before);
    for (const { flag, variant, user, device } of records) books.saw({ user, device }, flag, variant);
    return { device: records[0].device, variant: records.find(({ flag }) => flag === "checkout-flow").variant };
  };
  // orders buys something, in a variant of checkout-flow; before, there were so many records.
  const orders = async (before, variant) => {
    await buys();
    const [{ flag }] = (await sent(before + 1)).slice(before);
    if (flag === "order.placed") books.ordered(variant);
  };
  for (const customer of ["customer-1001", "customer-1002"]) {
    await comes(shop.url); // somebody whom nobody knows
    const { device } = await looks(0);
    await signsIn(customer);
    await looks(3);
    await comes(shop.url); // the same again: repeats
    await orders(3, (await looks(0)).variant);
    await signsOut();
    await orders(7, (await looks(4)).variant); // nobody knows who bought this
    books.became(device, customer);
  }
  console.log(JSON.stringify(books.close()));
} finally {
  await chromium.close();
  await shop.close();
}
