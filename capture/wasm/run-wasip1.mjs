// The runner of `cargo test --target wasm32-wasip1`: `node run-wasip1.mjs test.wasm [arguments]`. Node has WASI built in;
// node 18, Debian 12's, wants a flag for it, so that this script starts itself again when it has to.
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";

let WASI;
try {
  ({ WASI } = await import("node:wasi"));
} catch (error) {
  const flag = "--experimental-wasi-unstable-preview1";
  if (process.execArgv.includes(flag)) throw error;
}
if (!WASI) {
  const again = ["--experimental-wasi-unstable-preview1", ...process.argv.slice(1)];
  process.exit(spawnSync(process.execPath, again, { stdio: "inherit" }).status ?? 1);
}
const [path, ...rest] = process.argv.slice(2);
if (!path) {
  console.error("usage: node run-wasip1.mjs module.wasm [arguments]");
  process.exit(2);
}
// Tests run in one thread: there are no others.
const wasi = new WASI({ version: "preview1", args: [path, ...rest, "--test-threads=1"], env: {}, returnOnExit: true });
const module = await WebAssembly.compile(await readFile(path));
const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport });
process.exit(wasi.start(instance));
