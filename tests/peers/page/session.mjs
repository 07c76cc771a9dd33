// The verifier's WASM by its raw exports, as verify/page/worker.js uses them, for tests that need no browser.
import fs from 'node:fs';

const SLICE_BYTES = 1 << 20;

export class Session {
  static async open(path) {
    const { instance } = await WebAssembly.instantiate(fs.readFileSync(path), {});
    return Object.assign(new Session(), { wasm: instance.exports });
  }

  call(op, bytes = Buffer.alloc(0)) {
    const at = this.wasm.input(bytes.length) >>> 0;
    new Uint8Array(this.wasm.memory.buffer, at, bytes.length).set(bytes);
    const length = this.wasm.call(op, bytes.length) >>> 0;
    return Buffer.from(new Uint8Array(this.wasm.memory.buffer, this.wasm.output() >>> 0, length));
  }

  stream(op, bytes) {
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) this.call(op, bytes.subarray(at, at + SLICE_BYTES));
  }

  // The outcome for one work; `policy` is null where nobody is trusted.
  receipt(name, work, receipt, policy) {
    this.call(0);
    this.call(4, policy ?? undefined);
    const read = JSON.parse(this.call(3, receipt));
    if (!read.ok) return read;
    this.stream(1, work);
    this.call(2, Buffer.from(name));
    return JSON.parse(this.call(6));
  }
}
