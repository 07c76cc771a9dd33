// A reviewer's day on the pages of the service, in a real browser: scans what was collected, and clears the matches with
// the keyboard alone.
//
// node reviewer.mjs REPOSITORY URL [NAME]: with NAME only the checks whose names have it in them are made.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { Browsing, isSeen, record, said, scanned, shown, standings } from './browsing.mjs';

const [repository, url, only] = process.argv.slice(2);
const suspects = path.join(repository, 'samples/suspects');
const browsing = await Browsing.start(repository, url, path.join(repository, 'target/page/service'), only);
const check = browsing.alone.bind(browsing);
const looked = browsing.lookedAsItIs.bind(browsing);

await check('pictures are dropped, and the dashboard follows the scan to its end', async (page) => {
  await page.goto(`${url}/review`);
  assert.match(await page.innerText('#empty'), /queue is empty/);
  await page.goto(`${url}/scans`);
  await looked(page, 'scans');
  const files = fs.readdirSync(suspects).filter((name) => !name.endsWith('.csv')).map((name) => path.join(suspects, name));
  await scanned(page, url, files);
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
  assert.match(text, /Strength: .*at most 1 in \d+.*95 % interval.*codes differ in \d+ of 256 bits.*of the work.*mirrored left to right/s);
  const both = await page.innerText('.both');
  assert.match(both, /Earliest proof of the work.*No\. \d+.*Suspect first seen.*by scan 1/s);
  assert.match(await page.textContent('.timeline.wide'), /The work, No\..*Suspect first seen by a scan/s);
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
  await page.screenshot({ path: browsing.shot('match-swipe-1280.png') });
  await page.keyboard.press('d');
  await page.screenshot({ path: browsing.shot('match-difference-1280.png') });
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
  const met = [['https://shop.example/1', 'mirrored-harbour.jpg'], ['https://shop.example/2', 'rotated-wave.jpg'], ['https://other.example/3', 'stamped-tree.jpg']];
  const crawl = met.map(([target, name]) => record(target, path.join(suspects, name)));
  await scanned(page, url, [{ name: 'crawl.warc', mimeType: 'application/warc', buffer: Buffer.concat(crawl) }]);
  assert.match(await page.innerText('.sites'), /shop\.example\s+2\s+other\.example\s+1/);
  await looked(page, 'scan-of-sites');
  await page.locator('.sites').getByRole('link', { name: 'other.example' }).click();
  await page.waitForURL(/domain=other\.example/);
  assert.equal(await page.locator('.works li').count(), 1);
  assert.match(await page.innerText('main'), /Only those met on other\.example/);
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
  await page.screenshot({ path: browsing.shot('match-without-script-1280.png'), fullPage: true });
}, { javaScriptEnabled: false });

await browsing.end();
