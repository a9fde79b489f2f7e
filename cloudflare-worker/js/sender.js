// Sends batches. In: what waits in the core. Out: calls to the collector, or messages for a queue. One request's JavaScript sends, one
// stands by to go on when that one has sent its share, all others leave at once. Who does what is said by leases, which run out,
// because Cloudflare may end anybody at any moment.

/** How long the collector may take for one answer, in milliseconds. */
const TIMEOUT = 5000;
/** Who waits looks this often whether it is its turn, or a batch is full before its time, in milliseconds. */
const LOOK = 100;
/** A lease outlives what it is for by this. */
const GRACE = 2000;
/** How long after its response the JavaScript of one request goes on sending: Cloudflare ends it after 30 s, in milliseconds. */
export const SHIFT = 25_000;
/** Of an answer nobody needs more, in bytes. */
const MOST_ANSWER = 64 * 1024;
/** The longest message Cloudflare's Queues take has 128,000 bytes, with what they add. */
const MOST_MESSAGE = 127_000;

/** Sends what is due and waits for what will soon be, within this request's share and not after `until`. Never fails. */
export async function flush(shim, env, until) {
  const core = shim.core;
  if (core === null || (isHeld(shim.sender) && isHeld(shim.standby))) return;
  try {
    if (!(await isItsTurn(shim, until)) || core !== shim.core) return;
    const lease = (shim.sender = { until: 0 });
    try {
      for (let sent = 0; core === shim.core && sent < shim.plan.subrequests; ) {
        const millis = core.due();
        const now = Date.now();
        if (millis < 0 || now + millis > until) return;
        if (millis > 0) {
          lease.until = now + GRACE;
          await pause(Math.min(millis, LOOK));
          continue;
        }
        sent += 1;
        lease.until = now + TIMEOUT + GRACE;
        await send(shim, core, env);
        shim.settle(core);
      }
    } finally {
      if (shim.sender === lease) shim.sender = null;
    }
  } catch (error) {
    shim.failed(core, error);
  }
}

/** Whether nobody else sends; waits for that if nobody else does. */
async function isItsTurn(shim, until) {
  if (!isHeld(shim.sender)) return true;
  const lease = (shim.standby = { until: 0 });
  while (isHeld(shim.sender) && shim.standby === lease && Date.now() < until) {
    lease.until = Date.now() + LOOK + GRACE;
    await pause(LOOK);
  }
  if (shim.standby !== lease) return false;
  shim.standby = null;
  return !isHeld(shim.sender);
}

function pause(millis) {
  return new Promise((resolve) => setTimeout(resolve, millis));
}

/** Whether a lease still runs; one that ends in a far future was made before the clock was set. */
function isHeld(lease) {
  if (lease === null) return false;
  const left = lease.until - Date.now();
  return left > 0 && left <= 60_000 + GRACE;
}

async function send(shim, core, env) {
  const batch = core.next();
  if (batch === null) return;
  let why;
  try {
    if (env.SILHOUETTE_QUEUE && batch.length <= MOST_MESSAGE) {
      await env.SILHOUETTE_QUEUE.send({ silhouette: batch }, { contentType: "v8" });
      core.queued();
      return;
    }
    const answer = await call(shim.plan, env, batch);
    core.answered(answer);
    return;
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw error;
    why = String(error?.message ?? error);
  }
  core.failed(why);
}

/** One call: the answer's status, headers as names and values in turn, and the beginning of its body. */
async function call(plan, env, batch) {
  const collector = env.SILHOUETTE_COLLECTOR_BINDING ?? globalThis;
  const answer = await collector.fetch(plan.url, {
    method: "POST",
    headers: plan.headers,
    body: batch,
    redirect: "manual",
    signal: AbortSignal.timeout(TIMEOUT),
  });
  let headers = "";
  for (const [name, value] of answer.headers) headers += `${name}\0${value}\0`;
  return { status: answer.status, headers, body: await beginning(answer.body) };
}

async function beginning(body) {
  const parts = [];
  let size = 0;
  if (body !== null) {
    const reader = body.getReader();
    while (size < MOST_ANSWER) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      size += value.length;
    }
    if (size >= MOST_ANSWER) reader.cancel().catch(() => {});
  }
  const whole = new Uint8Array(Math.min(size, MOST_ANSWER));
  let at = 0;
  for (const part of parts) {
    whole.set(part.subarray(0, whole.length - at), at);
    at += part.length;
  }
  return whole;
}

/** Whether a message of a queue is a batch of ours. */
export function isOurs(message) {
  return message.body?.silhouette instanceof Uint8Array;
}

/** Sends batches that come out of a queue. Each is acknowledged by itself; what the collector does not take now comes again. */
export async function consume(shim, batch, env) {
  for (const message of batch.messages) {
    const { core } = shim;
    if (core === null) {
      message.retry({ delaySeconds: 60 });
      continue;
    }
    let answer;
    try {
      answer = await call(shim.plan, env, message.body.silhouette);
    } catch (error) {
      console.warn(`silhouette: could not reach the collector: ${error?.message ?? error}; what is captured waits in the queue`);
      message.retry({ delaySeconds: 10 });
      continue;
    }
    try {
      const seconds = core.judge(answer);
      if (seconds === 0) message.ack();
      else message.retry({ delaySeconds: seconds });
    } catch (error) {
      shim.failed(core, error);
      message.retry({ delaySeconds: 10 });
    }
  }
}
