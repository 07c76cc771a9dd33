// A match: verdicts by key and button, one after the other without a new page; how the two pictures lie on each other.
import { say } from './page.js';

const said = document.getElementById('said');
const help = document.getElementById('help');
const keysOn = document.getElementById('keys-on');
const VERDICTS = ['infringing', 'licensed', 'no-match', 'unsure'];
const KEYS = { j: 'next', k: 'previous', i: 'infringing', l: 'licensed', n: 'no-match', u: 'unsure', w: 'allow', z: 'undo', e: 'note', '?': 'help', '？': 'help' };
const VIEWS = { b: 'blend', o: 'overlay', s: 'swipe', d: 'difference' };
const SKIPPED_MAX = 100;

let match = document.getElementById('match');
let isBusy = false;
const ahead = new Map();

// What this window did, the last at the end, so that it can be taken back.
const done = {
  all: () => { try { return JSON.parse(sessionStorage.getItem('review.done')) ?? []; } catch { return []; } },
  set: (all) => { try { sessionStorage.setItem('review.done', JSON.stringify(all.slice(-200))); } catch { /* nothing can be taken back after a reload */ } },
  push: (one) => done.set([...done.all(), one]),
};
const kept = {
  get: (store, name) => { try { return store.getItem(name); } catch { return null; } },
  set: (store, name, value) => { try { store.setItem(name, value); } catch { /* asked again */ } },
};

const announce = (...texts) => { said.textContent = texts.join(' '); };

// Asks for a change; what the server refuses is told, and null given.
async function change(path, options, id = match.dataset.id) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { 'x-timemark': '1', ...options.headers } });
  } catch {
    announce(say('offline'));
    return null;
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const kind = problem.type?.split(':').at(-1);
  if (response.status === 412 || kind === 'wrong-state') {
    // Somebody was faster: nothing is decided about what was not seen.
    const seen = options.headers?.['if-match'];
    done.set(done.all().filter((one) => one.tag !== seen));
    await show(`/review/${id}`);
    announce(say('changed'));
  } else if (response.status === 401) announce(say('not_signed_in'));
  else if (kind === 'text-too-long') announce(say('note_too_long'));
  else announce(say('failed', problem.detail ?? response.status));
  return null;
}

// Fetches a match and shows it in the place of this one.
async function fetched(path) {
  const response = await fetch(path, { headers: { accept: 'text/html' } });
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  return response.ok ? page.getElementById('match') : null;
}

async function show(path, { isOpen = false, isBack = false } = {}) {
  let next = await fetched(path).catch(() => null);
  // Others review as well: what they decided meanwhile is passed over.
  for (let skipped = 0; isOpen && next && next.dataset.standing !== 'open' && next.dataset.next && skipped < SKIPPED_MAX; skipped += 1) {
    path = next.dataset.next;
    next = await fetched(path).catch(() => null);
  }
  if (!next) return location.assign(path);
  const focused = document.activeElement?.closest('[data-act]')?.dataset.act;
  match.replaceWith(next);
  match = next;
  if (!isBack && location.pathname !== path) history.pushState(null, '', path);
  begin();
  if (focused) match.querySelector(`[data-act="${focused}"]`)?.focus({ preventScroll: true });
}

async function decide(verdict) {
  const { id, tag, next, standing } = match.dataset;
  const note = match.querySelector('#note').value.trim();
  const body = JSON.stringify(note ? { verdict, note } : { verdict });
  const response = await change(`/v1/matches/${id}/verdict`, { method: 'POST', headers: { 'if-match': tag, 'content-type': 'application/json' }, body });
  if (!response) return;
  done.push({ id, tag: response.headers.get('etag'), counts: standing === 'open' ? 1 : 0 });
  await goOn(id, next, say('decided', say(verdict)));
}

// Shows the next match that is open, or says that there is none.
async function goOn(id, next, words) {
  const here = `/review/${id}`;
  if (next) await show(next, { isOpen: true });
  if (match.dataset.standing !== 'open' || match.dataset.id === id) {
    await show(here);
    const { first } = match.dataset;
    if (!first) return announce(words, say('queue_empty'));
    if (first !== here) await show(first);
  }
  announce(words, say('now_shown', match.querySelector('#called').textContent));
}

async function takeBack(id, tag) {
  const response = await change(`/v1/matches/${id}/verdict`, { method: 'DELETE', headers: { 'if-match': tag } }, id);
  if (!response) return;
  done.set(done.all().filter((one) => one.tag !== tag));
  const { standing } = await response.json();
  await show(`/review/${id}`);
  announce(say('undone', match.querySelector('#called').textContent), standing === 'open' ? '' : say(standing));
}

async function allow() {
  const button = match.querySelector('[data-act=allow]');
  if (!button) return;
  const { id, next, standing } = match.dataset;
  const { domain } = button.dataset;
  const response = await change('/v1/allowed-domains', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ domain }) });
  if (!response) return;
  const { matches = 0 } = await response.json();
  if (response.status === 201) done.push({ id, domain, counts: standing === 'open' ? matches : 0 });
  const words = say('allowed', domain, matches);
  await show(`/review/${id}`);
  if (match.dataset.standing === 'open') return announce(words, say('allowed_stays'));
  await goOn(id, next, words);
}

async function undo() {
  const last = done.all().at(-1);
  if (!last) {
    const { id, tag, standing } = match.dataset;
    return VERDICTS.includes(standing) ? takeBack(id, tag) : announce(say('nothing_to_undo'));
  }
  if (!last.domain) return takeBack(last.id, last.tag);
  done.set(done.all().slice(0, -1));
  const response = await change(`/v1/allowed-domains/${encodeURIComponent(last.domain)}`, { method: 'DELETE' });
  if (!response) return;
  await show(`/review/${last.id}`);
  announce(say('disallowed', last.domain));
}

