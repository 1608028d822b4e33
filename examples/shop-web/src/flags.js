// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// The page's flags. Your application has a provider of its vendor in this place.
import { InMemoryProvider } from "@openfeature/web-sdk";

// hash is FNV-1a, 32 bits.
function hash(text) {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193) >>> 0;
  return h;
}

// split assigns variants evenly by targeting key.
const split = (key, ...variants) => ({
  disabled: false,
  variants: Object.fromEntries(variants.map((variant) => [variant, variant])),
  defaultVariant: variants[0],
  contextEvaluator: ({ targetingKey }) => variants[(hash(`${key}/${targetingKey}`) >>> 8) % variants.length],
});

export const provider = new InMemoryProvider({
  headline: split("headline", "control", "season"),
  recommendations: split("recommendations", "control", "picked"),
  "checkout-flow": split("checkout-flow", "control", "one-page"),
});
