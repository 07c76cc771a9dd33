// The worker: feeds files to the verifier's WASM, slice by slice, so that the page stays awake and no file is ever whole in memory.
'use strict';

// Large enough that reading costs little beside hashing, small enough that two of them are nothing.
const SLICE_BYTES = 4 << 20;
const PROGRESS_MS = 80;

// The operations of verify/src/wasm.rs.
const OP = { work: 1, workDone: 2, receipt: 3, policy: 4, bundle: 5, verdict: 6, detail: 7, trust: 9, expert: 10, beside: 11 };

let wasm;

const commands = {
  async start({ module }) {
    wasm = (await WebAssembly.instantiate(module, {})).instance.exports;
  },
  async work({ file }, progress) {
    await stream(OP.work, file, progress);
    return json(call(OP.workDone, utf8(file.name)));
  },
  async receipt({ file, bytes_max }) {
    return outcome(call(OP.receipt, await read(file, 0, bytes_max)));
  },
  async beside({ file, bytes_max }) {
    return outcome(call(OP.beside, await read(file, 0, bytes_max)));
  },
  async policy({ file, bytes_max }) {
    return json(call(OP.policy, file ? await read(file, 0, bytes_max) : undefined));
  },
  async bundle({ file }, progress) {
    await stream(OP.bundle, file, progress);
  },
  async verdict() {
    return outcome(call(OP.verdict));
  },
  async trust({ sha256 }) {
    call(OP.trust, utf8(sha256));
  },
  async detail({ item }) {
    return outcome(call(OP.detail, utf8(String(item))));
  },
  // The files for experts are those of the outcome that was asked for last.
  async expert({ item, name }) {
    call(...(item === null ? [OP.verdict] : [OP.detail, utf8(String(item))]));
    return call(OP.expert, utf8(name));
  },
};

// One at a time, in the order in which they were asked: they all work on one session.
let before = Promise.resolve();
self.onmessage = ({ data: { id, command, given } }) => {
  before = before.then(async () => {
    try {
      let told = 0;
      const progress = (bytes) => {
        const now = performance.now();
        if (now - told < PROGRESS_MS) return;
        told = now;
        self.postMessage({ id, progress: bytes });
      };
      self.postMessage({ id, answer: await commands[command](given, progress) });
    } catch (error) {
      self.postMessage({ id, error: { kind: error.kind || 'wasm', detail: String(error.message || error) } });
    }
  });
};

async function stream(op, file, progress) {
  let at = 0;
  let next = read(file, 0, SLICE_BYTES);
  while (at < file.size) {
    const bytes = await next;
    if (bytes.length === 0) throw Object.assign(new Error('it became shorter'), { kind: 'read' });
    at += bytes.length;
    // The next slice is read while this one is hashed.
    if (at < file.size) {
      next = read(file, at, SLICE_BYTES);
      next.catch(() => {});
    }
    call(op, bytes);
    progress(at);
  }
}

async function read(file, from, length) {
  try {
    return new Uint8Array(await file.slice(from, from + length).arrayBuffer());
  } catch (error) {
    // A browser refuses to read a file that changed or went since it was chosen.
    throw Object.assign(new Error(error.name), { kind: 'read' });
  }
}

function call(op, bytes = new Uint8Array()) {
  const at = wasm.input(bytes.length) >>> 0;
  // Memory may have grown, and its buffer with it: never keep one.
  new Uint8Array(wasm.memory.buffer, at, bytes.length).set(bytes);
  const length = wasm.call(op, bytes.length) >>> 0;
  return new Uint8Array(wasm.memory.buffer, wasm.output() >>> 0, length).slice();
}

const utf8 = (text) => new TextEncoder().encode(text);
// An outcome has lists of proofs and checks only where it has any.
const outcome = (bytes) => ({ anchors: [], steps: [], ...json(bytes) });
const json = (bytes) => JSON.parse(new TextDecoder().decode(bytes));
