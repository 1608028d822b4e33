import { useEffect, useRef, useState } from "./vendor/htm-preact.js";
import { query } from "./api.js";

// What is kept of the stream; older events are a click away.
const windowSize = 400;

// useStream follows the events that match a filter. While held, what arrives waits and is counted.
export function useStream(filter, held) {
  const [state, setState] = useState({ events: [], missed: 0, live: false, waiting: 0 });
  const waiting = useRef([]);
  const paused = useRef(held);
  const key = query(filter);

  useEffect(() => {
    waiting.current = [];
    setState((s) => ({ ...s, events: [], missed: 0, waiting: 0 }));
    const source = new EventSource(`/_sandbox/stream?${key}`);
    let first = true;
    source.addEventListener("open", () => { first = true; setState((s) => ({ ...s, live: true })); });
    source.addEventListener("error", () => setState((s) => ({ ...s, live: false })));
    source.addEventListener("reset", () => { waiting.current = []; setState((s) => ({ ...s, events: [], missed: 0, waiting: 0 })); });
    source.addEventListener("events", (message) => {
      const batch = JSON.parse(message.data);
      const newest = batch.events.reverse();
      if (first) {
        // The answer to a connection, new or renewed, is where things stand.
        first = false;
        waiting.current = [];
        setState((s) => ({ ...s, events: newest, missed: batch.missed, waiting: 0 }));
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

  useEffect(() => {
    paused.current = held;
    if (held) return;
    const arrived = waiting.current;
    waiting.current = [];
    setState((s) => ({ ...s, events: arrived.concat(s.events).slice(0, windowSize), waiting: 0 }));
  }, [held]);

  return state;
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
  const generation = useRef(0);
  const run = async () => {
    last.current = Date.now();
    const mine = ++generation.current;
    try {
      const data = await read();
      if (mine === generation.current) setState({ data, error: null });
    } catch (error) {
      if (mine === generation.current) setState({ data: null, error: error.message });
    }
  };
  useEffect(() => { run(); return () => clearTimeout(timer.current); }, deps);
  useEffect(() => {
    if (stamp === undefined) return;
    clearTimeout(timer.current);
    timer.current = setTimeout(run, Math.max(0, last.current + 1000 - Date.now()));
  }, [stamp]);
  return { ...state, reload: run };
}
