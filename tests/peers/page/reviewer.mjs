// A reviewer's day on the pages of the service, in a real browser: scans what was collected, and clears the matches with
// the keyboard alone.
//
// node reviewer.mjs REPOSITORY URL [NAME]: with NAME only the checks whose names have it in them are made.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [repository, url, only = ''] = process.argv.slice(2);
const require = createRequire(path.join(repository, 'target/peers/page/'));
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const shots = path.join(repository, 'target/page/service');
const suspects = path.join(repository, 'samples/suspects');

fs.mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu'] });
let failed = 0;

// Opens a page anew and holds it to what is always true: nothing comes from elsewhere, and nothing goes wrong unseen.
async function check(name, test, options = {}) {
  if (!name.includes(only)) return;
  const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  const [left, errors] = [[], []];
  context.on('request', (request) => request.url().startsWith(url) || /^(blob|data):/.test(request.url()) || left.push(request.url()));
  page.on('pageerror', (error) => errors.push(error.stack));
  page.on('console', (message) => message.type() === 'error' && !message.text().startsWith('Failed to load resource') && errors.push(message.text()));
  try {
    await test(page, context);
    assert.deepEqual(left, [], 'requests that left');
    assert.deepEqual(errors, [], 'errors on the page');
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
    await page.screenshot({ path: path.join(shots, `failed ${name}.png`.replaceAll(/[^\w. -]/g, '')), fullPage: true }).catch(() => {});
  } finally {
    await context.close();
  }
}

// What axe-core finds on what is shown now, wide and narrow, light and dark; a picture of each for people to look at.
async function looked(page, name) {
  for (const [width, scheme] of [[1280, 'light'], [1280, 'dark'], [360, 'light'], [360, 'dark']]) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: scheme });
    await page.waitForTimeout(100);
    const wide = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide[0] <= wide[1], `${name} is wider than the window: ${wide}`);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
    assert.deepEqual(grave.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], `${name}, ${width}, ${scheme}`);
    for (const image of await page.locator('img[loading=lazy]').all()) await image.scrollIntoViewIfNeeded();
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: path.join(shots, `${name}-${width}-${scheme}.png`), fullPage: true });
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });
}

const said = (page, pattern) => page.waitForFunction((source) => new RegExp(source, 's').test(document.getElementById('said').textContent), pattern.source, { timeout: 20e3 });
const shown = (page) => page.getAttribute('#match', 'data-id');
const isSeen = (page, selector) => page.locator(selector).evaluate((image) => image.decode().then(() => image.naturalWidth > 0));
const standings = (page) => page.evaluate(() => fetch('/v1/matches?limit=200').then((response) => response.json()).then(({ matches }) => matches.map(({ standing }) => standing)));

await check('pictures are dropped, and the dashboard follows the scan to its end', async (page) => {
  await page.goto(`${url}/review`);
  assert.match(await page.innerText('#empty'), /queue is empty/);
  await page.goto(`${url}/scans`);
  await looked(page, 'scans');
  const files = fs.readdirSync(suspects).filter((name) => !name.endsWith('.csv')).map((name) => path.join(suspects, name));
  await page.setInputFiles('#files', files);
  await page.waitForURL(/\/scans\/\d+$/);
  await page.waitForFunction(() => 'ended' in document.getElementById('dashboard').dataset, null, { timeout: 120e3 });
  assert.match(await page.innerText('#live-head'), /done/);
  assert.match(await page.innerText('#said'), /The scan is done/);
  assert.equal(await page.innerText('[data-number=suspects]'), String(files.length + 1), 'each picture, and the archive by its bytes');
  const matches = Number(await page.innerText('[data-number=matches]'));
  assert.ok(matches >= 8, `${matches}`);
  await page.locator('#found li').first().waitFor();
  assert.equal(await page.locator('#found li').count(), Math.min(matches, 12));
  assert.match(await page.textContent('.drawing.bars'), /mirrored.*\d/s);
  assert.equal(await page.locator('.drawing.course polyline').count(), 2);
  await looked(page, 'scan');
  for (const [link, name, start] of [['JSON Lines', 'scan-1.jsonl', '{"suspect":'], ['Table (CSV)', 'scan-1.csv', 'suspect,']]) {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: link, exact: true }).click()]);
    assert.equal(download.suggestedFilename(), name);
    assert.ok(fs.readFileSync(await download.path(), 'utf8').startsWith(start));
  }
});

