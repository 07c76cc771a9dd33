// Review: matches that were chosen become an evidence bundle; what the bundle lacks is asked for.
import { el, say, shown } from './page.js';

const form = document.getElementById('bundle');
const REVOKE_MS = 60e3;

if (form) {
  const said = document.getElementById('said');
  const facts = document.getElementById('facts');
  form.hidden = false;

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const matches = [...document.querySelectorAll('input[name=bundle]:checked')].map(({ value }) => value);
    if (!matches.length) {
      said.textContent = say('bundle_none');
      return;
    }
    said.textContent = say('bundle_making', matches.length);
    const stated = [...facts.querySelectorAll('input')].map(({ name, value }) => [name, value.trim()]);
    const order = { matches, profile: form.elements.profile.value, facts: Object.fromEntries(stated.filter(([, value]) => value)) };
    try {
      const response = await fetch('/v1/bundles', { method: 'POST', headers: { 'content-type': 'application/json', 'x-timemark': '1' }, body: JSON.stringify(order) });
      if (response.ok) return await save(response, said);
      const problem = await response.json();
      if (Array.isArray(problem.missing)) return lack(problem.missing, said, facts);
      said.textContent = say('failed', shown(problem.detail ?? response.status));
    } catch {
      said.textContent = say('offline');
    }
  });
  form.elements.profile.addEventListener('change', () => facts.replaceChildren());
}

async function save(response, said) {
  const named = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '');
  const address = URL.createObjectURL(await response.blob());
  el('a', { href: address, download: named?.[1] ?? 'evidence.zip' }).click();
  setTimeout(() => URL.revokeObjectURL(address), REVOKE_MS);
  said.textContent = say('bundle_made');
}

// What only people can say, each with a field; what was stated stays.
function lack(missing, said, facts) {
  said.textContent = say('bundle_facts');
  const isChinese = document.documentElement.lang.startsWith('zh');
  for (const { name, what, what_zh: chinese } of missing) {
    if ([...facts.querySelectorAll('input')].some((input) => input.name === name)) continue;
    const id = `fact-${name.replaceAll(/[^\w-]/g, '-')}`;
    facts.append(el('p', {}, el('label', { for: id }, shown(isChinese ? chinese : what)), el('input', { type: 'text', id, name, autocomplete: 'off' })));
  }
  facts.querySelector('input')?.focus();
}
