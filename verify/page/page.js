// The flow of the page: which file is what, what is asked of the worker, and what is shown when.
'use strict';

// What a receipt and a policy may hold (docs/formats.md); one byte more is read, so that the verifier itself refuses it.
const RECEIPT_BYTES_MAX = 8 << 20;
const POLICY_BYTES_MAX = 1 << 20;
// A certificate is a few pages with a receipt attached.
const CERTIFICATE_BYTES_MAX = 64 << 20;
const HEAD_BYTES = 4096;

const $ = (id) => document.getElementById(id);

// What was dropped, by role, and what came of it. Nothing of this outlives the page.
const given = { work: null, receipt: null, certificate: null, policy: null, bundle: null };
let others = []; // further receipts of the same work, which may correct or withdraw what the first claims
let shown = null; // { outcome } or nothing
let notices = []; // [kind, key, ...words]
let run = 0; // counts up with each change: what an older run still answers is dropped

class Verifier {
  static wasm = null;
  static code = null;

  constructor() {
    this.waiting = new Map();
    this.count = 0;
    const url = URL.createObjectURL(new Blob([Verifier.code], { type: 'text/javascript' }));
    this.worker = new Worker(url);
    URL.revokeObjectURL(url);
    this.worker.onmessage = ({ data }) => {
      const { resolve, reject, onProgress } = this.waiting.get(data.id);
      if ('progress' in data) return onProgress && onProgress(data.progress);
      this.waiting.delete(data.id);
      if (data.error) reject(Object.assign(new Error(data.error.detail), { kind: data.error.kind }));
      else resolve(data.answer);
    };
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.end(Object.assign(new Error(event.message || 'worker'), { kind: 'start' }));
    };
    this.started = this.ask('start', { module: Verifier.wasm });
    this.started.catch((error) => { error.kind = 'start'; });
  }

  ask(command, values = {}, onProgress) {
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, onProgress });
      this.worker.postMessage({ id, command, given: values });
    });
  }

  end(reason) {
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(reason);
    this.waiting.clear();
  }
}

let verifier = null;
// Which files the running verifier has read already: a work of gigabytes is not read again for a policy.
let held = {};

// Ends what is being read at once, by ending the worker. A session in WASM is of one work or bundle: another one
// needs another worker as well.
function endVerifier() {
  if (verifier) verifier.end(Object.assign(new Error('cancelled'), { kind: 'cancelled' }));
  verifier = null;
  held = {};
}

function stop() {
  run += 1;
  endVerifier();
}

// Files that come together are taken before those that come after them: what is a policy depends on what came with it.
let taking = Promise.resolve();

function take(files, folders = []) {
  taking = taking.then(() => place(files, folders)).then((placed) => { placed ? check() : show(); });
  return taking;
}

// Gives each file of one drop its role; false where they cannot be told apart.
async function place(files, folders) {
  notices = folders.map((name) => ['bad', 'fault_folder', name]);
  const sorted = await sort(files);
  if (sorted.some((entry) => entry.role === 'unreadable')) {
    for (const entry of sorted) if (entry.role === 'unreadable') notices.push(['bad', 'fault_read', entry.file.name]);
    return false;
  }
  await findWorks(sorted);
  // Whoever hands over evidence must not choose whom one trusts: a policy among it is none. By itself it is a deliberate act.
  const evidence = folders.length > 0 || sorted.some(({ role }) => role !== 'policy');
  const roles = {};
  for (const { role, file } of sorted) {
    if (role === 'policy' && evidence) {
      notices.push(['bad', 'policy_with', file.name]);
      continue;
    }
    if (roles[role] && role !== 'pdf' && role !== 'receipt') {
      notices.push(['bad', 'fault_two', () => t(`role_${role}`), roles[role].file.name, file.name]);
      return false;
    }
    (roles[role] ||= { file, more: [] }).more.push(file);
  }
  if (roles.bundle) {
    for (const role of ['work', 'receipt', 'pdf']) if (roles[role]) notices.push(['note', 'fault_bundle_and', roles[role].file.name]);
    Object.assign(given, { work: null, receipt: null, certificate: null, bundle: roles.bundle.file });
  } else if (roles.work || roles.receipt || roles.pdf) {
    given.bundle = null;
    if (roles.receipt) {
      const [first, ...more] = roles.receipt.more;
      others = more;
      Object.assign(given, { receipt: first, certificate: null });
    }
    if (roles.work) given.work = roles.work.file;
    const pdfs = roles.pdf ? roles.pdf.more : [];
    if (!(await placePdfs(pdfs, roles))) return false;
  }
  if (roles.policy) given.policy = roles.policy.file;
  return true;
}