await check('what is scanned can be paused, goes on and is cancelled from its page', async (page) => {
  await page.goto(`${url}/scans`);
  const many = Array.from({ length: 60 }, (_, at) => ({ name: `many-${at}.jpg`, mimeType: 'image/jpeg', buffer: Buffer.concat([fs.readFileSync(path.join(suspects, 'unrelated-hills.jpg')), Buffer.from(String(at))]) }));
  await page.setInputFiles('#files', many);
  await page.waitForURL(/\/scans\/\d+$/);
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('button', { name: 'Go on' }).waitFor({ timeout: 20e3 });
  assert.match(await page.innerText('#live-head'), /paused/);
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.waitForFunction(() => 'ended' in document.getElementById('dashboard').dataset, null, { timeout: 30e3 });
  assert.match(await page.innerText('#live-head'), /cancelled/);
});

await check('the two pictures are looked at in every way', async (page) => {
  await page.goto(`${url}/review`);
  await looked(page, 'review');
  const mirrored = page.locator('.works li', { hasText: 'mirrored-harbour.jpg' });
  await mirrored.getByRole('link').first().click();
  await page.locator('#match').waitFor();
  for (const image of await page.locator('.sides img').all()) assert.ok(await image.evaluate((image) => image.decode().then(() => image.naturalWidth > 0)));
  const text = await page.innerText('.known');
  assert.match(text, /Strength: .*at most 1 in \d+.*95 % interval.*codes differ in \d+ of 256 bits.*of the work.*mirrored left to right.*Earliest proof/s);
  await looked(page, 'match');
  await page.keyboard.press('o');
  assert.ok(await page.isVisible('.overlay img') && !(await page.isVisible('.sides')));
  assert.ok(await isSeen(page, '.overlay img'));
  await looked(page, 'match-overlay');
  await page.keyboard.press('b');
  assert.ok(await isSeen(page, '.above img'));
  // The mirrored work lies on the suspect: what differs between them is small.
  const corners = await page.evaluate(() => {
    const box = (selector) => document.querySelector(selector).getBoundingClientRect();
    const [work, layers] = [box('.above img'), box('.layers')];
    return ['left', 'top', 'right', 'bottom'].map((side) => Math.abs(work[side] - layers[side]));
  });
  assert.ok(corners.every((apart) => apart < 8), `${corners}`);
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('.above')).opacity), '0.5');
  await page.fill('#share', '20');
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('.above')).opacity), '0.2');
  await looked(page, 'match-blend');
  await page.keyboard.press('s');
  assert.match(await page.evaluate(() => getComputedStyle(document.querySelector('.above')).clipPath), /inset\(0(px)? 80% 0(px)? 0(px)?\)/);
  await page.screenshot({ path: path.join(shots, 'match-swipe-1280.png') });
  await page.keyboard.press('d');
  await page.screenshot({ path: path.join(shots, 'match-difference-1280.png') });
  await page.keyboard.press('d');
  assert.ok(await page.isVisible('.sides'));
  await page.keyboard.press('?');
  assert.ok(await page.isVisible('#help'));
  await looked(page, 'match-help');
  await page.keyboard.press('n');
  await page.keyboard.press('Escape');
  assert.ok((await standings(page)).every((standing) => standing === 'open'), 'a key in the help is no verdict');
});

