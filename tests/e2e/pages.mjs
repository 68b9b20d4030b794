#!/usr/bin/env node
/* pages.mjs: the pages at /chat and /ticker in Chromium, and what all do when a token is wanted.
 *
 * Keeps screenshots in build/e2e/.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRelay } from './support/between.mjs';
import { browserMissing, launchBrowser, openPage } from './support/browser.mjs';
import { atEnd, check, eventually, pause, run, skip } from './support/checks.mjs';
import {
  assertContrasts, assertFits, assertNamed, CONTRAST_MIN, fill, isLive, PICTURES, realComplaints, stateOf,
  tabTo, textOf, textsOf,
} from './support/page.mjs';
import { runToEnd, startServer } from './support/server.mjs';

const said = (page) => textsOf(page, '#log .body');
const names = (page) => textsOf(page, '#log .who');

/* Strings that would do something if they became part of a page. */
const MARKUP = [
  '<img src=x onerror="document.title=1">', '<script>document.title=2</script>',
  '"><svg onload=document.title=3>', '</li></ol><h1>taken over</h1>', 'javascript:document.title=4',
  '{{7*7}}${7*7}', '&lt;b&gt;', '\u202egnp.exe',
];

async function say(server, room, message) {
  const body = typeof message === 'string' ? message : JSON.stringify(message);
  const response = await fetch(`${server.url}/topics/chat.${room}`, { method: 'POST', body });
  assert.ok(response.ok, `published: ${response.status}`);
}

async function enter(page, room) {
  await fill(page, '#room', room);
  await page.click('#room-form button');
  await eventually('the room is live', () => isLive(page, '#state'));
}

async function chat(browser, server) {
  const ada = await openPage(browser, `${server.url}/chat#two`);
  const grace = await openPage(browser, `${server.url}/chat#two`);
  await check('chat: what one says the other reads, by name', async () => {
    for (const [page, name] of [[ada, 'Ada'], [grace, 'Grace']]) {
      await page.bringToFront();
      await eventually('the room is live', () => isLive(page, '#state'));
      await fill(page, '#name', name);
    }
    await ada.bringToFront();
    await fill(ada, '#text', 'Größe: 3 €, 😀');
    await ada.click('#say-form button');
    await eventually('it is there', async () => (await said(grace)).length === 1);
    await grace.bringToFront();
    await fill(grace, '#text', 'Indeed');
    await grace.click('#say-form button');
    for (const page of [ada, grace]) {
      await eventually('both are there', async () => (await said(page)).length === 2);
      assert.deepEqual(await said(page), ['Größe: 3 €, 😀', 'Indeed']);
      assert.deepEqual(await names(page), ['Ada', 'Grace']);
    }
    assert.equal(await ada.$eval('#text', (field) => field.value), '');
  });
  await check('chat: who comes in reads the last 50', async () => {
    for (let i = 1; i <= 60; i += 1) {
      await say(server, 'long', { name: 'Ada', text: `number ${i}`, at: 1e12 });
    }
    await enter(grace, 'long');
    await eventually('they are there', async () => (await said(grace)).length === 50);
    await pause(200);
    assert.deepEqual(await said(grace), Array.from({ length: 50 }, (_, i) => `number ${i + 11}`));
    assert.ok(await grace.$eval('#log', (log) => log.scrollTop > 0), 'the newest is seen');
    assert.equal(new URL(grace.url()).hash, '#long');
  });
  await check('chat: a room has its own messages; one whose name is wrong is refused', async () => {
    await enter(grace, 'empty');
    assert.deepEqual(await said(grace), []);
    await fill(grace, '#room', 'no spaces');
    await grace.click('#room-form button');
    assert.match(await textOf(grace, '#room-error'), /no spaces/);
  });
  await check('chat: markup in names and messages is text', async () => {
    await enter(grace, 'markup');
    for (const markup of MARKUP) {
      await say(server, 'markup', { name: markup.slice(0, 40), text: markup, at: 'now' });
    }
    await eventually('all are there', async () => (await said(grace)).length === MARKUP.length);
    assert.deepEqual(await said(grace), MARKUP);
    assert.deepEqual(await names(grace), MARKUP.map((markup) => markup.slice(0, 40).trim()));
    assert.equal(await grace.$('#log img, #log script, #log svg, #log h1, #log a'), null);
    assert.equal(await grace.title(), 'Chat · Fanwire');
    await enter(grace, 'two');
    await grace.goto(`${server.url}/chat#<img src=x onerror=document.title=5>`);
    assert.equal(await grace.title(), 'Chat · Fanwire');
  });
  await check('chat: what is not of a chat is shown as it is', async () => {
    await ada.bringToFront();
    await enter(ada, 'odd');
    const odd = ['hello from curl', '{"text":7}', '[]', 'null', '{"name":["x"],"text":"no name"}',
      JSON.stringify({ name: 'x'.repeat(100), text: 'y'.repeat(5000), at: 1e300 })];
    for (const text of odd) {
      await say(server, 'odd', text);
    }
    await eventually('all are there', async () => (await said(ada)).length === odd.length);
    const bodies = await said(ada);
    assert.deepEqual(bodies.slice(0, 5), [...odd.slice(0, 4), 'no name']);
    assert.equal(bodies[5].length, 2001);
    assert.deepEqual((await names(ada)).slice(0, 5), Array(5).fill('somebody'));
    assert.equal((await names(ada))[5].length, 41);
    await assertFits(ada);
  });
  for (const page of [ada, grace]) {
    assert.deepEqual(realComplaints(page), []);
    await page.close();
  }
}

