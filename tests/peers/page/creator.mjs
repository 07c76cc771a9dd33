// A creator's day on the pages of the service, in a real browser: drops pictures, is warned, takes receipts away.
//
// node creator.mjs REPOSITORY FOLDER URL [NAME]: FOLDER takes what is downloaded; with NAME only the checks whose names have
// it in them are made.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { Browsing, drop, scanned } from './browsing.mjs';

const [repository, folder, url, only] = process.argv.slice(2);
const samples = path.join(repository, 'samples');
const fruit = path.join(samples, 'suspects/brightened-fruit.jpg');
const harbour = path.join(samples, 'works/harbour-at-dusk.jpg');

fs.mkdirSync(folder, { recursive: true });
const browsing = await Browsing.start(repository, url, path.join(repository, 'target/page/service'), only);
const check = browsing.alone.bind(browsing);
const looked = (page, name) => browsing.looked(page, name);

const upload = (page, file) => page.locator('.upload', { hasText: path.basename(file) }).last();
const settled = (page, file) => upload(page, file).and(page.locator('.done, .failed')).waitFor({ timeout: 60e3 });
const arePictures = (images) => images.evaluateAll((all) => Promise.all(all.map((image) => image.decode().then(() => image.naturalWidth > 0))).then((shown) => shown.length > 0 && shown.every(Boolean)));

await check('two pictures are dropped, and one of them is an earlier work of somebody else', async (page) => {
  await page.goto(url);
  await page.fill('#claimant', 'Li Na');
  await page.fill('#rights', 'All rights reserved');
  await drop(page, harbour, fruit);
  for (const file of [harbour, fruit]) {
    await settled(page, file);
    assert.match(await upload(page, file).locator('.steps').innerText(), /received.*in the log, No\. \d+/s);
    assert.doesNotMatch(await upload(page, file).innerText(), /pending/i);
  }
  const warning = upload(page, fruit).locator('.warning');
  assert.match(await warning.innerText(), /earlier work by someone else.*Yours.*Still life with fruit.*Zhang Wei/s);
  assert.equal(await warning.locator('img').count(), 2, 'both pictures');
  assert.ok(await arePictures(warning.locator('img')));
  assert.equal(await upload(page, harbour).locator('.warning').count(), 0);
  assert.match(await page.innerText('#announce'), /Warning: brightened-fruit\.jpg/);
  assert.match(await page.innerText('#tally'), /2 of 2 done.*2 registered.*1 to look at/);

  for (const [link, name] of [['Receipt', 'harbour-at-dusk.jpg.timemark'], ['Certificate (PDF)', 'harbour-at-dusk.jpg.certificate.pdf']]) {
    const [download] = await Promise.all([page.waitForEvent('download'), upload(page, harbour).getByRole('link', { name: link, exact: true }).click()]);
    assert.equal(download.suggestedFilename(), name);
    await download.saveAs(path.join(folder, name));
  }
  await drop(page, harbour);
  await page.waitForFunction(() => document.querySelectorAll('.upload.done').length === 3);
  assert.match(await upload(page, harbour).innerText(), /already yours \(same receipt\)/);
  await browsing.held(page, 'registered-1280');
  await browsing.in(page, 360, 'light');
  await browsing.held(page, 'registered-360');

  // The authority is asked every minute.
  await browsing.in(page, 1280, 'light');
  await page.waitForFunction(() => [...document.querySelectorAll('.upload .steps')].every((steps) => steps.innerText.includes('time-stamped')), null, { timeout: 120e3 });
  assert.match(await upload(page, fruit).innerText(), /existed by 20\d\d-/);
  // A receipt that has its time-stamp is another file.
  const [download] = await Promise.all([page.waitForEvent('download'), upload(page, harbour).getByRole('link', { name: 'Receipt', exact: true }).click()]);
  await download.saveAs(path.join(folder, 'harbour-at-dusk.jpg.timemark'));

  await upload(page, harbour).getByRole('link', { name: 'Work page' }).click();
  await page.waitForURL(/\/works\/bafkrei/);
  assert.ok(await arePictures(page.locator('.preview img')));
  assert.match(await page.textContent('.drawing.proof'), /tree head of \d+ entries/);
  assert.match(await page.innerText('article'), /time-stamped.*Existed by/s);
  assert.ok(await page.locator('.timeline.wide').isVisible());
  for (const [link, name, start] of [['Verdict (JSON)', 'harbour-at-dusk.jpg.verdict.json', '{"verdict":"verified"'], ['Time-stamp (RFC 3161)', 'harbour-at-dusk.jpg.tsr', '0']]) {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: link, exact: true }).click()]);
    assert.equal(download.suggestedFilename(), name);
    await download.saveAs(path.join(folder, name));
    assert.ok(fs.readFileSync(path.join(folder, name), 'latin1').startsWith(start));
  }
  await looked(page, 'work');
});

