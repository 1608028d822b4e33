import { html, render, useCallback, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { post } from "./api.js";
import { loadKeys } from "./keys.js";
import { count } from "./format.js";
import { notTaken, terms, verdicts } from "./parts.js";
import { useStats } from "./stream.js";
import { Live } from "./views/live.js";
import { Records } from "./views/records.js";
import { Users } from "./views/users.js";
import { Experiments } from "./views/experiments.js";
import { Requests } from "./views/requests.js";
import { Faults } from "./views/faults.js";
import { Send } from "./views/send.js";

const views = [
  ["live", "Live", Live],
  ["records", "Records", Records],
  ["users", "Users", Users],
  ["experiments", "Experiments", Experiments],
  ["requests", "Requests", Requests],
  ["faults", "Faults", Faults],
];

// Send is reached from everywhere by its button, and so is no tab.
const all = [...views, ["send", "Send", Send]];

const help = [
  ["1 to 6", "change the view"], ["/", "find"], ["j  k", "next, previous"], ["Enter", "open or close"],
  ["p", "pause"], ["s", "send an exposure"], ["t", "light or dark"], ["Esc", "clear"], ["?", "this help"],
];

const docs = "https://github.com/otelcol-amplitude/otelcol-amplitude/blob/main/docs/";

// place is the view and what is open in it, from the address.
function place() {
  const [view, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return { view: all.some(([name]) => name === view) ? view : "live", id: decode(rest.join("/")) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// shown are the views that there is something to show in: records are those of a Collector in the same process.
const shown = (stats) => views.filter(([name]) => name !== "records" || stats?.records);

function toggleTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = dark ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("theme", theme); } catch { /* the choice lasts as long as the page */ }
}

function App() {
  const [where, setWhere] = useState(place);
  const [asking, setAsking] = useState(false);
  const [message, setMessage] = useState("");
  const [helping, setHelping] = useState(false);
  const bindings = useRef({});
  const { data: stats, live } = useStats();
  const tabs = useRef(views);
  tabs.current = shown(stats);

  const moved = () => setWhere(place());
  // The next key may be pressed before the event that tells of the new address.
  const go = (to) => { location.hash = `#/${to}`; moved(); };

  // Layout effects listen by the time the page is seen. Effects run after the next paint and miss what happens before.
  useLayoutEffect(() => {
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);

  useEffect(() => {
    document.title = `${all.find(([name]) => name === where.view)[1]} · Amplitude sandbox`;
  }, [where.view]);

  useEffect(() => {
    if (!message) return undefined;
    const timer = setTimeout(() => setMessage(""), 4000);
    return () => clearTimeout(timer);
  }, [message]);

  useLayoutEffect(() => {
    const pressed = (event) => {
      const typing = event.target.closest("input, select, textarea");
      if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
      if (typing) typing.blur();
      if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
      const number = Number(event.key);
      const binding = number >= 1 && number <= tabs.current.length ? () => go(tabs.current[number - 1][0])
        : { "?": () => setHelping((h) => !h), t: toggleTheme, s: () => go("send") }[event.key]
        ?? (event.key === "Escape" ? () => { setHelping(false); setAsking(false); bindings.current.Escape?.(); } : bindings.current[event.key]);
      if (!binding) return;
      event.preventDefault();
      binding();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);

  // Views call it in a layout effect, too: their keys may be pressed as soon as they are seen.
  const keys = useCallback((map) => {
    bindings.current = map;
    return () => { if (bindings.current === map) bindings.current = {}; };
  }, []);

  const reset = async () => {
    setAsking(false);
    try {
      await post("reset");
      setMessage("Everything was cleared");
    } catch (error) {
      setMessage(error.message);
    }
  };

  const [, , View] = all.find(([name]) => name === where.view);
  return html`
    <header class="top">
      <a class="brand" href="#/live"><img src="/_sandbox/page/icon.svg" alt="" width="24" height="24" /><span>Amplitude sandbox</span></a>
      <nav aria-label="Views">${tabs.current.map(([name, label], i) => html`
        <a href=${`#/${name}`} aria-current=${name === where.view ? "page" : undefined} title=${`${label} (${i + 1})`}>${label}${name === "faults" && stats?.faults > 0 && html` <span class="badge warn">${stats.faults}</span>`}</a>`)}</nav>
      <div class="tools">
        <span class=${`pulse ${live ? "live" : ""}`} role="status">${live ? "Live" : "Reconnecting"}</span>
        <a class="button" href="#/send" aria-current=${where.view === "send" ? "page" : undefined} title="Send an exposure (s)">Send</a>
        <button type="button" class="quiet" onClick=${toggleTheme} title="Light or dark (t)" aria-label="Light or dark">◐</button>
        <button type="button" class="quiet" onClick=${() => setHelping(!helping)} title="Words and keys (?)" aria-label="Help">?</button>
        ${asking
          ? html`<span class="ask"><button type="button" class="danger" onClick=${reset}>Forget everything</button><button type="button" class="quiet" onClick=${() => setAsking(false)}>Keep</button></span>`
          : html`<button type="button" class="quiet" onClick=${() => setAsking(true)}>Reset</button>`}
      </div>
    </header>
    ${stats && html`<${Summary} of=${stats} />`}
    <main><${View} stats=${stats} id=${where.id} go=${go} keys=${keys} say=${setMessage} /></main>
    ${message && html`<p class="toast" role="status">${message}</p>`}
    ${helping && html`<${Help} close=${() => setHelping(false)} />`}`;
}

function Help({ close }) {
  return html`<aside class="help" aria-label="Words and keys">
    <header><h2>What the words mean</h2><button type="button" class="quiet" onClick=${close} aria-label="Close">×</button></header>
    <dl>${Object.entries(verdicts).map(([key, [label, meaning]]) => html`<dt><span class=${`verdict ${key}`}>${label}</span></dt><dd>${meaning}</dd>`)}
      ${terms.map(([term, meaning]) => html`<dt>${term}</dt><dd>${meaning}</dd>`)}</dl>
    <p>More in <a href=${`${docs}sandbox.md`} target="_blank" rel="noreferrer">what the sandbox does</a> and <a href=${`${docs}deduplication.md`} target="_blank" rel="noreferrer">why an exposure is a repeat</a>.</p>
    <h2>Keys</h2><dl>${help.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl>
  </aside>`;
}

// Summary counts what arrived; each count leads to what it counts.
function Summary({ of: s }) {
  const refused = (s.verdicts.invalid ?? 0) + (s.verdicts.refused ?? 0) + (s.verdicts.silenced ?? 0);
  const records = Object.values(s.records ?? {}).reduce((sum, n) => sum + n, 0);
  const counts = [
    ...(s.records ? [["Records", records, "records"], ["Repeats dropped", (s.records.duplicate ?? 0) + (s.records.repaired ?? 0), "records/duplicate,repaired"]] : []),
    ["Stored", s.events_stored, "live/stored"],
    ["Identifies", s.identifies, "live/identify"],
    ["Duplicates", s.duplicates, "live/duplicate"],
    ["Refused", refused, `live/${notTaken}`, "bad"],
    ["Throttled", s.throttled, "live/throttled", "warn"],
    ["Users", s.users, "users"],
    ["Requests", s.requests, "requests"],
  ];
  return html`<dl class="summary" aria-label="Counts">
    ${counts.map(([label, n, to, alarm]) => html`<div class=${n > 0 && alarm ? alarm : ""}><dt>${label}</dt><dd><a href=${`#/${to}`} title=${`Show ${label.toLowerCase()}`}>${count(n)}</a></dd></div>`)}
    <div class=${s.warnings > 0 ? "warn" : ""}><dt>Warnings</dt><dd>${s.warnings > 0 ? html`<a href="/_sandbox/warnings">${count(s.warnings)}</a>` : "0"}</dd></div>
  </dl>`;
}

await loadKeys().catch(() => {}); // without them, commands name what to fill in
render(html`<${App} />`, document.getElementById("app"));
