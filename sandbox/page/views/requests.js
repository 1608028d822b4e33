import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { get, query } from "../api.js";
import { bytes, count, plural, time, value } from "../format.js";
import { useRefreshed } from "../stream.js";
import { Empty, Json } from "../parts.js";

const tone = (status) => (status === 0 ? "bad" : status < 300 ? "good" : status === 429 ? "warn" : status < 400 ? "quiet" : "bad");

export function Requests({ stats, id, go, keys }) {
  const [status, setStatus] = useState("");
  const select = useRef();
  const { data } = useRefreshed(() => get(`requests?${query({ status, limit: 200 })}`), [status], stats?.requests);
  const requests = data?.requests ?? [];
  const step = (by) => {
    const from = requests.findIndex((r) => String(r.id) === id);
    const to = requests[Math.min(Math.max(from + by, 0), requests.length - 1)];
    if (to) go(`requests/${to.id}`);
  };
  useLayoutEffect(() => keys({ "/": () => select.current?.focus(), j: () => step(1), k: () => step(-1), Escape: () => go("requests") }), [requests, id]);
  if (!data) return null;
  const foreign = html`<${Foreign} counts=${stats?.foreign} />`;
  const statuses = Object.entries(stats?.by_status ?? {});
  if (requests.length === 0 && !status) {
    return html`<section class="view" aria-label="Requests">${foreign}<${Empty} title="No requests yet">
      <p>Every request to <code>/2/httpapi</code>, <code>/batch</code>, <code>/identify</code> and <code>/groupidentify</code> is shown here with its answer. API keys are masked.</p></${Empty}></section>`;
  }
  return html`
    <section class="view" aria-label="Requests">
      ${foreign}
      <div class="toolbar">
        <select ref=${select} aria-label="Status" value=${status} onChange=${(e) => setStatus(e.target.value)}>
          <option value="">Every status</option>
          ${statuses.map(([code, n]) => html`<option value=${code === "none" ? 0 : code}>${code === "none" ? "no answer" : code} (${count(n)})</option>`)}
        </select>
        <span class="muted">${plural(stats?.requests ?? requests.length, "request")}, newest first</span>
      </div>
      <div class="scroll"><table class="requests">
        <thead><tr><th>Time</th><th>Status</th><th>Path</th><th class="number">Events</th><th class="number">Size</th><th class="number">Took</th><th>Retry</th><th>Key</th><th>Remarks</th></tr></thead>
        <tbody>${requests.map((r) => html`
          <tr key=${r.id} class=${String(r.id) === id ? "at" : ""} onClick=${() => go(String(r.id) === id ? "requests" : `requests/${r.id}`)}>
            <td><a href=${`#/requests/${r.id}`} onClick=${(e) => e.stopPropagation()}><time>${time(r.received_at)}</time></a></td>
            <td><span class=${`status ${tone(r.status)}`}>${r.status || "none"}</span></td>
            <td><code>${r.method === "POST" ? "" : `${r.method} `}${r.path}</code></td>
            <td class="number">${count(r.events)}</td>
            <td class="number">${bytes(r.bytes)}${r.encoding && html` <span class="muted">${bytes(r.bytes_wire)} ${r.encoding}</span>`}</td>
            <td class="number">${r.took_ms < 10 ? r.took_ms.toFixed(1) : Math.round(r.took_ms)} ms</td>
            <td>${r.retry > 0 && html`<span class="badge warn">retry ${r.retry}</span>`}</td>
            <td><code class="muted">${r.api_key}</code></td>
            <td>${r.fault && html`<span class="badge warn">${r.fault}</span> `}<${Failure} of=${r} />${r.warnings && html`<span class="badge warn" title=${r.warnings.join("\n")}>${plural(r.warnings.length, "warning")}</span>`}</td>
          </tr>
          ${String(r.id) === id && html`<tr key=${`${r.id}-detail`} class="expanded"><td colspan="9"><${Request} id=${id} /></td></tr>`}`)}
        </tbody>
      </table></div>
      ${id && !requests.some((r) => String(r.id) === id) && html`<div class="card"><${Request} id=${id} /></div>`}
    </section>`;
}

// Failure is what the answer says is wrong.
function Failure({ of: r }) {
  if (r.status > 0 && r.status < 300) return null;
  const text = value(r.answer?.error ?? (typeof r.answer === "string" ? r.answer : ""));
  const field = r.answer?.missing_field ? `: ${value(r.answer.missing_field)}` : "";
  return text && html`<span class="problem failure" title=${text + field}>${text}${field}</span> `;
}

function Request({ id }) {
  const { data: r, error } = useRefreshed(() => get(`requests/${id}`), [id]);
  if (error) return html`<p class="muted">${error}.</p>`;
  if (!r) return null;
  return html`<div class="detail">
    ${r.warnings && html`<dl class="facts">${r.warnings.map((w) => html`<dt>Warning</dt><dd class="warned">${w}</dd>`)}</dl>`}
    <div class="two">
      <figure><figcaption>Answer</figcaption><${Json} of=${r.answer ?? "none: the connection was closed"} /></figure>
      <figure><figcaption>Headers</figcaption><${Json} of=${Object.entries(r.headers ?? {}).map(([k, v]) => `${k}: ${v.join(", ")}`).join("\n")} /></figure>
    </div>
    <figure><figcaption>Body${r.body_cut && ", the beginning"}</figcaption><${Json} of=${r.body ?? r.body_note ?? "empty"} /></figure>
  </div>`;
}

// Foreign says whose pages were refused, since they themselves cannot read the answer.
function Foreign({ counts }) {
  const origins = Object.entries(counts ?? {});
  if (origins.length === 0) return null;
  return html`<p class="note refusal" role="status">Refused, since a page of another site made them:
    ${origins.map(([origin, n], i) => html`${i > 0 && ","} ${plural(n, "request")} from <code>${origin}</code>`)}.
    To let its events in, add the origin to <code>allowed_origins</code>.</p>`;
}
