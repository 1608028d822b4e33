// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// The SDK's exporter gives a batch up when the Collector cannot be reached, for instance while it restarts. Outbox
// is an exporter around it that tries again, on a server and in a browser. A batch that arrives twice is harmless.

const success = 0, failed = 1; // ExportResultCode of @opentelemetry/core
const firstPause = 1_000, longestPause = 30_000;

export class Outbox {
  #exporter;
  #tell;
  #limit;
  #inOrder;
  #turn = Promise.resolve();
  #held = 0;

  // tell(records, state) hears "sending", "waiting", "taken", "refused" or "lost". No more than limit records are held.
  // inOrder: a batch leaves when the one before it was taken or refused, so that no order overtakes what its customer saw.
  // Not for a page: when it is left, what waits is lost.
  constructor(exporter, { tell = () => {}, limit = 100_000, inOrder = false } = {}) {
    this.#exporter = exporter;
    this.#tell = tell;
    this.#limit = limit;
    this.#inOrder = inOrder;
  }

  export(records, done) {
    if (this.#held + records.length > this.#limit) {
      this.#tell(records, "lost");
      done({ code: failed, error: new Error(`${records.length} log records lost: ${this.#held} others wait for the Collector already`) });
      return;
    }
    this.#held += records.length;
    const send = () => new Promise((next) => {
      this.#attempt(records, (state, result) => {
        this.#held -= records.length;
        next();
        this.#tell(records, state);
        done(result);
      }, firstPause);
    });
    if (this.#inOrder) this.#turn = this.#turn.then(send);
    else send();
  }

  #attempt(records, end, pause) {
    this.#tell(records, "sending");
    this.#exporter.export(records, (result) => {
      if (result.code === success) return end("taken", result);
      if (isFinal(result.error)) return end("refused", result);
      this.#tell(records, "waiting");
      afterPause(pause, () => this.#attempt(records, end, Math.min(2 * pause, longestPause)));
    });
  }

  forceFlush() {
    return this.#exporter.forceFlush();
  }

  shutdown() {
    return this.#exporter.shutdown();
  }
}

// isFinal: the Collector answered, with a status that says "never". On a server the error has it, in a browser only
// the message tells.
const isFinal = (error) => typeof error?.code === "number" || Boolean(error?.message?.includes("non-retryable"));

// afterPause goes on after a while, or as soon as the browser is online again.
function afterPause(pause, goOn) {
  const once = () => {
    clearTimeout(timer);
    globalThis.removeEventListener?.("online", once);
    goOn();
  };
  const timer = setTimeout(once, pause);
  timer.unref?.(); // a server that wants to end is not kept from it
  globalThis.addEventListener?.("online", once);
}
