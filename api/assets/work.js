// Work: whoever has a claim corrects it, withdraws it, or has what it says erased.
import { say } from './page.js';
import { ask, askJson } from './session.js';

const done = document.getElementById('done');
const told = 'work.done';

// What was done is told on the page as it is afterwards.
try {
  const words = sessionStorage.getItem(told);
  sessionStorage.removeItem(told);
  if (words) {
    done.hidden = false;
    done.textContent = words;
    done.focus();
  }
} catch { /* then the page shows it without a word */ }

const faults = { 'claim-amended': 'amended', 'changed-since': 'changed', 'claim-erased': 'gone', 'not-found': 'gone', 'text-too-long': 'too_long', 'nothing-corrected': 'nothing' };

for (const card of document.querySelectorAll('.amend')) {
  const address = `/v1/receipts/${card.dataset.index}/claim`;
  const buttons = card.querySelectorAll('button');
  const correction = card.querySelector('[data-act=correction]');
  const fields = [...(correction?.querySelectorAll('input') ?? [])];
  // As it was seen: what is changed is what differs from it, and it is named by its tag.
  let seen = null;

  card.addEventListener('toggle', async () => {
    if (!card.open || seen) return;
    const fault = card.querySelector(':scope > .fault');
    fault.textContent = '';
    const response = await ask(address).catch(() => null);
    const claim = response?.ok ? await response.json().catch(() => null) : null;
    if (!claim) {
      fault.textContent = say('gone');
      return;
    }
    for (const field of fields) field.value = claim[field.name] ?? '';
    // A field has no ends of lines: what it shows is what it had.
    seen = { tag: response.headers.get('etag'), values: new Map(fields.map((field) => [field, field.value])), keys: new Map() };
    for (const button of buttons) button.disabled = false;
  });

  for (const form of card.querySelectorAll('form')) {
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const fault = form.querySelector('.fault');
      fault.textContent = '';
      const { act } = form.dataset;
      const changed = fields.filter((field) => field.value !== seen.values.get(field));
      if (act === 'correction' && !changed.length) {
        fault.textContent = say('nothing');
        return;
      }
      const body = act === 'correction' ? Object.fromEntries(changed.map((field) => [field.name, field.value])) : undefined;
      for (const button of buttons) button.disabled = true;
      try {
        const words = await send(act, body);
        try {
          sessionStorage.setItem(told, words);
        } catch { /* see above */ }
        location.reload();
      } catch (error) {
        fault.textContent = faults[error.kind] ? say(faults[error.kind]) : error.message;
        for (const button of buttons) button.disabled = false;
      }
    });
  }

  // Where an answer is lost, the same is sent under the same key, and is done once.
  async function send(act, body) {
    if (act === 'erasure') {
      const { erased } = await askJson('DELETE', address, undefined, { 'if-match': seen.tag });
      return say('erased', erased.join(', '));
    }
    const what = act + JSON.stringify(body ?? '');
    if (!seen.keys.has(what)) seen.keys.set(what, crypto.randomUUID());
    const headers = { 'if-match': seen.tag, 'idempotency-key': seen.keys.get(what) };
    const { status, index } = await askJson('POST', `${address}/${act}`, body, headers);
    return say(status, index);
  }
}
