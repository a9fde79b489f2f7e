// One isolate's shim: the core's instance, what it was told to do, and a new instance when one has failed.
// In: variables of the Worker, calls. Out: the plan, verdicts, counters. Nothing here throws.
import { Core } from "./core.js";

const BINDINGS = ["SILHOUETTE_ORIGIN_BINDING", "SILHOUETTE_COLLECTOR_BINDING", "SILHOUETTE_QUEUE"];
/** Before the settings are read: nothing is captured, requests pass. */
const IDLE = { statusPath: "", statusToken: "" };
/** A core that fails again and again is not made anew for each request, in milliseconds. */
const PAUSE = 1000;
/** The same thing is said at most this often, in milliseconds. */
const QUIET = 60_000;
const MOST_TYPES = 256;
/** Bodies of known length are read at once: together they take at most this of the isolate's 128 MB, in bytes. */
const MOST_READING = 16 * 1024 * 1024;
/** Nobody reads that long: Cloudflare ended it, in milliseconds. */
const LONGEST_READING = 60_000;

export class Shim {
  plan = IDLE;
  /** Where requests go instead of their own host; empty means there. Not the core's to say: they must go there without it, too. */
  origin = "";
  /** Whether responses come over HTTP, which holds them to the length they announce. */
  isFramed;
  /** @type {Core | null} */
  core = null;
  /** Whether bodies of a content type are wanted, as the core said. */
  requestTypes = new Map();
  responseTypes = new Map();
  /** Leases of the request that sends and of the one that goes on after it; see sender.js. */
  sender = null;
  standby = null;
  #instances = 0;
  #made = 0;
  #told = new Map();
  /** Bytes that are being read, by reader, and since when. */
  #readers = new Map();
  #reading = 0;
  /** What waits in the core, and what was lost with those before it. */
  #held = 0;
  #lost = 0;
  /** Compiled and put into memory when the Worker starts, so that no request waits for it. */
  #spare = made();

  #wraps;

  /** `wraps`: a Worker of the customer's own answers. */
  constructor(wraps) {
    this.#wraps = wraps;
    this.isFramed = !wraps;
  }

