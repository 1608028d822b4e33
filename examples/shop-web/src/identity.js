// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Who looks at the page: a browser, always; a customer, while signed in.

const deviceKey = "shop.device_id", userKey = "shop.user_id";

// A browser may forbid storage; then the ids last as long as the page.
const forgetful = new Map();
const storage = {
  get(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return forgetful.get(key) ?? null;
    }
  },
  set(key, value) {
    try {
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch {
      forgetful.set(key, value);
    }
  },
};

export function deviceId() {
  let id = storage.get(deviceKey);
  if (!id) storage.set(deviceKey, id = crypto.randomUUID());
  return id;
}

export const userId = () => storage.get(userKey) ?? "";

// signIn takes an id; a real page has it from its server.
export const signIn = (id) => storage.set(userKey, id);

// signOut also gives the browser a new id, as Amplitude's SDKs do: what a device does without a user id is
// counted for the user who was on it last.
export function signOut() {
  storage.set(userKey, null);
  storage.set(deviceKey, null);
}

// evaluationContext is whom flags are evaluated for: the customer, else the browser. The ids travel along
// so that an exposure names those who were evaluated, even if somebody signs in before it is sent.
export function evaluationContext() {
  const user = userId(), device = deviceId();
  return { targetingKey: user || device, deviceId: device, ...(user && { userId: user }) };
}
