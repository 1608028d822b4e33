// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

import { OpenFeature } from "@openfeature/web-sdk";
import { provider } from "./flags.js";
import { deviceId, evaluationContext, signIn, signOut, userId } from "./identity.js";
import { tell } from "./sent.js";
import { ordered, start } from "./telemetry.js";

const $ = (selector) => document.querySelector(selector);

// What each variant looks like. A control has an element, too: what nobody sees, nobody compares with.
const looks = {
  headline: { control: "Everything for your kitchen", season: "Winter is soup season" },
  recommendations: { control: "Our bestsellers", picked: "Picked for you" },
  "checkout-flow": { control: "Checkout, step 1 of 3: your address", "one-page": "Address, payment and confirmation on one page" },
};

start(COLLECTOR, tell);
const flags = OpenFeature.getClient();

// render evaluates the flag of each element that has one. The exposure is written when the element is seen.
function render() {
  for (const element of document.querySelectorAll("[data-flag]")) {
    const flag = element.dataset.flag;
    const { variant, value } = flags.getStringDetails(flag, "control", { hookHints: { element } });
    element.dataset.variant = variant ?? "";
    element.querySelector("[data-text]").textContent = looks[flag][value];
    note(element, "not seen yet");
  }
  const user = userId();
  $("#sign-in").hidden = user !== "";
  $("#signed-in").hidden = user === "";
  $("#who").textContent = user;
  $("#device").textContent = deviceId();
}

function note(element, text) {
  element.querySelector("[data-note]").textContent = `${element.dataset.flag}: ${element.dataset.variant}, ${text}`;
}

addEventListener("exposure", ({ target }) => note(target, "seen"));

// become evaluates everything again for whom the page now belongs to.
async function become() {
  await OpenFeature.setContext(evaluationContext());
  render();
}

$("#sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const id = $("#user").value.trim();
  if (!id) return;
  signIn(id);
  await become();
  $("#sign-out").focus();
});
$("#sign-out").addEventListener("click", async () => {
  signOut();
  await become();
  $("#user").focus();
});
$("#buy").addEventListener("click", () => $("#checkout").showModal());
$("#place").addEventListener("click", () => ordered(evaluationContext(), { id: crypto.randomUUID(), items: 1, revenue: 39 }));

await OpenFeature.setContext(evaluationContext());
await OpenFeature.setProviderAndWait(provider);
render();
