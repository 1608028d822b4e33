// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Bundles the page and serves it, by itself until Ctrl-C or to whoever imports it.
import { fileURLToPath } from "node:url";
import { context } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));

// open returns { url, close }.
export async function open({ port = 8587, collector = process.env.SHOP_COLLECTOR ?? "http://127.0.0.1:4318" } = {}) {
  const page = await context({
    absWorkingDir: here, entryPoints: ["src/shop.js"], outdir: "public", bundle: true, format: "esm", target: "es2022", minify: true, write: false,
    define: { COLLECTOR: JSON.stringify(collector) }, logLevel: "error",
  });
  const server = await page.serve({ host: "127.0.0.1", port, servedir: "public" });
  return { url: `http://127.0.0.1:${server.port}`, close: () => page.dispose() };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const shop = await open();
  console.log(`The shop is open: ${shop.url}`);
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => shop.close());
}
