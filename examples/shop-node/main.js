// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Opens the shop until Ctrl-C.
import { stop } from "./telemetry.js";
import { open } from "./shop.js";

const shop = await open(Number(process.env.PORT ?? 8586));
console.log(`The shop is open: ${shop.url}`);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    await shop.close();
    await stop();
  });
}