// What looks like a policy is a work where a receipt or certificate is about it, whatever its name.
async function findWorks(sorted) {
  const proofs = sorted.filter(({ role }) => role === 'receipt' || role === 'pdf').map(({ file }) => file);
  if (!given.work) proofs.push(...[given.receipt, given.certificate].filter(Boolean));
  for (const entry of sorted) {
    if (entry.role === 'policy' && proofs.length && (await isAbout(proofs, entry.file))) entry.role = 'work';
  }
}

// A PDF is the work where a receipt came too, else the certificate where the work came too; of two, one has a receipt attached.
async function placePdfs(pdfs, roles) {
  if (pdfs.length > 2 || (pdfs.length === 2 && (roles.work || roles.receipt))) {
    notices.push(['bad', 'fault_two', () => t(roles.receipt ? 'role_work' : 'role_certificate'), pdfs[0].name, pdfs[1].name]);
    return false;
  }
  for (const pdf of pdfs) {
    const free = given.receipt && !given.certificate && (roles.receipt || !given.work);
    if (free || (pdfs.length === 1 ? false : !(await hasReceipt(pdf)))) given.work = pdf;
    else Object.assign(given, { certificate: pdf, receipt: null });
  }
  return true;
}

const hasReceipt = (pdf) => probing(async (ask) => (await ask('receipt', { file: pdf, bytes_max: CERTIFICATE_BYTES_MAX })).ok === true);

// Whether any of these receipts and certificates claims the very bytes of the file.
const isAbout = (proofs, file) => probing(async (ask) => {
  const { sha256 } = await ask('work', { file });
  for (const proof of proofs) {
    if ((await ask('receipt', { file: proof, bytes_max: CERTIFICATE_BYTES_MAX })).ok !== true) continue;
    const { claim } = await ask('verdict');
    if (claim && claim.sha256 === sha256) return true;
  }
  return false;
});

// Asks a verifier of its own, so that what the page's own has read stays as it is.
async function probing(question) {
  const probe = new Verifier();
  try {
    await probe.started;
    return await question(probe.ask.bind(probe));
  } catch {
    return false;
  } finally {
    probe.end(new Error('done'));
  }
}

// Types are told by content. A name only helps where content says nothing: `X.timemark` or `X.certificate.pdf` beside `X`
// makes X the work.
async function sort(files) {
  const names = new Set(files.map((file) => file.name));
  return Promise.all(files.map(async (file) => {
    let head;
    try {
      head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
    } catch {
      return { role: 'unreadable', file };
    }
    if (names.has(`${file.name}.timemark`) || names.has(`${file.name}.certificate.pdf`)) return { role: 'work', file };
    const text = new TextDecoder('latin1').decode(head);
    if (text.startsWith('timemark-receipt v')) return { role: 'receipt', file };
    if (text.startsWith('%PDF')) return { role: 'pdf', file };
    if (text.startsWith('PK\x03\x04')) {
      if (text.slice(30, 30 + head[26] + 256 * head[27]) === 'manifest.txt') return { role: 'bundle', file };
      notices.push(['note', 'note_zip', file.name]);
    }
    if (file.size <= POLICY_BYTES_MAX && /^(log \S+\+[0-9a-f]{8}\+|quorum \S)/m.test(await file.text())) return { role: 'policy', file };
    if (file.name.endsWith('.timemark')) {
      notices.push(['note', 'note_named', file.name]);
      return { role: 'receipt', file };
    }
    return { role: 'work', file };
  }));
}

