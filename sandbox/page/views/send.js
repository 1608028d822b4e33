import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { get, post, query } from "../api.js";
import { age } from "../format.js";
import { useRefreshed } from "../stream.js";
import { Copy, Json, Name, Verdict } from "../parts.js";

const blank = { via: "sandbox", to: "sandbox", user_id: "user-12345", device_id: "", flag_key: "my-flag", variant: "treatment", experiment_key: "" };
const languages = [["curl", "curl"], ["node", "Node.js"], ["go", "Go"]];

// What was typed stays while other views are looked at. It is kept as it is typed: an effect would come too late when the
// form is left at once.
let kept = blank;

// Send is one exposure by hand, the form of Amplitude's page on tracking exposures. The sandbox sends it: the page itself
// talks to nobody else.
export function Send({ keys }) {
  const [form, setForm] = useState(kept);
  const [language, setLanguage] = useState("curl");
  const [outcome, setOutcome] = useState(null);
  const first = useRef();
  const asked = useRef(0);
  useLayoutEffect(() => keys({ "/": () => first.current?.focus() }), []);
  useLayoutEffect(() => () => { asked.current = 0; }, []); // whoever leaves the form waits for nothing
  const { data: shown, error } = useRefreshed(() => get(`send?${query(form)}`), [query(form)]);

  const set = (name) => (event) => {
    kept = { ...kept, [name]: event.target.value };
    setForm(kept);
  };
  const send = async (event) => {
    event.preventDefault();
    const mine = ++asked.current;
    const wanted = () => mine === asked.current;
    const show = (o) => { if (wanted()) setOutcome(o); };
    show({ form, busy: "Sending" });
    try {
      const sent = await post("send", form);
      if (!accepted(sent) && !sent.request_id) return show({ form, sent });
      show({ form, sent, busy: form.via === "collector" ? "The Collector accepted it. Waiting for its event" : "Reading the event" });
      show({ form, sent, ...await found(form, sent, wanted) });
    } catch (problem) {
      show({ form, failed: problem.message });
    }
  };

  const direct = form.via === "sandbox";
  return html`
    <section class="view send" aria-label="Send an exposure">
      <form class="card" onSubmit=${send}>
        <h2>Send an exposure</h2>
        <fieldset class="choice">
          <legend>Route</legend>
          <label><input type="radio" name="via" value="sandbox" checked=${direct} onChange=${set("via")} /> Straight to this sandbox</label>
          <label><input type="radio" name="via" value="collector" checked=${!direct} disabled=${shown?.collector === ""} onChange=${set("via")} /> Through the Collector${shown?.collector && html` <small class="muted">${shown.collector}</small>`}</label>
        </fieldset>
        <div class="fields">
          <${Field} label="User id" inner=${first} value=${form.user_id} set=${set("user_id")} />
          <${Field} label="Device id" hint="optional" value=${form.device_id} set=${set("device_id")} />
          <${Field} label="Flag key" value=${form.flag_key} set=${set("flag_key")} />
          <${Field} label="Variant" hint="empty: none, an un-exposure" value=${form.variant} set=${set("variant")} />
          <${Field} label="Experiment key" hint="optional" value=${form.experiment_key} set=${set("experiment_key")} />
        </div>
        <p class="actions"><button type="submit" class="primary" disabled=${Boolean(outcome?.busy)}>Send</button>
          <span class="muted small">${direct ? "To this sandbox, regardless of the server in the code." : "As an OpenTelemetry log record."}</span></p>
      </form>

      <div class="code card">
        <div class="toolbar">
          <div class="tabs" role="tablist" aria-label="Language">${languages.map(([name, label]) => html`
            <button type="button" role="tab" aria-selected=${language === name} onClick=${() => setLanguage(name)}>${label}</button>`)}</div>
          ${direct
            ? html`<label class="for">for <select aria-label="Server" value=${form.to} onChange=${set("to")}>
                <option value="sandbox">this sandbox</option><option value="us">Amplitude US</option><option value="eu">Amplitude EU</option></select></label>`
            : html`<span class="for muted">for the Collector</span>`}
          ${shown && html`<${Copy} text=${() => shown.code[language]}>Copy</${Copy}>`}
        </div>
        ${error ? html`<p class="problem">${error}</p>` : html`<${Json} of=${shown?.code[language] ?? ""} />`}
        ${direct && form.to !== "sandbox" && html`<p class="muted small">Reads the project's key from <code>AMPLITUDE_API_KEY</code>. This page sends nothing to Amplitude.</p>`}
      </div>

      <div class="outcome" aria-live="polite">${outcome && html`<${Outcome} of=${outcome} />`}</div>
    </section>`;
}

function Field({ label, hint, value, set, inner }) {
  return html`<label class="field"><span>${label}${hint && html` <small class="muted">${hint}</small>`}</span>
    <input ref=${inner} type="text" aria-label=${label} value=${value} onInput=${set} autocomplete="off" autocapitalize="off" spellcheck="false" /></label>`;
}

const accepted = (sent) => sent.status >= 200 && sent.status < 300;

const wait = 10_000; // ms, for the event of a record that the Collector took

// found waits for the events of what was sent, as long as they are wanted; there are none when the Collector took it for a repeat.
async function found(form, sent, wanted) {
  const [name, id] = form.user_id.trim() ? ["user_id", form.user_id.trim()] : ["device_id", form.device_id.trim()];
  const filter = query({ verdict: "all", ...sent.request_id ? { request_id: sent.request_id } : { [name]: id, after: sent.after } });
  const until = Date.now() + wait;
  let { events } = await get(`events?${filter}`);
  while (events.length === 0 && !sent.request_id && Date.now() < until && wanted()) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    ({ events } = await get(`events?${filter}`));
  }
  const { users } = await get(`users?${query({ text: id })}`);
  const known = users.some((u) => u.user_id === id || u.devices.includes(id));
  return { events, user: known ? await get(`users/${encodeURIComponent(id)}`) : null };
}

function Outcome({ of: { form, busy, failed, sent, events, user } }) {
  const property = `[Experiment] ${form.flag_key.trim()}`;
  const value = user?.user_properties[property];
  const set = user?.history.findLast((c) => c.property === property);
  return html`
    ${failed && html`<p class="note refusal">${failed}</p>`}
    ${sent && html`<figure><figcaption>Answer ${sent.status > 0 && html`<span class=${`status ${accepted(sent) ? "good" : sent.status === 429 ? "warn" : "bad"}`}>${sent.status}</span>`}
      ${sent.request_id && html` <a href=${`#/requests/${sent.request_id}`}>request ${sent.request_id}</a>`}</figcaption>
      <${Json} of=${sent.error ?? sent.answer ?? "empty"} /></figure>`}
    ${busy && html`<p class="muted" role="status">${busy} …</p>`}
    ${events?.length === 0 && html`<p class="note">No event came of it within 10 seconds.
      ${set && value === form.variant && " This user already has the variant: the Collector sends the same result once a day. Choose another variant or user to see an event."}
      ${!(set && value === form.variant) && " The Collector may batch for longer, send elsewhere, or have refused the record: its log says so."}</p>`}
    ${events?.map((event) => html`<${Came} key=${event.sandbox.seq} event=${event} />`)}
    ${user && html`<dl class="facts property">
      <dt>User property</dt><dd><${Name} text=${property} /> ${value === undefined ? html`<span class="muted">is not set</span>` : html`is <strong>${String(value)}</strong>`}
      ${set && html` <small class="muted">last changed ${age(Math.max(0, Date.now() - set.received_at))} ago, by event ${set.seq}</small>`}
      </dd><dt>User</dt><dd><a href=${`#/users/${encodeURIComponent(user.user_id ?? user.devices[0])}`}>${user.user_id ?? user.devices[0]}</a></dd></dl>`}`;
}

// Came is an event as Amplitude stores it, or would have.
function Came({ event }) {
  const { sandbox: s, ...stored } = event;
  return html`<figure><figcaption>Event ${s.seq} <${Verdict} is=${s.verdict} /></figcaption>
    ${s.reason && html`<p class="muted small">${s.reason}</p>`}
    ${s.problems?.map((p) => html`<p class="problem small">${p.field} ${p.rule}</p>`)}
    ${s.warnings?.map((w) => html`<p class="warned small">${w}</p>`)}
    <${Json} of=${stored} /></figure>`;
}
