// Register: what is dropped or chosen is sent, a few at a time, and each file tells how far it has come.
import { bytes, el, moment, outside, picture, say, shown } from './page.js';
import { OWN_PAGE, ask, endedWords, signInAgain } from './session.js';

const form = document.getElementById('register');
const zone = document.getElementById('drop');
const list = document.getElementById('list');
const tally = document.getElementById('tally');
const announce = document.getElementById('announce');
const bytesMax = Number(form.dataset.bytesMax);
const isStamped = form.dataset.isStamped === 'true';

const AT_ONCE = 4;
const TRIES_MAX = 8;
const WAIT_SECONDS_MAX = 120;
const THUMBNAILS_MAX = 300;
const STAMP_INTERVAL_MS = 10e3;
const STAMP_ASKED_MAX = 90;
const KEPT_FIELDS = ['claimant', 'rights', 'collection'];

const uploads = [];
const queue = [];
let underWay = 0;
let passedOver = 0;
let isSignedOut = false;

// What a claimant says of every file is remembered on this machine alone.
const memory = {
  get: (name) => { try { return localStorage.getItem(`register.${name}`); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(`register.${name}`, value); } catch { /* the next visit begins empty */ } },
};
for (const name of KEPT_FIELDS) {
  form.elements[name].value = memory.get(name) ?? '';
  form.elements[name].addEventListener('change', ({ target }) => memory.set(name, target.value));
}
form.addEventListener('submit', (event) => event.preventDefault());

// Files come by picking, by dropping, and out of dropped folders.
for (const id of ['files', 'folder']) {
  document.getElementById(id).addEventListener('change', ({ target }) => {
    take([...target.files]);
    target.value = '';
  });
}
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
  if (!entries.some((entry) => entry.isDirectory)) return take(plain);
  for (const entry of entries) await visit(entry);
});

async function visit(entry) {
  if (entry.isFile) {
    await new Promise((next) => entry.file((file) => next(take([file])), () => next()));
    return;
  }
  const reader = entry.createReader();
  const some = () => new Promise((found) => reader.readEntries(found, () => found([])));
  for (let entries = await some(); entries.length; entries = await some()) {
    for (const below of entries) await visit(below);
  }
}

const said = () => Object.fromEntries(['title', 'claimant', 'rights', 'collection'].map((name) => [name, form.elements[name].value.trim()]));

function take(files) {
  const claim = said();
  const hashOnly = form.elements.hash_only.checked;
  for (const file of files) {
    if (file.name.startsWith('.') || file.name.endsWith('.timemark')) {
      passedOver += 1;
      continue;
    }
    const upload = new Upload(file, claim, hashOnly);
    uploads.push(upload);
    queue.push(upload);
  }
  document.getElementById('uploads').hidden = false;
  count();
  pump();
}

function pump() {
  while (!isSignedOut && underWay < AT_ONCE && queue.length) {
    underWay += 1;
    queue.shift().run().finally(() => {
      underWay -= 1;
      count();
      pump();
    });
  }
}

function count() {
  const of = (state) => uploads.filter((upload) => upload.state === state).length;
  const [fresh, duplicates, failed] = [of('registered'), of('duplicate'), of('failed')];
  const warned = uploads.filter((upload) => upload.isWarned).length;
  const parts = [say('tally', fresh + duplicates + failed, uploads.length)];
  if (fresh) parts.push(say('tally_new', fresh));
  if (duplicates) parts.push(say('tally_duplicates', duplicates));
  if (warned) parts.push(`⚠ ${say('tally_warnings', warned)}`);
  if (failed) parts.push(say('tally_failed', failed));
  if (passedOver) parts.push(say('passed_over', passedOver));
  tally.textContent = parts.join(' · ');
}

addEventListener('beforeunload', (event) => {
  if (underWay || queue.length) event.preventDefault();
});

class Upload {
  constructor(file, claim, hashOnly) {
    Object.assign(this, { file, claim, hashOnly, state: 'waiting', isWarned: false, bytesOnly: false, key: newKey() });
    this.url = file.type.startsWith('image/') && uploads.length < THUMBNAILS_MAX ? URL.createObjectURL(file) : null;
    this.thumb = this.url ? el('img', { class: 'thumb', src: this.url, alt: '' }) : el('span', { class: 'thumb' });
    this.steps = el('ol', { class: 'steps' });
    this.bar = el('progress', { max: 1, value: 0, 'aria-label': shown(file.name) });
    this.words = el('p', { class: 'say' }, say('waiting'));
    this.body = el('div', {}, el('p', { class: 'name' }, outside(file.name), ' ', el('span', { class: 'soft' }, bytes(file.size))), this.steps, this.bar, this.words);
    this.item = el('li', { class: 'upload' }, this.thumb, this.body);
    list.append(this.item);
  }

