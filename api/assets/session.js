// What every page asks the service: with the header that sessions need, and again in place where a session ended.
import { el, shown } from './page.js';

const told = document.getElementById('session-words');
const words = JSON.parse(told.textContent);
const accountName = told.dataset.name;
export const OWN_PAGE = { 'x-timemark': '1' };
export const endedWords = { kept: words.kept, signIn: words.sign_in };

// As `fetch`. Where nobody is signed in any more, who is there may do so, and the same is asked once more.
export async function ask(address, options = {}) {
  const request = () => fetch(address, { ...options, headers: { ...OWN_PAGE, ...options.headers } });
  const response = await request();
  return response.status === 401 && (await signInAgain()) ? request() : response;
}

// Asks with JSON and returns what is answered; what is refused is an error that bears the type of the problem.
export async function askJson(method, address, body, headers = {}) {
  const options = body === undefined ? { method, headers } : { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } };
  let response;
  try {
    response = await ask(address, options);
  } catch {
    throw new Refused('offline', words.offline);
  }
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return answer;
  const kind = String(answer?.type ?? '').split(':').at(-1);
  throw new Refused(kind, kind === 'too-many-tries' ? words.too_many : answer?.detail ?? words.failed);
}

export class Refused extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

// One dialog, however many requests wait for it; true once somebody is signed in.
let again = null;
export function signInAgain() {
  again ??= signIn().finally(() => { again = null; });
  return again;
}

function signIn() {
  const field = (id, type, label, autocomplete, more = {}) => [
    el('label', { for: id }, label),
    el('input', { id, name: id, type, autocomplete, required: '', ...more }),
  ];
  const fault = el('p', { class: 'fault', role: 'alert' });
  const cancel = el('button', { type: 'button' }, words.cancel);
  // The account stays the same: what waits here is not to be somebody else's by a slip.
  const fixed = accountName ? { value: accountName, readonly: '' } : {};
  const form = el('form', { class: 'fields' },
    el('h2', { id: 'again-title' }, words.ended_title), el('p', {}, words.ended_text),
    el('p', {}, ...field('again-name', 'text', words.name, 'username', fixed)),
    el('p', {}, ...field('again-password', 'password', words.password, 'current-password', { autofocus: '' })),
    fault,
    el('p', { class: 'row' }, el('button', { type: 'submit', class: 'primary' }, words.sign_in), cancel));
  const dialog = el('dialog', { class: 'card', 'aria-labelledby': 'again-title' }, form);
  document.body.append(dialog);
  return new Promise((done) => {
    let isIn = false;
    dialog.addEventListener('close', () => { dialog.remove(); done(isIn); });
    cancel.addEventListener('click', () => dialog.close());
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const body = JSON.stringify({ name: form.elements['again-name'].value, password: form.elements['again-password'].value });
      const headers = { ...OWN_PAGE, 'content-type': 'application/json' };
      const response = await fetch('/v1/session', { method: 'POST', body, headers }).catch(() => null);
      isIn = response?.ok ?? false;
      if (isIn) return dialog.close();
      fault.textContent = { 401: words.wrong, 429: words.too_many }[response?.status] ?? (response ? words.failed : words.offline);
      form.elements['again-password'].select();
    });
    dialog.showModal();
  });
}

const out = document.getElementById('sign-out');
if (out) {
  out.hidden = false;
  out.addEventListener('click', async () => {
    const response = await fetch('/v1/session', { method: 'DELETE', headers: OWN_PAGE }).catch(() => null);
    if (!response || (!response.ok && response.status !== 401)) return location.reload();
    // What was filled in here is not for who comes next.
    try {
      for (const key of Object.keys(localStorage)) if (key.startsWith('register.')) localStorage.removeItem(key);
    } catch { /* nothing was kept */ }
    location.assign('/login');
  });
}

// A secret that is shown once, with a button that copies it.
export function secretShown(title, secret, copy, copied, hint = null) {
  const code = el('code', { tabindex: '0' }, shown(secret));
  const button = el('button', { type: 'button' }, copy);
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(secret);
      button.textContent = copied;
    } catch {
      getSelection().selectAllChildren(code); // the browser lets no page copy: the keyboard does
    }
  });
  return el('div', { class: 'notice warn secret' }, el('p', {}, el('strong', {}, title)), el('p', {}, code), hint ? el('p', { class: 'soft' }, hint) : null, el('p', {}, button));
}

// Forms of a receipt that have no address of their own: they are asked for by media type.
for (const link of document.querySelectorAll('a[data-accept]')) {
  link.hidden = false;
  link.addEventListener('click', async (event) => {
    event.preventDefault();
    const response = await ask(link.href, { headers: { accept: link.dataset.accept } });
    if (!response.ok) return location.assign(link.href);
    const address = URL.createObjectURL(await response.blob());
    el('a', { href: address, download: link.download }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60e3);
  });
}
