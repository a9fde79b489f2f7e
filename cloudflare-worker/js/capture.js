// The client's path. In: a request. Out: the origin's answer, untouched. All that is ours happens beside it, in `waitUntil`, and
// nothing that goes wrong there, or here, changes what the client gets. WebAssembly is called on this path once per isolate, to read
// the settings.
import { Exchange } from "./exchange.js";
import { Shim } from "./shim.js";
import { consume, isOurs } from "./sender.js";

/**
 * A Worker that captures what passes through it.
 * @param {ExportedHandler} [worker] What stands behind it: a Worker of your own. Without one requests go to their origin.
 * @returns {ExportedHandler} Handlers for `export default`.
 */
export function capture(worker = {}) {
  const shim = new Shim(worker.fetch !== undefined);
  return {
    ...worker,

    async fetch(request, env, ctx) {
      shim.begin(env, request);
      if (shim.isStatus(request)) return shim.status(request);
      const exchange = Exchange.begin(shim, request);
      if (isZonesOwn(worker, shim, env) && isRepeatable(request)) ctx.passThroughOnException?.();
      const pending = forward(worker, shim, request, env, ctx);
      if (exchange === null) return pending;
      const answered = exchange.follow(pending);
      ctx.waitUntil(exchange.observe(answered, env));
      return (await answered).response;
    },

    async queue(batch, env, ctx) {
      if (!batch.messages.every(isOurs)) return worker.queue?.(batch, env, ctx);
      shim.begin(env);
      return consume(shim, batch, env);
    },
  };
}

/**
 * Whether requests go where they would go without a Worker. Else passing through would lead elsewhere: past a Worker that said no
 * by throwing, or to nothing.
 */
function isZonesOwn(worker, shim, env) {
  return !worker.fetch && !env.SILHOUETTE_ORIGIN_BINDING && !shim.origin;
}

/** Whether the origin may get it twice: Cloudflare sends it again, without its body. */
function isRepeatable(request) {
  return (request.method === "GET" || request.method === "HEAD") && request.body === null;
}

async function forward(worker, shim, request, env, ctx) {
  if (worker.fetch) return worker.fetch(request, env, ctx);
  if (env.SILHOUETTE_ORIGIN_BINDING) return env.SILHOUETTE_ORIGIN_BINDING.fetch(request);
  const { origin } = shim;
  return fetch(origin ? new Request(origin + target(request.url), request) : request);
}

/** Path and query of an absolute URL. */
function target(url) {
  const begin = url.indexOf("/", url.indexOf("//") + 2);
  return begin < 0 ? "/" : url.slice(begin);
}
