// What a verdict looks like: from the outcome that the verifier gave to elements. Whatever is from outside becomes text, never markup.
'use strict';

const ITEMS_A_TIME = 150;

// An element with properties and children; strings become text, those from outside isolated.
function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key === 'class') element.className = value;
    else if (key === 'lang' || key.includes('-')) element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined).flatMap(nodes));
  return element;
}

const nodes = (child) => (child.nodeType ? [child] : partsOf(String(child)).map(({ plain, isolated }) => {
  if (plain !== undefined) return plain;
  const element = document.createElement('bdi');
  element.textContent = isolated;
  return element;
}));

const code = (text) => el('code', {}, text);
const isWide = () => window.innerWidth > 700;

// The first thing that one reads: the verdict in both languages, what is proven and what is not.
// `actions` are what the page can do: addPolicy, confirm(digest), expert(item, name), detail(item).
function verdictCard(outcome, actions) {
  const verdict = outcome.verdict;
  const lacking = worksAbsent(outcome);
  const title = (which) => el('span', { class: 'verdict-title', lang: which === 'zh' ? 'zh-CN' : 'en' },
    el('b', {}, inLanguage(which, `verdict_${verdict}`)), ' ',
    el('span', {}, inLanguage(which, `line_${outcome.subject}_${verdict}`)),
    lacking ? el('span', { class: 'lacking' }, inLanguage(which, 'works_absent', number(lacking), number(outcome.items.length), lacking)) : null);
  const card = el('section', { class: `card verdict ${verdict}`, 'aria-labelledby': 'verdict-title' },
    el('div', { class: 'verdict-head' }, icon(verdict, 72), el('h2', { id: 'verdict-title', tabIndex: -1 }, title('zh'), title('en'))));
  const facts = el('div', { class: 'facts' });
  if (verdict === 'verified') facts.append(proven(outcome), byWhen(outcome), notProven());
  if (verdict === 'refused') facts.append(failure(outcome), meaning(outcome), fact('not_proven', t('proven_nothing')));
  if (verdict === 'undecided') facts.append(needed(outcome, actions), fact('not_proven', t('proven_not_yet'), t('not_authorship')));
  card.append(...[trustLine(outcome), facts].filter(Boolean));
  return card;
}

// What stands above everything: that this claim amends another, or was amended by one. Only where the log vouches for it.
function amendmentCard(outcome) {
  const { claim, verdict } = outcome;
  if (outcome.subject === 'bundle' || !claim || verdict === 'refused') return null;
  const lines = [];
  const tell = (key, ...words) => lines.push(el('p', { class: 'amended', lang: 'zh-CN' }, inLanguage('zh', key, ...words)), el('p', { class: 'amended', lang: 'en' }, inLanguage('en', key, ...words)));
  if (outcome.withdrawn_by !== undefined) tell('withdrawn_by', number(outcome.withdrawn_by));
  else if (outcome.corrected_by !== undefined) tell('corrected_by', number(outcome.corrected_by));
  if (claim.corrects) tell('corrects', number(claim.corrects.index));
  if (claim.withdraws) tell('withdraws', number(claim.withdraws.index));
  if (!lines.length) return null;
  const now = outcome.withdrawn_by === undefined && outcome.corrected_claim;
  const list = now && el('dl', { class: 'claim' }, ['title', 'claimant', 'created', 'rights', 'collection'].filter((key) => now[key]).map((key) => [el('dt', {}, t(`claim_${key}`)), el('dd', {}, outside(now[key]))]));
  return el('section', { class: 'card undecided amendment', 'aria-label': t('amendment') }, lines, list ? [el('h3', {}, t('corrected_claim')), list] : null,
    verdict === 'verified' ? null : el('p', { class: 'soft' }, t('amendment_unchecked')));
}

// How many receipts of a bundle are about works that it does not hold.
const worksAbsent = ({ items = [] }) => items.filter((item) => item.work === 'absent').length;

// Whose word the verdict rests on, to be compared with what the operator publishes.
const trustLine = ({ trust }) => trust && el('div', { class: 'trust' },
  el('p', {}, t(`trust_${trust.source}`), ' ', code(trust.sha256)), el('p', {}, t('trust_published')));

