// Small pieces that several views share.
import { html, useState } from "./vendor/htm-preact.js";
import { value } from "./format.js";
import { keyOf } from "./keys.js";

// verdicts are what may become of an event: its name, and what it means.
export const verdicts = {
  stored: ["Stored", "Amplitude keeps the event and counts it."],
  duplicate: ["Duplicate", "An event with the same insert_id arrived within the last 7 days: nothing is stored again."],
  identify: ["Identify", "Only user properties were set; there is no event to count."],
  invalid: ["Invalid", "A field breaks a rule: the whole request is answered with 400."],
  refused: ["Refused", "The event is valid, but its request was refused."],
  throttled: ["Throttled", "Its user or device sends too fast, or exceeds its daily quota: 429."],
  silenced: ["Silenced", "Its device was silenced: the whole request is answered with 400."],
  dropped: ["Dropped", "Accepted and then discarded, because the project blocks its event type."],
};

// notTaken are the verdicts that the summary counts as refused.
export const notTaken = "invalid,refused,silenced";

export function Verdict({ is }) {
  const [label, meaning] = verdicts[is] ?? [is, ""];
  return html`<span class=${`verdict ${is}`} title=${meaning}>${label}</span>`;
}

// terms are the words of the page that Amplitude's documentation, or this page, gives a meaning.
export const terms = [
  ["Exposure", "The user was exposed to a variant. Sets the user property [Experiment] <flag>."],
  ["Un-exposure", "An exposure without a variant: the user is no longer in the experiment, and the property is unset."],
  ["Assignment", "Flags were evaluated for the user, whether or not a variant was shown."],
  ["Variant changed", "The user had another variant before: users who switch between variants distort the result."],
  ["Unassigned", "Users who were exposed on a day without an assignment of the flag."],
  ["Sample ratio mismatch", "The users are distributed over the variants more unevenly than chance can explain."],
];

const experiment = "[Experiment] ";

// Name shows Amplitude's prefix quietly, since it starts most names here. What an event calls its name may be any JSON.
export function Name({ text }) {
  const name = value(text);
  return name.startsWith(experiment)
    ? html`<span class="name" title=${name}><span class="prefix">${experiment}</span>${name.slice(experiment.length)}</span>`
    : html`<span class="name" title=${name}>${name}</span>`;
}

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
