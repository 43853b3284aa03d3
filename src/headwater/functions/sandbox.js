// Evaluated before a function's code, once for each context. Its value is the bridge: the one function through which
// the process around it starts a handler, hands in answers and timers, and takes what is wanted and what came of it.
(function () {
  "use strict";
  const { parse, stringify } = JSON;
  const { apply } = Reflect;
  const { join } = Array.prototype;
  const evaluate = eval;
  const LINES_MAX = 50; // ours: console lines kept of one event, the newest
  const LINE_CHARS_MAX = 1000;
  const MESSAGE_CHARS_MAX = 500;
  const VALUE_CHARS_MAX = 1024 * 1024;
  const FETCHES_MAX = 100; // ours: requests of one event
  const EMITTED_MAX = 1000; // ours: calls that one request may become
  const TIMERS_MAX = 100;
  const LINES_BEFORE = 10000; // empty lines before a function's code: its lines are told from those of this file
  const HANDLERS = {
    identify: "onIdentify", track: "onTrack", page: "onPage", screen: "onScreen", group: "onGroup", alias: "onAlias",
    delete: "onDelete",
  };
  const NAMES = [...Object.values(HANDLERS), "onBatch", "onRequest"];

  let handlers = {};
  let settings = "{}";
  let current = null; // the event at work
  let timers = [];
  let fetches = new Map();
  let wanted = [];
  let lastId = 0;
  let fetched = 0;

  const kinds = { RetryError: "retry", EventNotSupported: "unsupported", DropEvent: "dropped" };
  const errors = {};
  for (const name of ["RetryError", "EventNotSupported", "DropEvent", "InvalidEventPayload", "ValidationError"]) {
    errors[name] = class extends Error {
      constructor(message) {
        super(message);
        Object.defineProperty(this, "name", { value: name, configurable: true, writable: true });
      }
    };
    Object.defineProperty(errors[name], "name", { value: name });
  }
  // a request that got no answer: not caught, it means "again later", whatever the code thought of
  class FetchError extends errors.RetryError {
    constructor(message) {
      super(message);
      this.name = "FetchError";
    }
  }

  // a long text that was put together with + cannot be handed over: the binding does not know such texts
  function flat(...parts) {
    return apply(join, parts, [""]);
  }

  function cut(text, most) {
    return text.length > most ? text.slice(0, most) + "…" : text;
  }

  function shown(value) {
    if (typeof value === "string") return value;
    if (value instanceof Error) return `${value.name}: ${value.message}`;
    try {
      return String(typeof value === "object" ? stringify(value) : value);
    } catch {
      return "[cannot be shown]";
    }
  }

  function write(...values) {
    if (!current) return;
    current.log.push(cut(values.map((value) => cut(shown(value), LINE_CHARS_MAX)).join(" "), LINE_CHARS_MAX));
    if (current.log.length > LINES_MAX) current.log.shift();
  }

  function described(error) {
    try {
      const text = error instanceof Error ? `${error.name}: ${error.message}` : `Error: ${shown(error)}`;
      const line = error instanceof Error ? lineOf(String(error.stack)) : 0;
      return cut(text, MESSAGE_CHARS_MAX) + (line ? ` (line ${line})` : "");
    } catch {
      return "Error: it cannot be read";
    }
  }

  function lineOf(stack) {
    for (const [, line] of stack.matchAll(/<input>:(\d+)/g)) if (line > LINES_BEFORE) return line - LINES_BEFORE;
    return 0;
  }

  function kindOf(error) {
    try {
      for (const name of Object.keys(kinds)) if (error instanceof errors[name]) return kinds[name];
    } catch {
      // an error whose prototype throws is an error like any other
    }
    return "failed";
  }

  function end(event, kind, value, message) {
    if (event !== current || event.ended !== null) return;
    let text = "null";
    try {
      text = stringify(value) ?? "null";
    } catch (error) {
      [kind, text, message] = ["failed", "null", `What it returned is no JSON: ${described(error)}`];
    }
    if (text.length > VALUE_CHARS_MAX) {
      [kind, text, message] = ["failed", "null", `It returned more than ${VALUE_CHARS_MAX} characters.`];
    }
    event.ended = flat(
      '{"kind":', stringify(kind), ',"value":', text, ',"message":', stringify(message), ',"log":',
      stringify(event.log), "}",
    );
    timers = [];
    fetches = new Map();
    wanted = [];
  }

  async function work(event, name, argument) {
    try {
      const handler = handlers[name];
      if (!handler) throw new errors.EventNotSupported(`The function has no ${name}.`);
      const value = await handler(argument, parse(settings));
      end(event, "sent", name === "onRequest" ? event.emitted : value, "");
    } catch (error) {
      end(event, kindOf(error), null, described(error));
    }
  }

  function begin(name, text) {
    const event = { ended: null, log: [], emitted: [] };
    current = event;
    fetched = 0;
    let argument = parse(text);
    if (name === "onEvent") name = HANDLERS[argument.type] ?? `handler for ${cut(String(argument.type), 20)} calls`;
    if (name === "onRequest") argument = new web.Request(argument);
    work(event, name, argument);
  }

  function send(request) {
    return new Promise((resolve, reject) => {
      if (!current || current.ended !== null) return reject(new FetchError("The event is over."));
      if (++fetched > FETCHES_MAX) return reject(new Error(`An event may fetch ${FETCHES_MAX} times.`));
      const id = ++lastId;
      fetches.set(id, { resolve, reject, url: request.url });
      wanted.push({ id, ...request });
    });
  }

  function answer(text) {
    const { id, error, retry, ...given } = parse(text);
    const waiting = fetches.get(id);
    if (!waiting) return;
    fetches.delete(id);
    if (error !== undefined) waiting.reject(retry ? new FetchError(error) : new Error(error));
    else waiting.resolve(new web.Response(given, waiting.url));
  }

  function tick(now) {
    const due = timers.filter((timer) => timer.at <= now).sort((one, other) => one.at - other.at);
    timers = timers.filter((timer) => timer.at > now);
    for (const timer of due) {
      try {
        timer.work(...timer.rest);
      } catch (error) {
        write("a timer failed:", error);
      }
    }
  }

  function load(code, given) {
    settings = given;
    const named = NAMES.map((name) => `${name}: typeof ${name} === "function" ? ${name} : undefined`);
    // in one evaluation: what is declared with const is not seen from another
    try {
      handlers = evaluate("\n".repeat(LINES_BEFORE) + code + `\n;({ ${named.join(", ")} })`);
    } catch (error) {
      return flat("!", described(error));
    }
    return NAMES.filter((name) => handlers[name]).join(" ");
  }

  function emit(type) {
    return (call) => {
      if (call === null || typeof call !== "object") throw new TypeError(`Segment.${type} takes an object.`);
      if (!current) throw new Error("Nothing can be sent before there is a request.");
      if (current.emitted.length >= EMITTED_MAX) throw new Error(`A request may become ${EMITTED_MAX} calls.`);
      current.emitted.push(parse(stringify({ ...call, type })));
    };
  }

  const Segment = Object.fromEntries(
    ["identify", "track", "page", "screen", "group", "alias"].map((type) => [type, emit(type)]),
  );
  Segment.set = () => {
    throw new Error("Segment.set is not taken here: there are no object tables. Send an identify or group call.");
  };

  const kept = new Map();
  const cache = {
    async load(key, ttl, make) {
      const found = kept.get(key);
      if (found && (found.until === null || found.until > Date.now())) return found.value;
      const value = await make();
      kept.set(key, { value, until: ttl === undefined || ttl < 0 ? null : Date.now() + ttl });
      if (kept.size > 1000) kept.delete(kept.keys().next().value);
      return value;
    },
    delete(key) {
      kept.delete(key);
    },
  };

  const web = WEB(send);
  const scope = {
    ...errors, ...web.scope, Segment, cache,
    console: { log: write, info: write, warn: write, error: write, debug: write, trace: write },
    setTimeout(work, ms = 0, ...rest) {
      if (typeof work !== "function") throw new TypeError("setTimeout takes a function.");
      if (timers.length >= TIMERS_MAX) throw new Error(`There may be ${TIMERS_MAX} timers at a time.`);
      const id = ++lastId;
      timers.push({ id, work, rest, at: Date.now() + Math.max(0, Number(ms) || 0) });
      return id;
    },
    clearTimeout(id) {
      timers = timers.filter((timer) => timer.id !== id);
    },
  };
  for (const [name, value] of Object.entries(scope)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  // what an event's text says under "__proto__" must not reach the next event
  Object.preventExtensions(Object.prototype);

  const operations = {
    load, begin, answer, tick,
    stop(message) {
      end(current, "retry", null, message);
      return current.ended;
    },
    ended: () => (current ? current.ended : null),
    wanted() {
      const text = stringify(wanted);
      wanted = [];
      return text;
    },
    next: () => (timers.length ? Math.min(...timers.map((timer) => timer.at)) : 0),
  };
  return (operation, ...given) => operations[operation](...given);
})();
