import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { get, query } from "./api.js";

// What is kept of the stream; older events are a click away.
const windowSize = 400;

// from is where things stand anew, with these events. Older is what more() has read beside them.
const from = (events, missed = 0) => ({ events, older: [], missed, waiting: 0 });

// useStream follows the events that match a filter. While held, what arrives waits and is counted. more() reads older ones.
export function useStream(filter, held) {
  const [state, setState] = useState(() => from([]));
  const waiting = useRef([]);
  const paused = useRef(held);
  const key = query(filter);

  useEffect(() => {
    waiting.current = [];
    setState(from([]));
    const source = new EventSource(`/_sandbox/stream?${key}`);
    let first = true;
    source.addEventListener("open", () => { first = true; });
    source.addEventListener("reset", () => { waiting.current = []; setState(from([])); });
    source.addEventListener("events", (message) => {
      const batch = JSON.parse(message.data);
      const newest = batch.events.reverse();
      if (first) {
        // The answer to a connection, new or renewed, is where things stand.
        first = false;
        waiting.current = [];
        setState(from(newest, batch.missed));
        return;
      }
      if (paused.current) {
        waiting.current = newest.concat(waiting.current).slice(0, windowSize);
        setState((s) => ({ ...s, waiting: s.waiting + newest.length + batch.missed }));
        return;
      }
      setState((s) => ({ ...s, events: newest.concat(s.events).slice(0, windowSize), missed: s.missed + batch.missed }));
    });
    return () => source.close();
  }, [key]);

  // A layout effect, so that nothing arrives between the click and it.
  useLayoutEffect(() => {
    paused.current = held;
    if (held) return;
    const arrived = waiting.current;
    waiting.current = [];
    setState((s) => ({ ...s, events: arrived.concat(s.events).slice(0, windowSize), waiting: 0 }));
  }, [held]);

  // An answer is dropped if something else has come first: the same from a second click, another filter, a reset.
  const more = async () => {
    const before = (state.older.at(-1) ?? state.events.at(-1)).sandbox.seq;
    const { events } = await get(`events?${query({ ...filter, before, newest: true, limit: 200 })}`);
    setState((s) => (s.older === state.older ? { ...s, older: s.older.concat(events.reverse()) } : s));
  };

  return { ...state, more };
}

// useStats follows the counts.
export function useStats() {
  const [stats, setStats] = useState({ data: null, live: false });
  useEffect(() => {
    const source = new EventSource("/_sandbox/stream?events=false");
    source.addEventListener("stats", (message) => setStats({ data: JSON.parse(message.data), live: true }));
    source.addEventListener("error", () => setStats((s) => ({ ...s, live: false })));
    return () => source.close();
  }, []);
  return stats;
}

// useRefreshed reads something again when the counts have changed, at most once a second.
export function useRefreshed(read, deps, stamp) {
  const [state, setState] = useState({ data: null, error: null });
  const last = useRef(0);
  const timer = useRef(0);
  const asked = useRef(0);
  const shown = useRef(0); // which answer is shown: those to earlier calls come too late
  const run = async () => {
    last.current = Date.now();
    const mine = ++asked.current;
    const answer = await read().then((data) => ({ data, error: null }), (error) => ({ data: null, error: error.message }));
    if (mine < shown.current) return;
    shown.current = mine;
    setState(answer);
  };
  useEffect(() => {
    shown.current = asked.current + 1; // what was asked for before is not wanted anymore
    run();
    return () => clearTimeout(timer.current);
  }, deps);
  useEffect(() => {
    if (stamp === undefined) return;
    clearTimeout(timer.current);
    timer.current = setTimeout(run, Math.max(0, last.current + 1000 - Date.now()));
  }, [stamp]);
  return { ...state, reload: run };
}

// useSettled follows a value once it has not changed for a moment, so that typing does not reconnect on each key.
export function useSettled(value) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), 200);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
