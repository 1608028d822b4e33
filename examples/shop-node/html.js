// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escape = (text) => text.replace(/[&<>"]/g, (character) => entities[character]);

// part is what one flag decided about.
export const part = (flag, variant, text) =>
  `<section data-flag="${escape(flag)}" data-variant="${escape(variant)}"><p>${escape(text)}</p><small>${escape(flag)}: ${escape(variant)}</small></section>`;

export const signInForm = `<form action="/sign-in">
  <label>Your customer id <input name="user" value="customer-1001" minlength="5" required></label> <button>Sign in</button>
</form>`;

export const orderForm = (id) => `<form method="post" action="/order?id=${escape(id)}"><button>Buy a saucepan, 39.00</button></form>`;

export const page = (title, parts) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>${escape(title)}</title>
<style>
  :root { color-scheme: light dark; font: 1.05rem/1.6 system-ui, sans-serif; accent-color: #0b6e4f }
  body { max-width: 36rem; margin: 3rem auto; padding: 0 1.25rem }
  section { border: 1px solid #8885; border-radius: .75rem; padding: .75rem 1rem; margin: 1rem 0 }
  section p { margin: 0; font-weight: 600 }
  small { font-family: ui-monospace, monospace; opacity: .75 }
</style>
<main>
<h1>${escape(title)}</h1>
${parts.join("\n")}
</main>
</html>
`;