// Asks for the verdict on what is there, and reads only what was not read before.
async function check() {
  const me = ++run;
  const { work, receipt, certificate, policy, bundle } = given;
  shown = null;
  show();
  const subject = bundle || work;
  const proof = receipt || certificate;
  if (!subject && !proof) return;
  let reading = subject || proof;
  try {
    if (verifier && held.subject && held.subject !== subject) endVerifier();
    if (!verifier) {
      busy(t('starting'));
      verifier = new Verifier();
      await verifier.started;
      // Whoever came meanwhile has asked already: what this run knows of the policy is older.
      if (me !== run) return;
    }
    const ask = verifier.ask.bind(verifier);
    if (held.policy !== policy) {
      if (policy) reading = policy;
      const answer = await ask('policy', { file: policy, bytes_max: POLICY_BYTES_MAX + 1 });
      if (me !== run) return;
      held.policy = policy;
      if (policy && !answer.ok) {
        notices.push(['bad', 'fault_policy', policy.name, answer.reason]);
        given.policy = null;
        return check();
      }
    }
    if (!bundle && proof && held.proof !== proof) {
      reading = proof;
      const answer = await ask('receipt', { file: proof, bytes_max: (receipt ? RECEIPT_BYTES_MAX : CERTIFICATE_BYTES_MAX) + 1 });
      if (me !== run) return;
      held.proof = proof;
      held.unreadable = answer.ok ? null : answer;
      for (const other of receipt ? others : []) {
        const told = await ask('beside', { file: other, bytes_max: RECEIPT_BYTES_MAX + 1 });
        if (me !== run) return;
        if (!told.ok) notices.push(['bad', 'fault_beside', other.name]);
      }
    }
    // A receipt that cannot be read proves nothing about any work: no need to hash one.
    if (!bundle && proof && held.unreadable) return settle(held.unreadable);
    if (subject) {
      reading = subject;
      if (!held.subject) {
        const progress = (at) => busy(t('reading', outside(subject.name)), at, subject.size);
        progress(0);
        // Whoever comes while it is being read waits for the same reading.
        Object.assign(held, { subject, read: ask(bundle ? 'bundle' : 'work', { file: subject }, progress) });
      }
      await held.read;
      if (me !== run) return;
    }
    // A work alone is only hashed; a receipt alone tells what it is about.
    if (!bundle && !proof) return settle(null);
    const outcome = await ask('verdict');
    if (me === run) settle(outcome);
  } catch (error) {
    if (me !== run) return;
    stop();
    if (error.kind === 'read') {
      notices.push(['bad', 'fault_read', reading.name]);
      for (const role of Object.keys(given)) if (given[role] === reading) given[role] = null;
    } else {
      notices.push(['bad', error.kind === 'start' ? 'fault_start' : 'fault_wasm', error.message]);
    }
    settle(null);
  }
}


function settle(outcome) {
  busy(null);
  shown = outcome && { outcome };
  show();
  if (!outcome) return;
  const lacking = worksAbsent(outcome);
  const say = (which) => [`${inLanguage(which, `verdict_${outcome.verdict}`)}: ${inLanguage(which, `line_${outcome.subject}_${outcome.verdict}`)}`,
    ...(lacking ? [inLanguage(which, 'works_absent', number(lacking), number(outcome.items.length), lacking)] : [])].join('. ');
  $('status').replaceChildren(...nodes(`${say(language)}. ${reason(outcome)}`));
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  $('result').scrollIntoView({ block: 'start', behavior: calm ? 'auto' : 'smooth' });
}

