// One isolate's shim: the core's instance, what it was told to do, and a new instance when one has failed.
// In: variables of the Worker, calls. Out: the plan, verdicts, counters. Nothing here throws.
import { Core } from "./core.js";

const BINDINGS = ["SILHOUETTE_ORIGIN_BINDING", "SILHOUETTE_COLLECTOR_BINDING", "SILHOUETTE_QUEUE"];
/** Nothing is captured, requests pass. */
const IDLE = { error: "not begun", origin: "", statusPath: "", statusToken: "" };
/** A core that fails again and again is not made anew for each request, in milliseconds. */
const PAUSE = 1000;
const MOST_TYPES = 256;

export class Shim {
  plan = IDLE;
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
  /** What waits in the core, and what was lost with those before it. */
  #held = 0;
  #lost = 0;
  /** Compiled and put into memory when the Worker starts, so that no request waits for it. */
  #spare = made();

  /** To be called with each request, before anything else. */
  begin(env, request) {
    if (this.core !== null || (this.#instances > 0 && !this.#isTimeForAnother())) return;
    try {
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
      console.error(`silhouette: the core does not start: ${error}`);
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
      console.error(`silhouette: an exchange is not captured: ${error}`);
      this.#tell();
      return;
    }
    if (core !== this.core || core === null) return;
    console.error(`silhouette: the core failed and begins anew: ${error}`);
    this.#lost += this.#held;
    this.#held = 0;
    this.core = null;
    this.sender = this.standby = null;
  }

  /** What is lost is counted by the core, when there is one. */
  #tell() {
    if (this.core === null) return;
    this.core.lost(this.#lost);
    this.#lost = 0;
  }

  /** To be called whenever the core may hold more or less than before. */
  settle(core) {
    if (core === this.core) this.#held = core.held();
    if (this.#lost > 0) this.#tell();
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