async function step(way) {
  const path = match.dataset[way];
  if (!path) return announce(say(way === 'next' ? 'no_next' : 'no_previous'));
  await show(path);
  announce(say('now_shown', match.querySelector('#called').textContent));
}

// One thing at a time: a key that comes while something is under way could mean what is not seen yet.
async function act(name) {
  if (name === 'help') return help.showModal();
  if (name === 'note') return match.querySelector('#note')?.focus();
  if (isBusy) return;
  if (!['next', 'previous'].includes(name) && !('mayDecide' in match.dataset)) return;
  isBusy = true;
  match.setAttribute('aria-busy', 'true');
  try {
    if (VERDICTS.includes(name)) await decide(name);
    else if (name === 'allow') await allow();
    else if (name === 'undo') await undo();
    else if (name === 'undo-this') await takeBack(match.dataset.id, match.dataset.tag);
    else await step(name);
  } finally {
    isBusy = false;
    match.removeAttribute('aria-busy');
  }
}

addEventListener('click', (event) => {
  const { target, button, ctrlKey, metaKey, shiftKey } = event;
  const acting = target.closest?.('[data-act]');
  if (acting && button === 0 && !ctrlKey && !metaKey && !shiftKey) {
    event.preventDefault();
    act(acting.dataset.act);
  }
  const view = target.closest?.('button[data-view]')?.dataset.view;
  if (view) look(view);
});

addEventListener('keydown', (event) => {
  const { key, code, target, ctrlKey, metaKey, altKey, repeat, isComposing } = event;
  if (key === 'Escape' && target.id === 'note') return target.blur();
  if (ctrlKey || metaKey || altKey || repeat || isComposing || help.open || !keysOn.checked) return;
  if (target.matches?.('input:not([type=range]), textarea, select')) return;
  // An input method takes the key for itself, and leaves which it was.
  const pressed = key === 'Process' && code.startsWith('Key') ? code.slice(3).toLowerCase() : key.toLowerCase();
  if (!(pressed in KEYS) && !(pressed in VIEWS)) return;
  event.preventDefault();
  if (pressed in VIEWS) look(match.dataset.view === VIEWS[pressed] ? 'pair' : VIEWS[pressed]);
  else act(KEYS[pressed]);
});

addEventListener('popstate', () => show(location.pathname, { isBack: true }));
addEventListener('resize', () => lay());
keysOn.checked = kept.get(localStorage, 'review.keys') !== 'off';
keysOn.addEventListener('change', () => kept.set(localStorage, 'review.keys', keysOn.checked ? 'on' : 'off'));

// How the two are looked at; kept for the next match.
function look(view) {
  const aligned = match.querySelector('.aligned');
  if (!aligned) return;
  match.dataset.view = view;
  kept.set(sessionStorage, 'review.view', view);
  for (const button of match.querySelectorAll('button[data-view]')) button.setAttribute('aria-pressed', String(button.dataset.view === view));
  const overlay = match.querySelector('.overlay');
  overlay.hidden = view !== 'overlay';
  aligned.hidden = ['pair', 'overlay'].includes(view);
  match.querySelector('.sides').hidden = view !== 'pair';
  match.querySelector('.slider').hidden = view === 'difference';
  for (const image of match.querySelectorAll('figure:not([hidden]) img[data-src]')) {
    image.src = image.dataset.src;
    delete image.dataset.src;
  }
  lay();
}

// Lays the work upon the suspect, at the size that there is room for. A page may have no inline style; this is none.
function lay() {
  const aligned = match.querySelector('.aligned');
  if (!aligned || aligned.hidden) return;
  const numbers = (name) => aligned.dataset[name].split(' ').map(Number);
  const [a, b, c, d, e, f] = numbers('map');
  const [width, height] = numbers('suspect');
  const [workWidth, workHeight] = numbers('work');
  const layers = aligned.querySelector('.layers');
  layers.style.aspectRatio = `${width} / ${height}`;
  layers.style.maxWidth = `calc(70vh * ${width / height})`;
  const scale = layers.clientWidth / width;
  const above = layers.querySelector('.above');
  const work = above.querySelector('img');
  work.style.width = `${workWidth}px`;
  work.style.height = `${workHeight}px`;
  work.style.transform = `matrix(${[a, d, b, e, c, f].map((number) => number * scale).join(',')})`;
  const { view } = match.dataset;
  const share = Number(match.querySelector('#share').value);
  above.classList.toggle('difference', view === 'difference');
  above.style.opacity = view === 'blend' ? String(share / 100) : '1';
  above.style.clipPath = view === 'swipe' ? `inset(0 ${100 - share}% 0 0)` : 'none';
}

// What a match needs once it is shown.
function begin() {
  for (const hidden of match.querySelectorAll('.views, [data-act=help]')) hidden.hidden = false;
  match.querySelector('#share')?.addEventListener('input', lay);
  const { before, all, standing, next } = match.dataset;
  const counted = done.all().reduce((sum, one) => sum + one.counts, 0);
  if (standing === 'open' && counted) match.querySelector('#place').textContent = say('place_in_queue', counted + Number(before) + 1, counted + Number(all));
  look(kept.get(sessionStorage, 'review.view') ?? 'pair');
  // The pictures of the next one are here when it is wanted.
  ahead.clear();
  if (next) for (const side of ['work', 'suspect']) {
    const image = new Image();
    image.src = `${next.replace('/review/', '/v1/matches/')}/${side}.jpg`;
    ahead.set(side, image);
  }
}
begin();
