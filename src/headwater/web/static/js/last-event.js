// The newest event of a source, live on its overview.

import { aboutOf, nameOf, whoOf } from "./event-words.js";
import { Feed, showState } from "./feed.js";
import { timeElement } from "./times.js";

class LastEvent extends HTMLElement {
  connectedCallback() {
    const pill = this.closest(".card").querySelector("[data-connection]");
    const feed = new Feed(this.dataset.stream);
    feed.addEventListener("state", (event) => showState(pill, event.detail));
    feed.addEventListener("batch", (event) => this.show(event.detail.events.at(-1)));
    feed.open();
  }

  show(event) {
    if (!event) return;
    this.querySelector("[data-what]").textContent = nameOf(event.body);
    this.querySelector("[data-who]").textContent = [aboutOf(event.body), whoOf(event.body)].filter(Boolean).join(" · ");
    this.querySelector("[data-when]").replaceChildren(timeElement(event.body.receivedAt));
  }
}

customElements.define("last-event", LastEvent);
