import { html, useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState } from "../vendor/htm-preact.js";
import { get, query } from "../api.js";
import { age, count, plural, time, value } from "../format.js";
import { useSettled, useStream } from "../stream.js";
import { Copy, Empty, Json, Name, Verdict, curl, notTaken, sample, verdicts } from "../parts.js";

const noFilter = { text: "", flag: "", user_id: "" };

// The verdict stands in the address, so that a count of the summary can link to its events.
export function Live({ stats, id, go, keys }) {
  const [typed, setTyped] = useState(noFilter);
  const verdict = id || "all";
  const filter = useMemo(() => ({ ...typed, verdict }), [typed, verdict]);
  const clear = () => { setTyped(noFilter); go("live"); };
  const [held, setHeld] = useState(false);
  const [open, setOpen] = useState(0);
  const [at, setAt] = useState(0); // seq of the row that the keyboard is on
  const search = useRef();
  const settled = trimmed(useSettled(filter));
  const stream = useStream(settled, held);

  const rows = useMemo(() => {
    const oldest = stream.events.at(-1)?.sandbox.seq ?? Infinity;
    return stream.events.concat(stream.older.filter((e) => e.sandbox.seq < oldest));
  }, [stream.events, stream.older]);

  const set = (name) => (event) => setTyped((f) => ({ ...f, [name]: event.target.value }));
  // Keys may come faster than the page is drawn: where they are is kept beside what is drawn.
  const current = useRef({ rows, at });
  current.current.rows = rows;
  const place = (seq) => { current.current.at = seq; setAt(seq); };
  const move = useCallback((step) => {
    const { rows, at } = current.current;
    const from = rows.findIndex((e) => e.sandbox.seq === at);
    const to = rows[Math.min(Math.max(from + step, 0), rows.length - 1)];
    if (!to) return;
    place(to.sandbox.seq);
    document.getElementById(`event-${to.sandbox.seq}`)?.scrollIntoView({ block: "nearest" });
  }, []);

  useLayoutEffect(() => keys({
    "/": () => search.current?.focus(),
    j: () => move(1),
    k: () => move(-1),
    p: () => setHeld((h) => !h),
    Enter: () => setOpen((o) => (o === current.current.at ? 0 : current.current.at)),
    Escape: () => { setOpen(0); clear(); },
  }), []);

  const filtered = verdict !== "all" || query(typed) !== query(noFilter);
  const total = stats?.last_seq ?? 0;
  return html`
    <section class="view" aria-label="Live events">
      <div class="toolbar">
        <input ref=${search} type="search" placeholder="Filter events" aria-label="Text in the event" value=${filter.text} onInput=${set("text")} class="grow" />
        <input type="search" placeholder="User" aria-label="User id" value=${filter.user_id} onInput=${set("user_id")} />
        <input type="search" placeholder="Flag" aria-label="Flag" value=${filter.flag} onInput=${set("flag")} />
        <select aria-label="Verdict" value=${filter.verdict} onChange=${(e) => go(e.target.value === "all" ? "live" : `live/${e.target.value}`)}>
          <option value="all">Every verdict</option>
          <option value=${notTaken}>Not taken</option>
          ${Object.entries(verdicts).map(([key, [label]]) => html`<option value=${key}>${label}</option>`)}
        </select>
        <button type="button" aria-pressed=${held} onClick=${() => setHeld(!held)} class=${held ? "on" : ""}>${held ? "Resume" : "Pause"}</button>
      </div>
      ${held && html`<p class="note" role="status">Paused${stream.waiting > 0 && `: ${plural(stream.waiting, "event")} since`}. <button type="button" class="link" onClick=${() => setHeld(false)}>Resume</button></p>`}
      ${rows.length === 0
        ? html`<${Nothing} filtered=${filtered} total=${total} requests=${stats?.requests ?? 0} clear=${clear} />`
        : html`
          <ol class="events">
            ${rows.map((e) => html`<${Row} key=${e.sandbox.seq} event=${e} open=${open === e.sandbox.seq} at=${at === e.sandbox.seq} go=${go}
              toggle=${() => { place(e.sandbox.seq); setOpen(open === e.sandbox.seq ? 0 : e.sandbox.seq); }} />`)}
          </ol>
          <p class="foot">
            <button type="button" onClick=${stream.more}>Older events</button>
            <a href=${`/_sandbox/export?${query(settled)}`} download="events.jsonl">Export as JSON lines</a>
            <span>${plural(rows.length, "event")} of ${count(total)} shown</span>
          </p>`}
    </section>`;
}

const trimmed = (filter) => Object.fromEntries(Object.entries(filter).map(([k, v]) => [k, v.trim()]));

function Nothing({ filtered, total, requests, clear }) {
  if (filtered && total > 0) {
    return html`<${Empty} title="No event matches"><p>No event matches this filter. New events appear here as they arrive.</p>
      <p><button type="button" onClick=${clear}>Clear the filter</button></p></${Empty}>`;
  }
  if (requests > 0) {
    return html`<${Empty} title="Requests arrived, but no event in them could be read">
      <p>${plural(requests, "request")} came in; <a href="#/requests">Requests</a> shows how each was answered, and why.</p></${Empty}>`;
  }
  return html`<${Empty} title="Waiting for the first event">
    <p>Point an Amplitude client or the Collector's exporter at <code>${location.origin}/2/httpapi</code>, or send one event now, from here or with <a href="#/send">the form</a>:</p>
    <div class="command"><pre>${sample()}</pre><${Copy} text=${sample}>Copy</${Copy}></div>
    <p>In the repository, <code>make run</code> starts a Collector with this sandbox and a small shop that emits events.</p>
  </${Empty}>`;
}

