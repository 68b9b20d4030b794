#!/usr/bin/env node
/* resume.mjs: clients that are cut come back and miss nothing: EventSource in Chromium, WebSockets and
 * long polls, directly and through nginx with the settings of fanwire-protocol(7).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { freePort, nginxMissing, startNginx, startRelay } from './support/between.mjs';
import { browserMissing, launchBrowser, openPage } from './support/browser.mjs';
import { check, eventually, pause, run, skip } from './support/checks.mjs';
import { curl } from './support/curl.mjs';
import { engines, startServer } from './support/server.mjs';

const MESSAGES = 400;

async function publish(server, topic, text) {
  const answer = await fetch(`${server.url}/topics/${topic}`, { method: 'POST', body: text });
  assert.ok(answer.ok, `published: ${answer.status}`);
  return answer.json();
}

/* Publishes 1 to MESSAGES, a few at a time. */
async function publishAll(server, topic) {
  for (let i = 1; i <= MESSAGES; i += 1) {
    await publish(server, topic, String(i));
    if (i % 10 === 0) {
      await pause(15);
    }
  }
}

function assertComplete(got) {
  assert.deepEqual(got, Array.from({ length: MESSAGES }, (_, i) => String(i + 1)));
}

/* Listens to a topic from a page; what comes is collected in the page. */
async function listen(page, topic) {
  await page.evaluate((name) => {
    window.got = [];
    window.resets = [];
    window.opened = 0;
    const source = new EventSource(`/topics/${name}?since=first`);
    source.onopen = () => { window.opened += 1; };
    source.onmessage = (event) => window.got.push(event.data);
    source.addEventListener('reset', (event) => window.resets.push(JSON.parse(event.data)));
    window.source = source;
  }, topic);
  await eventually('the stream is open', () => page.evaluate(() => window.opened > 0));
}

async function eventSource(browser, server) {
  await check(`${server.engine}: EventSource misses and repeats nothing when its connection is cut`, async () => {
    const relay = await startRelay(server.port);
    const page = await openPage(browser, relay.url);
    await listen(page, 'cut');
    const publishing = publishAll(server, 'cut');
    let cuts = 0;
    for (let i = 0; i < 4; i += 1) {
      await pause(100);
      cuts += relay.cut() > 0 ? 1 : 0;
      await eventually('it has come back', () => page.evaluate((n) => window.opened > n, i + 1));
    }
    await publishing;
    await eventually('all came', () => page.evaluate((n) => window.got.length >= n, MESSAGES));
    await pause(100);
    assertComplete(await page.evaluate(() => window.got));
    assert.deepEqual(await page.evaluate(() => window.resets), []);
    assert.ok(cuts >= 4, `${cuts} cuts`);
    await page.close();
  });
}

async function restart(browser, engine) {
  await check(`${engine}: EventSource is told of the reset when the server was started again, and goes on`, async () => {
    const listenAt = `127.0.0.1:${await freePort()}`;
    const serve = ['serve', '--engine', engine];
    let server = await startServer(serve, { listen: listenAt });
    const relay = await startRelay(server.port);
    const page = await openPage(browser, relay.url);
    const before = await publish(server, 'again', 'before');
    await listen(page, 'again');
    await eventually('it came', () => page.evaluate(() => window.got.length === 1));
    assert.equal(await server.stop(), 0);
    server = await startServer(serve, { listen: listenAt });
    const { epoch } = await publish(server, 'again', 'after');
    assert.notEqual(epoch, before.epoch);
    await eventually('it has come back', () => page.evaluate(() => window.got.length === 2));
    await publish(server, 'again', 'and on');
    await eventually('it goes on', () => page.evaluate(() => window.got.length === 3));
    /* A second cut: it now has a position of the new epoch, which is no reset. */
    relay.cut();
    await publish(server, 'again', 'and on and on');
    await eventually('it goes on from there', () => page.evaluate(() => window.got.length === 4));
    assert.deepEqual(await page.evaluate(() => window.got), ['before', 'after', 'and on', 'and on and on']);
    assert.deepEqual(await page.evaluate(() => window.resets), [{ topic: 'again', epoch, offset: 0 }]);
    await page.close();
    assert.equal(await server.stop(), 0);
  });
}

/* A plain WebSocket that comes back with the position that it counts. */
function followWebSocket(base, topic, got, state) {
  const socket = new WebSocket(`${base.replace('http', 'ws')}/topics/${topic}?since=${state.position ?? 'first'}`);
  socket.on('upgrade', (answer) => {
    assert.equal(answer.headers['fanwire-recovered'], 'true');
    state.position = answer.headers['fanwire-position'];
    state.opened += 1;
  });
  socket.on('message', (bytes) => {
    got.push(bytes.toString());
    const [epoch, offset] = state.position.split(':');
    state.position = `${epoch}:${BigInt(offset) + 1n}`;
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    if (!state.done) {
      setTimeout(() => followWebSocket(base, topic, got, state), 50);
    }
  });
  state.socket = socket;
}

async function followPolls(base, topic, got, state) {
  let position = 'first';
  while (!state.done) {
    try {
      const answer = await fetch(`${base}/topics/${topic}?since=${position}`, { signal: state.abort.signal });
      const text = await answer.text();
      if (answer.status === 200) {
        got.push(text);
      }
      position = answer.headers.get('fanwire-position') ?? position;
    } catch {
      await pause(50); /* cut */
    }
  }
}

