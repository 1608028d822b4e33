// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// An evaluation is no exposure until somebody sees its result. WhenSeen is an OpenFeature hook around
// another one: it holds an evaluation back until the element that shows its result is on the screen.
//
//   client.getStringDetails("headline", "", { hookHints: { element } })
//
// The element then gets an event "exposure". Evaluations without an element are never passed on.

export class WhenSeen {
  #hook;
  #waiting = new Map(); // element -> what to do once it is seen
  #observer = new IntersectionObserver((entries) => entries.filter(isSeen).forEach(({ target }) => this.#seen(target)), {
    threshold: Array.from({ length: 21 }, (_, i) => i / 20),
  });

  constructor(hook) {
    this.#hook = hook;
  }

  finally(context, details, hints) {
    const element = hints?.element;
    if (!element) return;
    // A later evaluation for the same element takes the place of one that nobody saw.
    this.#observer.unobserve(element);
    this.#waiting.set(element, () => this.#hook.finally(context, details, hints));
    this.#observer.observe(element);
  }

  #seen(element) {
    this.#observer.unobserve(element);
    const write = this.#waiting.get(element);
    this.#waiting.delete(element);
    write?.();
    element.dispatchEvent(new Event("exposure", { bubbles: true }));
  }
}

// isSeen: half of the element is on the screen, or, of one that is very large, a third of the screen is full of it.
// An element that is not rendered intersects with nothing, and its rectangles are empty.
function isSeen({ isIntersecting, intersectionRatio, intersectionRect, rootBounds }) {
  return isIntersecting && (intersectionRatio >= 0.5 || (rootBounds !== null && intersectionRect.height >= rootBounds.height / 3));
}
