// What the Collector in the same process tells of its records.
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { query } from "./api.js";

// What is kept of the stream.
const windowSize = 200;

const empty = { records: [], missed: 0, waiting: 0, reasons: {}, problem: "" };

// useRecords follows the records that match a filter, newest first; one of which more is known stands where it stood.
// While held, what arrives waits and is counted.
export function useRecords(filter, held) {
  const [state, setState] = useState(empty);
  const waiting = useRef([]);
  const paused = useRef(held);
  const key = query({ ...filter, detail: "text" });

  useEffect(() => {
    const begin = () => { waiting.current = []; setState((s) => ({ ...empty, reasons: s.reasons })); };
    begin();
    const source = new EventSource(`/_sandbox/records?${key}`);
    source.addEventListener("open", begin); // when the connection is renewed, too: a restarted Collector numbers its records from 1
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setState((s) => ({ ...s, problem: "The Collector tells nothing more: too many watch, or it has stopped. Reload the page to try again." }));
    });
    source.addEventListener("counts", (message) => setState((s) => ({ ...s, reasons: JSON.parse(message.data).reasons })));
    source.addEventListener("records", (message) => {
      const batch = JSON.parse(message.data);
      if (paused.current) {
        waiting.current = merged(waiting.current, batch.records);
        setState((s) => ({ ...s, waiting: waiting.current.length, missed: s.missed + batch.missed }));
        return;
      }
      setState((s) => ({ ...s, records: merged(s.records, batch.records), missed: s.missed + batch.missed }));
    });
    return () => source.close();
  }, [key]);

  useLayoutEffect(() => {
    paused.current = held;
    if (held) return;
    const arrived = waiting.current;
    waiting.current = [];
    setState((s) => ({ ...s, records: merged(s.records, arrived), waiting: 0 }));
  }, [held]);

  return state;
}

// merged is what was there with what is new, the newest first. Of one that is in both, more is known now.
function merged(records, news) {
  const known = new Map(records.concat(news).map((r) => [r.seq, r]));
  return [...known.values()].sort((a, b) => b.seq - a.seq).slice(0, windowSize);
}