  say(...content) {
    this.words.replaceChildren(...content);
  }

  // Sends it until it is answered for good. The key says each time that it is the same.
  async run() {
    this.item.classList.remove('failed');
    this.state = 'sending';
    if (this.file.size > bytesMax) return this.fail(say('too_large', bytes(bytesMax)));
    for (let tries = 1; ; tries += 1) {
      const { status, headers, answer } = await this.send();
      if (status === 200 || status === 201) return this.succeed(answer);
      if (status === 401) {
        this.say(endedWords.kept);
        if (await signInAgain()) continue;
        return this.keep();
      }
      const isLater = [0, 408, 429, 503].includes(status);
      if (!isLater || tries >= TRIES_MAX) return this.refuse(answer);
      const seconds = Math.min(Number(headers?.get('retry-after')) || 2 ** tries, WAIT_SECONDS_MAX);
      for (let left = seconds; left > 0; left -= 1) {
        this.say(say(status === 0 ? 'offline' : 'busy', left));
        await new Promise((next) => setTimeout(next, 1000));
      }
    }
  }

  send() {
    const body = new FormData();
    for (const [name, text] of Object.entries(this.claim)) if (text) body.append(name, text);
    if (this.hashOnly) body.append('hash_only', 'true');
    if (this.bytesOnly) body.append('bytes_only', 'true');
    body.append('file', this.file, this.file.name);
    return new Promise((answered) => {
      const request = new XMLHttpRequest();
      request.open('POST', '/v1/works');
      request.setRequestHeader('Idempotency-Key', this.key);
      for (const [name, value] of Object.entries(OWN_PAGE)) request.setRequestHeader(name, value);
      request.responseType = 'json';
      request.upload.addEventListener('progress', ({ loaded, total }) => {
        this.bar.value = total ? loaded / total : 0;
        this.say(loaded < total ? say('uploading', Math.floor((100 * loaded) / total)) : say('working'));
      });
      request.addEventListener('load', () => answered({ status: request.status, answer: request.response, headers: new Headers({ 'retry-after': request.getResponseHeader('retry-after') ?? '' }) }));
      for (const kind of ['error', 'abort', 'timeout']) request.addEventListener(kind, () => answered({ status: 0 }));
      request.send(body);
    });
  }

  // It waits where it was, until somebody is signed in again.
  keep() {
    this.state = 'waiting';
    queue.unshift(this);
    isSignedOut = true;
    if (document.getElementById('signed-out')) return;
    const button = el('button', { type: 'button', class: 'primary' }, endedWords.signIn);
    const notice = el('p', { class: 'notice warn', id: 'signed-out', role: 'alert' }, endedWords.kept, ' ', button);
    button.addEventListener('click', async () => {
      if (!(await signInAgain())) return;
      notice.remove();
      isSignedOut = false;
      pump();
    });
    tally.after(notice);
  }

  succeed(answer) {
    this.state = answer.status;
    this.index = answer.index;
    this.bar.remove();
    this.item.classList.add('done');
    const remarks = [];
    if (answer.status === 'duplicate') remarks.push(el('strong', {}, say('duplicate')));
    if (answer.not_taken.length) remarks.push(` ${say('not_taken')} ${answer.not_taken.join(', ')}`);
    this.say(...remarks);
    this.last = el('li', { class: isStamped ? '' : 'soon' }, say(isStamped ? 'stamp_soon' : 'no_stamp'));
    this.steps.replaceChildren(el('li', { class: 'done' }, say('received')), el('li', { class: 'done' }, say('logged', answer.index)), this.last);
    const name = this.file.name;
    this.body.append(el('p', { class: 'row links' },
      el('a', { href: `/works/${answer.work}` }, say('work')),
      el('a', { href: answer.receipt, download: `${name}.timemark` }, say('receipt')),
      this.certificate = el('a', { href: `${answer.receipt}/certificate`, download: `${name}.certificate.pdf` }, say('certificate'))));
    this.compare(answer);
    watchStamps();
  }

