// Admin: accounts are made and changed, and what the staff did is read page by page.
import { el, moment, outside, say, shown } from './page.js';
import { askJson, secretShown } from './session.js';

const part = document.getElementById('accounts-part');
const accounts = document.getElementById('accounts');
const moreAccounts = document.getElementById('accounts-more');
const made = document.getElementById('new-account');
const said = document.getElementById('accounts-said');
const fault = document.getElementById('accounts-fault');
const filter = document.getElementById('filter');
const actions = document.getElementById('actions');
const moreActions = document.getElementById('actions-more');
const actionsFault = document.getElementById('actions-fault');
const actionsSaid = document.getElementById('actions-said');

// Names of the accounts that were listed, by their ids.
const names = new Map();

const reason = (error) => (/already/.test(error.message) && error.kind === 'conflict' ? say('name_taken') : error.kind === 'conflict' ? say('last_administrator') : error.message);

// Says what was done; a login link stands below it, once.
function tell(text, name = null, token = null) {
  fault.textContent = '';
  said.replaceChildren(el('p', {}, text));
  if (token) said.append(secretShown(say('link_made', shown(name)), `${location.origin}/login#${token}`, say('copy'), say('copied'), say('link_hint')));
}

let accountsCursor = null;
async function listAccounts() {
  try {
    const { accounts: found, next } = await askJson('GET', `/v1/accounts?limit=50${accountsCursor ? `&cursor=${accountsCursor}` : ''}`);
    for (const account of found) names.set(account.id, account.name);
    accounts.append(...found.map(row));
    accountsCursor = next ?? null;
    moreAccounts.hidden = !next;
    nameActors();
  } catch (error) {
    fault.textContent = error.message;
  }
}

function row(account) {
  const isOwn = account.id === part.dataset.own;
  const name = shown(account.name);
  const role = document.getElementById('account-role').cloneNode(true);
  role.id = `role-${account.id}`;
  role.value = account.role;
  const organisation = el('input', { type: 'text', id: `organisation-${account.id}`, maxlength: '200', autocomplete: 'off', value: account.organisation ?? '' });
  const button = (text) => el('button', { type: 'button', 'aria-label': `${text}: ${name}` }, text);
  const [save, able, link] = [button(say('save')), button(say(account.disabled ? 'enable' : 'disable')), button(say('link'))];
  const item = el('li', { class: account.disabled ? 'over' : '' },
    el('div', { class: 'who' }, el('strong', {}, outside(account.name)), isOwn ? ` (${say('you')})` : '', account.disabled ? el('span', { class: 'flag' }, say('disabled')) : '', ' ', el('code', {}, account.id)),
    el('div', { class: 'row' },
      el('label', { for: role.id }, say('role')), role,
      el('label', { for: organisation.id }, say('organisation')), organisation, save, able, link));
  const change = async (body, text) => {
    try {
      const { account: now, token } = await askJson('PATCH', `/v1/accounts/${account.id}`, body);
      const fresh = row(now);
      item.replaceWith(fresh);
      tell(text, name, token);
      (token ? said.querySelector('.secret button') : fresh.querySelector('button')).focus();
      newestActions();
    } catch (error) {
      role.value = account.role;
      said.replaceChildren();
      fault.textContent = `${name}: ${reason(error)}`;
    }
  };
  save.addEventListener('click', () => change({ role: role.value, organisation: organisation.value.trim() }, say('saved', name)));
  able.addEventListener('click', () => change({ disabled: !account.disabled }, say('saved', name)));
  link.addEventListener('click', () => change({ link: true }, say('link_made', name)));
  return item;
}

made?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const { name, role, organisation } = made.elements;
  const wrong = made.querySelector('.fault');
  wrong.textContent = '';
  const body = { name: name.value.trim(), role: role.value, ...(organisation.value.trim() && { organisation: organisation.value.trim() }) };
  try {
    const { account, token } = await askJson('POST', '/v1/accounts', body);
    names.set(account.id, account.name);
    accounts.append(row(account));
    tell(say('made', shown(account.name)), account.name, token);
    made.reset();
    said.querySelector('.secret button')?.focus();
    newestActions();
  } catch (error) {
    wrong.textContent = reason(error);
  }
});

// What the staff did, as it is filtered.
let actionsCursor = null;
async function listActions() {
  const asked = new URLSearchParams({ limit: '50' });
  for (const name of ['actor', 'action']) if (filter.elements[name].value.trim()) asked.set(name, filter.elements[name].value.trim());
  if (actionsCursor) asked.set('cursor', actionsCursor);
  try {
    const { actions: found, next } = await askJson('GET', `/v1/actions?${asked}`);
    actions.append(...found.map(acted));
    actionsCursor = next ?? null;
    moreActions.hidden = !next;
    actionsSaid.textContent = actions.children.length ? '' : say(next ? 'actions_looked' : 'actions_none');
    nameActors();
  } catch (error) {
    actionsFault.textContent = error.message;
  }
}

function newestActions() {
  actionsCursor = null;
  actions.replaceChildren();
  actionsFault.textContent = '';
  return listActions();
}

function acted({ index, actor, action, subject, detail, stated_at: time, erased }) {
  if (erased) return el('li', {}, el('span', { class: 'soft' }, say('entry', index), ' · ', say('erased')));
  const what = [subject, detail].filter((text) => text !== null && text !== undefined);
  return el('li', {},
    el('div', {}, el('code', { class: 'action' }, shown(action)), ' ', el('strong', { 'data-actor': actor }, actor === 'operator' ? say('operator') : shown(actor))),
    what.length ? el('div', { class: 'what' }, ...what.flatMap((text, at) => [at ? ' · ' : '', outside(text)])) : null,
    el('div', { class: 'soft' }, el('time', { datetime: time }, moment(time)), ' · ', say('entry', index)));
}

// Ids say little; where the accounts are listed, their names stand there.
function nameActors() {
  for (const actor of actions.querySelectorAll('[data-actor]')) {
    const name = names.get(actor.dataset.actor);
    if (name !== undefined) actor.replaceChildren(outside(name));
  }
}

filter.addEventListener('submit', (event) => {
  event.preventDefault();
  newestActions();
});
moreActions.addEventListener('click', listActions);
moreAccounts?.addEventListener('click', listAccounts);
if (part) listAccounts();
newestActions();