  /** To be called with each request, before anything else. */
  begin(env, request) {
    if (this.core !== null || (this.#instances > 0 && !this.#isTimeForAnother())) return;
    try {
      this.origin = originOf(env.SILHOUETTE_ORIGIN);
      this.isFramed = !this.#wraps && !env.SILHOUETTE_ORIGIN_BINDING;
      this.#instances += 1;
      this.#made = Date.now();
      const core = this.#spare ?? new Core();
      this.#spare = null;
      this.plan = core.configure(variables(env, request, this.#instances));
      if (this.plan.error) {
        console.error(`silhouette: ${this.plan.error}; nothing is captured, requests are served as ever`);
        return;
      }
      if (this.#lost > 0) core.lost(this.#lost);
      this.#lost = 0;
      this.#held = 0;
      this.core = core;
    } catch (error) {
      this.#say("core", `the core does not start, nothing is captured: ${error}`);
    }
  }

  #isTimeForAnother() {
    // Settings that were refused stay refused.
    return !this.plan.error && Date.now() - this.#made >= PAUSE;
  }

  /** Something of ours failed while it was busy with one exchange. If it was the core, there will be another one. */
  failed(core, error) {
    this.#lost += 1;
    if (!(error instanceof WebAssembly.RuntimeError)) {
      this.#say("exchange", `an exchange is not captured: ${error}`);
      return;
    }
    if (core !== this.core || core === null) return;
    this.#say("core", `the core failed and begins anew: ${error}`);
    this.#lost += this.#held;
    this.#held = 0;
    this.core = null;
    this.sender = this.standby = null;
  }

  /** An exchange passed, or went on, without a core to capture it. */
  missed() {
    // Nothing is, where settings were refused.
    if (!this.plan.error) this.#lost += 1;
  }

  #say(kind, text) {
    const now = Date.now();
    if (now - (this.#told.get(kind) ?? -QUIET) < QUIET) return;
    this.#told.set(kind, now);
    console.error(`silhouette: ${text}`);
  }

  /** Room for a body of so many bytes, to be given back; null when others have taken it. */
  room(bytes) {
    const now = Date.now();
    if (this.#reading + bytes > MOST_READING) {
      for (const [reader, { since }] of this.#readers) {
        if (now - since > LONGEST_READING) this.leave(reader);
      }
    }
    if (this.#reading + bytes > MOST_READING) return null;
    const reader = Symbol();
    this.#readers.set(reader, { bytes, since: now });
    this.#reading += bytes;
    return reader;
  }

  /** Gives room back. */
  leave(reader) {
    this.#reading -= this.#readers.get(reader)?.bytes ?? 0;
    this.#readers.delete(reader);
  }

  /** To be called whenever the core may hold more or less than before. */
  settle(core) {
    if (core !== this.core) return;
    // What is lost is counted by the core, when there is one.
    if (this.#lost > 0) core.lost(this.#lost);
    this.#lost = 0;
    this.#held = core.held();
  }

  /** Whether it pays to look at a body with this head. Only the core knows; until it said so, yes. */
  wants(types, head) {
    return types.get(head.type) ?? true;
  }

  /** What the core said of such a body. */
  learn(types, head, wanted) {
    // A coding nobody knows says nothing about the type.
    if ((!wanted && head.coding !== "") || types.get(head.type) === wanted) return;
    if (types.size >= MOST_TYPES) types.clear();
    types.set(head.type, wanted);
  }

  /** Whether this request asks for the counters. */
  isStatus(request) {
    const { statusPath } = this.plan;
    return statusPath !== "" && request.url.includes(statusPath) && new URL(request.url).pathname === statusPath;
  }

  /** The counters of this isolate. */
  status(request) {
    const { statusToken, error } = this.plan;
    const headers = { "content-type": "application/json", "cache-control": "no-store" };
    if (statusToken && !isSame(request.headers.get("authorization") ?? "", `Bearer ${statusToken}`)) {
      headers["www-authenticate"] = "Bearer";
      return new Response('{"error":"give SILHOUETTE_STATUS_TOKEN as bearer token"}', { status: 401, headers });
    }
    let state = { state: "failed" };
    try {
      if (error) state = { state: "refused", error };
      else if (this.core !== null) return new Response(this.core.status(), { headers });
    } catch (fault) {
      this.failed(this.core, fault);
    }
    return new Response(JSON.stringify(state), { headers });
  }
}

function made() {
  try {
    return new Core();
  } catch {
    return null;
  }
}

/** Scheme and host of a URL; empty when it is none, which the core says in words. */
function originOf(text) {
  try {
    const { protocol, origin } = new URL(text);
    return protocol === "http:" || protocol === "https:" ? origin : "";
  } catch {
    return "";
  }
}

/** Compares without telling by the time it takes how much is right. */
function isSame(a, b) {
  const encoder = new TextEncoder();
  const [given, wanted] = [encoder.encode(a), encoder.encode(b)];
  return given.length === wanted.length && crypto.subtle.timingSafeEqual(given, wanted);
}

/** Names and values in turn: ours, and under other names what only JavaScript knows. */
function variables(env, request, instance) {
  const seed = crypto.getRandomValues(new Uint8Array(32));
  const texts = [
    "seed", Array.from(seed, (byte) => byte.toString(16).padStart(2, "0")).join(""),
    "instance", instance,
    "runtime", globalThis.navigator?.userAgent ?? "",
    "colo", request?.cf?.colo ?? "",
    "queue", env.SILHOUETTE_QUEUE ? "1" : "",
  ];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith("SILHOUETTE_")) continue;
    if (BINDINGS.includes(name) && typeof value === "object") continue;
    texts.push(name, plain(value));
  }
  return texts.map((text) => String(text).replaceAll("\0", "")).concat("").join("\0");
}

/** A variable as one text: wrangler has lists and numbers, too. */
function plain(value) {
  if (Array.isArray(value)) return value.length ? value.join(",") : "off";
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}