  // Earlier works that look like it, beside it. Who claims under the same name is not warned of themselves.
  compare({ similar, similar_of_others: hidden }) {
    const mine = this.claim.claimant || null;
    const others = similar.filter((match) => mine === null || match.claimant !== mine);
    if (!others.length && hidden) {
      this.isWarned = true;
      this.item.classList.add('warned');
      this.item.append(el('section', { class: 'warning' }, el('h3', {}, `⚠ ${say('similar_hidden', hidden)}`), el('p', {}, say('similar_hidden_text'))));
      announce.textContent = say('announce_warning', shown(this.file.name));
      return;
    }
    if (!others.length) {
      if (similar.length) this.body.append(el('p', { class: 'soft' }, say('similar_own')));
      return;
    }
    this.isWarned = true;
    this.item.classList.add('warned');
    const isExact = others.some((match) => match.method === 'exact');
    const more = hidden ? el('p', {}, `${say('similar_hidden', hidden)}: ${say('similar_hidden_text')}`) : null;
    const pairs = el('div', { class: 'pair' }, this.figure(), ...others.slice(0, 3).map(earlier));
    this.item.append(el('section', { class: 'warning' }, el('h3', {}, `⚠ ${say(isExact ? 'similar_exact' : 'similar_title')}`), el('p', {}, say('similar_text')), pairs, more));
    announce.textContent = say('announce_warning', shown(this.file.name));
  }

  figure() {
    const image = this.url ? el('img', { src: this.url, alt: say('picture_of', shown(this.file.name)) }) : el('span', { class: 'none' }, say('no_picture'));
    return el('figure', {}, image, el('figcaption', {}, el('strong', {}, say('yours')), ' ', outside(this.claim.title || this.file.name)));
  }

  refuse(problem) {
    const kind = String(problem?.type ?? '').split(':').at(-1);
    const known = { 'too-large': say('too_large', bytes(bytesMax)), 'not-a-work': say('not_a_work'), 'text-too-long': say('text_too_long'), 'registered-elsewhere': say('registered_elsewhere'), 'unreadable-picture': say('unreadable'), unavailable: say('unavailable') };
    this.fail(known[kind] ?? say('other'), known[kind] ? null : problem?.detail, kind === 'unreadable-picture');
  }

  fail(reason, detail = null, isByBytes = false) {
    this.state = 'failed';
    this.item.classList.add('failed');
    this.bar.value = 0;
    const again = el('button', { type: 'button' }, say(isByBytes ? 'bytes_only' : 'retry'));
    again.addEventListener('click', () => {
      // Another request than before, unless nothing is changed in it.
      if (isByBytes) Object.assign(this, { bytesOnly: true, key: newKey() });
      queue.push(this);
      this.state = 'waiting';
      this.say(say('waiting'));
      count();
      pump();
    });
    this.say(el('span', { class: 'fault' }, say('failed', reason)), ' ', detail ? outside(detail) : '', ' ', again);
  }

  stamp(time) {
    this.stamped = true;
    this.last.className = 'done';
    this.last.replaceChildren(say('stamped'));
    this.say(...this.words.childNodes, this.words.childNodes.length ? ' ' : '', el('time', { datetime: time }, say('existed', moment(time))));
  }
}

function earlier(match) {
  const name = match.title ?? match.file ?? match.work;
  const image = el('img', { src: picture(match.work, 640), alt: say('picture_of', shown(name)) });
  image.addEventListener('error', () => image.replaceWith(el('span', { class: 'none' }, say('no_picture'))));
  const how = [match.transform, match.method === 'exact' ? say('same_bytes') : match.distance === null ? null : say('differs', match.distance)].filter(Boolean).join(' · ');
  return el('figure', {}, image, el('figcaption', {},
    el('strong', {}, say('earlier', match.index)), ' ', el('a', { href: `/works/${match.work}` }, outside(name)), ' ',
    match.claimant === null ? say('by_nobody') : outside(say('by', match.claimant)), ' ', el('span', { class: 'soft' }, how)));
}

// Time-stamps come for all entries up to one: the newest is asked for, and the others once it has its own.
let watching = false;
async function watchStamps() {
  if (watching || !isStamped) return;
  watching = true;
  for (let asked = 0; asked < STAMP_ASKED_MAX; asked += 1) {
    const open = uploads.filter((upload) => upload.index !== undefined && !upload.stamped);
    if (!open.length) break;
    const newest = open.reduce((a, b) => (a.index > b.index ? a : b));
    if (await existedBy(newest)) for (const upload of open) if (upload !== newest) await existedBy(upload);
    if (uploads.some((upload) => upload.index !== undefined && !upload.stamped)) await new Promise((next) => setTimeout(next, STAMP_INTERVAL_MS));
  }
  watching = false;
}

async function existedBy(upload) {
  try {
    const response = await ask(`/v1/receipts/${upload.index}`, { headers: { accept: 'application/json' } });
    const { existed_by: time } = response.ok ? await response.json() : {};
    if (time) upload.stamp(time);
    return Boolean(time);
  } catch {
    return false; // asked again
  }
}

function newKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return `page-${[...random].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
