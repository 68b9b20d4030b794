#!/usr/bin/env node
/* deflate.mjs: permessage-deflate (RFC 7692) with the clients of others, in both context modes, on each
 * engine that works here.
 *
 * Echoed messages: Python websockets (deflate.py), npm ws, Chromium. Published ones: subscribers who
 * agreed on different windows, and on nothing, hear the same. That compression happens at all, and that
 * contexts are kept where they should be, is seen in the octets that npm ws counts on its socket.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { browserMissing, launchBrowser, openPage } from './support/browser.mjs';
import { check, eventually, run, skip } from './support/checks.mjs';
import { engines, startServer } from './support/server.mjs';

const PYTHON = '/usr/bin/python3';
const PYTHON_SCRIPT = fileURLToPath(new URL('deflate.py', import.meta.url));

/* How the server is started: it keeps contexts while there is memory for them, or none. */
const MODES = [
  { name: 'contexts kept', flags: ['--deflate', '--deflate-memory', '16000000'], keeps: true },
  { name: 'no contexts', flags: ['--deflate'], keeps: false },
];

const tick = (i) => Buffer.from(
  `{"symbol":"ALDR","price":${100 + i}.25,"change":-1.5,"volume":${i * 37},"side":"buy",` +
  `"bid":${100 + i}.20,"ask":${100 + i}.30,"at":${1718000000000 + i * 50}}`);
const noise = (count) => {
  let state = 88172645;
  return Buffer.from(Array.from({ length: count }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  }));
};

const MESSAGES = [
  ...['', 'a', 'é€😀', ''].map((text) => ({ text: true, bytes: Buffer.from(text) })),
  ...Array.from({ length: 20 }, (_, i) => ({ text: true, bytes: tick(i) })),
  ...[0, 1, 125, 126, 5000, 65535, 65536].map((n) => ({ text: false, bytes: noise(n) })),
  ...[1000, 16384, 65536].map((n) => ({ text: true, bytes: Buffer.alloc(n, 'the quick brown fox ') })),
  ...Array.from({ length: 20 }, (_, i) => ({ text: true, bytes: tick(i) })),
];

/* ---- npm ws ---------------------------------------------------------------------------------- */

/* What ws may be told to offer. */
const OFFERS = [
  { name: 'as it comes', options: true },
  { name: 'no takeover either way',
    options: { serverNoContextTakeover: true, clientNoContextTakeover: true } },
  { name: 'no takeover by the server', options: { serverNoContextTakeover: true } },
  { name: 'no takeover by the client', options: { clientNoContextTakeover: true } },
  { name: 'server window 9', options: { serverMaxWindowBits: 9 } },
  { name: 'both windows 10', options: { serverMaxWindowBits: 10, clientMaxWindowBits: 10 } },
  { name: 'server window 15', options: { serverMaxWindowBits: 15 } },
];

async function openWs(WebSocket, url, options) {
  const deflate = options && { threshold: 0, ...(options === true ? {} : options) };
  const socket = new WebSocket(url, { perMessageDeflate: deflate });
  const client = { socket, messages: [], closedWith: null };
  socket.on('message', (bytes, isBinary) => client.messages.push({ text: !isBinary, bytes }));
  socket.on('close', (code) => { client.closedWith = code; });
  await once(socket, 'open');
  return client;
}

function expectSame(messages, wanted) {
  assert.equal(messages.length, wanted.length);
  for (const [i, { text, bytes }] of wanted.entries()) {
    assert.equal(messages[i].text, text, `type of message ${i}`);
    assert.ok(messages[i].bytes.equals(bytes), `message ${i} of ${bytes.length} octets`);
  }
}

async function exchangeWs(WebSocket, url, offer) {
  const client = await openWs(WebSocket, url, offer.options);
  assert.match(client.socket.extensions, /^permessage-deflate/);
  for (const { text, bytes } of MESSAGES) {
    client.socket.send(bytes, { binary: !text });
  }
  await eventually('all echoes are there', () => client.messages.length >= MESSAGES.length);
  expectSame(client.messages, MESSAGES);
  client.socket.close(1000);
  await eventually('it is closed', () => client.closedWith !== null);
  assert.equal(client.closedWith, 1000);
}

/* Octets that ws receives for 100 echoes of one message. */
async function octetsOfEchoes(WebSocket, url, options) {
  const client = await openWs(WebSocket, url, options);
  const before = client.socket._socket.bytesRead;
  for (let i = 0; i < 100; i++) {
    client.socket.send(tick(7), { binary: false });
  }
  await eventually('all echoes are there', () => client.messages.length >= 100);
  const octets = client.socket._socket.bytesRead - before;
  client.socket.terminate();
  return octets;
}

