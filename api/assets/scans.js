// Scans: what is dropped or chosen is sent as one scan; several files go as one archive.
import { bytes, say, shown } from './page.js';

const form = document.getElementById('scan');
const said = document.getElementById('said');
const BLOCK = 512;
const encoder = new TextEncoder();

if (form) {
  const zone = document.getElementById('drop');
  const bar = document.getElementById('sending');
  document.getElementById('files').addEventListener('change', ({ target }) => {
    send([...target.files]);
    target.value = '';
  });
  for (const kind of ['dragenter', 'dragover', 'dragleave', 'drop']) {
    addEventListener(kind, (event) => {
      if (![...(event.dataTransfer?.types ?? [])].includes('Files')) return;
      event.preventDefault();
      zone.classList.toggle('over', kind === 'dragenter' || kind === 'dragover');
    });
  }
  addEventListener('drop', async ({ dataTransfer }) => {
    if (!dataTransfer) return;
    // Entries have to be taken out before anything is waited for.
    const entries = [...dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const plain = [...dataTransfer.files];
    send(entries.some((entry) => entry.isDirectory) ? (await Promise.all(entries.map(below))).flat() : plain);
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const paths = (form.elements.paths?.value ?? '').split('\n').map((path) => path.trim()).filter(Boolean);
    if (paths.length) ask(JSON.stringify({ paths, depth: form.elements.depth.value }), 'application/json');
  });

  async function send(files) {
    if (!files.length) return;
    const file = files.length === 1 ? files[0] : tar(files);
    const limit = Number(form.dataset.bytesMax);
    if (file.size > limit) return tell(say('too_large', bytes(limit)));
    const body = new FormData();
    body.append('depth', form.elements.depth.value);
    body.append('file', file, file.name);
    await ask(body);
  }

  // XMLHttpRequest tells how much was sent, and fetch does not.
  async function ask(body, type) {
    const request = new XMLHttpRequest();
    request.open('POST', '/v1/scans');
    request.setRequestHeader('x-timemark', '1');
    if (type) request.setRequestHeader('content-type', type);
    request.responseType = 'json';
    bar.hidden = false;
    request.upload.addEventListener('progress', ({ loaded, total }) => {
      bar.value = total ? (100 * loaded) / total : 0;
      tell(say('sending', Math.floor(bar.value)));
    });
    const ended = new Promise((next) => { request.onloadend = next; });
    request.send(body);
    await ended;
    bar.hidden = true;
    if (request.status === 202) {
      tell(say('asked'));
      return location.assign(`/scans/${request.response.id}`);
    }
    tell(request.status ? say('failed', shown(request.response?.detail ?? request.status)) : say('offline'));
  }
}

function tell(text) {
  if (said.textContent !== text) said.textContent = text;
}

// The files of a folder, with the folder in their names.
async function below(entry, path = '') {
  if (entry.isFile) {
    const file = await new Promise((next) => entry.file(next, () => next(null)));
    return file ? [new File([file], path + file.name, { type: file.type })] : [];
  }
  const reader = entry.createReader();
  const some = () => new Promise((found) => reader.readEntries(found, () => found([])));
  const all = [];
  for (let entries = await some(); entries.length; entries = await some()) {
    for (const inner of entries) all.push(...await below(inner, `${path}${entry.name}/`));
  }
  return all;
}

// An archive (POSIX.1-2001, pax) of files, which stay on the disk until they are sent.
function tar(files) {
  const parts = [];
  const put = (kind, name, size, content) => parts.push(header(kind, name, size), content, new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK));
  for (const file of files) {
    const record = pax('path', file.webkitRelativePath || file.name);
    put('x', 'pax', record.length, record);
    put('0', 'file', file.size, file);
  }
  return new File([...parts, new Uint8Array(2 * BLOCK)], `${files[0].name} +${files.length - 1}.tar`, { type: 'application/x-tar' });
}

function header(kind, name, size) {
  const block = new Uint8Array(BLOCK);
  const put = (at, text) => block.set(encoder.encode(text), at);
  const octal = (number, digits) => number.toString(8).padStart(digits, '0');
  put(0, name);
  put(100, '0000644\0');
  put(108, '0000000\0');
  put(116, '0000000\0');
  put(124, `${octal(size, 11)} `);
  put(136, `${octal(0, 11)} `);
  put(148, ' '.repeat(8)); // the sum is of a header with blanks in its place
  put(156, kind);
  put(257, 'ustar\x0000');
  put(148, `${octal(block.reduce((sum, byte) => sum + byte, 0), 6)}\0 `);
  return block;
}

// A record tells its own length, which counts its own digits.
function pax(key, value) {
  const rest = encoder.encode(` ${key}=${value}\n`).length;
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return encoder.encode(`${length} ${key}=${value}\n`);
}