await check('every match is cleared with the keyboard alone, and one verdict taken back', async (page) => {
  await page.goto(`${url}/review`);
  const before = (await standings(page)).length;
  for (let press = 0; press < 40 && (await page.evaluate(() => document.activeElement.id)) !== 'start'; press += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/review\/[0-9a-f]{32}$/);
  assert.equal(await page.innerText('#place'), `1 of ${before}`);
  const first = await shown(page);
  await page.keyboard.press('j');
  await said(page, /Shown now/);
  assert.equal(await page.innerText('#place'), `2 of ${before}`);
  await page.keyboard.press('k');
  await page.waitForFunction((id) => document.getElementById('match').dataset.id === id, first);

  // A note is text, whatever keys it has.
  await page.keyboard.press('e');
  await page.keyboard.type('in a shop <b>');
  await page.keyboard.press('Escape');
  await page.keyboard.press('i');
  await said(page, /infringing: noted/);
  assert.notEqual(await shown(page), first);
  assert.equal(await page.innerText('#place'), `2 of ${before}`);
  await page.keyboard.press('z');
  await said(page, /Taken back/);
  assert.equal(await shown(page), first);
  assert.equal(await page.innerText('#place'), `1 of ${before}`);
  assert.match(await page.innerText('.history'), /infringing taken back.*infringing, by.*in a shop <b>/s);
  assert.ok((await standings(page)).every((standing) => standing === 'open'));

  const keys = ['l', 'i', 'n', 'u'];
  for (let at = 0; at < before; at += 1) {
    const id = await shown(page);
    await page.keyboard.press(keys[at % keys.length]);
    if (at + 1 < before) await page.waitForFunction((id) => document.getElementById('match').dataset.id !== id && !document.querySelector('#match[aria-busy]'), id);
  }
  await said(page, /queue is empty/);
  assert.ok((await standings(page)).every((standing) => standing !== 'open'));
  await looked(page, 'match-decided');
  await page.goto(`${url}/review`);
  assert.match(await page.innerText('#empty'), /queue is empty/);
  await looked(page, 'review-empty');
  await page.getByRole('link', { name: /^infringing/ }).click();
  await page.waitForURL(/state=infringing/);
  assert.ok(await page.locator('.works li').count() > 0);
});

await check('what is infringing is taken away as a bundle', async (page) => {
  await page.goto(`${url}/verify`);
  const hasVerifier = await page.getByRole('link', { name: 'Open the verifier' }).count();
  await page.goto(`${url}/review?state=infringing`);
  if (!hasVerifier || !(await page.locator('#bundle').count())) return console.log('SKIPPED: no bundles are made here');
  const make = page.getByRole('button', { name: 'Make the bundle' });
  await make.click();
  await said(page, /Choose a match/);
  await page.locator('input[name=bundle]').first().check();
  await page.locator('#profile').selectOption('us-fre902');
  await make.click();
  await page.locator('#facts input').first().waitFor({ timeout: 60e3 });
  await looked(page, 'bundle');
  for (const field of await page.locator('#facts input').all()) await field.fill('as the reviewer says');
  const [download] = await Promise.all([page.waitForEvent('download', { timeout: 120e3 }), make.click()]);
  assert.ok(fs.readFileSync(await download.path(), 'latin1').startsWith('PK'));
  await said(page, /bundle was made/);
});

await check('who decides about what somebody else just changed is told so', async (page) => {
  await page.goto(`${url}/review?state=unsure`);
  await page.locator('.works a').first().click();
  await page.locator('#match').waitFor();
  const id = await shown(page);
  await page.evaluate(async (id) => {
    const seen = await fetch(`/v1/matches/${id}`);
    const headers = { 'if-match': seen.headers.get('etag'), 'content-type': 'application/json', 'x-timemark': '1' };
    await fetch(`/v1/matches/${id}/verdict`, { method: 'POST', headers, body: '{"verdict":"licensed"}' });
  }, id);
  await page.keyboard.press('i');
  await said(page, /Somebody changed this match/);
  assert.equal(await shown(page), id);
  assert.match(await page.innerText('.match-head'), /licensed/);
  await page.locator('[data-act=undo-this]').click();
  await said(page, /Taken back.*unsure/);
});

