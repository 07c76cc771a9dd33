// Signing in by name or by link, and the first administrator. What a link has behind its # is sent in a body alone.
import { say } from './page.js';
import { askJson } from './session.js';

const login = document.getElementById('login');
const byLink = document.getElementById('by-link');
const setup = document.getElementById('setup');
let token = '';

// Taken out of the address at once: it is to be in no history and on no screen.
function takeToken() {
  const found = location.hash.slice(1);
  if (!found || found === 'main') return;
  token = found;
  history.replaceState(null, '', location.pathname + location.search);
  if (byLink) {
    byLink.hidden = false;
    byLink.querySelector('button').focus();
  }
  if (setup) {
    setup.hidden = false;
    document.getElementById('no-token').hidden = true;
    setup.elements.name.focus();
  }
}
takeToken();
addEventListener('hashchange', takeToken);
// In the other language it is the same link.
document.querySelector('.language a')?.addEventListener('click', ({ currentTarget }) => {
  if (token) currentTarget.hash = token;
});

// Whoever came by a link of another site bore no session on the way (SameSite), and may have one all the same.
if (login?.dataset.next && !token && !document.querySelector('.visitor button')) {
  fetch('/v1/me', { headers: { 'x-timemark': '1' } }).then((response) => response.ok && location.replace(login.dataset.next), () => {});
}

// Has a form do this, and say what went wrong.
function on(form, act) {
  form?.addEventListener('submit', async (event) => {
    event.preventDefault();
    const fault = form.querySelector('.fault');
    const button = form.querySelector('button');
    fault.textContent = '';
    button.disabled = true;
    try {
      await act(form.elements);
    } catch (error) {
      fault.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}

// A refusal to be let in is no session that ended: it is asked plainly.
async function enter(body, wrong) {
  let response;
  try {
    response = await fetch('/v1/session', { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', 'x-timemark': '1' } });
  } catch {
    throw new Error(sessionWords.offline);
  }
  if (response.ok) return (await response.json()).account;
  throw new Error({ 401: wrong, 429: sessionWords.too_many }[response.status] ?? sessionWords.failed);
}
const sessionWords = JSON.parse(document.getElementById('session-words').textContent);

on(login, async ({ name, password }) => {
  await enter({ name: name.value, password: password.value }, say('wrong'));
  // The address of the server alone leads to the first page that is open to them.
  location.assign(login.dataset.next || '/');
});

on(byLink, async () => {
  await enter({ token }, say('wrong_link'));
  location.assign('/account');
});

on(setup, async ({ name, password, again }) => {
  if (password.value !== again.value) throw new Error(say('different'));
  try {
    await askJson('POST', '/v1/setup', { token, name: name.value, password: password.value });
  } catch (error) {
    throw error.kind === 'forbidden' ? new Error(say('wrong_setup')) : error;
  }
  location.assign('/admin');
});
