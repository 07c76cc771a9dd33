// Works: a picture is compared with every work, and what it is a copy of is listed.
import { el, outside, picture, say, shown } from './page.js';
import { ask } from './session.js';

const input = document.getElementById('picture');
const place = document.getElementById('compared');
document.getElementById('by-picture').hidden = false;

input.addEventListener('change', async () => {
  const [file] = input.files;
  input.value = '';
  if (!file) return;
  place.replaceChildren(el('p', { class: 'notice' }, say('comparing', shown(file.name))));
  const body = new FormData();
  body.append('picture', file, file.name);
  try {
    const response = await ask('/v1/search', { method: 'POST', body });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail);
    tell(file, answer);
  } catch (error) {
    place.replaceChildren(el('p', { class: 'notice warn' }, `${say('other')}: `, outside(error.message)));
  }
});

function tell(file, { status, matches, related }) {
  const name = shown(file.name);
  document.getElementById('listed').hidden = true;
  place.replaceChildren(el('h2', {}, say(`compared_${status}`, name)), el('p', {}, el('a', { href: '/works' }, say('show_all'))), cards(matches));
  if (related.length) place.append(el('p', {}, say('compared_related')), cards(related));
}

function cards(matches) {
  return el('ul', { class: 'works' }, ...matches.map((match) => {
    const name = match.title ?? match.file ?? match.work;
    const image = el('img', { src: picture(match.work, 320), alt: '' });
    return el('li', {},
      el('a', { href: `/works/${match.work}` }, el('span', { class: 'frame' }, image), el('strong', {}, outside(name))),
      match.claimant === null ? null : el('span', {}, outside(match.claimant)),
      el('span', { class: 'soft' }, [match.transform, match.strength].filter(Boolean).join(' · ')));
  }));
}