await check('fingers and Chinese eyes are served as well', async (page) => {
  await page.goto(`${url}/review?state=licensed`);
  assert.match(await page.innerText('main'), /比对复核.*疑似侵权.*已授权.*不匹配.*不确定.*白名单域名/s);
  await page.locator('.works a').first().tap();
  await page.locator('#match').waitFor();
  await page.getByRole('button', { name: '叠加' }).tap();
  assert.ok(await isSeen(page, '.above img'));
  await page.getByRole('button', { name: '不匹配' }).tap();
  await said(page, /不匹配：已记录/);
  await looked(page, 'match-zh');
  for (const there of ['review?state=licensed', 'scans', 'scans/1']) {
    await page.goto(`${url}/${there}`);
    await looked(page, `${there.replace(/\W/g, '-')}-zh`);
  }
}, { locale: 'zh-CN', hasTouch: true, viewport: { width: 360, height: 800 } });

await check('a domain is allow-listed, and taken off the list again', async (page) => {
  const record = (target, name) => {
    const picture = Buffer.concat([fs.readFileSync(path.join(suspects, name)), Buffer.from(target)]);
    const head = `WARC/1.1\r\nWARC-Type: resource\r\nWARC-Target-URI: ${target}\r\nWARC-Date: 2026-11-19T02:11:40Z\r\nContent-Type: image/jpeg\r\nContent-Length: ${picture.length}\r\n\r\n`;
    return Buffer.concat([Buffer.from(head), picture, Buffer.from('\r\n\r\n')]);
  };
  const crawl = [record('https://shop.example/1', 'mirrored-harbour.jpg'), record('https://shop.example/2', 'rotated-wave.jpg'), record('https://other.example/3', 'stamped-tree.jpg')];
  await page.goto(`${url}/scans`);
  await page.setInputFiles('#files', [{ name: 'crawl.warc', mimeType: 'application/warc', buffer: Buffer.concat(crawl) }]);
  await page.waitForURL(/\/scans\/\d+$/);
  await page.waitForFunction(() => 'ended' in document.getElementById('dashboard').dataset, null, { timeout: 60e3 });
  await page.goto(`${url}/review`);
  await page.locator('.works li', { hasText: 'shop.example' }).first().getByRole('link').click();
  await page.locator('#match').waitFor();
  const id = await shown(page);
  assert.match(await page.innerText('.places'), /https:\/\/shop\.example.*captured 2026-11-19/s);
  await looked(page, 'match-of-a-shop');
  await page.keyboard.press('w');
  await said(page, /shop\.example is on the allow-list; matches that left the queue: 2/);
  assert.notEqual(await shown(page), id);
  assert.equal(await page.getAttribute('[data-act=allow]', 'data-domain'), 'other.example');
  await page.keyboard.press('z');
  await said(page, /shop\.example is off the allow-list/);
  assert.equal(await shown(page), id);
  assert.equal(await page.getAttribute('#match', 'data-standing'), 'open');
});

await check('without JavaScript everything can be looked at', async (page) => {
  await page.goto(`${url}/scans/1`);
  assert.match(await page.innerText('main'), /done.*suspects checked/s);
  await page.goto(`${url}/review?state=infringing`);
  await page.locator('.works a').first().click();
  await page.locator('#match').waitFor();
  assert.match(await page.innerText('main'), /needs JavaScript/);
  await page.screenshot({ path: path.join(shots, 'match-without-script-1280.png'), fullPage: true });
}, { javaScriptEnabled: false });

await browser.close();
process.exit(failed ? 1 : 0);