// Row is one event. One that cannot be shown says so, and leaves the others alone.
function Row(props) {
  const [error] = useErrorBoundary();
  if (!error) return html`<${Event} ...${props} />`;
  return html`<li class="event"><p class="problem">Event ${props.event.sandbox.seq} cannot be shown: ${error.message}</p></li>`;
}

function Event({ event, open, at, toggle, go }) {
  const s = event.sandbox;
  const jump = s.changes?.some((c) => c.variant_changed);
  const who = s.user_id ?? s.device_id ?? "no id";
  return html`
    <li id=${`event-${s.seq}`} class=${`event ${s.verdict} ${at ? "at" : ""} ${open ? "open" : ""}`}>
      <button type="button" class="row" aria-expanded=${open} onClick=${toggle}>
        <time>${time(s.received_at)}</time>
        <${Verdict} is=${s.verdict} />
        <${Name} text=${event.event_type ?? "(no event_type)"} />
        <span class="who" title=${who}>${who}</span>
        <span class="what"><${Subject} event=${event} />${jump && html`<span class="badge jump">variant changed</span>`}</span>
      </button>
      ${open && html`<${Detail} event=${event} go=${go} />`}
    </li>`;
}

// Subject is what a row says last: what is wrong, else the flag and its variant.
function Subject({ event }) {
  const s = event.sandbox;
  if (s.problems) return html`<span class="problem">${s.problems.map((p) => `${p.field} ${p.rule}`).join("; ")}</span>`;
  if (s.verdict === "duplicate") return html`<span class="muted">first copy ${age(s.first_age_ms ?? 0)} earlier</span>`;
  if (s.verdict !== "stored" && s.reason) return html`<span class="muted">${s.reason}</span>`;
  const flags = s.flags ?? [];
  return html`${flags.slice(0, 3).map((flag) => html`<span class="flag">${flag}</span><span class="arrow">→</span><${Outcome} of=${variantOf(event, flag)} />`)}
    ${flags.length > 3 && html`<span class="muted">and ${flags.length - 3} more</span>`}`;
}

// variantOf is the variant that an event tells of a flag: undefined if the user is in none.
function variantOf({ event_properties: properties, sandbox: s }, flag) {
  if (s.variant) return s.variant;
  const told = properties?.[`[Experiment] ${flag}.variant`] ?? properties?.[`${flag}.variant`];
  return told ?? s.changes?.find((c) => c.property === `[Experiment] ${flag}`)?.after ?? undefined;
}

// Outcome is a variant, or that there is none: a variant may be named "none".
function Outcome({ of }) {
  return of === undefined ? html`<span class="muted">no variant</span>` : html`<span class="variant">${value(of)}</span>`;
}

function Detail({ event, go }) {
  const { sandbox: s, ...stored } = event;
  const [detail, setDetail] = useState(null);
  useEffect(() => { get(`events/${s.seq}`).then(setDetail, () => {}); }, [s.seq]);
  const sent = s.transformed_from ?? stored;
  return html`
    <div class="detail">
      <dl class="facts">
        ${s.reason && html`<dt>Why</dt><dd>${s.reason}${s.verdict === "duplicate" && html`: event ${s.first_seq}, ${age(s.first_age_ms ?? 0)} earlier; a copy is forgotten after 7 days`}</dd>`}
        ${s.problems?.map((p) => html`<dt>${p.field}</dt><dd class="problem">${p.rule}</dd>`)}
        ${s.warnings?.map((w) => html`<dt>Warning</dt><dd class="warned">${w}</dd>`)}
        <dt>User</dt><dd>${s.amplitude_id
          ? html`<a href=${`#/users/${encodeURIComponent(s.user_id ?? s.device_id)}`}>${s.user_id ?? s.device_id}</a>` : s.user_id ?? s.device_id ?? "none"}
          ${s.derived_device_id && html` <span class="muted">device derived from the user</span>`}</dd>
        ${s.changes?.length > 0 && html`<dt>Changed</dt><dd>${s.changes.map((c) => html`<div><${Name} text=${c.property} />${": "}<span class="muted">${value(c.before)}</span> → <strong>${value(c.after)}</strong>${c.variant_changed && html` <span class="badge jump">variant changed</span>`}</div>`)}</dd>`}
        <dt>Request</dt><dd><a href=${`#/requests/${s.request_id}`}>${s.request_id}</a>, event ${s.index} of it, ${s.endpoint}</dd>
      </dl>
      <div class=${s.transformed_from ? "two" : ""}>
        ${s.transformed_from && html`<figure><figcaption>As sent</figcaption><${Json} of=${s.transformed_from} /></figure>`}
        <figure><figcaption>${s.transformed_from ? "As Amplitude stores it" : "Event"}</figcaption><${Json} of=${stored} /></figure>
      </div>
      ${detail?.user_properties_after && html`<details><summary>User properties right after it</summary><${Json} of=${detail.user_properties_after} /></details>`}
      <p class="actions">
        <${Copy} text=${() => curl([sent], s.endpoint === "/batch" ? "/batch" : "/2/httpapi", s.project)}>Copy as curl</${Copy}>
        <${Copy} text=${() => JSON.stringify(sent, null, 2)}>Copy JSON</${Copy}>
      </p>
    </div>`;
}