async function chatByKeyboard(browser, server) {
  const page = await openPage(browser, `${server.url}/chat`);
  await check('chat: by keyboard alone: room, name, message', async () => {
    await eventually('the room is live', () => isLive(page, '#state'));
    await tabTo(page, '#room');
    await page.keyboard.type('keys'); // the tab key has selected what stood there
    await page.keyboard.press('Enter');
    await eventually('it is entered', async () => await textOf(page, '#room-name') === 'keys');
    await eventually('the room is live', () => isLive(page, '#state'));
    await tabTo(page, '#name');
    await page.keyboard.type('Ada');
    await tabTo(page, '#text');
    for (const text of ['one', 'two']) {
      await page.keyboard.type(text);
      await page.keyboard.press('Enter');
      await eventually('it is said', async () => (await said(page)).at(-1) === text);
    }
    await eventually('new messages are announced', () =>
      page.$eval('#log', (log) => log.ariaLive === 'polite'));
    await assertNamed(page);
  });
  await check('chat: the name outlasts a reload', async () => {
    await page.reload();
    assert.equal(await page.$eval('#name', (field) => field.value), 'Ada');
    await eventually('the messages are back', async () => (await said(page)).length === 2);
  });
  await page.close();
}

async function chatThatIsCut(browser, server) {
  const relay = await startRelay(server.port);
  const page = await openPage(browser, `${relay.url}/chat#cut`);
  await check('chat: a cut connection misses and repeats nothing', async () => {
    await eventually('the room is live', () => isLive(page, '#state'));
    await say(server, 'cut', { name: 'Ada', text: 'before' });
    await eventually('it is there', async () => (await said(page)).length === 1);
    relay.cut();
    await say(server, 'cut', { name: 'Ada', text: 'meanwhile' });
    await eventually('it is there', async () => (await said(page)).length === 2);
    assert.deepEqual(await said(page), ['before', 'meanwhile']);
    assert.match(await textOf(page, '#state'), /nothing missed/);
    assert.equal(await page.$('#log .gap'), null);
  });
  await page.close();
}

async function prices(page) {
  return page.$$eval('#ticker-rows tr', (rows) => Object.fromEntries(
    rows.map((row) => [row.dataset.symbol, row.querySelector('.price').textContent])));
}

async function ticker(browser, server) {
  const page = await openPage(browser, `${server.url}/ticker`);
  await check('ticker: a few dozen symbols have a price and a line at once, from history', async () => {
    await eventually('the ticker is live', () => isLive(page, '#ticker-state'));
    await eventually('all have a price', async () => {
      const all = Object.values(await prices(page));
      return all.length >= 24 && all.every((price) => /\d/.test(price));
    }, 2000);
    const lines = await page.$$eval('#ticker-rows path', (all) => all.map((one) => one.getAttribute('d')));
    assert.ok(lines.filter((line) => (line.match(/L/g) ?? []).length >= 3).length >= 12, 'they have lines');
  });
  await check('ticker: prices move', async () => {
    const before = await prices(page);
    await eventually('ten have changed', async () => {
      const now = await prices(page);
      return Object.keys(now).filter((symbol) => now[symbol] !== before[symbol]).length >= 10;
    });
    assert.deepEqual(realComplaints(page), []);
  });
  await check('ticker: what is no price of a symbol is passed over', async () => {
    for (const body of ['{', 'null', '{"symbol":"FNWR"}', '{"symbol":"<b>","price":1,"change":1}']) {
      await fetch(`${server.url}/topics/ticker.FNWR`, { method: 'POST', body });
    }
    await pause(300);
    assert.equal(Object.keys(await prices(page)).length, 24);
    assert.ok(await isLive(page, '#ticker-state'));
    assert.deepEqual(realComplaints(page), []);
  });
  await page.close();
}

