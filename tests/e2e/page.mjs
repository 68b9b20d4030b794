#!/usr/bin/env node
/* page.mjs: the page at / in Chromium: the server's figures move, subscribing and publishing work by
 * mouse and by keyboard, a lost connection comes back to its position, phone and dark are readable.
 *
 * Keeps screenshots in build/e2e/.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import net from 'node:net';
import { freePort, startRelay } from './support/between.mjs';
import { browserMissing, launchBrowser, openPage } from './support/browser.mjs';
import { atEnd, check, eventually, pause, run, skip } from './support/checks.mjs';
import { curl } from './support/curl.mjs';
import {
  assertContrasts, assertFits, assertNamed, CONTRAST_MIN, fill, isLive, PICTURES, realComplaints, tabTo,
  textOf, textsOf,
} from './support/page.mjs';
import { startServer } from './support/server.mjs';

const numberOf = async (page, selector) =>
  Number((await textOf(page, selector)).replace(/[^\d.]/g, ''));
const messages = (page) => textsOf(page, '#messages .body');

function topicUrl(server, name) {
  return `${server.url}/topics/${name}`;
}

async function subscribe(page, topics) {
  await fill(page, '#subscribe-topics', topics);
  await page.click('#subscribe-form button[type=submit]');
  await eventually('the subscription is live', () => isLive(page, '#subscribe-state'));
}

/* A row of the list of topics, by its heads; null when it is not there. */
async function topicRow(page, name) {
  const rows = await page.$$eval('#topics-rows tr', (all) => all.map((row) =>
    [...row.children].map((cell) => cell.textContent)));
  const row = rows.find(([topic]) => topic === name);
  return row ? { rate: row[1], messages: row[2], ws: row[3], sse: row[4], longpoll: row[5] } : null;
}

async function figures(page, server) {
  await check('the rate is over 0: in figures, in the chart and for screen readers', async () => {
    await eventually('the rate is over 0', async () => await numberOf(page, '#rate-now') > 0);
    await pause(2500); // two samples more, so that the line has risen
    const { line, text } = await page.evaluate(() => ({
      line: document.querySelector('#rate-chart .line').getAttribute('d'),
      text: document.querySelector('#rate-text').textContent,
    }));
    const heights = [...line.matchAll(/ ([\d.]+)/g)].map((match) => Number(match[1]));
    assert.equal(heights.length, 60);
    assert.ok(Math.min(...heights) < Math.max(...heights), 'the line rises');
    assert.match(text, /now [1-9]\d* messages per second/);
  });
  await check('the rate is the demo feed\'s: about 100 messages a second', async () => {
    await eventually('it is between 50 and 120', async () => {
      const rate = await numberOf(page, '#rate-now');
      return rate > 50 && rate < 120;
    });
  });
  await check('all topics are listed, with their rates', async () => {
    assert.equal(await numberOf(page, '#topics-count'), 24);
    const rates = await textsOf(page, '#topics-rows tr td:nth-child(2)');
    assert.equal(rates.length, 24);
    assert.ok(rates.filter((rate) => Number(rate) > 0).length >= 12, rates.join(' '));
  });
  await check('a name in the list that is followed subscribes to it', async () => {
    await page.click('#topics-rows a');
    await eventually('the subscription is live', () => isLive(page, '#subscribe-state'));
    assert.match(await page.$eval('#subscribe-topics', (field) => field.value), /^ticker\.[A-Z]+$/);
    await eventually('messages come', async () => (await messages(page)).length > 0);
    await eventually('deliveries are counted', async () => await numberOf(page, '#deliveries') > 0);
    await page.click('#subscribe-stop');
    await page.click('#messages-clear');
  });
  await check('subscribers are counted by transport', async () => {
    const ends = new AbortController();
    atEnd(() => ends.abort());
    // Read to their ends: an answer that nobody holds is collected, and its connection closed.
    const other = (headers) => fetch(topicUrl(server, 'mixed'), { headers, signal: ends.signal })
      .then((answer) => answer.text()).catch(() => null);
    const others = [other({ Accept: 'text/event-stream' }), other({}), other({})];
    await subscribe(page, 'mixed');
    await eventually('there is one, one and two', async () => {
      const row = await topicRow(page, 'mixed');
      return row && `${row.ws} ${row.sse} ${row.longpoll}` === '1 1 2';
    });
    assert.equal(await textOf(page, '#subscribers-sse'), '1');
    assert.equal(await textOf(page, '#subscribers-longpoll'), '2');
    ends.abort();
    await Promise.all(others);
    await eventually('they are gone', async () => (await topicRow(page, 'mixed')).longpoll === '0');
  });
}

