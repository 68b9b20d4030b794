#!/usr/bin/env node
/* page.mjs: the page at / in Chromium: the ticker moves, the chart draws, subscribing and publishing
 * work by mouse and by keyboard, a lost connection comes back, phone and dark are readable.
 *
 * Keeps screenshots in build/e2e/.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { browserMissing, launchBrowser, openPage } from './support/browser.mjs';
import { check, eventually, pause, run, skip } from './support/checks.mjs';
import { curl } from './support/curl.mjs';
import { root, startServer } from './support/server.mjs';

const PICTURES = process.env.PICTURES ?? `${root}build/e2e`;

/* WCAG 2.1, success criterion 1.4.3. */
const CONTRAST_MIN = 4.5;

const textOf = (page, selector) => page.$eval(selector, (element) => element.textContent);
const rate = async (page) => Number((await textOf(page, '#rate-now')).replace(/\D/g, ''));
const isLive = (page, selector) => page.$eval(selector, (element) => element.dataset.state === 'live');
const messages = (page) => page.$$eval('#messages .body', (all) => all.map((one) => one.textContent));

function topicUrl(server, name) {
  return `${server.url}/topics/${name}`;
}

async function fill(page, selector, text) {
  await page.$eval(selector, (field) => { field.value = ''; });
  await page.type(selector, text);
}

async function subscribe(page, topics) {
  await fill(page, '#subscribe-topics', topics);
  await page.click('#subscribe-form button[type=submit]');
  await eventually('the subscription is live', () => isLive(page, '#subscribe-state'));
}

async function prices(page) {
  return page.$$eval('#ticker-rows tr', (rows) => Object.fromEntries(
    rows.map((row) => [row.dataset.symbol, row.querySelector('.price').textContent])));
}

async function ticker(page) {
  await check('the ticker shows itself, with a few dozen symbols, and is live', async () => {
    await eventually('the ticker is live', () => isLive(page, '#ticker-state'));
    const symbols = Object.keys(await prices(page));
    assert.ok(symbols.length >= 24, `${symbols.length} symbols`);
    assert.ok(await page.$eval('#ticker', (section) => section.checkVisibility()));
  });
  await check('its prices move', async () => {
    await eventually('half of the symbols have a price', async () => {
      const known = Object.values(await prices(page)).filter((price) => /\d/.test(price));
      return known.length >= 12;
    });
    const before = await prices(page);
    await eventually('ten prices have changed', async () => {
      const now = await prices(page);
      return Object.keys(now).filter((symbol) => now[symbol] !== before[symbol]).length >= 10;
    });
  });
  await check('the rate is over 0: in figures, in the chart and for screen readers', async () => {
    await eventually('the rate is over 0', async () => await rate(page) > 0);
    await pause(1500); // two samples more, so that the line has risen
    const { line, text, total } = await page.evaluate(() => ({
      line: document.querySelector('#rate-chart .line').getAttribute('d'),
      text: document.querySelector('#rate-text').textContent,
      total: document.querySelector('#rate-total').textContent,
    }));
    const heights = [...line.matchAll(/ ([\d.]+)/g)].map((match) => Number(match[1]));
    assert.equal(heights.length, 120);
    assert.ok(Math.min(...heights) < Math.max(...heights), 'the line rises');
    assert.match(text, /now [1-9]\d* messages per second/);
    assert.ok(Number(total.replace(/\D/g, '')) > 0);
  });
}

