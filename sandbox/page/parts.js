// Small pieces that several views share.
import { html, useState } from "./vendor/htm-preact.js";
import { keyOf } from "./keys.js";

export const verdicts = {
  stored: "Stored",
  duplicate: "Duplicate",
  identify: "Identify",
  invalid: "Invalid",
  throttled: "Throttled",
  silenced: "Silenced",
  refused: "Refused",
  dropped: "Dropped",
};

export const Verdict = ({ is }) => html`<span class=${`verdict ${is}`}>${verdicts[is] ?? is}</span>`;

const experiment = "[Experiment] ";

// Name shows Amplitude's prefix quietly, since it starts most names here.
export const Name = ({ text }) =>
  String(text ?? "").startsWith(experiment)
    ? html`<span class="name" title=${text}><span class="prefix">${experiment}</span>${text.slice(experiment.length)}</span>`
    : html`<span class="name" title=${text}>${text}</span>`;

export async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function Copy({ text, children, ...rest }) {
  const [done, setDone] = useState(false);
  const click = async (event) => {
    event.stopPropagation();
    await copy(typeof text === "function" ? text() : text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button type="button" class="quiet" onClick=${click} ...${rest}>${done ? "Copied" : children}</button>`;
}

// Json shows a value as text; nothing in it is markup.
export const Json = ({ of }) => html`<pre class="json" tabindex="0">${typeof of === "string" ? of : JSON.stringify(of, null, 2)}</pre>`;

export const Empty = ({ title, children }) => html`<div class="empty"><h2>${title}</h2>${children}</div>`;

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// curl sends events to a project of this sandbox, by default the first.
export function curl(events, path = "/2/httpapi", project = 1) {
  const body = JSON.stringify({ api_key: keyOf(project), events });
  return `curl ${location.origin}${path} -H 'Content-Type: application/json' -d ${quoted(body)}`;
}

// sample is the first event of a newcomer.
export const sample = () => curl([{
  event_type: "$exposure", user_id: "user-12345", insert_id: "first",
  event_properties: { flag_key: "my-flag", variant: "treatment" },
}]);
