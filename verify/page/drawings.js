// The two drawings: how the leaf leads to the signed tree head, and what happened when. SVG from numbers, text as text.
'use strict';

// Trees up to this size are drawn whole, larger ones along the path.
const WHOLE_TREE_MAX = 16;
// Levels drawn at either end of a long path, the rest left out unless asked for.
const LEVELS_TOP = 4;
const LEVELS_BOTTOM = 5;
const SEALS_MAX = 12;

// In SVG and in attributes no element isolates, so characters do.
const isolating = (text) => partsOf(String(text)).map(({ plain, isolated }) => plain ?? `\u2068${isolated}\u2069`).join('');

// Names of elements that only SVG has, and attributes; strings among the children become text.
function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null).map((child) => (child.nodeType ? child : isolating(child))));
  return element;
}

// Verdicts differ in shape as well as in colour, for those who see no colour.
const ICON_PATHS = {
  verified: ['M12 1.5a10.5 10.5 0 1 0 0 21a10.5 10.5 0 0 0 0-21z', 'M7 12.4l3.5 3.5L17.2 8.8'],
  refused: ['M7.6 1.5h8.8l6.1 6.1v8.8l-6.1 6.1H7.6l-6.1-6.1V7.6z', 'M8.2 8.2l7.6 7.6M15.8 8.2l-7.6 7.6'],
  undecided: ['M6.5 1.5h11a5 5 0 0 1 5 5v11a5 5 0 0 1-5 5h-11a5 5 0 0 1-5-5v-11a5 5 0 0 1 5-5z', 'M8.3 9.2c0-4.9 7.6-4.6 7.6-.2c0 2.7-3.8 2.8-3.8 5.2M12.1 17.9v.15'],
};

function icon(verdict, pixels) {
  const [shape, mark] = ICON_PATHS[verdict];
  return svg('svg', { viewBox: '0 0 24 24', width: pixels, height: pixels, class: `icon ${verdict}`, 'aria-hidden': 'true' },
    svg('path', { class: 'shape', d: shape }), svg('path', { class: 'mark', d: mark }));
}

// About how wide text is: enough to cut it where it would not fit.
function textWidth(text, size) {
  let width = 0;
  for (const char of text) if (!/[\u2068\u2069]/.test(char)) width += size * (char.codePointAt(0) > 0x2e7f ? 1 : /[A-Z0-9+⟨⟩]/.test(char) ? 0.7 : 0.56);
  return width;
}

function cut(text, size, room) {
  if (textWidth(text, size) <= room) return text;
  const chars = [...text.replace(/[\u2068\u2069]/g, '')];
  while (chars.length > 1 && textWidth(chars.join(''), size) > room - size) chars.splice(Math.floor(chars.length / 2), 1);
  chars.splice(Math.floor(chars.length / 2), 0, '…');
  return chars.join('');
}

const short = (hex) => (hex.length > 16 ? `${hex.slice(0, 6)}…${hex.slice(-4)}` : hex);

// How many entries each sibling covers, from the leaf up, by the shape of RFC 6962's tree; null if it has another height.
function siblingSizes(index, size, levels) {
  const sizes = [];
  let [at, entries] = [index, size];
  while (entries > 1) {
    let left = 1;
    while (left * 2 < entries) left *= 2;
    if (at < left) {
      sizes.unshift(entries - left);
      entries = left;
    } else {
      sizes.unshift(left);
      at -= left;
      entries -= left;
    }
  }
  return sizes.length === levels ? sizes : null;
}

