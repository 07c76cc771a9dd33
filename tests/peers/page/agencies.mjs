// An agency's day on the pages of the service, in a real browser with its session: it scans what it collected, clears the
// matches of its works with the keyboard alone, and takes a bundle away. A second agency sees nothing of that.
//
// node agencies.mjs REPOSITORY URL NORTH SOUTH: login links of two agencies. A scan of South's met copies of works of both.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { Browsing, isSeen, record, said, scanned, shown, standings } from './browsing.mjs';

const [repository, url, ...links] = process.argv.slice(2);
const suspects = path.join(repository, 'samples/suspects');
const browsing = await Browsing.start(repository, url, path.join(repository, 'target/page/agencies'));
const { check, looked } = { check: browsing.check.bind(browsing), looked: browsing.lookedAsItIs.bind(browsing) };
const [north, south] = [await browsing.person(), await browsing.person()];
const SECRETS = /secret\.example|kundenordner|crawl-of-south/;
let [own, suspect] = [[], ''];

const ids = (page) => page.evaluate(() => fetch('/v1/matches?limit=200').then((response) => response.json()).then(({ matches }) => matches.map(({ id }) => id)));
const status = (page, address, options) => page.evaluate(([address, options]) => fetch(address, options).then(({ status }) => status), [address, options]);

for (const [person, name, link] of [[north, 'North', links[0]], [south, 'South', links[1]]]) {
  await check(`${name} comes by its link, and is offered what is its own`, person, async (page) => {
    await page.goto(link);
    await page.waitForSelector('#by-link');
    await page.keyboard.press('Enter'); // the button has the focus
    await page.waitForURL(`${url}/account`);
    const tabs = await page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allInnerTexts();
    assert.deepEqual(tabs, ['Register', 'Works', 'Scan', 'Review', 'Verify', 'Log']);
  });
}

await check('a match of its work is told, and not what another calls the suspect', north, async (page) => {
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Review' }).click();
  await page.waitForURL(`${url}/review`);
  assert.equal(await page.innerText('#start'), 'Review 2 open matches');
  assert.doesNotMatch(await page.content(), SECRETS);
  await looked(page, 'review-withheld');
  await page.click('#start');
  await page.locator('#match').waitFor();
  suspect = await shown(page);
  assert.match(await page.innerText('#called'), /a picture in a scan of somebody else/);
  assert.match(await page.innerText('main'), /Only scans of others met this picture/);
  for (const image of await page.locator('.sides img').all()) assert.ok(await image.evaluate((image) => image.decode().then(() => image.naturalWidth > 0)));
  await page.keyboard.press('o');
  assert.ok(await isSeen(page, '.overlay img'), 'what proves the copy is there');
  await page.keyboard.press('o');
  assert.doesNotMatch(await page.content(), SECRETS);
  await looked(page, 'match-withheld');
});

await check('it scans what it collected, and the dashboard counts what it sees', north, async (page) => {
  const met = [['https://img.shop.example/1', 'mirrored-harbour.jpg'], ['https://shop.example/2', 'mirrored-harbour.jpg'], ['https://other.example/3', 'mirrored-harbour.jpg'], ['https://shop.example/4', 'brightened-fruit.jpg']];
  const crawl = met.map(([target, name]) => record(target, path.join(suspects, name)));
  await scanned(page, url, [{ name: 'our crawl.warc', mimeType: 'application/warc', buffer: Buffer.concat(crawl) }]);
  assert.match(await page.innerText('#live-head'), /done.*our crawl\.warc/s);
  // The copy of South's work is a suspect like any other, and no match.
  await page.waitForFunction(() => document.querySelector('[data-number=matches]').textContent === '3');
  assert.equal(await page.innerText('[data-number=suspects]'), '5');
  await page.waitForFunction(() => document.querySelectorAll('#found li').length === 3);
  assert.match(await page.textContent('.drawing.bars'), /mirrored\s*3/);
  assert.doesNotMatch(await page.textContent('#live-charts'), /matches, [^3]/);
  assert.match(await page.innerText('.sites'), /img\.shop\.example\s+1\s+other\.example\s+1\s+shop\.example\s+1/);
  await looked(page, 'scan');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'JSON Lines', exact: true }).click()]);
  const results = fs.readFileSync(await download.path(), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(results.map(({ status }) => status).sort(), ['clear', 'clear', 'match', 'match', 'match']);
  await page.locator('.sites').getByRole('link', { name: 'shop.example', exact: true }).click();
  await page.waitForURL(/domain=shop\.example/);
  assert.equal(await page.locator('.works li').count(), 2, 'the site, and what is below it');
  await looked(page, 'review-of-a-site');
  await page.goto(`${url}/scans`);
  assert.match(await page.innerText('.scans'), /our crawl\.warc.*5 checked, 3 matches/s);
  assert.equal(await page.locator('.scans li').count(), 1);
  await looked(page, 'scans');
});