await check('the same file by another is contested, and both claims stand on one axis', async (page) => {
  await page.goto(url);
  await page.fill('#claimant', 'Li Na');
  const still = path.join(samples, 'works/still-life-with-fruit.jpg');
  await page.setInputFiles('#files', [still]);
  await settled(page, still);
  assert.match(await upload(page, still).locator('.warning').innerText(), /registered the same file earlier/);
  await upload(page, still).getByRole('link', { name: 'Work page' }).click();
  await page.waitForURL(/\/works\/bafkrei/);
  assert.match(await page.innerText('.notice.warn'), /Contested: 2 parties/);
  assert.equal(await page.locator('article').count(), 2);
  assert.match(await page.textContent('.timeline.wide'), /Zhang Wei.*Li Na/s);
  await looked(page, 'contested');
});

await check('pages are readable by everybody', async (page) => {
  await page.goto(url);
  await looked(page, 'register');
  for (const name of ['works', 'verify', 'log']) {
    await page.goto(`${url}/${name}`);
    await looked(page, name);
  }
  await page.goto(`${url}/works?q=nothing`);
  await looked(page, 'none-found');
  await page.goto(`${url}/works/none`);
  await looked(page, 'missing');
});

await check('the keyboard is enough', async (page) => {
  await page.goto(url);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  const reached = [];
  for (let press = 0; press < 12; press += 1) {
    await page.keyboard.press('Tab');
    reached.push(await page.evaluate(() => document.activeElement.id));
  }
  for (const id of ['claimant', 'title', 'rights', 'collection', 'hash_only', 'files', 'folder']) assert.ok(reached.includes(id), `${id} of ${reached}`);
});

await check('what cannot be taken now is sent again, and at most four at a time', async (page) => {
  const keys = [];
  let [now, most] = [0, 0];
  await page.route('**/v1/works', async (route) => {
    keys.push(route.request().headers()['idempotency-key']);
    if (keys.length === 1) return route.fulfill({ status: 429, headers: { 'retry-after': '1' }, contentType: 'application/problem+json', body: '{}' });
    now += 1;
    most = Math.max(most, now);
    await new Promise((next) => setTimeout(next, 300));
    now -= 1;
    return route.continue();
  });
  await page.goto(url);
  const texts = Array.from({ length: 9 }, (_, at) => ({ name: `text-${at}.txt`, mimeType: 'text/plain', buffer: Buffer.from(`text ${at}\n`) }));
  await page.setInputFiles('#files', [...texts, { name: 'a.timemark', mimeType: 'text/plain', buffer: Buffer.from('x') }]);
  await page.waitForFunction(() => document.querySelectorAll('.upload.done').length === 9, null, { timeout: 60e3 });
  assert.equal(keys.length, 10);
  assert.equal(new Set(keys).size, 9, 'the same key for the same request');
  assert.ok(most <= 4 && most > 1, `${most} at a time`);
  assert.match(await page.innerText('#tally'), /9 of 9 done.*1 passed over/);
});

await check('what is refused says why, and a damaged picture is registered by its bytes', async (page) => {
  await page.goto(url);
  await page.setInputFiles('#files', [{ name: '<b>damaged.jpg', mimeType: 'image/jpeg', buffer: fs.readFileSync(harbour).subarray(0, 5000) }]);
  await page.locator('.upload.failed').waitFor();
  assert.match(await page.innerText('.upload'), /<b>damaged\.jpg.*not registered: the picture cannot be read/s);
  await page.getByRole('button', { name: 'Register it by its bytes alone' }).click();
  await page.locator('.upload.done').waitFor();
});