async function mouse(page, server) {
  await check('by mouse: what the page publishes, the page receives', async () => {
    await subscribe(page, 'mouse');
    await fill(page, '#publish-topic', 'mouse');
    await fill(page, '#publish-text', 'Größe: 3 €, 😀');
    await page.click('#publish-form button[type=submit]');
    await eventually('the message is in the list', async () => (await messages(page)).length === 1);
    assert.deepEqual(await messages(page), ['Größe: 3 €, 😀']);
    assert.match(await textOf(page, '#publish-result'), /offset 1: 1 receiver/);
  });
  await check('what is published from elsewhere comes too, newest first', async () => {
    await curl('-d', 'from a shell', topicUrl(server, 'mouse'));
    await eventually('both are there', async () => (await messages(page)).length === 2);
    assert.equal((await messages(page))[0], 'from a shell');
    assert.equal(await textOf(page, '#messages-count'), '2');
  });
  await check('bytes that are no text are shown as such', async () => {
    await curl('--data-binary', '\u0001\u0002', '-H', 'Content-Type: application/octet-stream',
      topicUrl(server, 'mouse'));
    await eventually('it is there', async () => (await messages(page)).length === 3);
    assert.equal((await messages(page))[0], '01 02');
    assert.match(await textOf(page, '#messages .about'), /binary, 2 bytes/);
  });
  await check('markup in a message is text, not part of the page', async () => {
    const markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    await curl('-d', markup, topicUrl(server, 'mouse'));
    await eventually('it is there', async () => (await messages(page)).length === 4);
    assert.equal((await messages(page))[0], markup);
    assert.equal(await page.$('#messages img, #messages script'), null);
    assert.equal(await page.title(), 'Fanwire');
  });
  await check('a paused list stands still while counting goes on; clearing empties it', async () => {
    await page.click('#messages-pause');
    await curl('-d', 'while paused', topicUrl(server, 'mouse'));
    await eventually('it is counted', async () => await textOf(page, '#messages-count') === '5');
    assert.equal((await messages(page)).length, 4);
    await page.click('#messages-pause');
    await eventually('it is shown', async () => (await messages(page))[0] === 'while paused');
    await page.click('#messages-clear');
    assert.deepEqual(await messages(page), []);
  });
  await check('one connection takes several topics', async () => {
    await subscribe(page, 'one, two');
    await curl('-d', 'first', topicUrl(server, 'one'));
    await curl('-d', 'second', topicUrl(server, 'two'));
    await eventually('both are there', async () => (await messages(page)).length === 2);
    assert.deepEqual(await messages(page), ['second', 'first']);
  });
  await check('a wrong topic is said to be wrong, next to its field', async () => {
    await fill(page, '#subscribe-topics', 'no spaces please');
    await page.click('#subscribe-form button[type=submit]');
    assert.match(await textOf(page, '#subscribe-error'), /no spaces please/);
    assert.equal(await page.$eval('#subscribe-topics', (field) => field.ariaInvalid), 'true');
  });
  await check('what the server refuses is shown', async () => {
    await fill(page, '#publish-topic', 'a,b');
    await page.click('#publish-form button[type=submit]');
    await eventually('there is an error', () => page.$('#publish-result.failed'));
  });
  await check('stopping ends the subscription', async () => {
    await page.click('#subscribe-stop');
    assert.ok(!await isLive(page, '#subscribe-state'));
    assert.equal(await page.evaluate(() => document.activeElement.id), 'subscribe-topics');
  });
}

/* Goes from field to field by the tab key until one is reached; each stop must be seen to be one. */
async function tabTo(page, selector) {
  for (let i = 0; i < 40; i += 1) {
    await page.keyboard.press('Tab');
    const { found, seen } = await page.evaluate((wanted) => ({
      found: document.activeElement.matches(wanted),
      // After the last field the focus is on the browser's own controls for one step.
      seen: document.activeElement === document.body
        || getComputedStyle(document.activeElement).outlineStyle !== 'none',
    }), selector);
    assert.ok(seen, 'the focus is visible');
    if (found) {
      return;
    }
  }
  throw new Error(`the tab key does not reach ${selector}`);
}

async function keyboard(browser, server) {
  const page = await openPage(browser, server.url);
  await check('by keyboard alone: subscribe, publish, read, stop', async () => {
    await tabTo(page, '#subscribe-topics');
    await page.keyboard.type('-keys'); // the tab key has selected what stood there
    await page.keyboard.press('Enter');
    await eventually('the subscription is live', () => isLive(page, '#subscribe-state'));
    await tabTo(page, '#publish-topic');
    await page.keyboard.type('-keys');
    await tabTo(page, '#publish-text');
    await page.keyboard.type('typed');
    await page.keyboard.down('Control');
    await page.keyboard.press('Enter');
    await page.keyboard.up('Control');
    await eventually('the message is in the list', async () => (await messages(page))[0] === 'typed');
    await tabTo(page, '#publish-form button[type=submit]');
    await page.keyboard.press('Enter');
    await eventually('it comes again', async () => (await messages(page)).length === 2);
    await tabTo(page, '#subscribe-stop');
    await page.keyboard.press('Space');
    assert.ok(!await isLive(page, '#subscribe-state'));
  });
  await check('the address names the topics, and brings them back', async () => {
    await page.goto(`${server.url}/#shared,again`);
    await page.reload();
    await eventually('the subscription is live', () => isLive(page, '#subscribe-state'));
    await curl('-d', 'shared', topicUrl(server, 'again'));
    await eventually('the message is there', async () => (await messages(page))[0] === 'shared');
  });
  await page.close();
}

