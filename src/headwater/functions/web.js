// The parts of a browser's surroundings that functions use: Headers, Response, URL, URLSearchParams, fetch, encoders.
// `send` takes {url, method, headers, body} and returns a promise of what came back.
function WEB(send) {
  "use strict";
  const { parse } = JSON;

  class Headers {
    #values = new Map();
    constructor(given = {}) {
      const pairs = given instanceof Headers || Array.isArray(given) ? given : Object.entries(given ?? {});
      for (const [name, value] of pairs) this.append(name, value);
    }
    append(name, value) {
      const before = this.get(name);
      this.set(name, before === null ? value : `${before}, ${value}`);
    }
    set(name, value) { this.#values.set(String(name).toLowerCase(), String(value).trim()); }
    get(name) { return this.#values.get(String(name).toLowerCase()) ?? null; }
    has(name) { return this.#values.has(String(name).toLowerCase()); }
    delete(name) { this.#values.delete(String(name).toLowerCase()); }
    forEach(work) { for (const [name, value] of this) work(value, name, this); }
    keys() { return this.#values.keys(); }
    values() { return this.#values.values(); }
    entries() { return this.#values.entries(); }
    [Symbol.iterator]() { return this.#values.entries(); }
    toJSON() { return Object.fromEntries(this.#values); }
  }

  const formed = (text) => encodeURIComponent(text).replace(/%20/g, "+").replace(/[!'()~]/g, (mark) =>
    "%" + mark.charCodeAt(0).toString(16).toUpperCase());
  const unformed = (text) => {
    const spaced = text.replace(/\+/g, " ");
    try {
      return decodeURIComponent(spaced);
    } catch {
      return spaced;
    }
  };

  class URLSearchParams {
    #pairs = [];
    #changed = () => {};
    constructor(given = "", changed = undefined) {
      if (typeof given === "string") this.#read(given);
      else if (given[Symbol.iterator]) for (const [name, value] of given) this.#pairs.push([`${name}`, `${value}`]);
      else for (const [name, value] of Object.entries(given)) this.#pairs.push([name, `${value}`]);
      if (changed) this.#changed = changed;
    }
    #read(text) {
      for (const part of text.replace(/^\?/, "").split("&")) {
        if (!part) continue;
        const at = part.indexOf("=");
        this.#pairs.push(at < 0 ? [unformed(part), ""] : [unformed(part.slice(0, at)), unformed(part.slice(at + 1))]);
      }
    }
    get size() { return this.#pairs.length; }
    append(name, value) { this.#pairs.push([`${name}`, `${value}`]); this.#changed(); }
    delete(name) { this.#pairs = this.#pairs.filter(([each]) => each !== `${name}`); this.#changed(); }
    get(name) { return this.#pairs.find(([each]) => each === `${name}`)?.[1] ?? null; }
    getAll(name) { return this.#pairs.filter(([each]) => each === `${name}`).map(([, value]) => value); }
    has(name) { return this.#pairs.some(([each]) => each === `${name}`); }
    set(name, value) {
      const at = this.#pairs.findIndex(([each]) => each === `${name}`);
      if (at < 0) return this.append(name, value);
      this.#pairs = this.#pairs.filter(([each], place) => place <= at || each !== `${name}`);
      this.#pairs[at] = [`${name}`, `${value}`];
      this.#changed();
    }
    sort() { this.#pairs.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0)); this.#changed(); }
    forEach(work) { for (const [name, value] of this) work(value, name, this); }
    keys() { return this.#pairs.map(([name]) => name)[Symbol.iterator](); }
    values() { return this.#pairs.map(([, value]) => value)[Symbol.iterator](); }
    entries() { return this.#pairs.map((pair) => [...pair])[Symbol.iterator](); }
    [Symbol.iterator]() { return this.entries(); }
    toString() { return this.#pairs.map(([name, value]) => `${formed(name)}=${formed(value)}`).join("&"); }
  }

  const PARTS = /^([a-z][a-z0-9+.-]*:)\/\/(?:([^/?#@]*)@)?(\[[0-9a-f:.]+\]|[^/?#:]*)(?::(\d*))?([^?#]*)(\?[^#]*)?(#.*)?$/is;
  const PORTS = { "http:": "80", "https:": "443" };

  function joined(text, base) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(text)) return text;
    if (base === undefined) throw new TypeError("Invalid URL");
    const from = new URL(base);
    if (text.startsWith("//")) return from.protocol + text;
    if (text.startsWith("/")) return from.origin + text;
    if (text.startsWith("?")) return from.origin + from.pathname + text;
    if (text.startsWith("#")) return from.origin + from.pathname + from.search + text;
    return from.origin + from.pathname.replace(/[^/]*$/, "") + text;
  }

  function plain(path) {
    const kept = [];
    const steps = path.split("/").slice(1);
    steps.forEach((step, place) => {
      const isLast = place === steps.length - 1;
      if (step === "..") { kept.pop(); if (isLast) kept.push(""); }
      else if (step !== ".") kept.push(step);
      else if (isLast) kept.push("");
    });
    return "/" + kept.join("/");
  }

  const escaped = (text) => text.replace(/[^!#$%&'()*+,\-./0-9:;=?@A-Z[\]_a-z~]+/g, (odd) =>
    encodeURIComponent(odd.toWellFormed()));

  class URL {
    #query = "";
    #params;
    constructor(text, base) {
      const found = PARTS.exec(joined(String(text).trim(), base === undefined ? undefined : String(base)));
      if (!found || !found[3]) throw new TypeError("Invalid URL");
      const [, scheme, user = "", host, port = "", path, query = "", hash = ""] = found;
      this.protocol = scheme.toLowerCase();
      const [name, ...word] = user.split(":");
      this.username = name;
      this.password = word.join(":");
      this.hostname = host.toLowerCase();
      this.port = port === PORTS[this.protocol] ? "" : port;
      this.pathname = plain(escaped(path) || "/");
      this.hash = hash === "#" ? "" : escaped(hash);
      this.search = query;
    }
    static canParse(text, base) {
      try { return Boolean(new URL(text, base)); } catch { return false; }
    }
    get search() { return this.#query; }
    set search(text) {
      const bare = escaped(String(text)).replace(/^\?/, "");
      this.#query = bare ? `?${bare}` : "";
      this.#params = new URLSearchParams(bare, () => {
        const changed = this.#params.toString();
        this.#query = changed ? `?${changed}` : "";
      });
    }
    get searchParams() { return this.#params; }
    get host() { return this.hostname + (this.port ? `:${this.port}` : ""); }
    get origin() { return `${this.protocol}//${this.host}`; }
    get href() {
      const word = this.password ? `:${this.password}` : "";
      const user = this.username || word ? `${this.username}${word}@` : "";
      return `${this.protocol}//${user}${this.host}${this.pathname}${this.search}${this.hash}`;
    }
    toString() { return this.href; }
    toJSON() { return this.href; }
  }

  class TextEncoder {
    encode(text = "") {
      const bytes = unescape(encodeURIComponent(String(text).toWellFormed()));
      return Uint8Array.from(bytes, (byte) => byte.charCodeAt(0));
    }
  }

  class TextDecoder {
    decode(bytes = new Uint8Array()) {
      let text = "";
      for (const byte of new Uint8Array(bytes.buffer ?? bytes)) text += String.fromCharCode(byte);
      try {
        return decodeURIComponent(escape(text));
      } catch {
        return text;
      }
    }
  }

  class Response {
    #body;
    #isCut;
    constructor({ status, headers, body, cut }, url) {
      this.#body = body;
      this.#isCut = cut;
      this.status = status;
      this.ok = status >= 200 && status < 300;
      this.statusText = "";
      this.headers = new Headers(headers);
      this.url = url;
      this.redirected = false;
    }
    async text() {
      if (this.#isCut) throw new Error("The answer is too long to be read whole.");
      return this.#body;
    }
    async json() { return parse(await this.text()); }
  }

  class Request {
    #body;
    constructor({ url, headers, body }) {
      this.#body = body;
      this.method = "POST";
      this.url = new URL(url);
      this.headers = new Headers(headers);
    }
    text() { return this.#body; }
    json() {
      const kind = this.headers.get("content-type") ?? "";
      if (!kind.startsWith("application/x-www-form-urlencoded")) return parse(this.#body);
      return Object.fromEntries(new URLSearchParams(this.#body));
    }
  }

  function fetch(target, { method = "GET", headers = {}, body } = {}) {
    const named = new Headers(headers);
    let text = "";
    if (body instanceof URLSearchParams) {
      text = body.toString();
      if (!named.has("content-type")) named.set("content-type", "application/x-www-form-urlencoded;charset=UTF-8");
    } else if (typeof body === "string") {
      text = body;
      if (!named.has("content-type")) named.set("content-type", "text/plain;charset=UTF-8");
    } else if (body !== undefined && body !== null) {
      return Promise.reject(new TypeError("A body is text or URLSearchParams; use JSON.stringify for an object."));
    }
    return send({
      url: String(target), method: String(method).toUpperCase(), headers: named.toJSON(), body: text.toWellFormed(),
    });
  }

  return { Request, Response, scope: { Headers, URL, URLSearchParams, TextEncoder, TextDecoder, fetch } };
}
