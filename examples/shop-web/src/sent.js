// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// The table of what this page has sent.

const states = {
  sending: "in flight",
  waiting: "retrying",
  taken: "accepted",
  refused: "refused",
  lost: "lost",
};
const shown = new WeakMap(); // record -> its cell

// tell shows what becomes of records (see ../../shop-node/outbox.js).
export function tell(records, state) {
  for (const record of records) {
    const cell = shown.get(record) ?? add(record);
    cell.textContent = states[state];
    cell.dataset.state = state;
  }
  const taken = document.querySelectorAll('#sent [data-state="taken"]').length;
  const all = document.querySelectorAll("#sent tr").length;
  document.querySelector("#status").textContent = `${taken} of ${all} accepted by the Collector`;
}

function add(record) {
  const { hrTime, attributes, eventName } = record;
  const row = document.createElement("tr");
  const time = new Date(hrTime[0] * 1_000 + hrTime[1] / 1e6);
  const texts = {
    time: time.toTimeString().slice(0, 8), flag: attributes["feature_flag.key"] ?? eventName, variant: attributes["feature_flag.result.variant"] ?? "",
    user: attributes["user.id"] ?? "", device: attributes["device.id"],
  };
  for (const [name, text] of Object.entries(texts)) {
    const cell = row.insertCell();
    cell.dataset.field = name;
    cell.textContent = text || "–";
  }
  const cell = row.insertCell();
  shown.set(record, cell);
  document.querySelector("#sent").prepend(row);
  return cell;
}