/* The contrast of an element's text to what lies behind it, as WCAG 2.1 computes it; run in the page. */
function contrastsInPage(selectors) {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return channels(color)[3] === 0 ? behind(element.parentElement) : color;
  };
  return selectors.map((selector) => {
    const element = document.querySelector(selector);
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(behind(element))];
    return [selector, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
}

async function looks(browser, server) {
  const kinds = [['desk', 1280, 900], ['phone', 360, 740]];
  for (const [kind, width, height] of kinds) {
    for (const scheme of ['light', 'dark']) {
      const page = await openPage(browser, `${server.url}/#news`, { width, height });
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      await eventually('the page is live', () => isLive(page, '#subscribe-state'));
      await curl('-d', 'Goal! 2:1 in the 88th minute.', topicUrl(server, 'news'));
      await eventually('the message is there', async () => (await messages(page)).length > 0);
      await eventually('a price is there', async () => /\d/.test(Object.values(await prices(page)).join()));

      await check(`${kind}, ${scheme}: nothing is wider than the screen`, async () => {
        const { wide, inner } = await page.evaluate(() => ({
          wide: document.documentElement.scrollWidth, inner: window.innerWidth,
        }));
        assert.ok(wide <= inner, `${wide} of ${inner}`);
      });
      await check(`${kind}, ${scheme}: all text has a contrast of ${CONTRAST_MIN} or more`, async () => {
        await eventually('a price has risen and one has fallen', () => page.evaluate(() =>
          document.querySelector('tr.up') && document.querySelector('tr.down')));
        const contrasts = await page.evaluate(contrastsInPage, [
          'h1', 'h2', '.top .quiet', '#rate-now', '.unit', 'thead th', 'tbody th', 'tr.up .change',
          'tr.down .change', '#ticker-state', 'label', 'input', '.main-button', '#subscribe-stop',
          '.about', '.messages .body', '.shell code']);
        for (const [selector, contrast] of contrasts) {
          assert.ok(contrast >= CONTRAST_MIN, `${selector} has ${contrast.toFixed(2)}`);
        }
      });
      await pause(3000); // something for the chart to show
      await page.screenshot({ path: `${PICTURES}/page-${kind}-${scheme}.png`, fullPage: true });
      await page.close();
    }
  }
}

async function reconnecting(browser) {
  const first = await startServer(['serve']);
  const page = await openPage(browser, first.url);
  await subscribe(page, 'lasting');
  await check('a page whose server goes says so', async () => {
    assert.equal(await first.stop(), 0);
    await eventually('it waits', () => page.$('#subscribe-state[data-state=waiting]'));
    assert.match(await textOf(page, '#subscribe-state'), /next try in \d+ s/);
  });
  await check('and is back by itself when the server is', async () => {
    await pause(1500);
    const second = await startServer(['serve'], { listen: first.address });
    await eventually('it is live again', () => isLive(page, '#subscribe-state'), 20_000);
    await curl('-d', 'back again', topicUrl(second, 'lasting'));
    await eventually('messages come', async () => (await messages(page))[0] === 'back again');
    assert.equal(await second.stop(), 0);
  });
  await page.close();
}

async function withoutDemo(browser) {
  const server = await startServer(['serve']);
  const page = await openPage(browser, server.url);
  await check('without the demo feed there is no ticker, and no complaint', async () => {
    await subscribe(page, 'news');
    assert.ok(!await page.$eval('#ticker', (section) => section.checkVisibility()));
    assert.deepEqual(page.complaints, []);
  });
  await page.screenshot({ path: `${PICTURES}/page-plain.png`, fullPage: true });
  await page.close();
  await server.stop();
}

run(async () => {
  const missing = await browserMissing();
  if (missing) {
    skip('the page', missing);
    return;
  }
  await fs.mkdir(PICTURES, { recursive: true });
  const browser = await launchBrowser();
  const server = await startServer(['serve', '--demo']);
  const page = await openPage(browser, server.url);
  await ticker(page);
  await mouse(page, server);
  await check('nothing was refused by the policy, nothing was thrown', async () => {
    const real = page.complaints.filter((text) => !/status of 400|status of 404/.test(text));
    assert.deepEqual(real, []);
  });
  await page.close();
  await keyboard(browser, server);
  await looks(browser, server);
  await check('the server stops with 0 although pages are open', async () => {
    const last = await openPage(browser, server.url);
    await eventually('the ticker is live', () => isLive(last, '#ticker-state'));
    assert.equal(await server.stop(), 0);
    await last.close();
  });
  await withoutDemo(browser);
  await reconnecting(browser);
});
