// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// What should be found at Amplitude, by the rules that one user's equal results of one UTC day are one event, and that the
// property says the last.
// The form is that of examples/shop-go/books.go.
export function openBooks() {
  const books = { records: 0, exposures: 0, assignments: 0, repeats: 0, skipped: 0, orders: 0, orders_by_variant: {}, users: {} };
  const told = new Set();
  return {
    // skipped: somebody saw a flag that is the same for everybody.
    skipped() {
      books.records++;
      books.skipped++;
    },
    // saw: somebody saw a variant. Who is a user id, a device id, or both.
    saw({ user = "", device = "" }, flag, variant, at = Date.now()) {
      books.records++;
      const result = JSON.stringify([user, device, flag, Math.floor(at / 86_400_000), variant]);
      if (told.has(result)) {
        books.repeats++;
      } else {
        told.add(result);
        books.exposures++;
      }
      (books.users[user || device] ??= {})[`[Experiment] ${flag}`] = variant;
    },
    // ordered: somebody bought something, in this variant of checkout-flow.
    ordered(variant) {
      books.records++;
      books.orders++;
      books.orders_by_variant[variant] = (books.orders_by_variant[variant] ?? 0) + 1;
    },
    // became: a browser that nobody knew was signed in, and is counted for the user from then on.
    became(device, user) {
      books.users[device] = books.users[user];
    },
    close: () => books,
  };
}