await check('who leaves while files are on their way is asked', async (page) => {
  await page.route('**/v1/works', () => {}); // never answered
  await page.goto(url);
  await page.click('#claimant');
  await page.setInputFiles('#files', [harbour]);
  const asked = page.waitForEvent('dialog');
  page.close({ runBeforeUnload: true });
  const dialog = await asked;
  assert.equal(dialog.type(), 'beforeunload');
  await dialog.accept();
});

await check('a claim is corrected, withdrawn and erased by the keyboard, and each is said', async (page) => {
  await page.goto(url);
  await page.fill('#claimant', 'Zang Mei');
  const poem = { name: 'poem.txt', mimeType: 'text/plain', buffer: Buffer.from('a poem that is claimed wrongly\n') };
  await page.setInputFiles('#files', [poem]);
  await settled(page, 'poem.txt');
  await upload(page, 'poem.txt').getByRole('link', { name: 'Work page' }).click();
  await page.waitForURL(/\/works\/bafkrei/);
  const address = page.url().replace(/#.*/, '');
  const cards = page.locator('article');
  const summary = (card) => card.locator('.amend > summary');
  const open = async (card) => {
    await summary(card).focus();
    await page.keyboard.press('Enter');
    await card.locator('.amend button:enabled').first().waitFor();
  };
  const first = cards.first();
  const index = Number(await first.getAttribute('id'));
  await open(first);
  assert.match(await first.locator('.amend').innerText(), /What stays for ever.*one more entry.*Correct.*Withdraw.*Erase/s);
  assert.equal(await page.inputValue(`#claimant-${index}`), 'Zang Mei');
  assert.equal(await page.inputValue(`#title-${index}`), '');

  // Nothing was changed, so nothing is sent.
  const press = async (name) => {
    const button = first.getByRole('button', { name });
    await button.focus();
    await page.keyboard.press('Enter');
  };
  await press('Enter the correction in the log');
  assert.equal(await first.locator('[data-act=correction] .fault').innerText(), 'Nothing was changed.');
  await page.focus(`#claimant-${index}`);
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type('Zhang Mei');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.name), 'created', 'one field after the other');
  // The answer is lost on its way: sent again it is done once.
  let isLost = false;
  await page.route('**/claim/correction', async (route) => {
    if (isLost) return route.continue();
    isLost = true;
    await route.fetch();
    return route.abort();
  });
  await press('Enter the correction in the log');
  await page.waitForFunction(() => document.querySelector('[data-act=correction] .fault').textContent);
  await press('Enter the correction in the log');
  await page.waitForFunction(() => document.querySelectorAll('article').length === 2);
  assert.match(await page.innerText('#done'), /^Corrected, by No\. \d+\. Take its receipt away as well\.$/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'done', 'who hears the page hears it');
  assert.match(await first.innerText(), /Corrected: what No\. \d+ says stands in its place/);
  assert.match(await cards.last().innerText(), /Corrects No\. \d+.*Zhang Mei/s);
  assert.equal(await page.locator('.notice.warn', { hasText: 'Contested' }).count(), 0, 'one party');
  await looked(page, 'corrected');

  // A form that was open while somebody else was faster.
  await page.setViewportSize({ width: 360, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto(`${address}?lang=en`);
  const last = cards.last();
  await open(last);
  await browsing.held(page, 'amending-360');
  const number = await last.getAttribute('id');
  const claim = `${url}/v1/receipts/${number}/claim`;
  const { etag } = (await page.request.get(claim)).headers();
  const sent = await page.request.post(`${claim}/correction`, { data: { title: 'A poem' }, headers: { 'if-match': etag } });
  assert.equal(sent.status(), 201);
  await last.locator('[data-act=withdrawal] [type=checkbox]').check();
  await last.getByRole('button', { name: 'Enter the withdrawal in the log' }).click();
  await page.waitForFunction((id) => document.getElementById(id).querySelector('[data-act=withdrawal] .fault').textContent, number);
  assert.match(await last.locator('[data-act=withdrawal] .fault').innerText(), /does not stand any more.*Load the page again/);

  // What stands is withdrawn, not without saying so; then all of it is erased.
  await page.goto(`${address}?lang=en`);
  await open(cards.last());
  await cards.last().getByRole('button', { name: 'Enter the withdrawal in the log' }).click();
  assert.equal(await cards.count(), 3, 'the box is to be ticked first');
  await cards.last().locator('[data-act=withdrawal] [type=checkbox]').check();
  await cards.last().getByRole('button', { name: 'Enter the withdrawal in the log' }).click();
  await page.waitForFunction(() => document.querySelectorAll('article').length === 4);
  assert.match(await page.innerText('#done'), /^Withdrawn, by No\. \d+/);
  assert.match(await cards.nth(2).innerText(), /Withdrawn by No\. \d+: nothing is claimed here any more/);
  await looked(page, 'withdrawn');
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.goto(`${address}?lang=en`);
  await open(cards.last());
  assert.equal(await cards.last().locator('[data-act=correction]').count(), 0);
  await page.screenshot({ path: browsing.shot('erasing-1280.png'), fullPage: true });
  await cards.last().locator('[data-act=erasure] [type=checkbox]').check();
  await cards.last().getByRole('button', { name: 'Erase for good' }).click();
  await page.waitForFunction(() => !document.body.innerText.includes('Mei'));
  assert.match(await page.innerText('#done'), /^Erased: No\. \d+(, \d+){3}/);
  assert.equal(await page.locator('.card', { hasText: 'The claim was erased' }).count(), 4);
  await looked(page, 'erased');
});

await check('a work is found by its words and by a picture', async (page) => {
  await page.goto(`${url}/works`);
  await page.fill('#q', 'still fruit');
  await page.keyboard.press('Enter');
  await page.waitForURL(/q=still/);
  assert.match(await page.innerText('.works'), /Still life with fruit/);
  await page.goto(`${url}/works`);
  await page.setInputFiles('#picture', path.join(samples, 'suspects/mirrored-harbour.jpg'));
  await page.locator('#compared .works li').first().waitFor({ timeout: 60e3 });
  assert.match(await page.innerText('#compared'), /is a copy of these works.*harbour-at-dusk\.jpg.*Li Na/s);
  await page.locator('#compared img').first().evaluate((image) => image.decode());
  await page.screenshot({ path: browsing.shot('compared-1280.png'), fullPage: true });
});

await check('what was registered is proven before its copy was seen', async (page) => {
  await scanned(page, url, [path.join(samples, 'suspects/mirrored-harbour.jpg')]);
  await page.locator('#found a').first().click();
  await page.locator('#match').waitFor();
  assert.match(await page.innerText('.both'), /Existed by 20\d\d-.*time-stamp by .*No\. \d+.*Suspect first seen.*0 days after the proof/s);
  assert.ok(await page.locator('.timeline.wide .green').count() > 0);
  await looked(page, 'both-sides');
});

await check('the receipt is verified in the browser, under the policy of the archive', async (page, context) => {
  await page.goto(`${url}/verify`);
  const open = page.getByRole('link', { name: 'Open the verifier' });
  if (!(await open.count())) return console.log('SKIPPED: no verify.html');
  const policy = path.join(folder, 'policy.txt');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download the policy' }).click()]);
  await download.saveAs(policy);
  const [verifier] = await Promise.all([context.waitForEvent('page'), open.click()]);
  await verifier.locator('#files').waitFor({ state: 'attached' });
  await verifier.setInputFiles('#files', [policy]);
  await verifier.waitForFunction(() => document.querySelector('#slots').innerText.includes('policy.txt'));
  await verifier.setInputFiles('#files', [harbour, path.join(folder, 'harbour-at-dusk.jpg.timemark')]);
  await verifier.waitForSelector('.card.verdict', { timeout: 60e3 });
  assert.match(await verifier.getAttribute('.card.verdict', 'class'), /verified/);
  await verifier.screenshot({ path: browsing.shot('verifier-1280.png') });
});

await browsing.end();
