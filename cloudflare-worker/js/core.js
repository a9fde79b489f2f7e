// The core in WebAssembly as an object. In: texts, bytes, numbers. Out: the same. A call throws when the core has failed; the instance
// is then of no use any more.
import module from "./silhouette.wasm";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const LEVELS = ["info", "warn", "error"];

export class Core {
  #wasm;

  constructor() {
    const log = (level, at, size) => console[LEVELS[level] ?? "log"](this.#text(at, size));
    this.#wasm = new WebAssembly.Instance(module, { silhouette: { log } }).exports;
  }

  #text(at, size) {
    return decoder.decode(new Uint8Array(this.#wasm.memory.buffer, at, size));
  }

  /** Puts a text into the input; how many bytes it has. */
  #putText(text) {
    const most = text.length * 3;
    const at = this.#wasm.input(most);
    return encoder.encodeInto(text, new Uint8Array(this.#wasm.memory.buffer, at, most)).written;
  }

  #putBytes(bytes) {
    const at = this.#wasm.input(bytes.length);
    new Uint8Array(this.#wasm.memory.buffer, at, bytes.length).set(bytes);
    return bytes.length;
  }

  /** A copy: the memory it lies in moves when it grows. */
  #output(size) {
    return new Uint8Array(this.#wasm.memory.buffer, this.#wasm.output(), size).slice();
  }

  configure(variables) {
    const size = this.#wasm.configure(this.#putText(variables));
    return JSON.parse(this.#text(this.#wasm.output(), size));
  }

  /** 0: it is not captured; else the exchange's number times two, and one when its body is wanted. */
  request(head, began) {
    return this.#wasm.request(this.#putText(head), began, Date.now());
  }

  /** Whether more is wanted. */
  requestBody(exchange, chunk) {
    return this.#wasm.request_body(exchange, this.#putBytes(chunk)) !== 0;
  }

  /** Whether its body is wanted; null when not, which says nothing about others of its type. */
  response(exchange, headers, status) {
    const wanted = this.#wasm.response(exchange, this.#putText(headers), status, Date.now());
    return wanted === 2 ? null : wanted === 1;
  }

  /** Whether more is wanted. */
  responseBody(exchange, chunk) {
    return this.#wasm.response_body(exchange, this.#putBytes(chunk)) !== 0;
  }

  /** Sizes below zero are not known. */
  end(exchange, requestSize, responseSize, unfinished) {
    this.#wasm.end(exchange, requestSize, responseSize, unfinished ? 1 : 0, Date.now());
  }

  forget(exchange) {
    this.#wasm.forget(exchange);
  }

  /** Milliseconds until a batch is due; below zero when there is nothing to send. */
  due() {
    return this.#wasm.due(Date.now());
  }

  /** The next batch, framed, or null. */
  next() {
    const size = this.#wasm.next(Date.now());
    return size > 0 ? this.#output(size) : null;
  }

  /** The answer to it. */
  answered({ status, headers, body }) {
    const [texts, size] = this.#putAnswer(headers, body);
    this.#wasm.answered(status, texts, size, Date.now());
  }

  failed(why) {
    this.#wasm.failed(this.#putText(why), Date.now());
  }

  queued() {
    this.#wasm.queued(Date.now());
  }

  /** Of an answer to a batch that came out of a queue: seconds to wait before it is sent again, or 0 when it is done with. */
  judge({ status, headers, body }) {
    const [texts, size] = this.#putAnswer(headers, body);
    return this.#wasm.judge(status, texts, size, Date.now());
  }

  #putAnswer(headers, body) {
    const texts = encoder.encode(headers);
    const both = new Uint8Array(texts.length + body.length);
    both.set(texts);
    both.set(body, texts.length);
    return [texts.length, this.#putBytes(both)];
  }

  lost(exchanges) {
    this.#wasm.lost(exchanges);
  }

  /** How many exchanges wait or are in flight. */
  held() {
    return this.#wasm.waiting();
  }

  status() {
    const size = this.#wasm.status();
    return this.#text(this.#wasm.output(), size);
  }
}
