// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// What a visitor does on the page, in the hands of Playwright.

export function visitor(page) {
  const part = (flag) => page.locator(`[data-flag="${flag}"]`);
  const seen = (flag) => part(flag).getByText(/, seen$/).waitFor();
  return {
    // comes opens the page, and reloads it after that. What is at the top is seen then, as after signing in.
    async comes(url) {
      await (page.url() === `${url}/` ? page.reload() : page.goto(url));
      await seen("headline");
    },
    async signsIn(id) {
      await page.getByLabel("Customer id").fill(id);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText(`Signed in as ${id}`).waitFor();
      await seen("headline");
    },
    async signsOut() {
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("button", { name: "Sign in" }).waitFor();
    },
    async scrollsDown() {
      await part("recommendations").scrollIntoViewIfNeeded();
      await seen("recommendations");
    },
    async scrollsUp() {
      await part("headline").scrollIntoViewIfNeeded();
      await seen("headline");
    },
    async opensCheckout() {
      await page.getByRole("button", { name: "Buy a saucepan" }).click();
      await seen("checkout-flow");
    },
    async closesCheckout() {
      await page.keyboard.press("Escape");
      await page.locator("dialog[open]").waitFor({ state: "detached" });
    },
    async buys() {
      await page.getByRole("button", { name: "Buy a saucepan" }).click();
      await page.getByRole("button", { name: "Place the order" }).click();
      await page.locator("dialog[open]").waitFor({ state: "detached" });
    },
    // sees is what the page shows or has ready: flag -> variant.
    sees: () => page.locator("[data-flag]").evaluateAll((all) => Object.fromEntries(all.map(({ dataset }) => [dataset.flag, dataset.variant]))),
    // sent waits until the Collector took so many records, and returns the page's own table of them, oldest first.
    async sent(count) {
      await page.waitForFunction((n) => document.querySelectorAll('#sent [data-state="taken"]').length >= n, count);
      const rows = await page.locator("#sent tr").evaluateAll((all) => all.map((row) => Object.fromEntries(
        [...row.querySelectorAll("[data-field]")].map(({ dataset, textContent }) => [dataset.field, textContent === "–" ? "" : textContent]))));
      return rows.reverse();
    },
  };
}