const actions = {
  addPolicy(files) {
    // Chosen as the policy, so that its content need not look like one: the verifier says what is wrong with it.
    notices = [];
    if (files[0]) given.policy = files[0];
    return check();
  },
  async confirm(digest) {
    const me = run;
    await verifier.ask('trust', { sha256: digest });
    const outcome = await verifier.ask('verdict');
    if (me === run) settle(outcome);
  },
  async detail(item) {
    try {
      return await verifier.ask('detail', { item });
    } catch (error) {
      if (error.kind !== 'cancelled') fail(error);
      return null;
    }
  },
  async expert(item, name) {
    try {
      const bytes = await verifier.ask('expert', { item, name });
      const url = URL.createObjectURL(new Blob([bytes]));
      el('a', { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60e3);
    } catch (error) {
      if (error.kind !== 'cancelled') fail(error);
    }
  },
};

function fail(error) {
  notices = [['bad', 'fault_wasm', error.message]];
  showNotices();
}

// Draws the whole page anew from what is known; what was open stays open.
function show() {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  for (const element of document.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
  for (const button of document.querySelectorAll('[data-language]')) button.setAttribute('aria-pressed', String(button.dataset.language === language));
  $('intake').hidden = false;
  const empty = !Object.values(given).some(Boolean);
  $('intake').classList.toggle('compact', !empty);
  $('guide').hidden = !empty;
  showSlots();
  showNotices();
  const open = new Set([...document.querySelectorAll('details[open][data-key]')].map((details) => details.dataset.key));
  const parts = [];
  if (shown) {
    const { outcome } = shown;
    parts.push(amendmentCard(outcome));
    parts.push(verdictCard(outcome, actions));
    parts.push(...(outcome.subject === 'bundle' ? bundleBody(outcome, actions) : receiptBody(outcome, null, actions)));
  } else {
    $('status').textContent = '';
  }
  $('result').replaceChildren(...parts.filter(Boolean));
  for (const details of document.querySelectorAll('details[data-key]')) if (open.has(details.dataset.key)) details.open = true;
}

function showSlots() {
  const { work, receipt, certificate, bundle } = given;
  const slots = ['bundle', 'work', 'receipt', 'certificate', 'policy'].filter((role) => given[role]).map((role) => el('li', { class: 'slot' },
    el('span', { class: 'role' }, t(`role_${role}`)), el('span', { class: 'name' }, outside(given[role].name)), el('span', { class: 'soft' }, bytes(given[role].size)),
    el('button', { type: 'button', class: 'small', 'aria-label': t('remove', t(`role_${role}`)), title: t('remove', t(`role_${role}`)), onclick: () => drop(role) }, '×')));
  for (const other of receipt ? others : []) {
    slots.push(el('li', { class: 'slot' }, el('span', { class: 'role' }, t('role_receipt')), el('span', { class: 'name' }, outside(other.name)), el('span', { class: 'soft' }, bytes(other.size))));
  }
  const wanted = (words) => el('li', { class: 'slot wanted' }, words);
  if (!bundle && (receipt || certificate) && !work) slots.push(wanted(t('wanted_work')));
  if (!bundle && work && !receipt && !certificate) slots.push(wanted(t('wanted_receipt')));
  if (slots.length) slots.push(el('li', { class: 'again' }, el('button', { type: 'button', class: 'small', onclick: restart }, t('restart'))));
  $('slots').replaceChildren(...slots);
}

function showNotices() {
  const say = (word) => (typeof word === 'function' ? word() : outside(word));
  $('notices').replaceChildren(...notices.map(([kind, key, ...words]) => el('p', { class: `notice ${kind}` }, t(key, ...words.map(say)))));
}

function busy(what, at, of) {
  $('progress').hidden = what === null;
  if (what === null) return;
  $('progress-what').replaceChildren(...nodes(what));
  const known = of !== undefined;
  $('progress-text').textContent = known ? t('progress', bytes(at), bytes(of), of ? Math.floor((at / of) * 100) : 100) : '';
  if (known) $('progress-bar').value = of ? at / of : 1;
  else $('progress-bar').removeAttribute('value');
}

function drop(role) {
  given[role] = null;
  if (role === 'receipt') others = [];
  notices = [];
  if (role !== 'policy') stop();
  busy(null);
  check();
  $('files').focus();
}

function restart() {
  for (const role of Object.keys(given)) given[role] = null;
  others = [];
  notices = [];
  shown = null;
  stop();
  busy(null);
  show();
  $('files').focus();
}

// Files come by the chooser, or dropped anywhere on the page.
function listen() {
  $('files').onchange = () => {
    const files = [...$('files').files];
    $('files').value = '';
    take(files);
  };
  let inside = 0;
  const highlight = () => $('drop').classList.toggle('over', inside > 0);
  addEventListener('dragenter', (event) => { event.preventDefault(); inside += 1; highlight(); });
  addEventListener('dragleave', () => { inside = Math.max(0, inside - 1); highlight(); });
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => {
    event.preventDefault();
    inside = 0;
    highlight();
    const items = [...event.dataTransfer.items].filter((item) => item.kind === 'file').map((item) => ({ file: item.getAsFile(), entry: item.webkitGetAsEntry && item.webkitGetAsEntry() }));
    const folder = ({ entry }) => entry && entry.isDirectory;
    const files = items.filter((item) => item.file && !folder(item)).map((item) => item.file);
    if (items.length) take(files, items.filter(folder).map(({ entry }) => entry.name));
  });
  $('cancel').onclick = () => {
    stop();
    busy(null);
    notices = [['note', 'cancelled']];
    for (const role of ['work', 'bundle']) given[role] = null;
    show();
    $('files').focus();
  };
  for (const button of document.querySelectorAll('[data-language]')) {
    button.onclick = () => {
      language = button.dataset.language;
      show();
    };
  }
  // A court prints: whatever can be opened without computing anew is opened for it.
  let closed = [];
  addEventListener('beforeprint', () => {
    for (const section of document.querySelectorAll('section')) if (section.showAll) section.showAll();
    closed = [...document.querySelectorAll('details:not([open]):not(.item)')];
    for (const details of closed) details.open = true;
  });
  addEventListener('afterprint', () => { for (const details of closed) details.open = false; });
}

Verifier.code = $('worker').textContent;
Verifier.wasm = Uint8Array.from(atob($('wasm').textContent.trim()), (char) => char.charCodeAt(0));
listen();
show();