async function tickerWithoutDemo(browser) {
  const server = await startServer(['serve']);
  const page = await openPage(browser, `${server.url}/ticker`);
  await check('ticker: without the demo feed the page says how to have it', async () => {
    await eventually('it says so', () => page.$eval('#without', (section) => section.checkVisibility()));
    assert.ok(!await page.$eval('#ticker', (section) => section.checkVisibility()));
    assert.deepEqual(realComplaints(page), []);
  });
  await page.close();
  await server.stop();
}

async function looks(browser, server) {
  const paths = {
    chat: ['.brand', 'h1', 'nav a', '#state', 'label', 'input', '#room-form button', '.main-button',
      '.who', '.about', '.log .body', '.position code'],
    ticker: ['h1', '#ticker-state', 'thead th', 'tbody th', 'tr.up .change', 'tr.down .change'],
  };
  await say(server, 'lobby', { name: 'Ada', text: 'Kick-off in five minutes.', at: Date.now() });
  for (const [kind, width, height] of [['desk', 1280, 900], ['phone', 360, 740]]) {
    for (const scheme of ['light', 'dark']) {
      for (const [name, selectors] of Object.entries(paths)) {
        const page = await openPage(browser, 'about:blank', { width, height });
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
        await page.goto(`${server.url}/${name}`);
        await check(`${name}, ${kind}, ${scheme}: fits, and has a contrast of ${CONTRAST_MIN}`, async () => {
          await eventually('it is there', () => page.evaluate((all) =>
            all.every((selector) => document.querySelector(selector)), selectors));
          await eventually('it is live', () => isLive(page, name === 'chat' ? '#state' : '#ticker-state'));
          await assertFits(page);
          await assertContrasts(page, selectors);
          await assertNamed(page);
        });
        await page.screenshot({ path: `${PICTURES}/${name}-${kind}-${scheme}.png`, fullPage: true });
        await page.close();
      }
    }
  }
}

const asked = (page) => page.$('#token-dialog[open]');
const reason = (page) => textOf(page, '#token-reason');

async function give(page, token) {
  await eventually('it is asked for', () => asked(page));
  await page.keyboard.type(token); // the question has the focus
  await page.keyboard.press('Enter');
}