const fact = (title, ...lines) => el('div', { class: 'fact' }, el('h3', {}, t(title)), lines.flat().filter(Boolean).map((line) => (line.nodeType ? line : el('p', {}, line))));

function proven(outcome) {
  if (outcome.subject === 'bundle') {
    return fact('proven', t('proven_bundle', number(outcome.files)), t('proven_items', number(outcome.items.length)));
  }
  return fact('proven', t('proven_bytes'), outcome.log && t('proven_log', outside(outcome.log.split('+')[0]), number(outcome.index)),
    outcome.claim && outcome.claim.creator_key && t('proven_creator'));
}

function byWhen(outcome) {
  const of = outcome.subject === 'bundle' ? outcome.manifest : outcome;
  const names = (list, key) => [...new Set(list.map((entry) => entry[key]))].map(outside).join(language === 'zh' ? '、' : ', ');
  const lines = [];
  if (of.existed_by) {
    lines.push(el('p', { class: 'when' }, t('existed_by', moment(of.existed_by))));
    lines.push(of.existed_by_source === 'authority'
      ? t('by_authority', names([...of.timestamps, ...of.renewals.flatMap((r) => r.timestamps || [])].filter((s) => s.time === of.existed_by), 'authority') || names(of.timestamps, 'authority'))
      : t('by_witnesses', names(of.witnesses, 'name')));
  } else {
    lines.push(t('by_nobody'));
  }
  if (of.disagreement_seconds !== null && of.disagreement_seconds !== undefined) lines.push(t('disagreement', number(of.disagreement_seconds)));
  return fact('by_when', lines);
}

const notProven = () => fact('not_proven', t('not_authorship'), t('not_first'));

// Why, in a sentence, which may name what is from outside. Which keys would have to be trusted is listed beside it, not in it.
function reason(outcome) {
  if (outcome.check === 'policy.missing') return t(`trust_missing_${outcome.subject}`);
  if (language === 'zh' && outcome.reason_zh) return outside(outcome.reason_zh);
  return outside(outcome.reason.replace(/^[a-z]+ /, (word) => word[0].toUpperCase() + word.slice(1)));
}

function failure(outcome) {
  const step = outcome.steps.find((s) => s.state === 'failed');
  return fact('first_failed',
    el('p', { class: 'reason' }, reason(outcome)),
    outcome.at && t('failed_at', outside(outcome.at)),
    step && comparison(step));
}

// What came out beside what should have; some checks have neither.
function comparison(step) {
  if (!step.computed && !step.expected) return null;
  return el('dl', { class: 'compare' },
    el('dt', {}, t('computed')), el('dd', {}, code(outside(step.computed || '—'))), el('dt', {}, t('expected')), el('dd', {}, code(outside(step.expected || '—'))));
}

const meaning = (outcome) => fact('meaning', t(/^work\./.test(outcome.check || '') ? 'meaning_work' : 'meaning_other'));

function needed(outcome, actions) {
  const parts = [el('p', { class: 'reason' }, reason(outcome))];
  const lacksWork = outcome.check === 'work.missing';
  if (lacksWork) parts.push(el('p', {}, t('need_work')));
  if (outcome.trust) return fact('needed', parts, lacksWork ? null : t('need_other'));
  parts.push(el('p', {}, t('need_policy')));
  const of = outcome.subject === 'bundle' ? outcome.manifest : outcome;
  const keys = [...new Set(((of && of.anchors) || []).flatMap((a) => a.signatures.map((s) => `${s.name}+${s.key_id}`)))];
  if (keys.length) parts.push(el('p', {}, t('need_keys')), el('ul', { class: 'keys' }, keys.map((key) => el('li', {}, code(outside(key))))));
  parts.push(chooser(t('add_policy'), actions.addPolicy));
  if (outcome.subject === 'bundle' && outcome.policy_sha256) parts.push(confirmation(outcome, actions));
  return fact('needed', parts);
}

function chooser(words, onFiles) {
  const input = el('input', { type: 'file', onchange: () => onFiles([...input.files]) });
  return el('label', { class: 'button' }, words, input);
}

