import { html, useLayoutEffect, useState } from "../vendor/htm-preact.js";
import { del, get, post, put } from "../api.js";
import { dateTime } from "../format.js";
import { useRefreshed } from "../stream.js";

const common = [
  ["Unavailable", "The next request gets a 503; nothing is ingested.", { action: "status", code: 503 }],
  ["Unavailable, three times", "Three requests get a 503: does the client back off and come back?", { action: "status", code: 503, times: 3 }],
  ["Error, but stored", "The events are ingested, then the answer is a 500: the retry must not duplicate them.", { action: "ingest_then_status", code: 500 }],
  ["Reset after storing", "The events are ingested, and the connection is reset before the answer.", { action: "ingest_then_reset" }],
  ["Connection reset", "The next connection is reset immediately.", { action: "reset_before_read" }],
  ["Slow answer", "The next answer takes five seconds.", { action: "slow_headers", delay: "5s" }],
  ["No answer", "The next request hangs until its client gives up.", { action: "hang" }],
  ["Silent connection", "Nothing more is sent on the connection of the next request, not even the answer to a ping.", { action: "silent" }],
  ["Connection goes away", "The connection of the next request ends without an answer: with GOAWAY in HTTP/2.", { action: "goaway" }],
  ["Too large", "The next request gets a 413: does the client split it?", { action: "status", code: 413 }],
  ["Too large, unread", "The next request gets a 413 while it is still being sent.", { action: "status_before_read", code: 413 }],
  ["Firewall", "The next request gets a 403 in HTML.", { action: "status", code: 403, body: "html" }],
  ["Project throttled", "The next request gets a 429 without lists.", { action: "status", code: 429 }],
  ["Refused, no reason", "The next request gets a 400 that names no event.", { action: "unindexed_400" }],
  ["Success that lies", "HTTP 200 whose body says 400.", { action: "wrong_code", code: 400 }],
  ["Redirect", "The next request gets a 307: a client that follows it sends the API key along.", { action: "redirect", code: 307, location: "/elsewhere" }],
  ["Captive page", "The next request gets a 200 with a login page.", { action: "captive_page" }],
];

const jumps = [["30 seconds", "30s"], ["1 hour", "1h"], ["1 day", "24h"], ["7 days", "168h"]];