/* Subscribes, and reads nothing. */
function deafSubscriber(server, topic) {
  const socket = net.connect({ port: server.port, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.pause();
  socket.write(`GET /topics/${topic} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n`
    + 'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
    + 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
  atEnd(() => socket.destroy());
  return socket;
}

async function slow(browser) {
  const server = await startServer(['serve', '--topic', 'deaf:policy=drop-oldest']);
  const page = await openPage(browser, server.url);
  await check('who is slow is listed, until it is gone', async () => {
    await eventually('nobody is slow', async () => /Nobody/.test(await textOf(page, '#slow-count')));
    assert.ok(!await page.$eval('#slow-table', (table) => table.checkVisibility()));
    const deaf = deafSubscriber(server, 'deaf');
    await eventually('it has subscribed', async () => (await topicRow(page, 'deaf'))?.ws === '1');
    const body = 'x'.repeat(500_000);
    await eventually('it is listed', async () => {
      await fetch(topicUrl(server, 'deaf'), { method: 'POST', body });
      return /1 connection/.test(await textOf(page, '#slow-count'));
    }, 30_000);
    const cells = await textsOf(page, '#slow-rows tr:first-child > *');
    assert.equal(cells[0], 'deaf');
    assert.equal(cells[1], 'WebSocket');
    assert.match(cells[2], /^[\d.]+ (KiB|MiB)$/);
    await assertFits(page);
    deaf.destroy();
    await eventually('nobody is slow', async () => /Nobody/.test(await textOf(page, '#slow-count')));
    assert.deepEqual(realComplaints(page), []);
  });
  await page.close();
  assert.equal(await server.stop(), 0);
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

async function looks(browser, server) {
  const kinds = [['desk', 1280, 900], ['phone', 360, 740]];
  for (const [kind, width, height] of kinds) {
    for (const scheme of ['light', 'dark']) {
      const page = await openPage(browser, `${server.url}/#news`, { width, height });
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      await eventually('the page is live', () => isLive(page, '#subscribe-state'));
      await curl('-d', 'Goal! 2:1 in the 88th minute.', topicUrl(server, 'news'));
      await eventually('the message is there', async () => (await messages(page)).length > 0);
      await eventually('the list of topics is there', () => page.$('#topics-rows tr'));
      await check(`${kind}, ${scheme}: nothing is wider than the screen`, () => assertFits(page));
      await check(`${kind}, ${scheme}: all text has a contrast of ${CONTRAST_MIN} or more`, () =>
        assertContrasts(page, [
          '.brand', 'nav a', 'nav a[aria-current]', '#credential', 'h2', '.card-head .quiet', '#rate-now',
          '.unit', 'dt', 'dd', 'thead th', 'tbody th a', 'tbody td', '#subscribe-state', 'label', 'input',
          '.main-button', '#subscribe-stop', '.about', '.messages .body', '.shell code', '.position code']));
      await pause(3000); // something for the chart to show
      await page.screenshot({ path: `${PICTURES}/page-${kind}-${scheme}.png`, fullPage: true });
      await page.close();
    }
  }
}

async function restarted(browser) {
  // Without a drain nobody is told to stay away for up to half a minute.
  const first = await startServer(['serve', '--drain-time', '0'],
    { listen: `127.0.0.1:${await freePort()}` });
  const page = await openPage(browser, first.url);
  await subscribe(page, 'lasting');
  await curl('-d', 'before', topicUrl(first, 'lasting'));
  await eventually('the message is there', async () => (await messages(page))[0] === 'before');
  await check('a page whose server goes says so', async () => {
    assert.equal(await first.stop(), 0);
    await eventually('it waits', () => page.$('#subscribe-state[data-state=waiting]'));
    assert.match(await textOf(page, '#subscribe-state'), /next try in \d+ s/);
    await eventually('its figures are old ones', async () =>
      /does not answer/.test(await textOf(page, '#refusal')));
  });
  await check('and is back by itself when the server is, and says what that one does not know', async () => {
    await pause(1000);
    const second = await startServer(['serve'], { listen: first.address });
    await eventually('it is live again', () => isLive(page, '#subscribe-state'), 20_000);
    assert.match(await textOf(page, '#subscribe-state'), /messages were lost/);
    await eventually('the list says so, too', () => page.$('#messages li:first-child.gap'));
    await curl('-d', 'back again', topicUrl(second, 'lasting'));
    await eventually('messages come', async () => (await messages(page))[0] === 'back again');
    await eventually('its figures are new ones', async () => await textOf(page, '#refusal') === '');
    assert.equal(await second.stop(), 0);
  });
  await page.close();
}

async function cut(browser, server) {
  const relay = await startRelay(server.port);
  const page = await openPage(browser, relay.url);
  await check('a connection that is cut comes back to its position and misses nothing', async () => {
    await subscribe(page, 'cut, other');
    const wanted = [];
    for (let round = 0; round < 3; round += 1) {
      for (let i = 0; i < 5; i += 1) {
        wanted.unshift(`${round}.${i}`);
        await curl('-d', wanted[0], topicUrl(server, 'cut'));
        if (i === 2) {
          relay.cut();
        }
      }
      await eventually('all have come', async () => (await messages(page)).length >= wanted.length);
    }
    await pause(100);
    assert.deepEqual(await messages(page), wanted);
    assert.match(await textOf(page, '#subscribe-state'), /nothing missed/);
    assert.equal(await textOf(page, '#subscribe-position'), 'the positions of 2 topics');
  });
  await page.close();
}

async function withoutDemo(browser) {
  const server = await startServer(['serve']);
  const page = await openPage(browser, server.url);
  await check('an empty server has an empty list, and no complaint', async () => {
    await eventually('it says so', async () => /No topic yet/.test(await textOf(page, '#topics-more')));
    await assertNamed(page);
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
  await figures(page, server);
  await mouse(page, server);
  await check('nothing was refused by the policy, nothing was thrown', async () => {
    assert.deepEqual(realComplaints(page), []);
  });
  await check('the policy refuses what is inline, and that is noticed', async () => {
    await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'document.title = "inline"';
      document.body.append(script);
    });
    await eventually('it is noticed', async () =>
      page.complaints.some((text) => /the policy forbids script-src/.test(text)));
    assert.equal(await page.title(), 'Fanwire');
  });
  await page.close();
  await keyboard(browser, server);
  await looks(browser, server);
  await cut(browser, server);
  await check('the server stops with 0 although pages are open', async () => {
    const last = await openPage(browser, `${server.url}/#news`);
    await eventually('the subscription is live', () => isLive(last, '#subscribe-state'));
    assert.equal(await server.stop(), 0);
    await last.close();
  });
  await withoutDemo(browser);
  await slow(browser);
  await restarted(browser);
});