async function behindNginx(browser, server) {
  const nginx = await startNginx(server.port);
  await check(`${server.engine}: through nginx and its reload, all three transports miss nothing`, async () => {
    const socketState = { opened: 0 };
    const pollState = { abort: new AbortController() };
    const socketGot = [];
    const pollGot = [];
    const page = browser === null ? null : await openPage(browser, nginx.url);
    if (page !== null) {
      await listen(page, 'proxied');
    }
    followWebSocket(nginx.url, 'proxied', socketGot, socketState);
    const polling = followPolls(nginx.url, 'proxied', pollGot, pollState);
    await eventually('the WebSocket is open', () => socketState.opened > 0);
    const publishing = publishAll(server, 'proxied');
    await pause(150);
    nginx.reload();
    await publishing;
    await eventually('the WebSocket was cut and came back', () => socketState.opened > 1, 20_000);
    if (page !== null) {
      await eventually('the stream was cut and came back', () => page.evaluate(() => window.opened > 1), 20_000);
    }
    const streamGot = () => (page === null ? MESSAGES : page.evaluate(() => window.got.length));
    await eventually('all came', async () => socketGot.length >= MESSAGES && pollGot.length >= MESSAGES
      && await streamGot() >= MESSAGES, 20_000).catch(async (error) => {
      throw new Error(`${error.message}: ${socketGot.length} by WebSocket, ${pollGot.length} by polls, `
        + `${await streamGot()} by the stream, of ${MESSAGES}; nginx: ${nginx.errors()}`);
    });
    socketState.done = true;
    pollState.done = true;
    pollState.abort.abort();
    socketState.socket.close();
    await polling;
    assertComplete(socketGot);
    assertComplete(pollGot);
    if (page !== null) {
      assertComplete(await page.evaluate(() => window.got));
      assert.deepEqual(await page.evaluate(() => window.resets), []);
      await page.close();
    }
  });
  await check(`${server.engine}: nginx hands an event on at once`, async () => {
    const answer = await fetch(`${nginx.url}/topics/prompt`, { headers: { Accept: 'text/event-stream' } });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const read = (async () => {
      while (!text.includes('data: now')) {
        text += (await reader.read()).value;
      }
    })();
    const began = performance.now();
    await publish(server, 'prompt', 'now');
    await read;
    assert.ok(performance.now() - began < 1000, 'it was not buffered');
    await reader.cancel();
  });
}

async function byCurl(server) {
  const at = (path) => `${server.url}/topics/${path}`;
  await check(`${server.engine}: curl polls from position to position`, async () => {
    for (const text of ['one', 'two', 'three']) {
      await publish(server, 'polled', text);
    }
    let position = 'first';
    const got = [];
    for (let i = 0; i < 3; i += 1) {
      const answer = await curl(at(`polled?since=${position}`));
      assert.equal(answer.status, 200);
      got.push(answer.body.toString());
      position = answer.headers['fanwire-position'];
    }
    assert.deepEqual(got, ['one', 'two', 'three']);
    const gone = await curl(at('polled?since=1:1'));
    assert.equal(gone.status, 410);
    assert.equal((await curl(at(`polled?since=${gone.headers['fanwire-position']}`))).body.toString(), 'one');
  });
  await check(`${server.engine}: a batch by curl says what became of each line`, async () => {
    const answer = await curl('--data-binary',
      '{"topic":"many","text":"1"}\n{"topic":"many","json":[2]}\n{"topic":"many"}\n', `${server.url}/publish`);
    const lines = answer.body.toString().trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(lines.map((line) => line.offset ?? line.error), [1, 2, 'command']);
    const batch = await curl(at('many?since=first&batch'));
    assert.deepEqual(batch.body.toString().trim().split('\n').map((line) => JSON.parse(line).text), ['1', '[2]']);
  });
}

async function commands(server) {
  await check(`${server.engine}: a foreign client speaks fanwire.v1`, async () => {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/topics/`, 'fanwire.v1');
    const got = [];
    socket.on('message', (bytes, binary) => {
      const cut = bytes.indexOf(10);
      got.push([JSON.parse(bytes.subarray(0, cut)), bytes.subarray(cut + 1).toString('latin1'), binary]);
    });
    await new Promise((resolve) => { socket.on('open', resolve); });
    assert.equal(socket.protocol, 'fanwire.v1');
    socket.send('{"id":1,"subscribe":"v1"}');
    socket.send('{"id":2,"publish":"v1","base64":"/wo="}');
    await eventually('both were answered and the message came', () => got.length === 3);
    const { epoch } = got[0][0];
    assert.deepEqual(got[0][0], { id: 1, subscribed: 'v1', epoch, offset: 0, recovered: true });
    assert.deepEqual(got[1][0], { id: 2, published: 'v1', epoch, offset: 1, receivers: 1 });
    assert.deepEqual(got[2], [{ topic: 'v1', offset: 1 }, '\xff\n', true]);
    socket.close();
  });
}

await run(async () => {
  const { working, missing } = await engines();
  for (const { engine, reason } of missing) {
    skip(`resuming on ${engine}`, reason);
  }
  const noBrowser = await browserMissing();
  const browser = noBrowser === null ? await launchBrowser() : null;
  if (browser === null) {
    skip('EventSource in a browser', noBrowser);
  }
  for (const engine of working) {
    const server = await startServer(['serve', '--engine', engine, '--history', '1000']);
    if (browser !== null) {
      await eventSource(browser, server);
      await restart(browser, engine);
    }
    if (nginxMissing() === null) {
      await behindNginx(browser, server);
    } else {
      skip(`${engine}: through nginx`, nginxMissing());
    }
    await byCurl(server);
    await commands(server);
    await check(`${engine}: it stops with all of them connected`, async () => {
      assert.equal(await server.stop(), 0);
    });
  }
});
