// A browser on the pages of the service, held to what is always true of them; what axe-core finds, and pictures to look at.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

export class Browsing {
  // `shots` takes a picture of every page that is looked at; only checks whose names have `only` in them are made.
  static async start(repository, url, shots, only = '') {
    const require = createRequire(path.join(repository, 'target/peers/page/'));
    const { chromium } = require('playwright-core');
    const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
    fs.mkdirSync(shots, { recursive: true });
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu'] });
    return Object.assign(new Browsing(), { url, axe, shots, browser, only, failed: 0 });
  }

  // Somebody with a browser of their own: nothing comes from elsewhere, and nothing goes wrong unseen.
  async person(options = {}) {
    const context = await this.browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options });
    const page = await context.newPage();
    const [left, errors, addresses] = [[], [], []];
    context.on('request', (request) => {
      addresses.push(request.url());
      if (!request.url().startsWith(this.url) && !/^(blob|data):/.test(request.url())) left.push(request.url());
    });
    page.on('pageerror', (error) => errors.push(error.stack));
    // A status that a check provokes is told on the console as well.
    page.on('console', (message) => message.type() === 'error' && !message.text().startsWith('Failed to load resource') && errors.push(message.text()));
    return { context, page, left, errors, addresses };
  }

  async check(name, person, test) {
    try {
      await test(person.page, person.context);
      assert.deepEqual(person.left, [], 'requests that left');
      assert.deepEqual(person.errors, [], 'errors on the page');
      console.log(`ok      ${name}`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAILED  ${name}\n${error.stack}`);
      await person.page.screenshot({ path: this.shot(`failed ${name}.png`.replaceAll(/[^\w. -]/g, '')), fullPage: true }).catch(() => {});
    }
  }

  // The same in a browser that nobody used before, and nobody will after.
  async alone(name, test, options = {}) {
    if (!name.includes(this.only)) return;
    const person = await this.person(options);
    await this.check(name, person, test);
    await person.context.close();
  }

  shot(name) {
    return path.join(this.shots, name);
  }

  // What is shown now fits into the window, and axe-core has nothing grave to say of it; a picture for people to look at.
  async held(page, name) {
    const wide = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide[0] <= wide[1], `${name} is wider than the window: ${wide}`);
    await page.evaluate(this.axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
    assert.deepEqual(grave.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], name);
    for (const image of await page.locator('img[loading=lazy]').all()) await image.scrollIntoViewIfNeeded();
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: this.shot(`${name}.png`), fullPage: true });
  }

  async in(page, width, scheme) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: scheme });
  }

  // A page in both languages, wide and narrow: the one that is shown, or that of an address.
  async looked(page, name, address = page.url().slice(this.url.length), ready = async () => {}) {
    const [plain, hash] = address.replace(/([?&])lang=\w+&?/, '$1').replace(/[?&]$/, '').split('#');
    const to = (language) => `${this.url}${plain}${plain.includes('?') ? '&' : '?'}lang=${language}`;
    for (const language of ['en', 'zh']) {
      for (const [width, scheme] of [[1280, 'light'], [360, 'light'], [360, 'dark']]) {
        await this.in(page, width, scheme);
        await page.goto('about:blank'); // so that a # of the same page is loaded anew
        await page.goto(`${to(language)}${hash ? `#${hash}` : ''}`);
        await ready(page);
        await this.held(page, `${name}-${language}-${width}-${scheme}`);
      }
    }
    await this.in(page, 1280, 'light');
    await page.goto(to('en'));
  }

  // What is shown now, as it is, wide and narrow, light and dark.
  async lookedAsItIs(page, name) {
    for (const [width, scheme] of [[1280, 'light'], [1280, 'dark'], [360, 'light'], [360, 'dark']]) {
      await this.in(page, width, scheme);
      await page.waitForTimeout(100);
      await this.held(page, `${name}-${width}-${scheme}`);
    }
    await this.in(page, 1280, 'light');
  }

  async end() {
    await this.browser.close();
    process.exit(this.failed ? 1 : 0);
  }
}

// Drops files on the page.
export const drop = (page, ...files) => page.evaluate((files) => {
  const given = new DataTransfer();
  for (const { name, base64 } of files) given.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type: 'image/jpeg' }));
  for (const kind of ['dragenter', 'dragover', 'drop']) document.getElementById('drop').dispatchEvent(new DragEvent(kind, { dataTransfer: given, bubbles: true, cancelable: true }));
}, files.map((file) => ({ name: path.basename(file), base64: fs.readFileSync(file, 'base64') })));

// A record of a web archive: a picture that is unlike any other by its last bytes, which are its address.
export function record(target, file) {
  const picture = Buffer.concat([fs.readFileSync(file), Buffer.from(target)]);
  const head = `WARC/1.1\r\nWARC-Type: resource\r\nWARC-Target-URI: ${target}\r\nWARC-Date: 2026-11-19T02:11:40Z\r\nContent-Type: image/jpeg\r\nContent-Length: ${picture.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), picture, Buffer.from('\r\n\r\n')]);
}

// What a page for who reviews says, and shows.
export const said = (page, pattern) => page.waitForFunction((source) => new RegExp(source, 's').test(document.getElementById('said').textContent), pattern.source, { timeout: 20e3 });
export const shown = (page) => page.getAttribute('#match', 'data-id');
export const isSeen = (page, selector) => page.locator(selector).evaluate((image) => image.decode().then(() => image.naturalWidth > 0));
export const standings = (page) => page.evaluate(() => fetch('/v1/matches?limit=200').then((response) => response.json()).then(({ matches }) => matches.map(({ standing }) => standing)));

// Has files scanned, and waits for the end of that.
export async function scanned(page, url, files) {
  await page.goto(`${url}/scans`);
  await page.setInputFiles('#files', files);
  await page.waitForURL(/\/scans\/\d+$/);
  await page.waitForFunction(() => 'ended' in document.getElementById('dashboard').dataset, null, { timeout: 120e3 });
}
