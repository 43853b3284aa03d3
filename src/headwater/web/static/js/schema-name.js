// Tells, while it is typed, whether a schema name can be used.

const WAIT_MS = 250;

class SchemaName extends HTMLElement {
  #timer = 0;
  #asked = 0;

  connectedCallback() {
    this.input = this.querySelector("input");
    this.hint = this.querySelector(".problem");
    this.hint.setAttribute("aria-live", "polite");
    this.input.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.check(), WAIT_MS);
    });
  }

  async check() {
    const number = ++this.#asked;
    const address = new URL(this.dataset.check, location.href);
    address.searchParams.set("name", this.input.value);
    let problem = "";
    try {
      const answer = await fetch(address, { headers: { accept: "application/json" } });
      problem = (await answer.json()).problem;
    } catch {
      return; // the form's own check says it when it is sent
    }
    if (number !== this.#asked) return; // a slower, older answer
    this.input.setAttribute("aria-invalid", String(problem !== ""));
    this.hint.className = problem ? "problem" : "fine";
    this.hint.textContent = problem || `${this.input.value.replaceAll("-", "_")} is free`;
  }
}

customElements.define("schema-name", SchemaName);