// The digest of the bundle's policy is not shown before it is confirmed: it has to come from elsewhere.
function confirmation(outcome, actions) {
  const fault = el('p', { class: 'fault', role: 'alert', id: 'confirm-fault' });
  const input = el('input', { type: 'text', id: 'confirm-digest', spellcheck: false, autocomplete: 'off', autocapitalize: 'off', 'aria-describedby': 'confirm-fault' });
  return el('form', {
    class: 'confirm',
    onsubmit: (event) => {
      event.preventDefault();
      const digest = input.value.replace(/[\s:]/g, '').toLowerCase();
      fault.textContent = '';
      if (!/^[0-9a-f]{64}$/.test(digest)) fault.textContent = t('confirm_form');
      else if (digest !== outcome.policy_sha256) fault.textContent = t('confirm_other');
      else return actions.confirm(digest);
      input.setAttribute('aria-invalid', 'true');
      input.focus();
    },
  }, el('p', {}, t('need_confirm')), el('label', { htmlFor: 'confirm-digest' }, t('confirm_label')), el('div', { class: 'row' }, input, el('button', { type: 'submit' }, t('confirm'))), fault);
}

// All that one receipt holds, below its verdict. `item` is null, or which receipt of the bundle it is.
function receiptBody(outcome, item, actions) {
  const parts = item === null ? [] : [amendmentCard(outcome)];
  outcome.anchors.forEach((anchor, position) => parts.push(drawingSection(outcome, anchor, position)));
  if (outcome.claim) parts.push(timelineSection(outcome), claimSection(outcome));
  if (outcome.bad_timestamps.length) {
    parts.push(el('section', { class: 'card' }, el('h2', {}, t('remarks')), el('ul', {}, outcome.bad_timestamps.map((text) => el('li', {}, outside(text))))));
  }
  if (outcome.steps.length) parts.push(checksSection(outcome, item, actions));
  return parts;
}

function drawingSection(outcome, anchor, position) {
  const of = outcome.anchors.length;
  const title = of > 1 ? t('drawing_of', position + 1, of) : t('drawing');
  const claim = outcome.claim || {};
  const given = {
    name: outside((outcome.file && outcome.file.name) || claim.path || claim.title || t('role_work')),
    sha256: (outcome.file || claim).sha256 || '',
    fileFits: !outcome.steps.some((s) => /^work\./.test(s.check) && s.state === 'failed'),
  };
  const levels = anchor.path.length;
  const figure = el('figure', {});
  const draw = (all) => figure.replaceChildren(...[true, false].map((wide) => proofDrawing(anchor, { ...given, wide, all })));
  draw(false);
  // A proof that makes no way up has no levels either.
  const counts = levels ? t('drawing_counts', levels, number(anchor.size)) : anchor.size === 1 ? t('drawing_single') : '';
  const body = [el('p', { class: 'soft' }, t('drawing_caption'), ' ', counts), figure];
  if (levelsElided(anchor) > 0) {
    const button = el('button', { type: 'button', onclick: () => { draw(true); button.remove(); } }, t('draw_all', levels));
    body.push(button);
  }
  if (levels) body.push(pathTable(anchor, position));
  // Later anchors say the same once more: they are there, but not in the way.
  if (position > 0) return el('details', { class: 'card', 'data-key': `anchor-${position}` }, el('summary', {}, el('h2', {}, title)), body);
  return el('section', { class: 'card' }, el('h2', {}, title), body);
}

function pathTable(anchor, position) {
  const head = ['level', 'sibling', 'parent'].map((key) => el('th', { scope: 'col' }, t(key)));
  const rows = anchor.path.map((step, level) => el('tr', {}, el('th', { scope: 'row' }, String(level + 1)),
    el('td', {}, `${t(step.side)} `, code(step.sibling)), el('td', {}, code(step.parent))));
  return el('details', { class: 'plain', 'data-key': `path-${position}` }, el('summary', {}, t('as_table')),
    el('p', {}, `${t('leaf')} `, code(anchor.leaf)),
    el('table', { class: 'path' }, el('thead', {}, el('tr', {}, head)), el('tbody', {}, rows)),
    el('p', {}, `${t('root')} `, code(anchor.root)));
}

