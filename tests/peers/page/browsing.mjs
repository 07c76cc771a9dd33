// A browser on the pages of the service, held to what is always true of them; what axe-core finds, and pictures to look at.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

export class Browsing {
  // `shots` takes a picture of every page that is looked at.
  static async start(repository, url, shots) {
    const require = createRequire(path.join(repository, 'target/peers/page/'));
    const { chromium } = require('playwright-core');
    const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
    fs.mkdirSync(shots, { recursive: true });
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu'] });
    return Object.assign(new Browsing(), { url, axe, shots, browser, failed: 0 });
  }

  // Somebody with a browser of their own: nothing comes from elsewhere, and nothing goes wrong unseen.
  async person() {
    const context = await this.browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
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
      await person.page.screenshot({ path: path.join(this.shots, `failed ${name}.png`.replaceAll(/[^\w. -]/g, '')), fullPage: true }).catch(() => {});
    }
  }

  // What axe-core finds, in both languages, wide and narrow; a picture of each for people to look at.
  async looked(page, name, address, ready = async () => {}) {
    for (const language of ['en', 'zh']) {
      for (const [width, scheme] of [[1280, 'light'], [360, 'light'], [360, 'dark']]) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme: scheme });
        const [plain, hash] = address.split('#');
        await page.goto('about:blank'); // so that a # of the same page is loaded anew
        await page.goto(`${this.url}${plain}${plain.includes('?') ? '&' : '?'}lang=${language}${hash ? `#${hash}` : ''}`);
        await ready(page);
        const wide = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(wide[0] <= wide[1], `${name} in ${language} is wider than the window: ${wide}`);
        await page.evaluate(this.axe);
        const { violations } = await page.evaluate(() => window.axe.run());
        const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
        assert.deepEqual(grave.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], `${name} in ${language}, ${width}, ${scheme}`);
        await page.evaluate(() => scrollTo(0, 0));
        await page.screenshot({ path: path.join(this.shots, `${name}-${language}-${width}-${scheme}.png`), fullPage: true });
      }
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto(`${this.url}${address.split('#')[0]}?lang=en`);
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
