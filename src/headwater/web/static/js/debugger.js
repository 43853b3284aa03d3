// The live debugger: the newest 500 events of a source, and one of them open beside.

import { announce, copy, isTyping } from "./app.js";
import { aboutOf, nameOf, whoOf } from "./event-words.js";
import { Feed, showState } from "./feed.js";
import { pretty, raw } from "./payload.js";
import { fullOf, timeElement } from "./times.js";

const WAITING_MAX = 500;
const STOPS_FIRST_WAIT_MS = 1500;
const STOPS_LONGEST_WAIT_MS = 30000;

class LiveDebugger extends HTMLElement {
  #events = []; // newest first
  #waiting = []; // arrived while paused, oldest first
  #missed = 0;
  #feed = null;
  #paused = false;
  #state = "connecting";
  #open = null; // the event in the payload; stays when it leaves the list
  #chosenByHand = false;
  #view = "pretty";
  #unseen = 0;
  #skipped = 0;
  #stopsTimer = 0;

  connectedCallback() {
    this.max = Number(this.dataset.max);
    for (const part of this.querySelectorAll("[data-part]")) this[part.dataset.part] = part;
    this.live.addEventListener("click", () => this.#pause(false));
    this.pause.addEventListener("click", () => this.#pause(true));
    this.search.addEventListener("input", () => this.#filtered());
    this.filter.addEventListener("change", () => this.#connect());
    this.rows.addEventListener("click", (event) => this.#click(event));
    this.rows.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.fresh.addEventListener("click", () => this.#toTop());
    this.prettyTab.addEventListener("click", () => this.#show("pretty"));
    this.rawTab.addEventListener("click", () => this.#show("raw"));
    this.copyJson.addEventListener("click", () => copy(this.copyJson, JSON.stringify(this.#open.body, null, 2)));
    this.back.addEventListener("click", () => this.#close());
    document.addEventListener("keydown", (event) => this.#key(event));
    this.#connect();
  }

  #connect() {
    this.#feed?.close();
    this.#events = [];
    this.#waiting = [];
    this.#missed = 0;
    this.#skipped = 0;
    this.rows.replaceChildren();
    this.#address();
    this.#feed = new Feed(this.dataset.stream, { event: this.filter.value });
    this.#feed.addEventListener("state", (event) => this.#connection(event.detail));
    this.#feed.addEventListener("batch", (event) => this.#arrive(event.detail));
    this.#feed.open();
    this.#count();
  }

  disconnectedCallback() {
    clearTimeout(this.#stopsTimer);
  }

  #connection(state) {
    this.#state = state;
    showState(this.connection, this.#paused && state === "live" ? "paused" : state);
    this.signIn.hidden = state !== "signed-out";
  }

  #arrive({ events, skipped, backlog }) {
    this.#skipped += skipped;
    const known = new Set([...this.#events, ...this.#waiting].map((event) => event.seq));
    const news = events.filter((event) => !known.has(event.seq));
    this.#offer(news);
    if (this.#paused) {
      this.#waiting.push(...news);
      this.#missed += skipped + Math.max(0, this.#waiting.length - WAITING_MAX);
      this.#waiting = this.#waiting.slice(-WAITING_MAX);
      this.#waitingCount();
    } else {
      this.#add(news, !backlog);
    }
  }

  #add(news, isFresh) {
    // Whoever reads further down, or has opened an event, keeps their place: the list grows above the view.
    const keeps = this.rows.scrollTop > 0 || this.#chosenByHand;
    const before = this.rows.scrollHeight;
    const top = this.rows.scrollTop;
    const rows = document.createDocumentFragment();
    let shown = 0;
    for (const event of news.toReversed()) {
      const row = this.#row(event, isFresh);
      shown += row.hidden ? 0 : 1;
      rows.append(row);
    }
    this.#events.unshift(...news.toReversed());
    this.rows.prepend(rows);
    for (const gone of this.#events.splice(this.max)) this.rows.querySelector(`#e${gone.seq}`)?.remove();
    if (keeps && isFresh) {
      this.rows.scrollTop = top + this.rows.scrollHeight - before;
      this.#unseen += shown;
    }
    this.#scrolled();
    this.#count();
    if (!this.#open && this.#events.length && matchMedia("(min-width: 68rem)").matches) this.#choose(this.#events[0]);
  }

  #row(event, isFresh) {
    const { body } = event;
    const row = this.template.content.firstElementChild.cloneNode(true);
    row.id = `e${event.seq}`;
    row.classList.toggle("fresh", isFresh);
    row.querySelector(".call").textContent = body.type;
    row.querySelector("strong").textContent = nameOf(body);
    row.querySelector(".what span").textContent = [whoOf(body), aboutOf(body)].filter(Boolean).join(" · ");
    row.querySelector(".when").append(timeElement(body.receivedAt));
    row.setAttribute("aria-selected", String(this.#open?.seq === event.seq));
    event.text = JSON.stringify(body).toLowerCase();
    row.hidden = !this.#matches(event);
    return row;
  }

  #matches(event) {
    return event.text.includes(this.search.value.trim().toLowerCase());
  }

  #filtered() {
    for (const event of this.#events) this.rows.querySelector(`#e${event.seq}`).hidden = !this.#matches(event);
    this.#address();
    this.#count();
  }

  // The filters stand in the address, so that a view can be sent to a colleague.
  #address() {
    const address = new URL(location.href);
    for (const [name, value] of [["event", this.filter.value], ["q", this.search.value.trim()]]) {
      if (value) address.searchParams.set(name, value);
      else address.searchParams.delete(name);
    }
    history.replaceState(null, "", address);
  }

  #offer(events) {
    for (const { body } of events) {
      const name = body.type === "track" ? nameOf(body) : body.type;
      if ([...this.filter.options].some((option) => option.value === name)) continue;
      this.filter.add(new Option(name, name));
    }
  }

  #count() {
    const shown = this.#events.filter((event) => this.#matches(event)).length;
    const total = this.#events.length;
    const capped = total >= this.max ? `newest ${this.max}` : `${total}`;
    const sample = this.#skipped ? ` · a sample: ${this.#skipped.toLocaleString("en")} more came too fast to show` : "";
    this.counted.textContent = (shown === total ? `${capped} event${total === 1 ? "" : "s"}` : `${shown} of ${capped} events`) + sample;
    this.nothing.hidden = total > 0;
    this.noMatch.hidden = !(total > 0 && shown === 0);
  }

  #pause(paused) {
    if (paused === this.#paused) return;
    this.#paused = paused;
    this.live.setAttribute("aria-pressed", String(!paused));
    this.pause.setAttribute("aria-pressed", String(paused));
    this.#connection(this.#state);
    announce(paused ? "Paused" : "Live");
    if (!paused) {
      const news = this.#waiting;
      this.#skipped += this.#missed;
      this.#waiting = [];
      this.#missed = 0;
      this.#add(news, true);
    }
    this.#waitingCount();
  }

  #waitingCount() {
    const count = this.#waiting.length + this.#missed;
    if (this.#paused) {
      this.fresh.hidden = count === 0;
      this.freshText.textContent = `Show ${count.toLocaleString("en")} new event${count === 1 ? "" : "s"}`;
    } else {
      this.#scrolled();
    }
  }

  #scrolled() {
    if (this.#paused) return;
    if (this.rows.scrollTop <= 0) this.#unseen = 0;
    this.fresh.hidden = this.#unseen === 0;
    this.freshText.textContent = `${this.#unseen} new above`;
  }

  #toTop() {
    this.#pause(false);
    this.#chosenByHand = false;
    this.rows.scrollTop = 0;
    this.#scrolled();
    this.rows.focus();
  }

  #click(event) {
    const row = event.target.closest(".tail-row");
    if (!row) return;
    this.#chosenByHand = true;
    this.#choose(this.#events.find((each) => `e${each.seq}` === row.id));
  }

  #choose(event) {
    if (this.#open) this.rows.querySelector(`#e${this.#open.seq}`)?.setAttribute("aria-selected", "false");
    this.#open = event;
    const row = this.rows.querySelector(`#e${event.seq}`);
    row.setAttribute("aria-selected", "true");
    this.rows.setAttribute("aria-activedescendant", row.id);
    if (this.#chosenByHand) row.scrollIntoView({ block: "nearest" });
    if (this.#chosenByHand) this.dataset.open = "";
    this.payload.hidden = false;
    this.none.hidden = true;
    this.heading.textContent = nameOf(event.body);
    const when = new Date(event.body.receivedAt);
    this.subtitle.textContent = [fullOf(when), event.body.messageId].filter(Boolean).join(" · ");
    this.#show(this.#view);
    this.stops.replaceChildren();
    this.#went(event, STOPS_FIRST_WAIT_MS);
  }

  #close() {
    delete this.dataset.open;
    this.rows.focus();
  }

  #show(view) {
    this.#view = view;
    this.prettyTab.setAttribute("aria-selected", String(view === "pretty"));
    this.rawTab.setAttribute("aria-selected", String(view === "raw"));
    if (this.#open) this.code.replaceChildren(view === "pretty" ? pretty(this.#open.body) : raw(this.#open.body));
    this.code.scrollTop = 0;
  }

  // What is queued now is loaded a second later: the stops are asked again, ever more rarely, while the event is open.
  async #went(event, wait) {
    clearTimeout(this.#stopsTimer);
    const address = new URL(this.dataset.where, location.href);
    address.searchParams.set("seq", event.seq);
    address.searchParams.set("id", event.body.messageId ?? "");
    try {
      const answer = await fetch(address);
      const { stops } = await answer.json();
      if (this.#open !== event) return;
      this.stops.replaceChildren(...stops.map((stop) => this.#stop(stop)));
      if (stops.some((stop) => stop.label === "Queued")) {
        const longer = Math.min(wait * 2, STOPS_LONGEST_WAIT_MS);
        this.#stopsTimer = setTimeout(() => this.#went(event, longer), wait);
      }
    } catch {
      // The pipeline does not answer now; the payload is what was asked for.
    }
    this.went.hidden = this.stops.childElementCount === 0;
  }

  #stop(stop) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = stop.address;
    link.textContent = stop.name;
    const name = document.createElement("span");
    name.append(link);
    const side = document.createElement("span");
    side.className = "row";
    const pill = document.createElement("span");
    pill.className = `pill ${stop.kind || "plain"}`;
    pill.textContent = stop.label;
    const note = document.createElement("span");
    note.className = "muted";
    note.textContent = stop.note;
    side.append(note, pill);
    item.append(name, side);
    return item;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (event.target === this.search) this.rows.focus();
      else this.#close();
      return;
    }
    const onButton = event.target.closest("button, a, [role=tab], summary") !== null;
    if (isTyping(event) || (onButton && event.key === " ")) return;
    if (event.key === " ") this.#pause(!this.#paused);
    else if (["ArrowDown", "j"].includes(event.key) && event.target !== this.code) this.#move(1);
    else if (["ArrowUp", "k"].includes(event.key) && event.target !== this.code) this.#move(-1);
    else return;
    event.preventDefault();
  }

  #move(step) {
    const visible = this.#events.filter((event) => this.#matches(event));
    const at = visible.findIndex((event) => event.seq === this.#open?.seq);
    const next = visible[at === -1 ? 0 : Math.min(Math.max(at + step, 0), visible.length - 1)];
    if (!next) return;
    this.#chosenByHand = true;
    this.#choose(next);
  }
}

customElements.define("live-debugger", LiveDebugger);
