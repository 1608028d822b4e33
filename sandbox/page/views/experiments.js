import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { get } from "../api.js";
import { count, dateTime, pValue, percent, plural } from "../format.js";
import { useRefreshed } from "../stream.js";
import { Empty } from "../parts.js";

export function Experiments({ stats, keys }) {
  const [text, setText] = useState("");
  const search = useRef();
  useLayoutEffect(() => keys({ "/": () => search.current?.focus(), Escape: () => setText("") }), []);
  const { data } = useRefreshed(() => get("experiments"), [], stats?.last_seq);
  if (!data) return null;
  const { used, limit } = data.experiment_properties;
  const shown = data.experiments.filter((x) => `${x.flag} ${x.experiment_key ?? ""}`.toLowerCase().includes(text.toLowerCase())).slice(0, 50);
  return html`
    <section class="view" aria-label="Experiments">
      <div class="toolbar">
        <input ref=${search} type="search" class="grow" placeholder="Find a flag" aria-label="Find a flag" value=${text} onInput=${(e) => setText(e.target.value)} />
        <${Budget} used=${used} limit=${limit} />
      </div>
      ${data.experiments.length === 0 && html`<${Empty} title="No exposures yet">
        <p>A flag appears with its first exposure, an event of type <code>$exposure</code> or <code>[Experiment] Exposure</code>.</p>
        <p><a href="#/live">See how to send one</a></p></${Empty}>`}
      ${data.experiments.length > 0 && shown.length === 0 && html`<${Empty} title="No flag matches"><p><button type="button" onClick=${() => setText("")}>Clear the filter</button></p></${Empty}>`}
      <div class="cards">${shown.map((x) => html`<${Run} key=${`${x.project} ${x.flag} ${x.experiment_key}`} of=${x} />`)}</div>
      ${shown.length > 0 && html`<p class="foot"><span>A bar is the share of users who are in a variant now: each user counts for the latest variant, except those who were un-exposed since. The sample-ratio test counts every user for the first variant. The line in a bar is the expected share; <kbd>?</kbd> explains the words.</span></p>`}
      ${data.experiments.length > shown.length && shown.length > 0 && html`<p class="foot"><span>${shown.length} of ${plural(data.experiments.length, "run")} shown, the largest first</span></p>`}
      ${data.not_counted > 0 && html`<p class="foot"><span>${count(data.not_counted)} not counted: there were more flags, runs or variants than the sandbox keeps.</span></p>`}
    </section>`;
}

// What the users of each variant did, where they did anything.
function Outcomes({ of: x }) {
  const rows = x.variants.flatMap((v) => v.outcomes.map((o) => ({ variant: v.variant, ...o })));
  if (rows.length === 0) return null;
  rows.sort((a, b) => a.event_type.localeCompare(b.event_type) || a.variant.localeCompare(b.variant));
  return html`
    <table class="bars" aria-label=${`Outcomes by variant of ${x.flag}`}>
      <thead><tr><th scope="col">Outcome</th><th scope="col">Variant</th><th scope="col">Events</th><th scope="col">Users</th></tr></thead>
      <tbody>${rows.map((o) => html`
        <tr key=${`${o.event_type} ${o.variant}`}>
          <th scope="row" title=${o.event_type}>${o.event_type}</th><td>${o.variant}</td>
          <td class="number">${count(o.events)}</td><td class="number muted">${count(o.users)}, ${percent(o.share)}<span class="expected"> of the exposed</span></td>
        </tr>`)}
      </tbody>
    </table>
    <p class="muted small">A view of test data, not an analysis: events of users who were in a variant when the events arrived.</p>`;
}

function Budget({ used, limit }) {
  const level = used > limit ? "over" : used > 0.8 * limit ? "near" : "fine";
  return html`<div class=${`budget ${level}`} title="Amplitude keeps up to 1,500 experiment user properties in a project">
    <meter min="0" max=${limit} value=${used}></meter><span>${count(used)} of ${count(limit)} experiment properties</span></div>`;
}

const checks = {
  too_early: ["Too early", "quiet", "A sample-ratio test needs at least 100 users."],
  one_variant: ["One variant", "quiet", "There is nothing to compare."],
  ok: ["Ratio as expected", "good", "Users are distributed over the variants as expected."],
  mismatch: ["Sample ratio mismatch", "bad", "Such an uneven split is very unlikely by chance: look for lost or duplicated exposures before reading results."],
};