export function Faults({ stats, keys, say }) {
  const { data, reload } = useRefreshed(() => get("faults"), [], stats?.requests);
  const clock = useRefreshed(() => get("clock"), [], stats?.now);
  const config = useRefreshed(() => get("config"), []);
  const [id, setID] = useState("");
  const [poison, setPoison] = useState("");
  useLayoutEffect(() => keys({}), []);
  const act = (what, done) => async () => {
    try {
      await what();
      say(done);
    } catch (error) {
      say(error.message);
    }
    reload(); clock.reload(); config.reload();
  };
  const who = id.trim();
  const b = config.data?.behavior;
  return html`
    <section class="view" aria-label="Faults">
      <h2>What fails next</h2>
      <div class="buttons">${common.map(([label, why, fault]) => html`
        <button type="button" class="fault" onClick=${act(() => post("faults", fault), `${label}: waiting for a request`)}><strong>${label}</strong><span>${why}</span></button>`)}</div>
      ${data && html`<${Script} faults=${data.faults} forced=${data.forced} act=${act} />`}
      <h2>One user or device</h2>
      <form class="toolbar" onSubmit=${(e) => e.preventDefault()}>
        <input type="text" class="grow" placeholder="user_id or device_id" aria-label="user_id or device_id" value=${id} onInput=${(e) => setID(e.target.value)} />
        <button type="button" disabled=${!who} onClick=${act(() => post("throttle", { ids: [who], until: "+30s" }), `${who} is throttled for 30 seconds`)}>Throttle for 30 s</button>
        <button type="button" disabled=${!who} onClick=${act(() => post("quota", { ids: [who] }), `${who} is over its daily quota on /batch`)}>Exceed quota</button>
        <button type="button" disabled=${!who} onClick=${act(() => post("silence", { devices: [who] }), `${who} is silenced`)}>Silence device</button>
      </form>
      <h2>Poisonous events</h2>
      <form class="toolbar" onSubmit=${(e) => { e.preventDefault(); if (poison) act(() => post("faults", { action: "status", code: 500, times: -1, match: { contains: poison } }), `500 for whatever contains ${poison}`)(); }}>
        <input type="text" class="grow" placeholder="text of an event, such as a variant" aria-label="text of an event" value=${poison} onInput=${(e) => setPoison(e.target.value)} />
        <button type="submit" disabled=${!poison}>500 while a request contains it</button>
      </form>
      <h2>Time</h2>
      <p class="toolbar">
        <span class="grow">${clock.data && html`The sandbox's clock says ${dateTime(Date.parse(clock.data.now))}${clock.data.advanced !== "0s" && html`, <strong>${clock.data.advanced} ahead</strong>`}.`}</span>
        ${jumps.map(([label, d]) => html`<button type="button" onClick=${act(() => post("clock", { advance: d }), `Advanced by ${label}`)}>+ ${label}</button>`)}
      </p>
      ${b && html`<h2>Behavior</h2>
        <div class="switches">
          <${Choice} label="Short ids on /2/httpapi" value=${b.v2?.short_id_mode} options=${["reject", "strip"]} set=${(v) => act(() => put("config", { v2: { short_id_mode: v } }), `Short ids: ${v}`)()} />
          <${Choice} label="A 400 lists" value=${b.index_mode} options=${["all", "first"]} set=${(v) => act(() => put("config", { index_mode: v }), `A 400 lists ${v}`)()} />
          <${Choice} label="A refused id is listed" value=${String(b.invalid_id_indexed)} options=${["false", "true"]} set=${(v) => act(() => put("config", { invalid_id_indexed: v === "true" }), `A refused id is listed: ${v}`)()} />
          <${Choice} label="Errors in HTML" value=${String(b.html_errors)} options=${["false", "true"]} set=${(v) => act(() => put("config", { html_errors: v === "true" }), `Errors in HTML: ${v}`)()} />
          <${Choice} label="Accepts gzip" value=${String(b.accept_gzip)} options=${["true", "false"]} set=${(v) => act(() => put("config", { accept_gzip: v === "true" }), `Accepts gzip: ${v}`)()} />
        </div>
        <p class="muted">All switches: <a href="/_sandbox/config">/_sandbox/config</a>, changed with PUT; described in <a href="/_sandbox/openapi.json">openapi.json</a>. A reset restores the configuration.</p>`}
    </section>`;
}

const Choice = ({ label, value, options, set }) => html`<label>${label}
  <select value=${value} onChange=${(e) => set(e.target.value)}>${options.map((o) => html`<option value=${o}>${{ true: "yes", false: "no" }[o] ?? o}</option>`)}</select></label>`;

function Script({ faults, forced, act }) {
  const ids = [
    ...Object.entries(forced.throttle).map(([id, end]) => ["throttle", id, "throttled", end]),
    ...Object.entries(forced.quota).map(([id, end]) => ["quota", id, "over its daily quota", end]),
    ...forced.silence.map((id) => ["silence", id, "silenced", 0]),
  ];
  if (faults.length === 0 && ids.length === 0) return html`<p class="muted" role="status">No fault is armed: requests are answered as by Amplitude.</p>`;
  return html`<ul class="armed" role="status">
    ${faults.map((f) => html`<li key=${f.id}><span class="badge warn">${f.times < 0 ? "always" : `next ${f.times}`}</span>
      <span class="grow"><code>${f.action}</code> ${f.code || ""} ${f.delay && f.delay !== "0s" ? f.delay : ""}
        ${Object.entries(f.match).map(([k, v]) => html` <span class="muted">${k}</span> ${v}`)}</span>
      <button type="button" class="quiet" onClick=${act(() => del(`faults/${f.id}`), "Disarmed")}>Disarm</button></li>`)}
    ${ids.map(([kind, id, what, end]) => html`<li key=${`${kind} ${id}`}><span class="badge warn">${what}</span>
      <span class="grow"><code>${id}</code> ${end > 0 && html`<span class="muted">until ${dateTime(end)}</span>`}</span></li>`)}
    <li class="all"><button type="button" onClick=${act(async () => { await del("faults"); await del("throttle"); await del("quota"); await del("silence"); }, "All disarmed")}>Disarm all</button></li>
  </ul>`;
}
