// A stream of events that comes back by itself: after a lost connection, a restarted server, a night in a closed laptop.

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10000;
const SILENCE_MS = 30000; // the server pings every 12 seconds

export class Feed extends EventTarget {
  #address;
  #source = null;
  #wait = FIRST_WAIT_MS;
  #timer = 0;
  #watch = 0;
  #last = null;

  constructor(address, query = {}) {
    super();
    this.#address = new URL(address, location.href);
    for (const [name, value] of Object.entries(query)) if (value) this.#address.searchParams.set(name, value);
  }

  open() {
    this.close();
    if (this.#last !== null) this.#address.searchParams.set("after", this.#last);
    this.#source = new EventSource(this.#address);
    this.#source.addEventListener("open", () => {
      this.#wait = FIRST_WAIT_MS;
      this.#state("live");
      this.#hear();
    });
    this.#source.addEventListener("batch", (message) => {
      if (message.lastEventId) this.#last = message.lastEventId;
      this.#hear();
      this.dispatchEvent(new CustomEvent("batch", { detail: JSON.parse(message.data) }));
    });
    this.#source.addEventListener("ping", () => this.#hear());
    this.#source.addEventListener("error", () => this.#retry());
  }

  close() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watch);
    this.#source?.close();
    this.#source = null;
  }

  #hear() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#retry(), SILENCE_MS);
  }

  async #retry() {
    this.close();
    this.#state("reconnecting");
    this.#timer = setTimeout(() => this.open(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
    try {
      // A redirect means that the session has ended: then only signing in helps.
      const page = await fetch(location.href, { method: "GET", redirect: "manual" });
      if (page.type === "opaqueredirect") {
        this.close();
        this.#state("signed-out");
      }
    } catch {
      // The server is away: the timer tries again.
    }
  }

  #state(name) {
    this.dispatchEvent(new CustomEvent("state", { detail: name }));
  }
}

const WORDS = {
  live: ["Live", "ok live"],
  paused: ["Paused", "warn"],
  reconnecting: ["Reconnecting", "warn"],
  "signed-out": ["Signed out", "bad"],
  connecting: ["Connecting", ""],
};

export function showState(pill, name) {
  const [label, kind] = WORDS[name];
  pill.textContent = label;
  pill.className = `pill ${kind}`;
}
