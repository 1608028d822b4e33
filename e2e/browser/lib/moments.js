// Brings about on a page what otherwise only happens at an unlucky moment.

// moments gives the page that is opened next:
//   once(selector, then)         calls then as soon as an element is there, before the page is painted
//   press(key)                   presses a key
//   goTo(hash)                   changes the address, and tells of it at once
//   opened(url)                  waits until the newest stream whose address begins like url is open
//   told(url, type, data)        is an event of that stream
export const moments = (page) => page.addInitScript(() => {
  globalThis.once = (selector, then) => new MutationObserver((_, observer) => {
    if (!document.querySelector(selector)) return;
    observer.disconnect();
    then();
  }).observe(document, { subtree: true, childList: true });
  globalThis.press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  globalThis.goTo = (hash) => {
    location.hash = hash;
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  const streams = [];
  globalThis.EventSource = class extends EventSource {
    constructor(url) {
      super(url);
      streams.push([url, this]);
    }
  };
  const newest = (url) => streams.findLast(([of]) => of.startsWith(url))[1];
  globalThis.opened = (url) => new Promise((resolve) => (newest(url).readyState === EventSource.OPEN ? resolve() : newest(url).addEventListener("open", resolve)));
  globalThis.told = (url, type, data) => newest(url).dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data) }));
});

// holding holds back the answers that a page gets from a URL. Its result waits for the next of them, or the next that contains a
// text, and returns the function that lets it go: that returns once the page has dealt with the answer.
export async function holding(page, url) {
  const held = [], waiting = [];
  const hold = async (route) => {
    const response = await route.fetch();
    const text = await response.text();
    held.push({ text, letGo: async () => {
      const finished = page.waitForEvent("requestfinished", (request) => request === route.request());
      await route.fulfill({ response });
      await finished;
      await page.evaluate(() => fetch(location.pathname).then((answer) => answer.text())); // comes after it
    } });
    waiting.splice(0).forEach((look) => look());
  };
  await page.route(url, (route) => hold(route).catch((error) => { if (!page.isClosed()) throw error; }));
  return async (text = "") => {
    for (;;) {
      const at = held.findIndex((one) => one.text.includes(text));
      if (at >= 0) return held.splice(at, 1)[0].letGo;
      await new Promise((look) => waiting.push(look));
    }
  };
}
