// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// The shop's flags. Your application has a provider of its vendor in this place.
import { createHash } from "node:crypto";
import { InMemoryProvider } from "@openfeature/server-sdk";

// split assigns variants evenly by targeting key. Support may put a customer into a variant.
function split(key, ...variants) {
  return {
    disabled: false,
    variants: Object.fromEntries(variants.map((variant) => [variant, variant])),
    defaultVariant: variants[0],
    contextEvaluator: ({ targetingKey, forced_variant: forced }) =>
      variants.includes(forced) ? forced : variants[createHash("sha256").update(`${key}/${targetingKey}`).digest().readUInt32BE() % variants.length],
  };
}

export const provider = () => new InMemoryProvider({
  "checkout-flow": split("checkout-flow", "control", "one-page"),
  recommendations: split("recommendations", "control", "carousel", "grid"),
  // Not "off": in an assignment that name says that the user is in no variant.
  "free-shipping": split("free-shipping", "control", "free"),
  // The same for everybody, and so no experiment: its reason is "static".
  "holiday-banner": { disabled: false, variants: { snow: "snow" }, defaultVariant: "snow" },
});
