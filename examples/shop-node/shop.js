// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// The shop: three pages on node:http. All that it knows of telemetry is whom to tell of an order.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { AsyncLocalStorageTransactionContextPropagator, OpenFeature } from "@openfeature/server-sdk";
import { provider } from "./flags.js";
import { orderForm, page, part, signInForm } from "./html.js";
import { ordered } from "./telemetry.js";

const flags = OpenFeature.getClient("shop-node");

// shows evaluates a flag where its result is about to be shown: an evaluation is an exposure.
const shows = async (flag, texts) => {
  const variant = await flags.getStringValue(flag, "");
  return part(flag, variant, texts[variant] ?? "");
};

const pages = {
  "/": async () => page("Kitchen shop", [
    await shows("holiday-banner", { snow: "Free gift wrapping until New Year" }),
    await shows("recommendations", { control: "Our bestsellers", carousel: "Picked for you, one by one", grid: "Picked for you, all at once" }),
    `<a href="/checkout">To the checkout</a>`,
  ]),
  "/checkout": async () => page("Checkout", [
    await shows("checkout-flow", { control: "Step 1 of 3: your address", "one-page": "Address, payment and confirmation" }),
    await shows("free-shipping", { control: "Shipping: 4.90", free: "Shipping: free" }),
    orderForm(randomUUID()),
    `<a href="/">Back to the shop</a>`,
  ]),
};

// open starts the shop and returns { url, close }.
export async function open(port = 0) {
  OpenFeature.setTransactionContextPropagator(new AsyncLocalStorageTransactionContextPropagator());
  await OpenFeature.setProviderAndWait(provider());
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      console.error(`${request.method} ${request.url}:`, error);
      response.writeHead(500, { "Content-Type": "text/plain" }).end("The shop made a mistake; its log says which.\n");
    });
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeIdleConnections();
    }),
  };
}

async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, "http://shop");
  const html = (status, body) => response.writeHead(status, { "Content-Type": "text/html; charset=utf-8" }).end(body);
  if (pathname === "/sign-in") {
    const user = searchParams.get("user") ?? "";
    return response.writeHead(303, { Location: "/", "Set-Cookie": `user=${encodeURIComponent(user)}; HttpOnly; SameSite=Lax; Path=/` }).end();
  }
  const render = Object.hasOwn(pages, pathname) && pages[pathname];
  if (!render && pathname !== "/order") return html(404, page("There is no such page", [`<a href="/">To the shop</a>`]));
  const user = customer(request);
  if (!user) return html(200, page("Kitchen shop", [signInForm]));
  if (pathname === "/order") return html(...order(request, user, searchParams.get("id") ?? ""));
  // Every flag of this request is evaluated for its customer. The id must be the one your product analytics uses.
  const context = { targetingKey: user, forced_variant: searchParams.get("variant") ?? "" };
  return OpenFeature.setTransactionContext(context, async () => html(200, await render()));
}

// order takes an order, whose id is that of the form: sent twice, it is the same order.
function order({ method }, user, id) {
  if (method !== "POST" || !/^[0-9a-f-]{36}$/.test(id)) return [400, page("No order", [`<a href="/checkout">To the checkout</a>`])];
  ordered({ user, id, items: 1, revenue: 39 });
  return [200, page("Thank you", [`<p>Your order is on its way.</p>`, `<a href="/">Back to the shop</a>`])];
}

// customer reads who signed in. A real shop verifies this.
function customer(request) {
  const cookie = /(?:^|;\s*)user=([^;]*)/.exec(request.headers.cookie ?? "");
  try {
    return cookie ? decodeURIComponent(cookie[1]).trim() : "";
  } catch {
    return ""; // not a cookie of this shop
  }
}
