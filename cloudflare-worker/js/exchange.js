// One exchange beside the client's path. In: a request and the promise of its response. Out: what the core is shown of them.
// Bodies are read from branches of our own, up to a cap; then the branch is cancelled and the rest passes without us.
import { flush, SHIFT } from "./sender.js";

export class Exchange {
  #shim;
  #request;
  #head;
  #began = Date.now();
  #answered = this.#began;
  /** A clone of the request, when its body may be wanted. */
  #upload = null;

  constructor(shim, request) {
    this.#shim = shim;
    this.#request = request;
    this.#head = Head.ofRequest(request);
    if (this.#head.hasBody && shim.wants(shim.requestTypes, this.#head)) this.#upload = request.clone();
  }

  /** Null when nothing is captured. Never throws. */
  static begin(shim, request) {
    if (shim.core === null) {
      shim.missed();
      return null;
    }
    try {
      return new Exchange(shim, request);
    } catch (error) {
      shim.failed(null, error);
      return null;
    }
  }

  /**
   * The response, its head (null when it is not captured), and a clone of it when its body may be wanted. Fails as `pending` does
   * and in no other way.
   */
  async follow(pending) {
    const response = await pending;
    this.#answered = Date.now();
    let head = null;
    let copy = null;
    try {
      const shim = this.#shim;
      // Asking for `body` would make an object of it for each response.
      const hasBody = !BODILESS.has(response.status) && this.#request.method !== "HEAD";
      head = Head.ofResponse(response, hasBody, shim.isFramed);
      if (hasBody && shim.wants(shim.responseTypes, head)) copy = response.clone();
    } catch (error) {
      head = null;
      this.#shim.failed(null, error);
    }
    return { response, head, copy };
  }

  /** Shows it to the core. To be run in `waitUntil`; never fails. */
  async observe(answered, env) {
    const shim = this.#shim;
    const { core } = shim;
    if (core === null) return;
    try {
      const isCaptured = await this.#record(shim, core, answered);
      // A core that has failed meanwhile took with it what it had of this one.
      if (core === shim.core) shim.settle(core);
      else if (isCaptured) shim.missed();
    } catch (error) {
      shim.failed(core, error);
    }
    await flush(shim, env, this.#answered + SHIFT);
  }

  /** Whether it is captured. */
  async #record(shim, core, answered) {
    const request = this.#request;
    const upload = this.#upload;
    const opened = core.request(requestLine(request) + this.#head.text, this.#began);
    const number = opened >>> 1;
    const wanted = (opened & 1) === 1;
    if (opened !== 0 && this.#head.hasBody) shim.learn(shim.requestTypes, this.#head, wanted);
    const { maxRequestBody, maxResponseBody, captureMillis } = shim.plan;
    let uploading = null;
    if (upload !== null) {
      const take = wanted ? (chunk) => core.requestBody(number, chunk) : null;
      uploading = drain(shim, upload, this.#head, maxRequestBody, captureMillis, take);
      // Awaited at the end, by when it may have failed for long.
      uploading.catch(() => {});
    }
    let response, head, copy;
    try {
      ({ response, head, copy } = await answered);
    } catch {
      // The client has got the exception as it would have without us; there is nothing to tell of.
      if (opened !== 0) core.forget(number);
      return false;
    }
    if (core !== shim.core) {
      // Not even asked whether bodies are wanted, which would be remembered.
      await copy?.body?.cancel();
      return opened !== 0;
    }
    if (head === null) {
      if (opened !== 0) core.forget(number);
      return false;
    }
    const verdict = opened !== 0 ? core.response(number, head.text, response.status) : null;
    if (verdict !== null && copy !== null) shim.learn(shim.responseTypes, head, verdict);
    const show = verdict === true;
    let take = show ? (chunk) => core.responseBody(number, chunk) : null;
    let isShown = copy !== null && show;
    if (show && head.isUndone) take = unlessCoded(take, () => (isShown = false));
    const whole = copy === null || (await drain(shim, copy, head, maxResponseBody, captureMillis, take));
    if (uploading !== null) await uploading;
    if (opened === 0) return false;
    const requestSize = this.#head.size(upload !== null && wanted);
    // Of a body that broke off, what came of it is its size.
    const responseSize = whole ? head.size(isShown) : -1;
    core.end(number, requestSize, responseSize, !whole);
    return true;
  }
}

/** What no answer with these statuses has is a body; of a WebSocket (101) there is none to read. */
const BODILESS = new Set([101, 204, 205, 304]);

/** Codings that workerd undoes before our branch shows a response's body. */
const UNDONE = new Set(["gzip", "br"]);

/** Headers, read once: each access to one costs as much as a little JSON. */
class Head {
  /** Names and values in turn, each ended by NUL. */
  text = "";
  type = "";
  coding = "";
  /** `content-length`, below zero without. */
  length = -1;
  /** Whether the body has that length: HTTP sees to it, and nobody where a Worker of the customer's own made the message. */
  isFramed = true;

  /** `hasBody`: whether one follows. `instead`: values that stand here in place of others; null leaves the header out. */
  constructor(headers, hasBody, instead) {
    this.hasBody = hasBody;
    let text = "";
    // An iterator would be one more object of workerd's.
    headers.forEach((value, name) => {
      if (name === "content-type") this.type = value;
      else if (name === "content-length") this.length = Number(value);
      else if (name === "content-encoding") this.coding = value;
      const shown = instead(name, value);
      if (shown !== null) text += name + "\0" + shown + "\0";
    });
    this.text = text;
  }

  static ofRequest(request) {
    const accepted = request.cf?.clientAcceptEncoding;
    // Cloudflare asks the origin for what it can undo itself.
    const instead = (name, value) => (name === "accept-encoding" && accepted !== undefined ? accepted || null : value);
    const head = new Head(request.headers, true, instead);
    // Asking for `body` would make an object of it for each request.
    head.hasBody = head.length < 0 ? request.body !== null : head.length > 0;
    return head;
  }

  static ofResponse(response, hasBody, isFramed) {
    const instead = (name, value) => (name === "content-encoding" && UNDONE.has(value) ? null : value);
    const head = new Head(response.headers, hasBody, instead);
    head.isFramed = isFramed;
    return head;
  }

  /** Whether workerd undoes its coding for us. */
  get isUndone() {
    return UNDONE.has(this.coding);
  }

  /** Whether as many bytes come to us as `content-length` says. */
  get isLengthOfWhatIsRead() {
    return this.length >= 0 && this.coding === "" && this.isFramed;
  }

  /** How long the body is. Below zero: as long as what was read of it; where nothing was, there was something at least. */
  size(isRead) {
    if (!this.hasBody) return 0;
    if (isRead) return this.isLengthOfWhatIsRead ? this.length : -1;
    return this.length >= 0 ? this.length : 1;
  }
}

/**
 * Reads a message's body and gives it to `take` while that wants more, at most `cap` bytes and one, so that more is seen to be more;
 * without `take` it is let go unread. Whether it ended within `millis`, or nobody wanted more.
 */
async function drain(shim, message, head, cap, millis, take) {
  if (take === null) {
    await message.body?.cancel();
    return true;
  }
  if (head.isLengthOfWhatIsRead && head.length <= cap) {
    // A short body that comes to its end: one read, and no timer, which is one more thing to pay for with each.
    const room = shim.room(head.length);
    if (room === null) return drain(shim, message, head, cap, millis, null);
    let bytes;
    try {
      bytes = await message.arrayBuffer();
    } catch {
      return false;
    } finally {
      shim.leave(room);
    }
    // A Worker that calls this one may have sent more than it announced.
    take(new Uint8Array(bytes, 0, Math.min(bytes.byteLength, cap + 1)));
    return true;
  }
  if (message.body === null) return true;
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

/**
 * A `take` that lets go of what is still coded, and says so to `letGo`: where a Worker around us has coded a body itself (`encodeBody: "manual"`), it comes
 * as it is, and nothing says so. Bodies that are kept are text, which has no control characters; coded ones are full of them.
 */
function unlessCoded(take, letGo) {
  return (chunk) => {
    for (const byte of chunk.subarray(0, 256)) {
      if (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) {
        letGo();
        return false;
      }
    }
    return take(chunk);
  };
}

/** What the core wants of a request beside its headers, each text ended by NUL. */
function requestLine(request) {
  const { cf } = request;
  const line = request.method + "\0" + request.url + "\0";
  if (!cf) return line + "\0\0\0\0\0\0\0\0";
  const verified = cf.tlsClientAuth?.certVerified === "SUCCESS" ? "1" : "";
  const texts = [cf.httpProtocol, cf.colo, cf.country, cf.asn, cf.tlsVersion, cf.tlsCipher, verified, cf.botManagement?.score];
  return line + texts.map((text) => text ?? "").join("\0") + "\0";
}
