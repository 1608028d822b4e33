import { html, useCallback, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { get, query } from "../api.js";
import { count, plural, time } from "../format.js";
import { useRecords } from "../records.js";
import { useRefreshed, useSettled } from "../stream.js";
import { Copy, Empty, Name, Verdict } from "../parts.js";

const noFilter = { reason: "", service: "", flag: "", user: "" };

// outcomes are what may become of a record, in the words of the processor's metrics, and what each means.
const outcomes = {
  exposure: "The user was exposed to a variant: an event, and a user property.",
  unexposure: "The user is not in a variant: the user property is unset.",
  assignment: "Flags were evaluated for the user.",
  impression: "A web experiment was shown.",
  already_shaped: "Another Collector made this event.",
  duplicate: "The same result was already reported on the same day: nothing is sent.",
  repaired: "A repeat: only the user property is set again.",
  skipped: "Not an exposure: the reason says why.",
  rejected: "It cannot become an event: the reason says what is wrong.",
  passed: "Not recognized, and passed on unchanged.",
  dropped: "Not recognized, and dropped.",
  refused: "The next component did not accept the batch: its sender retries.",
};
const repeats = "duplicate,repaired";
const tone = { skipped: "quiet", dropped: "quiet", passed: "quiet", duplicate: "hollow", repaired: "hollow", rejected: "bad", refused: "bad" };

export function Records(props) {
  if (!props.stats) return null;
  if (props.stats.records) return html`<${Watching} ...${props} />`;
  return html`<section class="view" aria-label="Records"><${Empty} title="No Collector runs in this process">
    <p>If the sandbox is the extension <code>amplitude_sandbox</code> of a Collector, what that Collector decides about each record is shown here.</p></${Empty}></section>`;
}

// The outcome stands in the address, so that a count of the summary can link to its records.
function Watching({ stats, id, go, keys }) {
  const [typed, setTyped] = useState(noFilter);
  const outcome = id || "all";
  const filter = useMemo(() => ({ ...typed, outcome: outcome === "all" ? "" : outcome }), [typed, outcome]);
  const clear = () => { setTyped(noFilter); go("records"); };
  const [held, setHeld] = useState(false);
  const [open, setOpen] = useState(0);
  const [at, setAt] = useState(0);
  const search = useRef();
  const settled = useSettled(filter);
  const stream = useRecords(settled, held);
  const rows = stream.records;

  const current = useRef({ rows, at });
  current.current.rows = rows;
  const place = (seq) => { current.current.at = seq; setAt(seq); };
  const move = useCallback((step) => {
    const { rows, at } = current.current;
    const to = rows[Math.min(Math.max(rows.findIndex((r) => r.seq === at) + step, 0), rows.length - 1)];
    if (!to) return;
    place(to.seq);
    document.getElementById(`record-${to.seq}`)?.scrollIntoView({ block: "nearest" });
  }, []);
  useLayoutEffect(() => keys({
    "/": () => search.current?.focus(), j: () => move(1), k: () => move(-1), p: () => setHeld((h) => !h),
    Enter: () => setOpen((o) => (o === current.current.at ? 0 : current.current.at)),
    Escape: () => { setOpen(0); clear(); },
  }), []);

  const set = (name) => (event) => setTyped((f) => ({ ...f, [name]: event.target.value }));
  const filtered = outcome !== "all" || query(typed) !== "";
  const counted = Object.entries(stats?.records ?? {}).sort(([, a], [, b]) => b - a);
  const total = counted.reduce((sum, [, n]) => sum + n, 0);
  const reasons = useMemo(() => Object.keys(stream.reasons).sort(), [stream.reasons]);
  return html`
    <section class="view" aria-label="Records">
      <div class="toolbar">
        <select aria-label="Outcome" value=${outcome} onChange=${(e) => go(e.target.value === "all" ? "records" : `records/${e.target.value}`)}>
          <option value="all">Every outcome</option>
          <option value=${repeats}>Repeats</option>
          ${Object.keys(outcomes).map((key) => html`<option value=${key}>${key}${stats?.records?.[key] ? ` (${count(stats.records[key])})` : ""}</option>`)}
        </select>
        <select aria-label="Reason" value=${typed.reason} onChange=${set("reason")}>
          <option value="">Every reason</option>
          ${reasons.map((key) => html`<option value=${key}>${key}</option>`)}
        </select>
        <input ref=${search} type="search" placeholder="Flag" aria-label="Flag" value=${typed.flag} onInput=${set("flag")} />
        <input type="search" placeholder="User" aria-label="User or device id" value=${typed.user} onInput=${set("user")} />
        <input type="search" placeholder="Service" aria-label="Service" value=${typed.service} onInput=${set("service")} />
        <button type="button" aria-pressed=${held} onClick=${() => setHeld(!held)} class=${held ? "on" : ""}>${held ? "Resume" : "Pause"}</button>
      </div>
      <p class="outcomes" aria-label="Records by outcome">${counted.map(([key, n]) => html`<a href=${`#/records/${key}`} title=${outcomes[key]}><strong>${count(n)}</strong> ${key}</a>`)}</p>
      ${held && html`<p class="note" role="status">Paused${stream.waiting > 0 && `: ${plural(stream.waiting, "record")} since`}. <button type="button" class="link" onClick=${() => setHeld(false)}>Resume</button></p>`}
      ${stream.problem && html`<p class="note refusal">${stream.problem}</p>`}
      ${rows.length === 0
        ? html`<${Nothing} filtered=${filtered} total=${total} clear=${clear} />`
        : html`
          <div class="scroll"><div class="records" role="table" aria-label="Records">
            <div class="heads" role="row">${["Time", "Record", "Decision", "Event", "Request", "Property"].map((head) => html`<span role="columnheader">${head}</span>`)}</div>
            ${rows.map((r) => html`<${Row} key=${r.seq} record=${r} open=${open === r.seq} at=${at === r.seq}
              toggle=${() => { place(r.seq); setOpen(open === r.seq ? 0 : r.seq); }} />`)}
          </div></div>
          <p class="foot"><span>${plural(rows.length, "record")} shown${stream.missed > 0 && `, ${count(stream.missed)} more were too many to show; rare outcomes first`}. Counted since the start or the last reset: ${count(total)}</span></p>`}
    </section>`;
}

function Nothing({ filtered, total, clear }) {
  if (filtered) {
    return html`<${Empty} title="No record matches"><p>Records that match this filter appear here as they arrive. A record without a usable id cannot be found by user.</p>
      <p><button type="button" onClick=${clear}>Clear the filter</button></p></${Empty}>`;
  }
  return html`<${Empty} title="Watching for the next record">
    <p>What the Collector decides about each record shows here from now on: what became of it, why, and Amplitude's answer. ${total > 0 && `${plural(total, "record")} arrived before anyone watched, and are only counted.`}</p>
    <p>Send one with <a href="#/send">the form</a>, through the Collector.</p></${Empty}>`;
}

// Row is one record. One that cannot be shown says so, and leaves the others alone.
function Row(props) {
  const [error] = useErrorBoundary();
  if (!error) return html`<${Line} ...${props} />`;
  return html`<div class="record"><p class="problem">Record ${props.record.seq} cannot be shown: ${error.message}</p></div>`;
}

function Line({ record: r, open, at, toggle }) {
  const who = r.user?.value ?? r.device?.value;
  const events = r.events ?? [];
  const sent = events.filter((e) => e.state !== "repeat");
  return html`
    <div id=${`record-${r.seq}`} class=${`record ${tone[r.outcome] ?? ""} ${at ? "at" : ""} ${open ? "open" : ""}`}>
      <button type="button" class="line" role="row" aria-expanded=${open} onClick=${toggle}>
        <time role="cell">${time(Date.parse(r.time))}</time>
        <span role="cell" class="of"><span class="what"><${Flags} of=${r} /></span><small class="muted">${r.service && html`<span>${r.service}</span>`}${who && html`<span class="who">${who}</span>`}</small></span>
        <span role="cell" class="decision"><span class=${`state ${tone[r.outcome] ?? "good"}`} title=${outcomes[r.outcome]}>${r.outcome}</span>${r.reason && html`<span class="badge">${r.reason}</span>`}${sent.length > 0 && r.why && html`<small class="muted">${r.why}</small>`}</span>
        ${sent.length === 0
          ? html`<span role="cell" class="why">${r.why}</span>`
          : html`<${Sent} events=${sent} />`}
      </button>
      ${open && html`<${Detail} record=${r} />`}
    </div>`;
}

function Flags({ of: r }) {
  const flags = r.flags ?? [];
  if (flags.length === 0) return html`<span class="name">${r.event_name ? `“${r.event_name}”` : "no event name"}</span>`;
  return html`${flags.slice(0, 2).map((f) => html`<span class="flag">${f.key}</span><span class="arrow">→</span>${f.variant ? html`<span class="variant">${f.variant}</span>` : html`<span class="muted">no variant</span>`}`)}
    ${flags.length > 2 && html`<span class="muted">and ${flags.length - 2} more</span>`}`;
}

const states = {
  handed_on: ["Handed on", ""], taken: ["On its way", ""], delivered: ["Delivered", "good"], not_delivered: ["Not delivered", "bad"],
  refused: ["Refused", "bad"], unknown: ["No answer came", "bad"], unfollowed: ["Not followed", ""],
};

// Sent is the rest of the way: the event, the request that it left in, and the properties that it sets.
function Sent({ events }) {
  const [first] = events;
  const [label, kind] = states[first.state] ?? [first.state, ""];
  const properties = events.flatMap((e) => e.properties ?? []);
  return html`
    <span role="cell" class="sent"><${Name} text=${first.type} />${events.length > 1 && html` <small class="muted">and ${events.length - 1} more</small>`}<small class=${`state ${kind}`}>${label}</small></span>
    <span role="cell" class="sent">${first.request
      ? html`<span class=${`status ${first.request.status === "200" ? "good" : first.request.status === "429" ? "warn" : "bad"}`}>${first.request.status}</span><small class="muted">${plural(first.request.events, "event")}, ${first.request.took_ms.toFixed(1)} ms${first.request.tries > 1 && `, try ${first.request.tries}`}</small>`
      : html`<small class="muted">${{ not_delivered: "none", unfollowed: "unknown" }[first.state] ?? "waits"}</small>`}${first.why && first.state !== "delivered" && html`<small class="problem">${first.why}</small>`}</span>
    <span role="cell" class="sent">${properties.length === 0
      ? html`<small class="muted">none is changed</small>`
      : properties.slice(0, 2).map((p) => html`<span class="property"><${Name} text=${p.name} /> → ${p.value ? html`<strong>${p.value}</strong>` : html`<span class="muted">unset</span>`}</span>`)}
      ${properties.length > 2 && html`<small class="muted">and ${properties.length - 2} more</small>`}</span>`;
}

function Detail({ record: r }) {
  return html`
    <div class="detail">
      ${r.why && html`<p class="because"><strong>Why</strong> ${r.why}</p>`}
      ${r.hint && html`<p class="because"><strong>What to do</strong> ${r.hint}</p>`}
      ${(r.events ?? []).map((e, i) => e.hint && html`<p class="because"><strong>What became of it</strong> ${r.became?.[i]}: ${e.hint}</p>`)}
      ${(r.looked_for ?? []).length > 0 && html`<p class="because"><strong>An id was looked for in</strong> ${r.looked_for.join(", ")}</p>`}
      ${(r.events ?? []).filter((e) => e.insert_id).map((e) => html`<${Arrived} key=${e.insert_id} event=${e} />`)}
      <pre class="json" tabindex="0">${r.text}</pre>
      <p class="actions"><${Copy} text=${r.text}>Copy</${Copy}></p>
    </div>`;
}

// Arrived finds the event among those that the sandbox got: the last of its tries.
function Arrived({ event: e }) {
  const { data } = useRefreshed(() => get(`events?${query({ text: e.insert_id, verdict: "all", newest: true, limit: 20 })}`), [e.insert_id, e.state]);
  const found = data?.events.findLast((one) => one.insert_id === e.insert_id);
  if (!found) return null;
  const s = found.sandbox;
  return html`<p class="because"><strong>Here</strong> <${Verdict} is=${s.verdict} /> as event ${s.seq}, in <a href=${`#/requests/${s.request_id}`}>request ${s.request_id}</a>${s.amplitude_id && html`, of <a href=${`#/users/${encodeURIComponent(s.user_id ?? s.device_id)}`}>${s.user_id ?? s.device_id}</a>`}</p>`;
}
