// One event as lines of code: text nodes and classes only, so that nothing in it can become markup.

const INDENT = "  ";

function span(text, kind) {
  if (!kind) return text;
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
}

class Lines {
  list = document.createElement("ol");
  #line = null;

  start(depth) {
    this.#line = document.createElement("li");
    this.#line.append(INDENT.repeat(depth));
    this.list.append(this.#line);
  }

  add(text, kind) {
    this.#line.append(span(text, kind));
  }
}

function scalar(value) {
  const kind = { string: "t-string", number: "t-number" }[typeof value] ?? "t-word";
  return [JSON.stringify(value), kind];
}

function write(lines, value, depth) {
  if (value === null || typeof value !== "object") return lines.add(...scalar(value));
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const entries = Array.isArray(value) ? value.map((each) => [null, each]) : Object.entries(value);
  if (!entries.length) return lines.add(open + close);
  lines.add(open);
  entries.forEach(([name, each], position) => {
    lines.start(depth + 1);
    if (name !== null) {
      lines.add(JSON.stringify(name), "t-key");
      lines.add(": ");
    }
    write(lines, each, depth + 1);
    if (position < entries.length - 1) lines.add(",");
  });
  lines.start(depth);
  return lines.add(close);
}

// The call as a developer would write it: who, what, with what. Raw has the rest.
const CALL = ["userId", "anonymousId", "previousId", "groupId", "event", "name", "category", "properties", "traits"];

export function pretty(body) {
  const lines = new Lines();
  const shown = Object.fromEntries(CALL.filter((name) => name in body).map((name) => [name, body[name]]));
  lines.start(0);
  lines.add(`analytics.${/^[a-z]+$/.test(body.type) ? body.type : "track"}(`);
  write(lines, shown, 0);
  lines.add(")");
  return lines.list;
}

export function raw(body) {
  const lines = new Lines();
  lines.start(0);
  write(lines, body, 0);
  return lines.list;
}

