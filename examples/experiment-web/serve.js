// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Bundles the page and serves it, and evaluates its one flag in Amplitude's place, so that it runs without an account.
// By itself until Ctrl-C, or for whoever imports it.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));

// evaluate answers as Amplitude's evaluation does: every second customer is in the experiment.
function evaluate({ user_id }) {
  const segmentName = "All Other Users", flagVersion = 7;
  if (Number(user_id.slice(-1)) % 2 === 0) return { headline: { key: "off", metadata: { default: true, segmentName, flagVersion } } };
  return { headline: { key: "season", value: "season", metadata: { experimentKey: "exp-1", segmentName, flagVersion } } };
}

// open returns { url, close }.
export async function open({ port = 8588, collector = process.env.SHOP_COLLECTOR ?? "http://127.0.0.1:4318" } = {}) {
  const bundle = await build({
    absWorkingDir: here, entryPoints: ["src/page.js"], bundle: true, format: "esm", target: "es2022", minify: true, write: false, logLevel: "error",
    define: { COLLECTOR: JSON.stringify(collector), DEPLOYMENT_KEY: JSON.stringify("client-of-nobody"), SERVER: JSON.stringify("") },
  });
  const index = await readFile(`${here}/public/index.html`);
  const routes = {
    "/": () => ["text/html", index],
    "/page.js": () => ["text/javascript", bundle.outputFiles[0].contents],
    "/favicon.ico": () => ["image/x-icon", ""],
    "/sdk/v2/vardata": ({ headers }) => ["application/json", JSON.stringify(evaluate(JSON.parse(Buffer.from(headers["x-amp-exp-user"], "base64url"))))],
    "/sdk/v2/flags": () => ["application/json", "[]"],
  };
  const server = createServer((request, response) => {
    const route = routes[new URL(request.url, "http://localhost").pathname];
    if (!route) return response.writeHead(404).end();
    const [type, body] = route(request);
    response.writeHead(200, { "Content-Type": type }).end(body);
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => { server.close(); server.closeAllConnections(); } };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const page = await open();
  console.log(`The page is open: ${page.url}`);
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => page.close());
}
