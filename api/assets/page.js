// What every page does beyond what the server made: ages of times, pictures that cannot be shown.

// The words of the page's language, with `{0}` and so on filled in.
const words = JSON.parse(document.getElementById('words')?.textContent ?? '{}');
export const say = (key, ...given) => words[key].replace(/\{(\d)\}/g, (hole, at) => given[at] ?? hole);

// An element with attributes and children; strings become text, and nothing else can.
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined && value !== null) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Characters that end a line, reorder it, or cannot be seen: those that a claim escapes (verify/src/text.rs).
const HIDES = /[\p{Cc}\p{Cs}\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u2028-\u202E\u2060-\u206F\u2800\u3164\uFE00-\uFE0D\uFEFF\uFFA0\uFFF0-\uFFFB\u{1BCA0}-\u{1BCA3}\u{1D173}-\u{1D17A}\u{E0000}-\u{E0FFF}]/gu;

// A text from outside: nothing in it hides, nothing reorders what stands around it.
export const shown = (text) => String(text).replace(HIDES, (char) => `⟨U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
export const outside = (text) => el('bdi', {}, shown(text));

export function bytes(count) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

// A time of a receipt in words, by the clocks that the reader goes by.
export function moment(iso) {
  const utc = `${iso.replace('T', ' ').replace('Z', '')} UTC`;
  const at = Date.parse(iso);
  if (!document.documentElement.lang.startsWith('zh') || Number.isNaN(at)) return utc;
  return `${utc}（北京时间 ${new Date(at + 8 * 3600e3).toISOString().slice(0, 19).replace('T', ' ')}）`;
}

export const picture = (work, side) => `/v1/works/${encodeURIComponent(work)}/preview.jpg?side=${side}`;

// A picture that the archive does not have leaves its place empty.
function withoutPicture(image) {
  image.classList.add('missing');
  image.removeAttribute('src');
}
addEventListener('error', ({ target }) => target instanceof HTMLImageElement && withoutPicture(target), true);
for (const image of document.images) if (image.complete && image.naturalWidth === 0 && image.hasAttribute('src') && image.loading !== 'lazy') withoutPicture(image);

// How long ago, beside the time itself.
const UNITS = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
for (const time of document.querySelectorAll('time[data-age]')) {
  const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
  const age = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: 'auto' }).format(Math.round(seconds / length), unit);
  time.after(el('span', { class: 'soft' }, ` · ${age}`));
}
