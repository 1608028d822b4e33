import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { get, query } from "../api.js";
import { age, count, dateTime, plural, value } from "../format.js";
import { useRefreshed } from "../stream.js";
import { Empty, Json, Name } from "../parts.js";

export function Users({ stats, id, go, keys }) {
  const [text, setText] = useState("");
  const search = useRef();
  const list = useRefreshed(() => get(`users?${query({ text: text.trim(), limit: 100 })}`), [text], stats?.last_seq);
  const users = list.data?.users ?? [];
  const chosen = id || "";
  const step = (by) => {
    const from = users.findIndex((u) => name(u) === chosen);
    const to = users[Math.min(Math.max(from + by, 0), users.length - 1)];
    if (to) go(`users/${encodeURIComponent(name(to))}`);
  };
  useLayoutEffect(() => keys({
    "/": () => search.current?.focus(), j: () => step(1), k: () => step(-1), Escape: () => go("users"),
  }), [users, chosen]);

  if (list.data && list.data.total === 0) {
    return html`<section class="view" aria-label="Users"><${Empty} title="No users yet">
      <p>A user appears with the first event with its <code>user_id</code> or <code>device_id</code>; this view shows its experiment properties and the event that set each.</p>
      <p><a href="#/live">See how to send one</a></p></${Empty}></section>`;
  }
  return html`
    <section class=${`view split ${chosen ? "chosen" : ""}`} aria-label="Users">
      <div class="side">
        <div class="toolbar"><input ref=${search} type="search" class="grow" placeholder="Find a user or device" aria-label="Find a user or device" value=${text} onInput=${(e) => setText(e.target.value)} /></div>
        <ul class="people">
          ${users.map((u) => html`<li key=${u.amplitude_id}><a href=${`#/users/${encodeURIComponent(name(u))}`} class=${name(u) === chosen ? "at" : ""}>
            <span class="who">${name(u)}${!u.user_id && html` <span class="muted">anonymous</span>`}</span>
            <span class="muted small">${plural(Object.keys(u.experiments).length, "experiment")} · ${plural(u.events, "event")}
              ${u.variant_changes > 0 && html` · <span class="badge jump">${plural(u.variant_changes, "variant change")}</span>`}</span>
          </a></li>`)}
        </ul>
        ${list.data && html`<p class="foot"><span>${count(users.length)} of ${plural(list.data.total, "user")}, seen last first</span></p>`}
      </div>
      <div class="main">
        ${chosen ? html`<${User} id=${chosen} stamp=${stats?.last_seq} />` : html`<${Empty} title="Choose a user"><p>Its experiment properties, their history and its devices are shown here.</p></${Empty}>`}
      </div>
    </section>`;
}

const name = (u) => u.user_id ?? u.devices[0] ?? String(u.amplitude_id);

function User({ id, stamp }) {
  const { data: u, error } = useRefreshed(() => get(`users/${encodeURIComponent(id)}`), [id], stamp);
  if (error) return html`<${Empty} title="Not seen"><p>${error}.</p></${Empty}>`;
  if (!u) return null;
  const experiments = Object.entries(u.user_properties).filter(([k]) => k.startsWith("[Experiment] ")).sort(([a], [b]) => (a < b ? -1 : 1));
  const others = Object.fromEntries(Object.entries(u.user_properties).filter(([k]) => !k.startsWith("[Experiment] ")));
  const lastOf = (property) => u.history.findLast((c) => c.property === property);
  const jumped = (property) => u.history.filter((c) => c.property === property && c.variant_changed).length;
  return html`
    <article class="user">
      <header>
        <p class="back"><a href="#/users">All users</a></p>
        <h2>${u.user_id ?? "Anonymous"}</h2>
        <p class="muted">${plural(u.events, "event")}, ${plural(u.duplicates, "duplicate")} · seen ${dateTime(u.last_seen)} · Amplitude ID ${u.amplitude_id}</p>
        ${u.merged_into && html`<p class="note">This device now belongs to user ${u.merged_into}.</p>`}
      </header>
      <h3>Experiments now</h3>
      ${experiments.length === 0 ? html`<p class="muted">No experiment property is set.</p>` : html`
        <table class="properties"><tbody>
          ${experiments.map(([property, v]) => {
            const last = lastOf(property);
            const jumps = jumped(property);
            return html`<tr key=${property}><th scope="row"><${Name} text=${property} /></th>
              <td><span class="variant">${value(v)}</span>${jumps > 0 && html` <span class="badge jump">changed ${jumps === 1 ? "once" : `${jumps} times`}</span>`}</td>
              <td class="muted">${last ? `set by event ${last.seq}, ${dateTime(last.received_at)}` : "set before the history starts"}</td></tr>`;
          })}
        </tbody></table>`}
      <h3>History</h3>
      ${u.history.length === 0 ? html`<p class="muted">No property has changed.</p>` : html`
        <ol class="history">
          ${u.history.toReversed().slice(0, 100).map((c) => html`<li class=${c.after === null ? "unset" : "set"}>
            <time title=${dateTime(c.received_at)}>${dateTime(c.received_at)}</time>
            <div><${Name} text=${c.property} /> ${c.after === null
              ? html`<span class="muted">was</span> ${value(c.before)} <span class="muted">and is not set anymore</span>`
              : html`${c.before !== null && html`<span class="muted">${value(c.before)} →</span> `}<strong>${value(c.after)}</strong>`}
              ${c.variant_changed && html` <span class="badge jump">variant changed</span>`}
              <span class="muted small block">${c.operation} in <${Name} text=${c.event_type} />, event ${c.seq}</span></div></li>`)}
        </ol>
        ${u.history_forgotten > 0 && html`<p class="muted">${plural(u.history_forgotten, "older change")} no longer kept.</p>`}`}
      <h3>Identity</h3>
      <dl class="facts">
        <dt>Devices</dt><dd>${u.devices.slice(0, 20).map((d) => html`<div><code>${d}</code></div>`)}${u.devices.length > 20 && html`<div class="muted">and ${u.devices.length - 20} more</div>`}</dd>
        ${Object.keys(u.groups).length > 0 && html`<dt>Groups</dt><dd>${Object.entries(u.groups).map(([k, v]) => html`<div>${k}: ${value(v)}</div>`)}</dd>`}
        ${Object.keys(u.fields).length > 0 && html`<dt>Fields</dt><dd>${Object.entries(u.fields).map(([k, v]) => html`<div>${k}: ${v === null ? html`<span class="warned">reset</span>` : value(v)}</div>`)}</dd>`}
        <dt>First seen</dt><dd>${dateTime(u.first_seen)}, ${age(Math.max(0, u.last_seen - u.first_seen))} before last seen</dd>
      </dl>
      ${Object.keys(others).length > 0 && html`<details><summary>${plural(Object.keys(others).length, "other property", "other properties")}</summary><${Json} of=${others} /></details>`}
    </article>`;
}