function timelineSection(outcome) {
  const events = timelineEvents(outcome);
  if (!events.length) return null;
  const renew = outcome.renewals.filter((r) => r.renew_before).map((r) => el('p', { class: 'soft' }, t('renew_before', r.about, moment(r.renew_before))));
  return el('section', { class: 'card' }, el('h2', {}, t('timeline')), el('p', { class: 'soft' }, t('timeline_caption')),
    el('figure', {}, [true, false].map((wide) => timelineDrawing(outcome, events, wide))), renew);
}

function claimSection(outcome) {
  const { claim, file: given } = outcome;
  const list = el('dl', { class: 'claim' });
  const add = (key, value) => value !== null && value !== undefined && value !== '' && list.append(el('dt', {}, t(`claim_${key}`)), el('dd', {}, value));
  for (const key of ['title', 'claimant', 'created', 'rights', 'collection', 'path', 'media_type']) if (claim[key]) add(key, outside(claim[key]));
  for (const key of ['corrects', 'withdraws']) if (claim[key]) add(key, [t('entry', number(claim[key].index)), ' ', code(outside(claim[key].claim))]);
  add('length', t('bytes_exact', number(claim.length)));
  for (const key of ['cid', 'sha256', 'sha512', 'sm3', 'creator_key']) if (claim[key]) add(key, code(outside(claim[key])));
  return el('section', { class: 'card' }, el('h2', {}, t('claim')), el('p', { class: 'soft' }, t('claim_caption')), list,
    given ? el('p', { class: 'soft' }, `${t('your_file')}: ${outside(given.name)}, ${t('bytes_exact', number(given.length))}`) : null);
}

function checksSection(outcome, item, actions) {
  const count = (...states) => number(outcome.steps.filter((s) => states.includes(s.state)).length);
  const several = outcome.anchors.length > 1;
  const steps = outcome.steps.map((step, position) => stepDetails(step, position, several, item, actions));
  const all = el('button', {
    type: 'button',
    onclick: () => {
      const open = steps.some((s) => !s.open);
      for (const step of steps) step.open = open;
      all.textContent = t(open ? 'close_all' : 'open_all');
    },
  }, t('open_all'));
  return el('section', { class: 'card' }, el('div', { class: 'row between' }, el('h2', {}, t('checks')), all),
    el('p', { class: 'soft' }, t('checks_caption', count('passed'), count('failed'), count('unchecked', 'missing'))), el('div', { class: 'steps' }, steps));
}

function stepDetails(step, position, several, item, actions) {
  const kind = { passed: 'verified', failed: 'refused' }[step.state] || 'undecided';
  const command = el('pre', { tabIndex: 0 }, step.command);
  const copy = el('button', { type: 'button', class: 'small', onclick: () => copyText(step.command, command, copy) }, t('copy'));
  const files = (step.files || []).map((name) => el('button', { type: 'button', class: 'small', onclick: () => actions.expert(item, name) }, `↓ ${outside(name)}`));
  return el('details', { class: `step ${kind}`, 'data-key': `step-${item}-${position}` },
    el('summary', {}, icon(kind, 20), el('span', { class: 'step-title' }, outside((language === 'zh' && step.title_zh) || step.title)),
      several && step.anchor ? el('span', { class: 'tag' }, t('step_anchor', step.anchor)) : null,
      el('span', { class: `state ${kind}` }, t(`step_${step.state}`))),
    comparison(step),
    step.command ? [el('div', { class: 'row between' }, el('h4', {}, t('command')), copy), command] : null,
    files.length ? el('div', { class: 'row files' }, el('span', { class: 'soft' }, t('step_files')), files) : null);
}

async function copyText(text, element, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = t('copied');
  } catch {
    // A browser may keep the clipboard from a page on disk: the text is selected, and the keys for copying do the rest.
    getSelection().selectAllChildren(element);
    button.textContent = document.execCommand('copy') ? t('copied') : t('copy_failed');
  }
  setTimeout(() => { button.textContent = t('copy'); }, 2000);
}