// The drawing of one anchor. `name` is that of the file, `fileFits` whether it is the claimed one.
function proofDrawing(anchor, { name, sha256, fileFits, wide, all }) {
  const width = wide ? 960 : 340;
  const shapes = [];
  const levels = anchor.path.length;
  const reached = levels ? anchor.path[levels - 1].parent : anchor.leaf;
  const leads = reached === anchor.root;
  const sizes = siblingSizes(anchor.index, anchor.size, levels);

  let y = seals(shapes, anchor, width);
  const middle = width / 2;
  if (y > 0) shapes.push(line(middle, y, middle, y + 12, 'sealed'), line(middle, y + 56, middle, y + 76, 'sealed'));
  y += 28;
  shapes.push(label(middle, y, cut(outside(anchor.origin), 15, width - 20), 'strong', 15));
  shapes.push(label(middle, y + 19, `${t('tree_head', number(anchor.size))} · ${short(anchor.root)}`, 'gold', 13));
  y += 48;

  const whole = wide && sizes !== null && anchor.size <= WHOLE_TREE_MAX && anchor.size > 1;
  const [leafX, leafY] = whole
    ? wholeTree(shapes, anchor, width, y, leads)
    : pathOnly(shapes, anchor, { width, top: y, leads, sizes, all });

  shapes.push(node(middle, y, 13, leads ? 'gold' : 'red'));
  if (!leads) shapes.push(cross(middle, y, 5), label(middle + 22, y + 5, t('broken_root'), 'red', 13, 'start'));

  const bottom = file(shapes, { leafX, leafY, width, name, sha256, index: anchor.index, leaf: anchor.leaf, fileFits });
  const words = t('drawing_text', name, number(anchor.index), number(anchor.size), levels, short(anchor.root));
  return svg('svg', { viewBox: `0 0 ${width} ${bottom}`, class: `drawing ${wide ? 'wide' : 'narrow'}`, role: 'img', 'aria-label': words }, ...shapes);
}

// How many levels the drawing leaves out.
const levelsElided = (anchor) => Math.max(0, anchor.path.length - LEVELS_TOP - LEVELS_BOTTOM - 1);

// Who signed and stamped the tree head, above it; returns where that ends.
function seals(shapes, anchor, width) {
  const all = [
    ...anchor.signatures.map((s) => ({ state: s.state, role: t(`seal_${s.role}`), name: outside(s.name), more: outside(s.kind === 'unknown' ? s.key_id : s.kind), time: s.time })),
    ...anchor.timestamps.map((s) => ({ state: s.state, role: t('seal_timestamp'), name: s.authority ? outside(s.authority) : t('seal_no_authority'), more: 'RFC 3161', time: s.time })),
  ];
  if (!all.length) return 0;
  const shown = all.slice(0, SEALS_MAX);
  const wide = width > 500;
  const row = wide ? 27 : 46;
  const [boxWidth, rows] = [wide ? 640 : width - 2, shown.length + (all.length > shown.length ? 1 : 0)];
  const left = (width - boxWidth) / 2;
  shapes.push(svg('rect', { x: left, y: 1, width: boxWidth, height: rows * row + 14, rx: 8, class: 'seals' }));
  shown.forEach((seal, position) => {
    const y = 8 + position * row + row / 2;
    const kind = { holds: 'verified', false: 'refused' }[seal.state] || 'undecided';
    const mark = icon(kind, 18);
    const state = t(`state_${seal.state}`);
    const time = seal.time ? seal.time.replace('T', ' ').replace('Z', ' UTC') : '';
    mark.setAttribute('x', left + 12);
    mark.setAttribute('y', y - 9);
    shapes.push(mark);
    if (wide) {
      shapes.push(
        label(left + 40, y + 5, state, `plain ${kind}`, 13, 'start'),
        label(left + 128, y + 5, seal.role, 'plain soft', 13, 'start'),
        label(left + 224, y + 5, cut(`${seal.name} · ${seal.more}`, 13, time ? 250 : 410), 'plain', 13, 'start'),
        label(left + boxWidth - 14, y + 5, time, 'plain soft', 12, 'end'));
    } else {
      shapes.push(
        label(left + 40, y - 4, cut(`${seal.role} · ${seal.name}`, 13, boxWidth - 56), 'plain', 13, 'start'),
        label(left + 40, y + 13, [state, seal.more, time].filter(Boolean).join(' · '), `plain ${kind}`, 11.5, 'start'));
    }
  });
  if (all.length > shown.length) {
    shapes.push(label(left + 40, 8 + shown.length * row + row / 2 + 4, t('more_seals', all.length - shown.length), 'soft', 13, 'start'));
  }
  return rows * row + 15;
}

