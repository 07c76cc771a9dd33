// Account: the password, and the keys of programs.
import { el, moment, outside, say, shown } from './page.js';
import { askJson, secretShown } from './session.js';

const password = document.getElementById('password');
const list = document.getElementById('keys');
const newKey = document.getElementById('new-key');
const keysSaid = document.getElementById('keys-said');
const keysFault = document.getElementById('keys-fault');

password?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const { current, new: fresh, again } = password.elements;
  const [fault, done] = ['.fault', '.done'].map((at) => password.querySelector(at));
  fault.textContent = done.textContent = '';
  if (fresh.value !== again.value) {
    fault.textContent = say('different');
    return;
  }
  try {
    await askJson('PUT', '/v1/me/password', { ...(current && { current: current.value }), new: fresh.value });
    password.reset();
    done.textContent = say('changed');
    // From now on there is a present one to be asked for.
    if (!current) setTimeout(() => location.reload(), 1500);
  } catch (error) {
    fault.textContent = error.kind === 'conflict' ? say('wrong_password') : error.message;
  }
});

async function listKeys() {
  try {
    const { keys } = await askJson('GET', '/v1/keys');
    list.replaceChildren(...keys.map(row));
    if (!keys.length) list.append(el('li', { class: 'soft' }, say('keys_none')));
  } catch (error) {
    keysFault.textContent = error.message;
  }
}

function row(key) {
  const name = key.label ?? say('key_unnamed');
  const isOver = key.expires !== undefined && Date.parse(key.expires) <= Date.now();
  const until = key.expires === undefined ? say('key_never') : say(isOver ? 'key_over' : 'key_expires', moment(key.expires));
  const revoke = el('button', { type: 'button', 'aria-label': `${say('revoke')}: ${shown(name)}` }, say('revoke'));
  revoke.addEventListener('click', async () => {
    if (!confirm(say('revoke_sure', shown(name)))) return;
    try {
      await askJson('DELETE', `/v1/keys/${key.id}`);
      keysSaid.replaceChildren(say('revoked', shown(name)));
      await listKeys();
      keysSaid.focus();
    } catch (error) {
      keysFault.textContent = error.message;
    }
  });
  const scopes = key.scopes.length ? el('code', {}, key.scopes.join(', ')) : say('key_all');
  return el('li', { class: isOver ? 'over' : '' },
    el('div', {}, el('strong', {}, outside(name)), ' ', el('code', {}, `tmk_${key.id}_…`), el('br'), el('span', { class: 'soft' }, scopes, ' · ', until)),
    revoke);
}

newKey?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const fault = newKey.querySelector('.fault');
  fault.textContent = keysFault.textContent = '';
  const scopes = [...newKey.querySelectorAll('[name=scope]:checked')].map((box) => box.value);
  const { label, days } = newKey.elements;
  const body = { scopes, ...(label.value.trim() && { label: label.value.trim() }), ...(days.value && { days: Number(days.value) }) };
  try {
    const { secret } = await askJson('POST', '/v1/keys', body);
    const shownOnce = secretShown(say('key_made'), secret, say('copy'), say('copied'));
    keysSaid.replaceChildren();
    keysSaid.after(shownOnce);
    for (const older of document.querySelectorAll('.secret')) if (older !== shownOnce) older.remove();
    newKey.reset();
    await listKeys();
    shownOnce.querySelector('button').focus();
  } catch (error) {
    fault.textContent = error.message;
  }
});

if (list) listKeys();