// What a bundle holds, and its receipts, each of which opens its own detail when asked.
function bundleBody(outcome, actions) {
  // Of a bundle that could not be read to its end nothing is known.
  if (!outcome.manifest) return [];
  const list = el('dl', { class: 'claim' });
  const add = (key, value) => value !== null && value !== undefined && list.append(el('dt', {}, t(`bundle_${key}`)), el('dd', {}, value));
  add('profile', outcome.profile && [t('profile', outcome.profile), ' ', el('span', { class: 'soft stated' }, t('profile_stated'))]);
  add('files', number(outcome.files));
  add('bytes', t('bytes_exact', number(outcome.bytes)));
  if (outcome.trust && outcome.policy_sha256) add('policy', code(outcome.policy_sha256));
  const manifest = itemDetails({ ...outcome.manifest, path: 'manifest.txt.timemark' }, 'manifest', actions);
  const summary = el('section', { class: 'card' }, el('h2', {}, t('bundle')), list, el('h3', {}, t('bundle_sealed')), manifest);
  return [summary, itemsSection(outcome, actions)];
}

function itemsSection(outcome, actions) {
  const { items } = outcome;
  const problems = items.filter((item) => item.verdict !== 'verified').length;
  const [box, text] = [el('input', { type: 'checkbox', id: 'only-problems' }), el('input', { type: 'search', id: 'search-items', 'aria-label': t('search'), placeholder: t('search') })];
  const [list, count] = [el('div', { class: 'items' }), el('p', { class: 'soft', role: 'status' })];
  const more = el('button', { type: 'button', onclick: () => grow() });
  let chosen = [];
  // Rows are made as one scrolls to them: a bundle may hold many thousands.
  function grow(upTo = list.childElementCount + ITEMS_A_TIME) {
    const from = list.childElementCount;
    list.append(...chosen.slice(from, upTo).map((item) => itemDetails(item, item.number, actions)));
    const left = chosen.length - list.childElementCount;
    more.hidden = left <= 0;
    more.textContent = t('show_more', number(Math.min(left, ITEMS_A_TIME)));
    count.textContent = chosen.length ? t('items_shown', number(list.childElementCount), number(chosen.length)) : t('no_items');
  }
  function filter() {
    const words = text.value.toLowerCase();
    chosen = items.filter((item) => (!box.checked || item.verdict !== 'verified') && item.path.toLowerCase().includes(words));
    list.replaceChildren();
    grow();
  }
  box.onchange = filter;
  text.oninput = filter;
  new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && !more.hidden && grow(), { rootMargin: '600px' }).observe(more);
  filter();
  const section = el('section', { class: 'card' }, el('h2', {}, t('items', number(items.length))),
    el('div', { class: 'row filter' }, text, el('label', { class: 'check' }, box, t('only_problems', number(problems)))), count, list, more);
  section.showAll = () => grow(chosen.length);
  return section;
}

function itemDetails(item, which, actions) {
  const body = el('div', { class: 'item-body' });
  let asked = false;
  const details = el('details', { class: `item ${item.verdict}`, 'data-key': `item-${which}` },
    el('summary', {}, icon(item.verdict, 20), el('span', { class: 'item-path' }, outside(item.path)),
      el('span', { class: `state ${item.verdict}` }, t(`verdict_${item.verdict}`)),
      el('span', { class: 'soft item-when' }, item.verdict !== 'verified' ? reason(item) : item.existed_by ? t('existed_by', moment(item.existed_by)) : t('by_nobody')),
      item.work === 'absent' ? el('span', { class: 'tag' }, t('work_absent')) : null), body);
  details.ontoggle = async () => {
    if (!details.open || asked) return;
    asked = true;
    body.replaceChildren(el('p', { class: 'soft' }, t('loading')));
    const outcome = await actions.detail(which);
    body.replaceChildren(...(outcome ? [el('p', { class: 'reason' }, reason(outcome)), ...receiptBody(outcome, which, actions)].filter(Boolean) : []));
  };
  return details;
}