function Run({ of: x }) {
  const [label, tone, why] = checks[x.srm.state];
  const exposed = Math.max(1, x.users - x.users_unexposed); // a bar over the whole width is all of them
  const tested = x.srm.state === "ok" || x.srm.state === "mismatch";
  return html`
    <article class="card run">
      <header>
        <h2>${x.flag}</h2>
        ${x.experiment_key && html`<span class="muted">${x.experiment_key}</span>`}
        <span class=${`check ${tone}`} title=${why}>${label}${tested && html`, <span class="p">${pValue(x.srm.p_value)}</span>`}</span>
      </header>
      <table class="bars" aria-label=${`Users by variant of ${x.flag}`}>
        <tbody>${x.variants.map((v, i) => html`
          <tr key=${v.variant}>
            <th scope="row" title=${v.variant}>${v.variant}</th>
            <td class="track"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
              <rect class=${`bar tone-${i % 6}`} width=${(100 * v.users) / exposed} height="10" />
              ${x.users > 0 && html`<line class="expect" x1=${100 * v.expected_share} x2=${100 * v.expected_share} y1="0" y2="10" />`}
            </svg></td>
            <td class="number">${count(v.users)}</td>
            <td class="number muted">${percent(v.users / exposed)}<span class="expected">, expected ${percent(v.expected_share)}</span></td>
          </tr>`)}
          ${x.variants.length === 0 && html`<tr><td class="muted">Only exposures without a variant so far.</td></tr>`}
        </tbody>
      </table>
      <${Outcomes} of=${x} />
      <dl class="numbers">
        <div><dt>Users</dt><dd>${count(x.users)}</dd></div>
        <div><dt>Exposures</dt><dd>${count(x.exposures)}</dd></div>
        <div class=${x.variant_changes > 0 ? "warned" : ""}><dt>Variant changes</dt><dd>${count(x.variant_changes)}${x.users_who_changed > 0 && html` <small>${plural(x.users_who_changed, "user")}</small>`}</dd></div>
        <div><dt>Un-exposures</dt><dd>${count(x.unexposures)}${x.users_unexposed > 0 && html` <small>${plural(x.users_unexposed, "user")} out</small>`}</dd></div>
        <div class=${x.assignments > 0 && x.exposures_without_assignment > 0 ? "warned" : ""}><dt>Unassigned</dt><dd title=${x.assignments > 0 ? "Users exposed on a day without an assignment of the flag" : "No assignment of this flag has been sent"}>${x.assignments > 0 ? count(x.exposures_without_assignment) : "–"}</dd></div>
      </dl>
      ${x.timeline && html`<${Timeline} of=${x} />`}
      ${x.diagnostics && html`<${Diagnostics} of=${x.diagnostics} />`}
      <p class="muted small">${x.first > 0 && `${dateTime(x.first)} to ${dateTime(x.last)} · `}${x.srm.weights === "configured" ? "expected shares from the configuration" : "equal shares expected"}</p>
    </article>`;
}

// Timeline draws the exposures of each variant up to each moment.
function Timeline({ of: x }) {
  const { from, step, variants } = x.timeline;
  const lines = x.variants.map((v, i) => ({ variant: v.variant, tone: i % 6, values: variants[v.variant] })).filter((line) => line.values);
  const steps = Math.max(...lines.map((line) => line.values.length));
  const most = Math.max(1, ...lines.map((line) => line.values.at(-1)));
  const points = (values) => [0, ...values].map((n, i) => `${(100 * i) / steps},${30 - (28 * n) / most}`).join(" ");
  return html`
    <figure class="timeline">
      <svg viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label=${`Cumulative exposures of ${x.flag} by variant: ${lines.map((line) => `${line.variant} ${count(line.values.at(-1))}`).join(", ")}`}>
        ${lines.map((line) => html`<polyline key=${line.variant} class=${`line tone-${line.tone}`} points=${points(line.values)} />`)}
      </svg>
      <figcaption class="muted small">All exposures, ${dateTime(from)} to ${dateTime(from + step * steps)}</figcaption>
    </figure>`;
}

// Diagnostics are the words of the processor's metrics of the same name.
function Diagnostics({ of: d }) {
  const share = (n, all) => html`${count(n)}${all > 0 && html` <small>${percent(n / all)}</small>`}`;
  return html`
    ${d.assigned > 0 && html`
      <p class="funnel small"><span>Assigned ${count(d.assigned)}</span>
        <meter min="0" max=${d.assigned} value=${d.assigned_exposed} aria-label="Part of the assigned persons who were exposed"></meter>
        <span>exposed ${share(d.assigned_exposed, d.assigned)}</span></p>`}
    <dl class="diagnostics">
      <div><dt title="Persons are users, or devices without one; the processor's diagnostics count the same">Persons</dt><dd>${d.sampled_share < 1 && "about "}${count(d.persons)}</dd></div>
      <div><dt>Changed</dt><dd>${share(d.changed, d.persons)}</dd></div>
      <div><dt>Device only</dt><dd>${share(d.device_only, d.persons)}</dd></div>
      <div><dt>No assignment</dt><dd title="Persons without an assignment on the day of their latest exposure">${d.assigned > 0 ? share(d.without_assignment, d.persons) : "–"}</dd></div>
      <div><dt>Late</dt><dd title="Exposures that leave the user property alone">${count(d.late_exposures)}</dd></div>
      ${d.tested && html`<div class=${d.mismatch ? "warned" : ""}><dt title="Valid no matter how often you look">At any look</dt><dd>${pValue(d.p_value)}</dd></div>`}
    </dl>`;
}
