// The environment for programs that tests start: the caller's, without what internal/cleanenv/variables.txt lists.
import { readFileSync } from "node:fs";

const patterns = readFileSync(new URL("../../../internal/cleanenv/variables.txt", import.meta.url), "utf8")
  .split("\n").filter((line) => line && !line.startsWith("#"));

const listed = (name) => patterns.some((pattern) =>
  (pattern.endsWith("*") ? name.toUpperCase().startsWith(pattern.slice(0, -1)) : name.toUpperCase() === pattern));

export const environment = (more = {}) =>
  ({ ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !listed(name))), ...more });
