// What every browser script stands on: Debian's chromium driven by playwright-core, axe-core's judgement, and a
// conversation in JSON lines with the Rust test that started it (e2e/src/browser.rs).
//
// In, on standard input: one line with what the script is given, then one line per answer to what it asks.
// Out, on standard output, a line each: {"passed": step}, {"failed": step, "why"}, {"ask": what, "with": value}, {"end": true}.
// Nothing but loopback is reachable from the browser. Whatever the page complains about is a failure of the step in which it
// did: errors on the console (a violated content security policy is one), exceptions, failed requests, answers from 400 up.

import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import path from 'node:path';

const require = createRequire(path.join(process.env.SILHOUETTE_NODE_TOOLS, 'here.js'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 360, height: 740 };

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Throws with `why` unless `condition`. */
export function must(condition, why) {
  if (!condition) throw new Error(why);
}

export class Session {
  static async start() {
    const session = new Session();
    session.lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    session.given = await session.#line();
    session.pictures = session.given.screenshots;
    mkdirSync(session.pictures, { recursive: true });
    session.browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: [
        '--disable-gpu',
        '--disable-quic',
        '--disable-dev-shm-usage',
        // Names lead nowhere, addresses other than this machine's neither.
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
      ],
    });
    await session.fresh();
    return session;
  }

  /** A context with no cookies: somebody else's browser. */
  async fresh(options = {}) {
    await this.context?.close();
    this.context = await this.browser.newContext({ viewport: WIDE, locale: 'en-GB', timezoneId: 'UTC', reducedMotion: 'reduce', ...options });
    this.context.setDefaultTimeout(60_000);
    this.faults = [];
    this.page = await this.context.newPage();
    this.#listen(this.page);
    return this.page;
  }

  #listen(page) {
    const fault = (text) => this.faults.push(text);
    page.on('console', (message) => {
      if (message.type() === 'error') fault(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => fault(`exception: ${error.stack ?? error}`));
    page.on('request', (request) => {
      const url = new URL(request.url());
      const local = ['127.0.0.1', 'localhost'].includes(url.hostname) || ['data:', 'blob:', 'about:'].includes(url.protocol);
      if (!local) fault(`leaves this machine: ${request.method()} ${request.url()}`);
    });
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText;
      // Who leaves a page does not wait for its answers.
      if (why !== 'net::ERR_ABORTED') fault(`request failed: ${request.method()} ${request.url()}: ${why}`);
    });
    page.on('response', (response) => {
      if (response.status() >= 400) fault(`answer ${response.status()}: ${response.request().method()} ${response.url()}`);
    });
  }

  async #line() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('the test that started this script is gone');
    return JSON.parse(value);
  }

  /** Lets the Rust test do something, and waits for what it answers. */
  async ask(what, value = null) {
    say({ ask: what, with: value });
    const answer = await this.#line();
    if (answer.error) throw new Error(`${what}: ${answer.error}`);
    return answer.value;
  }

  /** One step: passes when `work` does not throw and the page complained about nothing that was not expected. */
  async step(name, work) {
    this.expected = [];
    try {
      await work(this.page);
      await this.page.waitForLoadState('load');
      for (const pattern of this.expected) {
        must(this.faults.some((fault) => pattern.test(fault)), `expected ${pattern}, and it did not come`);
      }
      const faults = this.faults.filter((fault) => !this.expected.some((pattern) => pattern.test(fault)));
      must(faults.length === 0, faults.join('\n'));
      say({ passed: name });
      return true;
    } catch (error) {
      const file = path.join(this.pictures, `failed-${slug(name)}.png`);
      const seen = await this.page.screenshot({ path: file, fullPage: true }).then(() => `\nseen in ${file}`, () => '');
      const rest = this.faults.length ? `\nthe page complained:\n${this.faults.join('\n')}` : '';
      say({ failed: name, why: `${error.message ?? error}\nat ${this.page.url()}${seen}${rest}` });
      return false;
    } finally {
      this.faults.length = 0;
    }
  }

  /** Within this step the page may complain so, and has to. */
  expect(...patterns) {
    this.expected.push(...patterns);
  }

  /** Does what leads to another page, or to this one anew, and waits until that is there. */
  async leads(act, page = this.page) {
    await Promise.all([page.waitForEvent('load'), act()]);
  }

  /**
   * What must hold of every page: axe finds nothing serious in light and dark, and 360 pixels are wide enough. Leaves a
   * picture of each.
   */
  async judge(name, page = this.page) {
    const found = [];
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.screenshot({ path: path.join(this.pictures, `${slug(name)}-${colorScheme}.png`), fullPage: true });
      found.push(...(await violations(page)).map((text) => `${colorScheme}: ${text}`));
    }
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
    await page.setViewportSize(NARROW);
    await page.screenshot({ path: path.join(this.pictures, `${slug(name)}-narrow.png`), fullPage: true });
    found.push(...(await overflow(page)));
    found.push(...(await violations(page)).map((text) => `narrow: ${text}`));
    await page.setViewportSize(WIDE);
    must(found.length === 0, found.join('\n'));
  }

  /** Presses Tab until `locator` has the focus, as somebody without a mouse does. */
  async tabTo(locator, most = 120) {
    const page = this.page;
    for (let pressed = 0; pressed <= most; pressed += 1) {
      if (await locator.evaluate((element) => element === document.activeElement).catch(() => false)) {
        const seen = await focusSeen(page);
        must(seen, `nothing shows that ${locator} has the focus`);
        return;
      }
      await page.keyboard.press('Tab');
    }
    throw new Error(`${most} times Tab do not reach ${locator}`);
  }

  async end() {
    await this.context.close();
    await this.browser.close();
    say({ end: true });
    process.exit(0);
  }
}

function slug(name) {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
}

/** axe's serious and critical findings, with the elements. */
async function violations(page) {
  await page.evaluate(axe);
  const result = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  );
  const grave = result.violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  return grave.map(({ id, impact, help, nodes }) => {
    const places = nodes.slice(0, 5).map((node) => `  ${node.html.slice(0, 200)}: ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message ?? ''}`);
    return `axe: ${impact} ${id}: ${help} (${nodes.length})\n${places.join('\n')}`;
  });
}

/** What is wider than the window, when the page can be scrolled sideways. */
async function overflow(page) {
  return page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    const root = document.scrollingElement;
    if (root.scrollWidth <= room) return [];
    const scrolls = (element) => {
      for (let above = element.parentElement; above && above !== document.body; above = above.parentElement) {
        if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(above).overflowX)) return true;
      }
      return false;
    };
    const wide = [...document.body.querySelectorAll('*')].filter((element) => element.getBoundingClientRect().right > room + 0.5 && !scrolls(element));
    const shown = wide.slice(0, 5).map((element) => `  ${element.outerHTML.slice(0, 160).replaceAll('\n', ' ')}`);
    return [`${root.scrollWidth} pixels wide on a screen of ${room}:\n${shown.join('\n')}`];
  });
}

/** Whether the element with the focus looks otherwise than without it. */
async function focusSeen(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    const look = () => {
      const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor, backgroundColor, textDecorationLine } = getComputedStyle(element);
      return JSON.stringify([outlineStyle === 'none' ? '' : `${outlineWidth} ${outlineColor}`, boxShadow, borderColor, backgroundColor, textDecorationLine]);
    };
    const focused = look();
    element.blur();
    const resting = look();
    element.focus();
    return focused !== resting;
  });
}
