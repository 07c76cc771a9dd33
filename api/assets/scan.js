// A scan: its events are heard, and what the server draws of it is fetched anew while it goes on.
import { say } from './page.js';

const dashboard = document.getElementById('dashboard');
const said = document.getElementById('said');
const { id } = dashboard.dataset;
const grouped = new Intl.NumberFormat('en');
const REFRESH_MS = 1500;
const AGAIN_MS = 1000;
const LISTEN_AGAIN_MS = 5000;

let told = Number(dashboard.dataset.matches);
let refreshing = null;
let again = false;
let timer = null;
const wait = (milliseconds) => new Promise((next) => setTimeout(next, milliseconds));

// Events are read from a stream that is asked for with the last match that the page shows: EventSource cannot say that.
async function listen() {
  while (!('ended' in dashboard.dataset)) {
    let response;
    try {
      response = await fetch(`/v1/scans/${id}/events`, { headers: { accept: 'text/event-stream', 'last-event-id': String(told) } });
    } catch {
      await wait(LISTEN_AGAIN_MS);
      continue;
    }
    if (response.status === 204) return refresh();
    if (!response.ok) {
      await wait(LISTEN_AGAIN_MS);
      await refresh();
      continue;
    }
    try {
      await read(response.body);
    } catch { /* cut off: asked again */ }
    await refresh();
    await wait(AGAIN_MS);
  }
}

async function read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    const events = text.split('\n\n');
    text = events.pop();
    events.forEach(hear);
  }
}

function hear(event) {
  const field = (name) => event.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const number = field('id');
  if (number) told = Number(number);
  const name = field('event');
  if (name === 'match') return soon();
  if (name !== 'progress' && name !== 'state') return;
  const scan = JSON.parse(field('data'));
  for (const key of ['suspects', 'matches', 'undecidable', 'errors', 'per_second']) {
    const place = document.querySelector(`[data-number=${key}]`);
    const value = scan[key];
    // What is not told, as there is too much of it, stays as the server drew it.
    if (place && Number.isFinite(value)) place.textContent = key === 'per_second' && value < 10 ? value.toFixed(1) : grouped.format(Math.round(value));
  }
  if (name === 'state') refresh(); else soon();
}

function soon() {
  timer ??= setTimeout(() => { timer = null; refresh(); }, REFRESH_MS);
}

// One at a time; what is asked for meanwhile is done once more after it.
function refresh() {
  again = refreshing !== null;
  refreshing ??= renew().catch(() => {}).finally(() => {
    refreshing = null;
    if (again) soon();
  });
  return refreshing;
}

async function renew() {
  const response = await fetch(`/scans/${id}`, { headers: { accept: 'text/html' } });
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const fresh = page.getElementById('dashboard');
  if (!response.ok || !fresh) return;
  const focused = document.activeElement?.dataset.act;
  for (const place of dashboard.querySelectorAll('[id^=live-]')) {
    const now = page.getElementById(place.id);
    if (now && now.innerHTML !== place.innerHTML) place.replaceChildren(...now.childNodes);
  }
  if (focused && document.activeElement === document.body) (document.querySelector(`[data-act=${focused}]`) ?? document.querySelector('[data-act]'))?.focus();
  // Cards that are there stay, so that their pictures are not asked for again.
  const list = document.getElementById('found');
  const known = new Map([...list.children].map((card) => [card.dataset.match, card]));
  list.replaceChildren(...[...page.getElementById('found').children].map((card) => known.get(card.dataset.match) ?? card));
  if (fresh.dataset.state !== dashboard.dataset.state) said.textContent = say('state_now', document.querySelector('#live-head .state').textContent);
  dashboard.dataset.state = fresh.dataset.state;
  if ('ended' in fresh.dataset) dashboard.dataset.ended = '';
}

addEventListener('click', async ({ target }) => {
  const act = target.closest?.('button[data-act]')?.dataset.act;
  if (!act) return;
  try {
    const response = await fetch(`/v1/scans/${id}/${act}`, { method: 'POST', headers: { 'x-timemark': '1' } });
    if (!response.ok) said.textContent = say('failed', (await response.json()).detail);
  } catch {
    said.textContent = say('offline');
  }
  await refresh();
});

listen();