/* A secret that a server checks tokens with, and tokens made with it. */
function makeTokens() {
  const folder = mkdtempSync(join(tmpdir(), 'fanwire-pages-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const key = join(folder, 'secret');
  writeFileSync(key, 'correct horse battery staple 123\n');
  const make = (...flags) => {
    const { status, stdout, stderr } = runToEnd(['token', '--key', key, ...flags]);
    assert.equal(status, 0, stderr);
    return stdout.trim();
  };
  const all = ['--subscribe', '*', '--publish', '*', '--observe'];
  return {
    key,
    weak: make('--subscribe', 'other', '--expires', '1h'),
    good: make('--sub', 'good', ...all),
    next: make('--sub', 'next', ...all),
    short: (time) => make('--sub', 'short', '--expires', time, ...all),
  };
}

/* What a page sends as tokens from now on: "Authorization TOKEN", "subprotocol TOKEN". */
async function watchTokens(page) {
  const sent = [];
  const session = await page.createCDPSession();
  const note = (kind, text, pattern) => {
    const found = pattern.exec(text ?? '');
    if (found) {
      sent.push(`${kind} ${found[1]}`);
    }
  };
  page.on('request', (request) => note('Authorization', request.headers().authorization, /^Bearer (.+)$/));
  session.on('Network.webSocketWillSendHandshakeRequest', ({ request }) =>
    note('subprotocol', request.headers['Sec-WebSocket-Protocol'], /bearer\.([^, ]+)/));
  await session.send('Network.enable');
  return sent;
}

async function credential(browser) {
  const tokens = makeTokens();
  const server = await startServer(['serve', '--demo', '--token-key', tokens.key, '--token-skew', '0']);
  const page = await openPage(browser, `${server.url}/`);
  const sent = await watchTokens(page);
  await check('token: a refused figure asks for it, and says why', async () => {
    await eventually('it is asked for', () => asked(page));
    assert.match(await reason(page), /wants to know who asks: this needs a credential/);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'token-field');
    await page.screenshot({ path: `${PICTURES}/token.png` });
  });
  await check('token: what cannot be one is not sent', async () => {
    const before = sent.length;
    await page.keyboard.press('Enter');
    assert.match(await textOf(page, '#token-error'), /Paste a token/);
    await page.keyboard.type('no\u00e9 spaces');
    await page.keyboard.press('Enter');
    assert.match(await textOf(page, '#token-error'), /no token/);
    assert.ok(await asked(page));
    assert.equal(sent.length, before);
    await page.$eval('#token-field', (field) => { field.value = ''; });
  });
  await check('token: a wrong one is asked for again; the right one shows the figures', async () => {
    await give(page, tokens.weak);
    await eventually('it is asked again', async () =>
      await asked(page) && /does not allow/.test(await reason(page)));
    await give(page, tokens.good);
    await eventually('there are figures', () => page.$('#topics-rows tr'));
    assert.equal(await asked(page), null);
    assert.ok(sent.includes(`Authorization ${tokens.weak}`));
    assert.ok(sent.includes(`Authorization ${tokens.good}`));
  });
  await check('token: WebSockets have it as a subprotocol, publishing as Authorization', async () => {
    await fill(page, '#subscribe-topics', 'guarded');
    await page.click('#subscribe-form button[type=submit]');
    await eventually('the subscription is live', () => isLive(page, '#subscribe-state'));
    assert.ok(sent.includes(`subprotocol ${tokens.good}`));
    await fill(page, '#publish-topic', 'guarded');
    await fill(page, '#publish-text', 'with a token');
    await page.click('#publish-form button[type=submit]');
    await eventually('it has come', async () =>
      (await textsOf(page, '#messages .body'))[0] === 'with a token');
  });
  await check('token: it is nowhere but in this tab: not in the address, cookies or local storage', async () => {
    const { where, session } = await page.evaluate(() => ({
      where: location.href + document.cookie + JSON.stringify(localStorage)
        + document.documentElement.outerHTML,
      session: JSON.stringify(sessionStorage),
    }));
    assert.ok(!where.includes(tokens.good));
    assert.ok(session.includes(tokens.good));
    await page.reload();
    await eventually('a reload keeps it', () => isLive(page, '#subscribe-state'));
    const other = await openPage(browser, `${server.url}/`);
    await eventually('another tab is asked', () => asked(other));
    await other.close();
    await page.bringToFront();
  });
  await check('token: one that expires is asked for, and the subscription goes on', async () => {
    await page.click('#credential');
    await give(page, tokens.short('4s'));
    await eventually('it is live with another', () => isLive(page, '#subscribe-state'));
    await eventually('it is asked for', () => asked(page));
    await give(page, tokens.next);
    await eventually('it is live again', async () =>
      /nothing missed/.test(await textOf(page, '#subscribe-state')));
  });
  await check('token: forgetting it asks again; a dismissed question stays away but can be had', async () => {
    await page.click('#credential');
    await eventually('it is asked for', () => asked(page));
    await page.keyboard.press('Escape');
    await eventually('the page says what it cannot show', async () =>
      /does not tell its figures/.test(await textOf(page, '#refusal')));
    await eventually('the subscription is refused', async () =>
      await stateOf(page, '#subscribe-state') === 'refused');
    await pause(2500); // it goes on asking the server, not the user
    assert.equal(await asked(page), null);
    await page.click('#publish-form button[type=submit]');
    await eventually('who presses a button is asked', () => asked(page));
    await page.keyboard.press('Escape');
    await eventually('it is said', async () => /Not published/.test(await textOf(page, '#publish-result')));
    await tabTo(page, '#credential');
    await page.keyboard.press('Enter');
    await give(page, tokens.next);
    await eventually('it is live again', () => isLive(page, '#subscribe-state'));
    await eventually('there are figures', async () => await textOf(page, '#refusal') === '');
  });
  assert.deepEqual(realComplaints(page), []);
  await page.close();
  await check('token: the chat asks for it, too', async () => {
    const room = await openPage(browser, `${server.url}/chat`);
    await give(room, tokens.next);
    await eventually('the room is live', () => isLive(room, '#state'));
    assert.deepEqual(realComplaints(room), []);
    await room.close();
  });
  assert.doesNotMatch(server.output(), /eyJ/, 'the log has no token');
  assert.equal(await server.stop(), 0);
}

run(async () => {
  const missing = await browserMissing();
  if (missing) {
    skip('the pages', missing);
    return;
  }
  await fs.mkdir(PICTURES, { recursive: true });
  const browser = await launchBrowser();
  const server = await startServer(['serve', '--demo']);
  await chat(browser, server);
  await chatByKeyboard(browser, server);
  await chatThatIsCut(browser, server);
  await ticker(browser, server);
  await looks(browser, server);
  await credential(browser);
  await tickerWithoutDemo(browser);
  assert.equal(await server.stop(), 0);
});
