// Runs capture's test vectors on wasm32-unknown-unknown: `node run-unknown.mjs vectors.wasm`. The module must have no
// import: capture needs nothing from its host.
import { readFile } from "node:fs/promises";

const path = process.argv[2];
if (!path) {
  console.error("usage: node run-unknown.mjs vectors.wasm");
  process.exit(2);
}
const module = await WebAssembly.compile(await readFile(path));
const imports = WebAssembly.Module.imports(module);
if (imports.length > 0) {
  console.error(`${path} should have no import, but has: ${imports.map((i) => `${i.module}.${i.name}`).join(", ")}`);
  process.exit(1);
}
const { exports } = await WebAssembly.instantiate(module, {});
const failed = exports.run_vectors() >>> 0;
const report = new Uint8Array(exports.memory.buffer, exports.report_pointer(), exports.report_length());
console.log(`wasm32-unknown-unknown: ${new TextDecoder().decode(report).trim()}`);
process.exit(failed === 0 ? 0 : 1);