// A small tree with all its entries, so that one sees what the path passes by.
function wholeTree(shapes, anchor, width, top, leads) {
  const levels = anchor.path.length;
  const depth = Math.ceil(Math.log2(anchor.size));
  const rowHeight = Math.max(62, 84 - depth * 4);
  const bottom = top + depth * rowHeight;
  const spread = Math.min(width - 100, anchor.size * 150);
  const leafAt = (index) => width / 2 - spread / 2 + ((index + 0.5) * spread) / anchor.size;
  const [lines, dots] = [[], []];

  // Draws what is below a node; returns its place. `level` counts from the root.
  // A label stands beside its node, away from the line to the parent.
  function beside(x, y, parentX, text, role) {
    const side = x < parentX ? -1 : 1;
    return label(x + side * 16, y + 1, text, role, 11.5, side < 0 ? 'end' : 'start');
  }
  function draw(from, entries, level, onPath, given) {
    const y = entries === 1 ? bottom : top + level * rowHeight;
    let x;
    if (entries === 1) {
      x = leafAt(from);
    } else {
      let left = 1;
      while (left * 2 < entries) left *= 2;
      const pathLeft = onPath && anchor.index < from + left;
      const below = [draw(from, left, level + 1, pathLeft, onPath && !pathLeft), draw(from + left, entries - left, level + 1, onPath && !pathLeft, pathLeft)];
      x = level === 0 ? width / 2 : (below[0].x + below[1].x) / 2;
      for (const child of below) {
        const role = child.onPath ? 'blue' : child.given ? 'green' : 'grey';
        lines[role === 'grey' ? 'unshift' : 'push'](line(x, y, child.x, child.y, role));
        if (child.onPath && child.entries > 1) {
          dots.push(beside(child.x, child.y, x, short(anchor.path[levels - 2 - level].parent), 'blue'));
        } else if (child.given) {
          const text = short(anchor.path[levels - 1 - level].sibling);
          dots.push(child.entries > 1 ? beside(child.x, child.y, x, text, 'green') : label(child.x, child.y + 26, text, 'green', 11.5));
        }
      }
    }
    // The root is drawn by the caller.
    if (level > 0) dots.push(onPath ? node(x, y, 10, 'blue') : given ? node(x, y, 10, 'green') : node(x, y, 8, 'grey'));
    return { x, y, entries, onPath, given };
  }
  draw(0, anchor.size, 0, true, false);
  shapes.push(...lines, ...dots);
  if (!leads) shapes.push(cross(width / 2, top + 24, 7));
  return [leafAt(anchor.index), bottom];
}

// The path alone, one level a row; each sibling stands for as many entries as are written under it.
function pathOnly(shapes, anchor, { width, top, leads, sizes, all }) {
  const levels = anchor.path.length;
  const [middle, sway, reach] = [width / 2, width > 500 ? 34 : 22, width > 500 ? 190 : 96];
  const rowHeight = 72;
  const elided = all ? 0 : levelsElided(anchor);
  const [lines, dots] = [[], []];
  let [x, y, side] = [middle, top, 1];
  if (levels === 0) {
    y = top + rowHeight;
    lines.push(line(middle, top, middle, y, leads ? 'blue' : 'red'));
  }
  for (let level = levels - 1; level >= 0; level--) {
    if (elided && level === levels - 1 - LEVELS_TOP) {
      lines.push(line(x, y, middle, y + rowHeight, 'blue dashed'));
      dots.push(label(middle - side * 26, y + rowHeight / 2 + 9, t('elided', elided), 'soft', 13, side < 0 ? 'start' : 'end'));
      [x, y, level] = [middle, y + rowHeight, level - elided];
    }
    const step = anchor.path[level];
    side = step.side === 'left' ? -1 : 1;
    const [pathX, siblingX, below] = [middle - side * sway, middle + side * reach, y + rowHeight];
    lines.push(line(x, y, siblingX, below, 'green'), line(x, y, pathX, below, level === levels - 1 && !leads ? 'red dashed' : 'blue'));
    dots.push(node(siblingX, below, 9, 'green'), label(siblingX, below + 24, short(step.sibling), 'green', 12));
    if (sizes) {
      const place = width > 500 ? [siblingX + side * 18, below + 4, side < 0 ? 'end' : 'start'] : [siblingX, below + 39, 'middle'];
      dots.push(label(place[0], place[1], t('covers', number(sizes[level])), 'soft', 11.5, place[2]));
    }
    dots.push(node(pathX, below, 10, 'blue'));
    if (level > 0) {
      const computed = anchor.path[level - 1].parent;
      dots.push(label(pathX - side * 18, below + 5, short(computed), 'blue', 12, side < 0 ? 'start' : 'end'));
    }
    [x, y] = [pathX, below];
  }
  if (levels === 0) dots.push(node(middle, y, 10, 'blue'));
  shapes.push(...lines, ...dots);
  return [x, y];
}