await check('it clears the queue with the keyboard alone', north, async (page) => {
  await page.goto(`${url}/review`);
  own = await ids(page);
  assert.equal(own.length, 5);
  for (let press = 0; press < 40 && (await page.evaluate(() => document.activeElement.id)) !== 'start'; press += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/review\/[0-9a-f]{32}$/);
  // From the first to the last and back, past what is others'.
  const seen = [await shown(page)];
  for (const key of ['j', 'j', 'j', 'j']) {
    await page.keyboard.press(key);
    await page.waitForFunction((id) => document.getElementById('match').dataset.id !== id && !document.querySelector('#match[aria-busy]'), seen.at(-1));
    seen.push(await shown(page));
    assert.equal(await page.innerText('#place'), `${seen.length} of 5`);
  }
  assert.deepEqual(seen, own);
  await page.keyboard.press('j');
  await said(page, /no open match after this one/);
  await page.keyboard.press('w'); // the list of domains is not its own
  await page.keyboard.press('e');
  await page.keyboard.type('no licence');
  await page.keyboard.press('Escape');
  await page.keyboard.press('i');
  await said(page, /infringing: noted/);
  assert.equal(await page.innerText('#place'), '2 of 5', 'counted with what was decided here');
  await page.keyboard.press('z');
  await said(page, /Taken back/);
  for (let at = 0; at < own.length; at += 1) {
    const id = await shown(page);
    await page.keyboard.press('i');
    if (at + 1 < own.length) await page.waitForFunction((id) => document.getElementById('match').dataset.id !== id && !document.querySelector('#match[aria-busy]'), id);
  }
  await said(page, /queue is empty/);
  assert.deepEqual([...new Set(await standings(page))], ['infringing']);
});

await check('work and suspect tell their earliest times side by side', north, async (page) => {
  await page.goto(`${url}/review/${own.at(-1)}`);
  const both = await page.innerText('.both');
  assert.match(both, /Earliest proof of the work.*No\. \d+.*Suspect first seen.*by scan \d+.*captured 2026-11-19/s);
  assert.match(await page.textContent('.timeline.wide'), /The work, No\. \d+.*Suspect captured by a web archive.*Suspect first seen by a scan/s);
  await looked(page, 'match');
});

await check('what its own scans met goes into a bundle', north, async (page) => {
  await page.goto(`${url}/review?state=infringing`);
  assert.equal(await page.locator('.works li').count(), 5);
  assert.equal(await page.locator('input[name=bundle]').count(), 3, 'the originals of the others are not its own');
  for (const box of await page.locator('input[name=bundle]').all()) await box.check();
  await page.locator('#profile').selectOption('us-fre902');
  const make = page.getByRole('button', { name: 'Make the bundle' });
  await make.click();
  await page.locator('#facts input').first().waitFor({ timeout: 60e3 });
  for (const field of await page.locator('#facts input').all()) await field.fill('as the agency says');
  const [download] = await Promise.all([page.waitForEvent('download', { timeout: 120e3 }), make.click()]);
  const bundle = fs.readFileSync(await download.path(), 'latin1');
  assert.ok(bundle.startsWith('PK') && bundle.includes('Picture of North'));
  assert.doesNotMatch(bundle, /Picture of South/);
  assert.doesNotMatch(bundle, SECRETS);
  await said(page, /bundle was made/);
  await looked(page, 'bundle');
});

await check('the other agency sees nothing of that', south, async (page) => {
  await page.goto(`${url}/scans`);
  assert.equal(await page.locator('.scans li').count(), 1);
  assert.doesNotMatch(await page.content(), /our crawl/);
  await page.goto(`${url}/review`);
  assert.equal(await page.innerText('#start'), 'Review 3 open matches', 'its two, and the copy that North met');
  assert.doesNotMatch(await page.content(), /our crawl|img\.shop/);
  const theirs = await ids(page);
  assert.ok(theirs.every((id) => !own.includes(id)));
  await page.goto(`${url}/review?state=infringing`);
  assert.equal(await page.locator('.works li').count(), 0);
  const answers = await Promise.all([`/review/${suspect}`, `/v1/matches/${suspect}`, `/v1/matches/${suspect}/suspect.jpg`, '/scans/2', '/v1/scans/99', '/review?scan=99'].map((address) => status(page, address)));
  assert.deepEqual(answers, [404, 404, 404, 404, 404, 404]);
  const order = { method: 'POST', headers: { 'content-type': 'application/json', 'x-timemark': '1' }, body: JSON.stringify({ matches: [suspect], profile: 'cn-court' }) };
  assert.equal(await status(page, '/v1/bundles', order), 404);
  // What North met of South's work is a match, without name and place.
  await page.goto(`${url}/review/${theirs.at(-1)}`);
  assert.match(await page.innerText('#called'), /a picture in a scan of somebody else/);
  assert.doesNotMatch(await page.content(), /our crawl|shop\.example|other\.example/);
});

await check('in Chinese as well', north, async (page) => {
  for (const [name, address, words] of [['match-zh', `/review/${suspect}`, /他人扫描中的图片.*双方最早的证明/s], ['scan-zh', '/scans', /侵权监测/], ['review-zh', '/review?state=infringing', /证据包/]]) {
    await page.goto(`${url}${address}${address.includes('?') ? '&' : '?'}lang=zh`);
    assert.match(await page.innerText('main'), words);
    await looked(page, name);
  }
});

await browsing.end();
