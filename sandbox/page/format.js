const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false, fractionalSecondDigits: 3 });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hour12: false });
const numbers = new Intl.NumberFormat("en");

// A time may be any number that an event gives; beyond what a Date holds it is shown as one.
const lastDate = 864e13;
const shown = (format) => (ms) => (Math.abs(ms) <= lastDate ? format.format(ms) : `${ms} ms`);
export const time = shown(clock);
export const dateTime = shown(full);
export const count = (n) => numbers.format(n ?? 0);
export const percent = (x) => `${(100 * x).toFixed(1)} %`;

export function bytes(n) {
  if (n < 1000) return `${n} B`;
  if (n < 1e6) return `${(n / 1e3).toFixed(1)} kB`;
  return `${(n / 1e6).toFixed(1)} MB`;
}

// age is a span of time in its two largest units.
export function age(ms) {
  const units = [["d", 864e5], ["h", 36e5], ["min", 6e4], ["s", 1e3], ["ms", 1]];
  const at = units.findIndex(([, size]) => ms >= size);
  if (at < 0) return "0 ms";
  const [unit, size] = units[at];
  const whole = Math.floor(ms / size);
  const next = units[at + 1];
  const rest = next && next[0] !== "ms" ? Math.floor((ms % size) / next[1]) : 0;
  return rest ? `${whole} ${unit} ${rest} ${next[0]}` : `${whole} ${unit}`;
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// value is a property's value as text; text stands without quotes.
export const value = (v) => (v === null || v === undefined ? "not set" : typeof v === "string" ? v : JSON.stringify(v));

export function pValue(p) {
  return p < 0.0001 ? "p < 0.0001" : `p = ${p.toFixed(4)}`;
}