// The file below its leaf; returns where the drawing ends.
function file(shapes, { leafX, leafY, width, name, sha256, index, leaf, fileFits }) {
  const boxWidth = Math.min(width - 4, 330);
  const left = Math.min(Math.max(leafX - boxWidth / 2, 2), width - boxWidth - 2);
  const top = leafY + 72;
  const colour = fileFits ? 'blue' : 'red dashed';
  const text = leafX > width - 140 ? [leafX - 12, 'end'] : [leafX + 12, 'start'];
  shapes.push(
    line(leafX, leafY + 10, leafX, top, colour),
    label(text[0], leafY + 40, t('entry', number(index)), 'soft', 12, text[1]),
    label(text[0], leafY + 56, `${t('leaf')} ${short(leaf)}`, 'soft', 12, text[1]),
    svg('rect', { x: left, y: top, width: boxWidth, height: 58, rx: 8, class: `file ${fileFits ? '' : 'other'}` }),
    label(left + boxWidth / 2, top + 24, cut(name, 15, boxWidth - 24), fileFits ? 'blue strong' : 'red strong', 15),
    label(left + boxWidth / 2, top + 44, `SHA-256 ${short(sha256)}`, fileFits ? 'blue' : 'red', 12));
  if (!fileFits) shapes.push(cross(leafX, leafY + 40, 7), label(2 * leafX - text[0], leafY + 45, t('broken_file'), 'red strong', 12.5, text[1] === 'start' ? 'end' : 'start'));
  return top + 62;
}

const line = (x1, y1, x2, y2, role) => svg('line', { x1, y1, x2, y2, class: role });
const node = (cx, cy, r, role) => svg('circle', { cx, cy, r, class: `node ${role}` });
const cross = (x, y, r) => svg('path', { d: `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`, class: 'cross' });
const label = (x, y, text, role, size, anchor = 'middle') =>
  svg('text', { x, y, class: role, 'font-size': size, 'text-anchor': anchor }, text);

// What is known of when, in rows: the claim, then what others vouch for.
function timelineEvents(outcome) {
  const events = [];
  const created = outcome.claim && outcome.claim.created;
  if (created) events.push({ what: t('event_created'), text: outside(created), claimed: true, ...interval(created) });
  for (const { name, time } of outcome.witnesses) if (time) events.push(point(t('event_witness', outside(name)), time));
  for (const { authority, time } of outcome.timestamps) events.push(point(t('event_timestamp', outside(authority)), time));
  for (const renewal of outcome.renewals) {
    for (const { authority, time } of renewal.timestamps || []) events.push(point(t('event_renewal', outside(authority), renewal.about), time));
  }
  // Before anyone is trusted, what signatures state is shown as unchecked.
  if (!outcome.trust) {
    for (const anchor of outcome.anchors) {
      for (const { name, time } of anchor.signatures) if (time) events.push({ ...point(t('event_unchecked', outside(name)), time), unchecked: true });
    }
  }
  return events;
}

const point = (what, time) => ({ what, text: time.replace('T', ' ').replace('Z', ' UTC'), from: Date.parse(time), to: Date.parse(time) });

// The time that a claimed date spans, as far as it can be read as one: a year, a month, a day or a moment.
function interval(text) {
  const found = /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?)?)?)?$/.exec(text.trim());
  if (!found) return {};
  const [, year, month, day, time, zone] = found;
  if (time) {
    const at = Date.parse(`${year}-${month}-${day}T${time}${zone || 'Z'}`);
    return Number.isNaN(at) ? {} : { from: at, to: at };
  }
  const [y, m, d] = [Number(year), month ? Number(month) - 1 : 0, day ? Number(day) : 1];
  const to = day ? Date.UTC(y, m, d + 1) : month ? Date.UTC(y, m + 1, 1) : Date.UTC(y + 1, 0, 1);
  return { from: Date.UTC(y, m, d), to };
}

// Each drawing has a pattern of its own: one in a drawing that is hidden would not be drawn.
let hatchings = 0;

