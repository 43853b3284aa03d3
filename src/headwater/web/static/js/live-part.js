// A part of a page that is kept up to date: the page is asked for again, and the part taken out of it.

import { showTimes } from "./times.js";

const EVERY_MS = 3000;
const LONGEST_MS = 30000;

class LivePart extends HTMLElement {
  #wait = EVERY_MS;
  #timer = 0;
  #shown = null;

  connectedCallback() {
    this.#later();
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
  }

  #later() {
    this.#timer = setTimeout(() => this.#refresh(), this.#wait);
  }

  async #refresh() {
    if (!document.hidden && !this.contains(document.activeElement)) {
      try {
        const answer = await fetch(location.pathname, { headers: { accept: "text/html" }, redirect: "error" });
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(this.id);
        if (answer.ok && fresh && !fresh.isEqualNode(this.#shown)) {
          this.#shown = fresh.cloneNode(true);
          this.replaceChildren(...fresh.childNodes);
          showTimes(this);
        }
        this.#wait = EVERY_MS;
      } catch {
        this.#wait = Math.min(this.#wait * 2, LONGEST_MS);
      }
    }
    this.#later();
  }
}

customElements.define("live-part", LivePart);
