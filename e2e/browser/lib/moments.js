// Brings about on a page what otherwise only happens at an unlucky moment.

// moments gives the page that is opened next:
//   once(selector, then)         calls then as soon as an element is there, before the page is painted
//   press(key)                   presses a key
//   goTo(hash)                   changes the address, and tells of it at once
//   told(url, type, data)        an event of the newest stream whose address begins like url
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
  globalThis.told = (url, type, data) => streams.findLast(([of]) => of.startsWith(url))[1].dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data) }));
});

// holding holds back the answers that a page gets from a URL. next waits for the next of them, and returns the function that lets
// it go; letGo lets go of all, and holds back no more. Both functions return once the page has dealt with the answers.
export async function holding(page, url) {
  const held = [], waiting = [];
  let open = false, asked = 0;
  const hold = async (route) => {
    if (open) return route.continue();
    const response = await route.fetch();
    const letGo = async () => {
      const finished = page.waitForEvent("requestfinished", (request) => request === route.request());
      await route.fulfill({ response });
      await finished;
      await page.evaluate(() => fetch(location.pathname).then((answer) => answer.text())); // comes after it
    };
    held.push(letGo);
    waiting.splice(0).forEach((look) => look());
  };
  await page.route(url, (route) => hold(route).catch((error) => { if (!page.isClosed()) throw error; }));
  return {
    next: async () => {
      const mine = asked++;
      while (held.length <= mine) await new Promise((look) => waiting.push(look));
      return held[mine];
    },
    letGo: async () => {
      open = true;
      for (const letGo of held) await letGo();
    },
  };
}