function timelineDrawing(outcome, events, wide) {
  const width = wide ? 960 : 340;
  const [left, right] = wide ? [330, width - 16] : [8, width - 8];
  const [top, row] = [wide ? 34 : 30, wide ? 46 : 74];
  const existed = outcome.existed_by ? Date.parse(outcome.existed_by) : null;
  const moments = events.flatMap((e) => (e.from === undefined ? [] : [e.from, e.to])).concat(existed === null ? [] : [existed]);
  if (!moments.length) moments.push(0);
  let [from, to] = [Math.min(...moments), Math.max(...moments)];
  const pad = Math.max((to - from) * 0.08, 30e3);
  [from, to] = [from - pad, to + pad * 1.6];
  const x = (time) => left + ((time - from) / (to - from)) * (right - left);
  const bottom = top + events.length * row + 4;
  const hatching = `hatching-${(hatchings += 1)}`;
  const shapes = [svg('defs', {}, svg('pattern', { id: hatching, width: 7, height: 7, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
    svg('rect', { width: 7, height: 7, class: 'hatch-ground' }), svg('rect', { width: 3, height: 7, class: 'hatch' })))];

  if (existed !== null) {
    shapes.push(svg('rect', { x: x(existed), y: top - 6, width: right - x(existed), height: bottom - top + 6, class: 'proven' }),
      line(x(existed), top - 6, x(existed), bottom, 'green thick'),
      x(existed) > (left + right) / 2 ? label(x(existed) - 6, top - 12, `${t('event_existed')} ⟶`, 'green', 12.5, 'end') : label(x(existed) + 2, top - 12, `⟶ ${t('event_existed')}`, 'green', 12.5, 'start'));
  }
  for (const tick of ticks(from, to, wide ? 5 : 3)) {
    shapes.push(line(x(tick.at), top - 2, x(tick.at), bottom, 'tick'), label(x(tick.at), bottom + 18, tick.text, 'soft', 11.5));
  }
  events.forEach((event, position) => {
    const y = top + position * row;
    const track = wide ? y + row / 2 : y + row - 16;
    const room = wide ? left - 24 : width - 10;
    shapes.push(line(left, track, right, track, 'track'),
      label(2, y + (wide ? 20 : 16), cut(event.what, 13.5, room), event.claimed || event.unchecked ? 'gold' : 'strong', 13.5, 'start'),
      label(2, y + (wide ? 37 : 33), cut(event.text, 12, room), 'soft', 12, 'start'));
    if (event.from === undefined) {
      shapes.push(label(left + 6, track - 6, t('event_unreadable'), 'soft', 12, 'start'));
    } else if (event.claimed) {
      const span = Math.max(12, x(event.to) - x(event.from));
      const start = event.from === event.to ? x(event.from) - 6 : x(event.from);
      shapes.push(svg('rect', { x: start, y: track - 8, width: span, height: 16, rx: 3, fill: `url(#${hatching})`, class: 'claimed' }));
    } else {
      shapes.push(node(x(event.from), track, 7, event.unchecked ? 'hollow' : 'green'));
    }
  });
  const words = events.map((e) => `${e.what}: ${e.text}`).join('; ');
  return svg('svg', { viewBox: `0 0 ${width} ${bottom + 26}`, class: `drawing timeline ${wide ? 'wide' : 'narrow'}`, role: 'img', 'aria-label': words }, ...shapes);
}

// Round moments between two times, at most about `count`.
function ticks(from, to, count) {
  const [second, day] = [1e3, 864e5];
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200].map((s) => s * second);
  const pad = (n) => String(n).padStart(2, '0');
  const found = [];
  if (to - from < 2 * day * count) {
    const step = [...steps, day, 2 * day].find((s) => (to - from) / s <= count) || 2 * day;
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const iso = new Date(at).toISOString();
      found.push({ at, text: step < 60e3 ? iso.slice(11, 19) : at % day === 0 ? iso.slice(5, 10) : iso.slice(11, 16) });
    }
    return found;
  }
  const months = [0.25, 0.5, 1, 2, 3, 6, 12, 24, 60, 120, 240, 600].find((m) => (to - from) / (m * 30.44 * day) <= count) || 1200;
  if (months < 1) {
    const step = months === 0.25 ? 7 * day : 14 * day;
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push({ at, text: new Date(at).toISOString().slice(5, 10) });
    return found;
  }
  const start = new Date(from);
  const first = start.getUTCFullYear() * 12 + start.getUTCMonth();
  for (let month = Math.ceil(first / months) * months; ; month += months) {
    const at = Date.UTC(Math.floor(month / 12), month % 12, 1);
    if (at > to) return found;
    if (at >= from) found.push({ at, text: months % 12 === 0 ? String(Math.floor(month / 12)) : `${Math.floor(month / 12)}-${pad((month % 12) + 1)}` });
  }
}