async function echoesWs(name, WebSocket, url, mode) {
  for (const offer of OFFERS) {
    await check(`${name}, npm ws, ${offer.name}: every message comes back`, () =>
      exchangeWs(WebSocket, url, offer));
  }
  await check(`${name}, npm ws: echoes are as small as they should be`, async () => {
    const plain = await octetsOfEchoes(WebSocket, url, false);
    const fresh = await octetsOfEchoes(WebSocket, url, { serverNoContextTakeover: true });
    const either = await octetsOfEchoes(WebSocket, url, true);
    assert.ok(fresh < plain * 0.95, `${fresh} of ${plain} octets, each alone`);
    if (mode.keeps) {
      assert.ok(either < plain * 0.2, `${either} of ${plain} octets, with a context`);
    } else {
      assert.ok(Math.abs(either - fresh) < fresh * 0.1, `${either}, ${fresh} octets`);
    }
  });
}

/* ---- the others ------------------------------------------------------------------------------ */

async function echoesPython(name, url) {
  await check(`${name}, Python websockets: every message comes back, whatever is offered`, async () => {
    const child = spawn(PYTHON, [PYTHON_SCRIPT, url], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (bytes) => { output += bytes; });
    const [code] = await once(child, 'exit');
    assert.equal(code, 0, output);
  });
}

/* Sends and awaits all messages in a page; gives what was agreed on and which came back wrong. */
async function exchangeInPage(page, url) {
  return page.evaluate((to, messages) => new Promise((resolve, reject) => {
    const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const socket = new WebSocket(to);
    const wrong = [];
    let next = 0;
    socket.binaryType = 'arraybuffer';
    socket.onerror = () => reject(new Error('the browser failed the connection'));
    socket.onclose = ({ code }) => {
      if (next < messages.length) {
        reject(new Error(`closed with ${code} after ${next} messages`));
      }
    };
    socket.onopen = () => {
      for (const { text, base64 } of messages) {
        socket.send(text ? new TextDecoder().decode(bytesOf(base64)) : bytesOf(base64));
      }
    };
    socket.onmessage = ({ data }) => {
      const { text, base64 } = messages[next];
      const got = typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data);
      const wanted = bytesOf(base64);
      if ((typeof data === 'string') !== text || got.length !== wanted.length ||
          got.some((octet, i) => octet !== wanted[i])) {
        wrong.push(next);
      }
      next += 1;
      if (next === messages.length) {
        socket.close(1000);
        resolve({ extensions: socket.extensions, wrong });
      }
    };
  }), url, MESSAGES.map(({ text, bytes }) => ({ text, base64: bytes.toString('base64') })));
}

async function echoesBrowser(name, browser, server, mode) {
  await check(`${name}, Chromium: every message comes back`, async () => {
    const page = await openPage(browser, server.url);
    const { extensions, wrong } = await exchangeInPage(page, `ws://${server.address}/any`);
    await page.close();
    assert.match(extensions, /^permessage-deflate/);
    assert.equal(/server_no_context_takeover/.test(extensions), !mode.keeps, extensions);
    assert.deepEqual(wrong, []);
  });
}

async function publish(server, bytes, type) {
  const answer = await fetch(`${server.url}/topics/deflate`,
    { method: 'POST', body: bytes, headers: { 'content-type': type } });
  assert.equal(answer.status, 200);
}

/* Subscribers of every kind on one topic; what they hear is the same. */
async function topics(name, WebSocket, server) {
  await check(`${name}: subscribers hear the same, compressed or not`, async () => {
    const url = `ws://${server.address}/topics/deflate`;
    const clients = [await openWs(WebSocket, url, false)];
    for (const { options } of OFFERS) {
      clients.push(await openWs(WebSocket, url, options));
    }
    for (const { text, bytes } of MESSAGES) {
      await publish(server, bytes, text ? 'text/plain' : 'application/octet-stream');
    }
    for (const client of clients) {
      await eventually('all messages are there', () => client.messages.length >= MESSAGES.length);
      expectSame(client.messages, MESSAGES);
      client.socket.terminate();
    }
  });
}

run(async () => {
  const { working, missing } = await engines();
  for (const { engine, reason } of missing) {
    skip(`everything on ${engine}`, reason);
  }
  const WebSocket = await import('ws').then(({ default: found }) => found, () => null);
  const noBrowser = await browserMissing();
  const browser = noBrowser ? null : await launchBrowser();
  if (WebSocket === null) {
    skip('npm ws', 'ws is not installed (tools/setup --test)');
  }
  if (noBrowser) {
    skip('Chromium', noBrowser);
  }
  for (const engine of working) {
    for (const mode of MODES) {
      const name = `${engine}, ${mode.name}`;
      const echo = await startServer(['echo', '--engine', engine, '--quiet', ...mode.flags]);
      const url = `ws://${echo.address}/any`;
      await echoesPython(name, url);
      if (WebSocket !== null) {
        await echoesWs(name, WebSocket, url, mode);
      }
      if (browser !== null) {
        await echoesBrowser(name, browser, echo, mode);
      }
      await echo.stop();
      if (WebSocket !== null) {
        const feed = await startServer(['serve', '--engine', engine, '--quiet', ...mode.flags]);
        await topics(name, WebSocket, feed);
        await feed.stop();
      }
    }
  }
});
