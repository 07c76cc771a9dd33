// What the page's WASM says of docs/vectors, in node or in Chromium, in the form of tests/it/vectors.rs.
//
// node vectors.mjs REPOSITORY node|chromium --vectors|--sweep
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const EVERY = 97;
const [repository, place, what] = process.argv.slice(2);
const folder = path.join(repository, 'docs/vectors');
const wasm = fs.readFileSync(path.join(repository, 'target/page/verify.wasm')).toString('base64');

const base64 = (name) => (name === undefined ? null : fs.readFileSync(path.join(folder, name)).toString('base64'));
const list = what === '--vectors' ? 'vectors.jsonl' : 'sweep.jsonl';
const cases = fs.readFileSync(path.join(folder, list), 'utf8').split('\n').filter(Boolean).map((line) => {
  const { name, work, receipt, policy, bundle, confirm } = JSON.parse(line);
  return { name, work: base64(work), receipt: base64(receipt), policy: base64(policy), bundle: base64(bundle), confirm: confirm ?? '' };
});

// Runs where the WASM does, so it uses nothing from around it.
async function judgeAll({ wasm, cases, every }) {
  const bytesOf = (text) => (text === null ? null : Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
  const { instance: { exports } } = await WebAssembly.instantiate(bytesOf(wasm), {});
  const call = (op, bytes = new Uint8Array()) => {
    const at = exports.input(bytes.length) >>> 0;
    new Uint8Array(exports.memory.buffer, at, bytes.length).set(bytes);
    const length = exports.call(op, bytes.length) >>> 0;
    return new TextDecoder().decode(new Uint8Array(exports.memory.buffer, exports.output() >>> 0, length));
  };
  const utf8 = (text) => new TextEncoder().encode(text);
  const judge = ({ work, receipt, policy, bundle, confirm }) => {
    call(0);
    if (policy) call(4, policy);
    if (bundle) {
      call(5, bundle);
      call(9, utf8(confirm));
    } else {
      call(1, work ?? new Uint8Array());
      call(2, utf8('work'));
      call(3, receipt);
    }
    const { verdict, check, existed_by } = JSON.parse(call(6));
    return { verdict, check, existed_by: existed_by ?? null };
  };
  const sha256 = (bytes) => {
    call(0);
    call(1, bytes);
    return JSON.parse(call(2, utf8('work'))).sha256;
  };
  const crc32 = (bytes) => {
    let crc = -1;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
    }
    return ~crc >>> 0;
  };
  // Flips a bit of the receipt, or of the manifest in the bundle; then makes what protects it fit again.
  const flip = (files, bit) => {
    const bytes = (files.receipt ?? files.bundle).slice();
    bytes[(files.receipt ? 0 : 42) + (bit >> 3)] ^= 1 << (bit & 7);
    return files.receipt ? { ...files, receipt: bytes } : { ...files, bundle: bytes };
  };
  const reseal = (files) => {
    if (files.receipt) {
      const body = files.receipt.slice(0, -75);
      const line = utf8(`== sha256 ${sha256(body)}\n`);
      const receipt = new Uint8Array(body.length + line.length);
      receipt.set(body);
      receipt.set(line, body.length);
      return { ...files, receipt };
    }
    const bundle = files.bundle.slice();
    const view = new DataView(bundle.buffer);
    const crc = crc32(bundle.subarray(42, 42 + view.getUint32(18, true)));
    view.setUint32(14, crc, true);
    view.setUint32(view.getUint32(bundle.length - 6, true) + 16, crc, true);
    return { ...files, bundle };
  };
  const answers = [];
  for (const given of cases) {
    const files = { ...given };
    for (const key of ['work', 'receipt', 'policy', 'bundle']) files[key] = bytesOf(given[key]);
    if (!every) {
      answers.push({ name: given.name, ...judge(files) });
      continue;
    }
    const length = files.receipt ? files.receipt.length : new DataView(files.bundle.buffer).getUint32(18, true);
    const raw = {};
    const resealed = [];
    for (let bit = 0; bit < length * 8; bit += every) {
      const flipped = flip(files, bit);
      const { check } = judge(flipped);
      raw[check] = (raw[check] ?? 0) + 1;
      const said = judge(reseal(flipped));
      resealed.push([bit, said.verdict, said.check, said.existed_by]);
    }
    answers.push({ name: given.name, raw, resealed });
  }
  return answers;
}

const given = { wasm, cases, every: what === '--sweep' ? EVERY : 0 };
let answers;
if (place === 'node') {
  answers = await judgeAll(given);
} else {
  const { chromium } = createRequire(path.join(repository, 'target/peers/page/'))('playwright-core');
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu'] });
  const page = await (await browser.newContext({ offline: true })).newPage();
  answers = await page.evaluate(judgeAll, given);
  await browser.close();
}
for (const answer of answers) console.log(JSON.stringify(answer));
