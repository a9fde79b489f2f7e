// One exchange beside the client's path. In: a request and the promise of its response. Out: what the core is shown of them.
// Bodies are read from branches of our own, up to a cap; then the branch is cancelled and the rest passes without us.
import { flush } from "./sender.js";

export class Exchange {
  #shim;
  #request;
  #began = Date.now();
  /** A clone of the request, when its body may be wanted. */
  #upload = null;

  constructor(shim, request) {
    this.#shim = shim;
    this.#request = request;
    if (request.body !== null && shim.wants(shim.requestTypes, request.headers)) this.#upload = request.clone();
  }

  /** Null when nothing is captured. Never throws. */
  static begin(shim, request) {
    if (shim.core === null) return null;
    try {
      return new Exchange(shim, request);
    } catch (error) {
      shim.failed(null, error);
      return null;
    }
  }

  /** The response, with a clone of it when its body may be wanted. Fails as `pending` does and in no other way. */
  async follow(pending) {
    const response = await pending;
    let copy = null;
    try {
      const shim = this.#shim;
      // Of a WebSocket (101) there is none.
      if (response.body !== null && shim.wants(shim.responseTypes, response.headers)) copy = response.clone();
    } catch (error) {
      this.#shim.failed(null, error);
    }
    return { response, copy };
  }

  /** Shows it to the core. To be run in `waitUntil`; never fails. */
  async observe(answered, env) {
    const shim = this.#shim;
    const { core } = shim;
    try {
      await this.#record(shim, core, answered);
      shim.settle(core);
    } catch (error) {
      shim.failed(core, error);
    }
    await flush(shim, env);
  }

  async #record(shim, core, answered) {
    const request = this.#request;
    const upload = this.#upload;
    const opened = core.request(requestHead(request), this.#began);
    const number = opened >>> 1;
    const wanted = (opened & 1) === 1;
    if (opened !== 0 && request.body !== null) shim.learn(shim.requestTypes, request.headers, wanted);
    const millis = shim.plan.captureMillis;
    let uploading = null;
    if (upload !== null) {
      const take = wanted ? (chunk) => core.requestBody(number, chunk) : null;
      uploading = drain(upload, shim.plan.maxRequestBody, millis, take);
      // Awaited at the end, by when it may have failed for long.
      uploading.catch(() => {});
    }
    let response, copy;
    try {
      ({ response, copy } = await answered);
    } catch {
      // The client has got the exception as it would have without us; there is nothing to tell of.
      if (opened !== 0) core.forget(number);
      return;
    }
    const show = opened !== 0 && core.response(number, responseHead(response), response.status);
    if (opened !== 0 && copy !== null) shim.learn(shim.responseTypes, response.headers, show);
    const take = show ? (chunk) => core.responseBody(number, chunk) : null;
    const whole = copy === null || (await drain(copy, shim.plan.maxResponseBody, millis, take));
    await uploading;
    if (opened !== 0) core.end(number, size(request), size(response), !whole);
  }
}

/** How long a body is by its head; 0 without one, below zero when its head does not say. */
function size(message) {
  if (message.body === null) return 0;
  return message.headers.has("content-encoding") ? -1 : length(message);
}

function length(message) {
  const text = message.headers.get("content-length");
  return text === null ? -1 : Number(text);
}

/**
 * Reads a message's body and gives it to `take` while that wants more, at most `cap` bytes and one, so that more is seen to be more;
 * without `take` it is let go unread. Whether it ended within `millis`, or nobody wanted more.
 */
async function drain(message, cap, millis, take) {
  if (take === null) {
    await message.body.cancel();
    return true;
  }
  const announced = length(message);
  if (announced >= 0 && announced <= cap && !message.headers.has("content-encoding")) {
    // A short body that comes to its end: one read, and no timer, which would cost as much as reading.
    let bytes;
    try {
      bytes = await message.arrayBuffer();
    } catch {
      return false;
    }
    take(new Uint8Array(bytes));
    return true;
  }
  const reader = message.body.getReader();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    reader.cancel().catch(() => {});
  }, millis);
  try {
    for (let room = cap + 1; ; ) {
      let part;
      try {
        part = await reader.read();
      } catch {
        return false;
      }
      if (part.done) return !late;
      const chunk = part.value.subarray(0, room);
      room -= chunk.length;
      if (!take(chunk) || room === 0) {
        reader.cancel().catch(() => {});
        return true;
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

/** The texts the core wants of a request, each ended by NUL. */
function requestHead(request) {
  const { cf } = request;
  let text = `${request.method}\0${request.url}\0`;
  text += cf
    ? `${cf.httpProtocol ?? ""}\0${cf.colo ?? ""}\0${cf.country ?? ""}\0${cf.asn ?? ""}\0${cf.tlsVersion ?? ""}\0${cf.tlsCipher ?? ""}\0${
        cf.tlsClientAuth?.certVerified === "SUCCESS" ? 1 : ""
      }\0${cf.botManagement?.score ?? ""}\0`
    : "\0\0\0\0\0\0\0\0";
  for (const [name, value] of request.headers) text += `${name}\0${value}\0`;
  return text;
}

/** Headers of a response; the coding is left out where workerd has undone it for our branch. */
function responseHead(response) {
  let text = "";
  for (const [name, value] of response.headers) {
    if (name === "content-encoding" && (value === "gzip" || value === "br")) continue;
    text += `${name}\0${value}\0`;
  }
  return text;
}
