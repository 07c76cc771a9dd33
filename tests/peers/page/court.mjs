// A court's day: the page out of a bundle is opened from disk, with the network off and the server that made the bundle gone.
//
// node court.mjs REPOSITORY CASE BUNDLE POLICY: CASE is the unpacked bundle; POLICY came by another way, as from the
// operator's site.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [repository, unpacked, bundle, policy] = process.argv.slice(2);
const { chromium } = createRequire(path.join(repository, 'target/peers/page/'))('playwright-core');
const shots = path.join(repository, 'target/page/court');
const digest = crypto.createHash('sha256').update(fs.readFileSync(policy)).digest('hex');
const LINES = {
  'zh-CN': ['已核验', '证据包完整，其中每份收据均成立'],
  'en-GB': ['Verified', 'the bundle is whole and every receipt in it holds'],
};

fs.mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu'] });
let failed = 0;

// Opens a file of the bundle, and holds it to what is always true: no request leaves, and nothing goes wrong unseen.
async function check(name, file, locale, test) {
  const context = await browser.newContext({ offline: true, locale, viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const [left, errors] = [[], []];
  context.on('request', (request) => /^(file|blob|data):/.test(request.url()) || left.push(request.url()));
  page.on('pageerror', (error) => errors.push(error.stack));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  try {
    await page.goto(`file://${path.join(unpacked, file)}`);
    await test(page);
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 900 });
      await page.waitForTimeout(100);
      await page.screenshot({ path: path.join(shots, `${path.basename(file, '.html')}-${locale}-${width}.png`), fullPage: true });
    }
    assert.deepEqual(left, [], 'requests that left');
    assert.deepEqual(errors, [], 'errors on the page');
    console.log(`ok      ${name} (${locale})`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name} (${locale})\n${error.stack}`);
  } finally {
    await context.close();
  }
}

for (const [locale, line] of Object.entries(LINES)) {
  await check('the bundle is verified under the policy whose digest is confirmed', 'verify.html', locale, async (page) => {
    await page.setInputFiles('#files', bundle);
    await page.waitForSelector('.card.verdict.undecided', { timeout: 60e3 });
    assert.ok(!(await page.content()).includes(digest), 'the digest to confirm must come from elsewhere');
    await page.fill('#confirm-digest', digest);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.card.verdict.verified', { timeout: 60e3 });
    const lang = locale === 'zh-CN' ? 'zh-CN' : 'en';
    assert.equal(await page.getAttribute('html', 'lang'), lang);
    const said = await page.innerText(`.verdict-title[lang=${lang}]`);
    for (const words of line) assert.ok(said.includes(words), said);
    assert.ok((await page.innerText('.card.verdict .trust')).includes(digest));
    const width = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(width[0] <= width[1], `${width}`);
  });
}

await check('work and suspect are side by side', 'matches/index.html', 'zh-CN', async (page) => {
  const pictures = await page.locator('image').evaluateAll((all) => Promise.all(all.map(async ({ href }) => {
    const picture = Object.assign(new Image(), { src: href.baseVal });
    await picture.decode();
    return picture.naturalWidth;
  })));
  assert.ok(pictures.length >= 2 && pictures.every(Boolean), `${pictures}`);
  assert.match(await page.innerText('body'), /shop\.jpg/);
});

await check('the checklist tells who supplied what', 'checklist.html', 'zh-CN', async (page) => {
  assert.match(await page.innerText('body'), /未提供/);
});

await browser.close();
process.exit(failed ? 1 : 0);
