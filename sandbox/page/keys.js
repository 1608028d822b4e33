// The sandbox's own API keys, for the commands that the page offers to copy.
import { get } from "./api.js";

const known = new Map();

// loadKeys reads them once. A key that looks like one of Amplitude's own stays with the server.
export async function loadKeys() {
  const { keys } = await get("keys");
  for (const { project, api_key: key } of keys) known.set(project, key);
}

// keyOf is the key of a project, or says what to fill in.
export const keyOf = (project) => known.get(project) ?? "THE_API_KEY_OF_THIS_SANDBOX";
