#!/usr/bin/env node
/* http.mjs: the server over plain HTTP: publishing, figures, the page's files, and every bad request.
 *
 * Runs against each engine that works here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { check, eventually, pause, run, skip } from './support/checks.mjs';
import { curl, parseAnswer } from './support/curl.mjs';
import { engines, startServer, subscribersOf } from './support/server.mjs';
import { Wire, handshake, openWebSocket, serverFrames } from './support/wire.mjs';

const KIB = 1024;

/* A POST of so many bytes that says its length; the bytes follow when `whole`. */
function post(path, count) {
  return `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${count}\r\n\r\n`;
}

function get(target, ...lines) {
  return `GET ${target} HTTP/1.1\r\n${['Host: localhost', ...lines].map((line) => `${line}\r\n`).join('')}\r\n`;
}

function manyHeaders(count) {
  return Array.from({ length: count }, (_, i) => `X-Header-${i}: ${i}`);
}

/* RFC 9112 and RFC 6455, section 4: (name, the bytes, the status). Each is answered, then closed. */
const BAD_REQUESTS = [
  ['a line that ends in a bare LF', 'GET /healthz HTTP/1.1\nHost: localhost\n\n', 400],
  ['a request without Host', 'GET /healthz HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', get('/healthz', 'Host: b'), 400],
  ['an empty Host', 'GET /healthz HTTP/1.1\r\nHost:\r\n\r\n', 400],
  ['a space before the colon', get('/healthz', 'X-A : b'), 400],
  ['a header without a name', get('/healthz', ': b'), 400],
  ['a header without a colon', get('/healthz', 'nonsense'), 400],
  ['a folded header', get('/healthz', 'X-A: b', ' c'), 400],
  ['a NUL in a header', get('/healthz', 'X-A: \0'), 400],
  ['a bare CR in a header', get('/healthz', 'X-A: b\rc'), 400],
  ['HTTP/2.0 in the request line', 'GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n', 400],
  ['HTTP/0.9', 'GET /healthz\r\n\r\n', 400],
  ['TLS on the plain port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', [400, 501]],
  ['two Content-Lengths', `${post('/topics/a', 1).slice(0, -2)}Content-Length: 2\r\n\r\nab`, 400],
  ['a Content-Length with a sign', post('/topics/a', '+1'), 400],
  ['a Content-Length with a list', post('/topics/a', '1, 1'), 400],
  ['a Content-Length that is no number', post('/topics/a', '0x1'), 400],
  ['a Content-Length beyond 64 bits', post('/topics/a', '99999999999999999999'), [400, 413]],
  ['chunks', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 501],
  ['chunks and a length',
    `${post('/topics/a', 5).slice(0, -2)}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, [400, 501]],
  ['a POST without a length', 'POST /topics/a HTTP/1.1\r\nHost: localhost\r\n\r\n', 411],
  ['a body over 1 MiB, judged by its announcement', post('/topics/a', 1024 * KIB + 1), 413],
  ['a method that does not exist', 'BREW /topics/a HTTP/1.1\r\nHost: localhost\r\n\r\n', 501],
  ['a request line over 4 KiB', get(`/${'a'.repeat(5 * KIB)}`), 414],
  ['a header over 8 KiB', get('/healthz', `X-A: ${'a'.repeat(9 * KIB)}`), 431],
  ['65 headers', get('/healthz', ...manyHeaders(64)), 431],
  ['2000 headers', get('/healthz', ...manyHeaders(1999)), 431],
  ['an upgrade with another version', handshake('/topics/a', { 'Sec-WebSocket-Version': '8' }), 426],
  ['an upgrade without a version', handshake('/topics/a', { 'Sec-WebSocket-Version': null }), 426],
  ['an upgrade without a key', handshake('/topics/a', { 'Sec-WebSocket-Key': null }), 400],
  ['an upgrade with a short key', handshake('/topics/a', { 'Sec-WebSocket-Key': 'c2hvcnQ=' }), 400],
  ['an upgrade whose Connection says close', handshake('/topics/a', { Connection: 'close' }), 400],
  ['an upgrade with a body', handshake('/topics/a', { 'Content-Length': '5' }), 400],
  ['an upgrade by POST',
    handshake('/topics/a', { 'Content-Length': '0' }).replace('GET', 'POST'), [400, 405]],
  ['an upgrade of a topic with a wrong name', handshake('/topics/a%20b'), [400, 404]],
  ['an upgrade of 129 topics',
    handshake(`/topics/${Array.from({ length: 129 }, (_, i) => `t${i}`).join(',')}`), [400, 503]],
];

/* Requests that are well formed and still wrong: (name, arguments of curl, path, status). */
const WRONG_REQUESTS = [
  ['a path that is not there', [], '/nothing', 404],
  ['a topic without a name', ['-d', 'a'], '/topics/', [400, 404]],
  ['a topic with a wrong character', ['-d', 'a'], '/topics/a%20b', [400, 404]],
  ['a topic of 129 characters', ['-d', 'a'], `/topics/${'a'.repeat(129)}`, [400, 404]],
  ['publishing to two topics at once', ['-d', 'a'], '/topics/a,b', [400, 404]],
  ['PUT to a topic', ['-X', 'PUT', '-d', 'a'], '/topics/a', 405],
  ['DELETE of a topic', ['-X', 'DELETE'], '/topics/a', 405],
  ['POST to the health check', ['-d', 'a'], '/healthz', 405],
  ['POST to the page', ['-d', 'a'], '/', 405],
  ['text that is not UTF-8',
    ['-H', 'Content-Type: text/plain; charset=utf-8', '--data-binary', '@-'], '/topics/a', 400],
];

/* Ways out of a document root; all are names that the table does not have. */
const TRAVERSALS = [
  '//', '//feed.js', '/./feed.js', '/../feed.js', '/..%2ffeed.js', '/%2e%2e/feed.js', '/..\\feed.js', '/feed.js/',
  '/feed.js%00', '/feed.js%00.css', '/Feed.js', '/feed%2ejs', '/%66eed.js', '/feed.js.', '/.git/config',
  '/../../../../etc/passwd', '/..%2f..%2f..%2fetc%2fpasswd', '/%252e%252e%252fetc%252fpasswd',
  '/....//....//etc/passwd', '/..;/etc/passwd', '/index.html/..', '/index.html', '/chat.html', '/chat/',
  '/web_assets.c', '/etc/passwd', '/~root', ...waysUp(),
];

/* Every spelling of "up", some steps of it, from the root and from a file, to what there may be. */
function waysUp() {
  const ups = ['../', '..%2f', '..%2F', '%2e%2e/', '%2e%2e%2f', '.%2e/', '%2e./', '..%5c', '..\\', '..//', '.../',
    '..;/', '..%00/', '%252e%252e%252f', '..%c0%af', '%c0%ae%c0%ae/', '..%e0%80%af', '..%ef%bc%8f', '..%u2215',
    './../', './/../'];
  const froms = ['/', '/feed.js/', '//', '/./'];
  const targets = ['feed.js', 'etc/passwd', 'proc/self/environ'];
  return ups.flatMap((up, i) => froms.flatMap((from, k) => targets.map((target, n) =>
    `${from}${up.repeat(1 + (i + k + n) % 6)}${target}`)));
}

const ASSETS = {
  '/': 'text/html; charset=utf-8',
  '/chat': 'text/html; charset=utf-8',
  '/ticker': 'text/html; charset=utf-8',
  '/feed.js': 'text/javascript; charset=utf-8',
  '/style.css': 'text/css; charset=utf-8',
  '/icon.svg': 'image/svg+xml',
};

function assertStatus(answer, wanted) {
  const allowed = [wanted].flat();
  assert.ok(allowed.includes(answer.status), `${answer.status} instead of ${allowed}: ${answer.body}`);
}

async function publishing(server) {
  const at = (path) => `${server.url}${path}`;

  await check('POST with nobody listening answers 202 and the offset 1', async () => {
    const answer = await curl('-d', 'hello', at('/topics/quiet'));
    const body = JSON.parse(answer.body);
    assert.equal(answer.status, 202);
    assert.match(answer.headers['content-type'], /^application\/json/);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    assert.equal(body.topic, 'quiet');
    assert.equal(body.offset, 1);
    assert.equal(body.receivers, 0);
    assert.ok(body.epoch !== undefined);
  });
  await check('POST with somebody listening answers 200, counts receivers and offsets', async () => {
    const subscribers = [await openWebSocket(server.port, '/topics/loud'),
      await openWebSocket(server.port, '/topics/other,loud')];
    for (const offset of [1, 2, 3]) {
      const answer = await curl('-d', `message ${offset}`, at('/topics/loud'));
      const body = JSON.parse(answer.body);
      assert.equal(answer.status, 200);
      assert.equal(body.offset, offset);
      assert.equal(body.receivers, 2);
    }
    for (const subscriber of subscribers) {
      const whole = (bytes) => serverFrames(bytes).length >= 3;
      const frames = serverFrames(await subscriber.untilBytes(whole));
      assert.deepEqual(frames.map((one) => one.payload.toString()),
        ['message 1', 'message 2', 'message 3']);
      assert.ok(frames.every((one) => one.first === 0x81), 'each is one whole text frame');
      subscriber.close();
    }
  });
  await check('?info tells offset, epoch and subscribers', async () => {
    const published = JSON.parse((await curl('-d', 'a', at('/topics/told'))).body);
    const subscriber = await openWebSocket(server.port, '/topics/told');
    const info = JSON.parse((await curl(at('/topics/told?info'))).body);
    assert.equal(info.offset, 1);
    assert.equal(info.epoch, published.epoch);
    assert.equal(subscribersOf(JSON.stringify(info)), 1);
    subscriber.close();
    await eventually('nobody is subscribed', async () =>
      subscribersOf((await curl(at('/topics/told?info'))).body) === 0);
  });
  await check('a name may be of 128 characters and of all those that names have', async () => {
    for (const name of ['a'.repeat(128), 'AZaz09_-.:']) {
      assert.equal((await curl('-d', 'a', at(`/topics/${name}`))).status, 202);
    }
  });
  await check('a body of 1 MiB is published', async () => {
    const wire = await Wire.open(server.port);
    wire.send(post('/topics/large', 1024 * KIB));
    wire.send(Buffer.alloc(1024 * KIB, 'a'));
    assert.equal(parseAnswer(await wire.untilBytes((bytes) => bytes.includes('}'))).status, 202);
    wire.close();
  });
  await check('a request that comes one byte at a time is answered', async () => {
    const wire = await Wire.open(server.port);
    for (const byte of Buffer.from(post('/topics/slow', 5) + 'hello')) {
      wire.send(Buffer.from([byte]));
      await pause(1);
    }
    assert.equal(parseAnswer(await wire.untilBytes((bytes) => bytes.includes('}'))).status, 202);
    wire.close();
  });
}

async function health(server) {
  for (const path of ['/healthz', '/readyz']) {
    await check(`${path} answers 200`, async () => {
      assert.equal((await curl(`${server.url}${path}`)).status, 200);
    });
  }
}

async function badRequests(server) {
  for (const [name, bytes, status] of BAD_REQUESTS) {
    await check(`${name}: ${[status].flat().join(' or ')}, then closed`, async () => {
      const wire = await Wire.open(server.port);
      wire.send(Buffer.from(bytes, 'latin1'));
      // Whatever follows a request that was refused is not a second request.
      wire.send(get('/healthz'));
      const received = await wire.untilEnd();
      wire.close();
      assert.ok(wire.ended, 'the server closed');
      const answer = parseAnswer(received);
      assertStatus(answer, status);
      assert.equal(received.toString('latin1').split('HTTP/1.1 ').length - 1, 1, 'one answer');
      assert.equal(answer.headers.connection?.toLowerCase(), 'close');
      if (status === 426) {
        assert.equal(answer.headers['sec-websocket-version'], '13');
      }
    });
  }
  for (const [name, args, path, status] of WRONG_REQUESTS) {
    await check(`${name}: ${[status].flat().join(' or ')}`, async () => {
      const answer = args.includes('@-')
        ? await wrongText(server, path)
        : await curl('--path-as-is', ...args, `${server.url}${path}`);
      assertStatus(answer, status);
      if (answer.status === 405) {
        assert.match(answer.headers.allow ?? '', /GET|POST/, 'says what is allowed');
      }
    });
  }
  await check('the server still answers after all that', async () => {
    assert.equal((await curl(`${server.url}/healthz`)).status, 200);
  });
}

async function wrongText(server, path) {
  const wire = await Wire.open(server.port);
  wire.send(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain; charset=utf-8\r\n`
    + 'Content-Length: 2\r\n\r\n');
  wire.send(Buffer.from([0xc3, 0x28]));
  const bytes = await wire.untilBytes((received) => received.includes('\r\n\r\n'));
  wire.close();
  return parseAnswer(bytes);
}

/* One request on a connection of its own; the answer, once the server has closed. */
async function ask(server, bytes) {
  const wire = await Wire.open(server.port);
  wire.send(Buffer.from(bytes, 'latin1'));
  const received = await wire.untilEnd();
  wire.close();
  return parseAnswer(received);
}

/* What answers are made of: constants, numbers, positions, names of topics. */
const ANSWER_LINES = [
  /^HTTP\/1\.1 \d{3} [A-Za-z ]+$/, /^Content-Length: \d+$/, /^Connection: close$/,
  /^Content-Type: (text\/plain; charset=utf-8|application\/json)$/, /^X-Content-Type-Options: nosniff$/,
  /^Cache-Control: no-store$/, /^Allow: [A-Z, ]+$/, /^Retry-After: \d+$/, /^Vary: Origin$/,
  /^Sec-WebSocket-Version: 13$/, /^Fanwire-Position: [0-9a-f]+:\d+$/, /^Fanwire-Topic: [A-Za-z0-9_.:-]+$/,
  /^Fanwire-[A-Z][a-z]+: [a-z0-9]+$/, /^Upgrade: websocket$/,
];

/* Where a stranger's octets might come back in a head: escaped, and where a line may have them raw. */
const SPLITTERS = ['%0d%0aX-Evil:%20evil', '%0aX-Evil:evil', '%0d%0a%0d%0aevil', '%E5%98%8A%E5%98%8DX-Evil:evil',
  'evil', '"evil"', '<evil>', ';evil', '%00evil'];

async function splitting(server) {
  const places = [
    (text) => get(`/${text}`, 'Connection: close'),
    (text) => get(`/topics/${text}?info`, 'Connection: close'),
    (text) => get(`/topics/a?since=${text}`, 'Connection: close'),
    (text) => get(`/topics/a?info&callback=${text}`, 'Connection: close'),
    (text) => get(`/healthz?callback=${text}`, 'Connection: close'),
    (text) => get('/topics/a?since=first', `Last-Event-ID: ${text}`, 'Connection: close'),
    (text) => get('/healthz', `X-Request-ID: ${text}`, `Accept: ${text}`, 'Connection: close'),
    (text) => get('/topics/a', `Origin: http://${text}`, 'Connection: close'),
    (text) => `${text} / HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    (text) => `OPTIONS /topics/a HTTP/1.1\r\nHost: localhost\r\nOrigin: http://${text}\r\n`
      + `Access-Control-Request-Method: ${text}\r\nAccess-Control-Request-Headers: ${text}\r\n`
      + 'Connection: close\r\n\r\n',
    (text) => `POST /topics/${text} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${text}\r\n`
      + 'Content-Length: 1\r\nConnection: close\r\n\r\nx',
    (text) => handshake('/topics/a', { 'Sec-WebSocket-Version': text }),
    (text) => handshake('/topics/a', { 'Sec-WebSocket-Key': text }),
    (text) => handshake('/topics/a%20', { 'Sec-WebSocket-Protocol': text, 'Sec-WebSocket-Extensions': text }),
  ];
  await check('no answer has a header line that a client made, and none is a script', async () => {
    for (const [i, place] of places.entries()) {
      for (const text of SPLITTERS) {
        const wire = await Wire.open(server.port);
        wire.send(Buffer.from(place(text), 'latin1'));
        const received = (await wire.untilEnd()).toString('latin1');
        wire.close();
        const head = received.slice(0, received.indexOf('\r\n\r\n'));
        assert.notEqual(head, '', `place ${i} of ${text} is answered`);
        for (const line of head.split('\r\n')) {
          assert.ok(ANSWER_LINES.some((known) => known.test(line)), `place ${i} of ${text}: ${line}`);
        }
        assert.match(head, /^X-Content-Type-Options: nosniff$/m, `place ${i} of ${text}`);
        assert.doesNotMatch(head, /evil/i, `place ${i} of ${text}`);
        assert.doesNotMatch(received.slice(head.length), /evil\(/, 'no callback');
      }
    }
  });
}

/* Names that strangers choose make no series: neither topics nor paths, nor anything of a header. */
async function cardinality(server) {
  const series = async () => (await curl(`${server.url}/metrics`)).body.toString().split('\n')
    .filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.replace(/ \S+$/, ''));
  await check('what clients say makes no series of /metrics', async () => {
    const before = await series();
    for (let i = 0; i < 300; i += 1) {
      const more = [`User-Agent: agent-${i}`, `Origin: http://origin-${i}`, 'Connection: close'];
      await ask(server, get(`/path-${i}?q=${i}`, ...more));
      await ask(server, `POST /topics/series-${i} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n`
        + 'Connection: close\r\n\r\nx');
    }
    assert.deepEqual(await series(), before);
    assert.ok(before.length > 20 && before.length < 2000, `${before.length} series`);
    assert.equal(new Set(before).size, before.length, 'each is there once');
  });
}

/* RFC 6454: an origin is a scheme, a host and a port; all of it counts. */
async function origins(server) {
  const { port } = server;
  const own = `127.0.0.1:${port}`;
  // (https:// with our own host and port may be a proxy that speaks TLS for us: not foreign.)
  const foreign = [
    'null', 'http://evil.example', 'https://evil.example', 'http://127.0.0.1',
    `http://127.0.0.1:${port + 1}`, `http://127.0.0.2:${port}`, `http://${own}.evil.example`,
    `http://evil.example/${own}`, `http://${own}@evil.example`, `http://evil.example#${own}`,
    `http://x127.0.0.1:${port}`, `http://localhost:${port}`, `file://${own}`, 'nonsense',
  ];
  const statusOf = async (request) => {
    const wire = await Wire.open(port);
    wire.send(request);
    const bytes = await wire.untilBytes((received) => received.includes('\r\n\r\n'));
    wire.close();
    return parseAnswer(bytes).status;
  };
  const upgrade = (lines) => statusOf(handshake('/topics/a', { Host: own, ...lines }));
  const publish = (origin) => statusOf(
    `POST /topics/a HTTP/1.1\r\nHost: ${own}\r\nOrigin: ${origin}\r\nContent-Length: 1\r\n\r\na`);

  await check('a client without an Origin may subscribe', async () => {
    assert.equal(await upgrade({}), 101);
  });
  await check('a page of the same origin may subscribe and publish', async () => {
    assert.equal(await upgrade({ Origin: `http://${own}` }), 101);
    /* 200 while the server has not seen yet that the one who subscribed is gone. */
    assert.ok([200, 202].includes(await publish(`http://${own}`)));
  });
  for (const origin of foreign) {
    await check(`a page of ${origin} may neither subscribe nor publish`, async () => {
      assert.equal(await upgrade({ Origin: origin }), 403);
      assert.equal(await publish(origin), 403);
    });
  }
}

/* What --allow-origin names, and what only looks like it: (origin, may it?). */
const ALLOWED_ORIGINS = ['https://app.example.com', 'https://*.example.org'];
const ORIGINS = [
  ['https://app.example.com', true],
  ['https://app.example.com:443', true],
  ['https://a.example.org', true],
  ['http://app.example.com', false],
  ['https://app.example.com:8443', false],
  ['https://www.app.example.com', false],
  ['https://app.example.com.evil.example', false],
  ['https://app-example.com', false],
  ['https://appxexample.com', false],
  ['https://example.org', false],
  ['https://evilexample.org', false],
  ['https://.example.org', false],
  ['https://a.example.org.evil.example', false],
  ['https://a.example.org@evil.example', false],
  ['https://evil.example/.example.org', false],
  ['http://a.example.org', false],
  ['null', false],
];

async function allowedOrigins(engine) {
  const flags = ALLOWED_ORIGINS.flatMap((origin) => ['--allow-origin', origin]);
  const server = await startServer(['serve', '--engine', engine, ...flags]);
  for (const [origin, allowed] of ORIGINS) {
    await check(`with ${ALLOWED_ORIGINS.join(' and ')} allowed, ${origin} is ${allowed ? '' : 'not'}`,
      async () => {
        const wire = await Wire.open(server.port);
        wire.send(handshake('/topics/a', { Host: server.address, Origin: origin }));
        const answer = await wire.untilBytes((received) => received.includes('\r\n\r\n'));
        wire.close();
        assert.equal(parseAnswer(answer).status, allowed ? 101 : 403);
      });
  }
  await server.stop();
}

async function page(server) {
  for (const [path, type] of Object.entries(ASSETS)) {
    await check(`${path} is ${type} under the strict policy`, async () => {
      const { status, headers, body } = await curl(`${server.url}${path}`);
      assert.equal(status, 200);
      assert.equal(headers['content-type'], type);
      assert.equal(Number(headers['content-length']), body.length);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      const policy = headers['content-security-policy'];
      for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'",
        "img-src 'self' data:", "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
        "frame-ancestors 'none'"]) {
        assert.ok(policy.includes(rule), `${rule} is in the policy`);
      }
      assert.equal(headers['referrer-policy'], 'no-referrer');
      assert.equal(headers['cross-origin-opener-policy'], 'same-origin');
      assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
      assert.ok(!/\d/.test(headers.server ?? ''), 'no version is told');
    });
  }
  await check(`no path of ${TRAVERSALS.length} leads around the table of files`, async () => {
    assert.ok(TRAVERSALS.length >= 200);
    for (const path of TRAVERSALS) {
      const answer = await ask(server, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      assert.equal(answer.status, 404, path);
      assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8', path);
    }
  });
  await check('/demo.json is not there without --demo', async () => {
    assert.equal((await curl(`${server.url}/demo.json`)).status, 404);
  });
}

async function demo(engine) {
  const server = await startServer(['serve', '--demo', '--engine', engine]);
  await check('/demo.json names a few dozen topics, and they are published to', async () => {
    const { topics } = JSON.parse((await curl(`${server.url}/demo.json`)).body);
    assert.ok(topics.length >= 24 && topics.length <= 128, `${topics.length} topics`);
    assert.ok(topics.every((name) => name.startsWith('ticker.')));
    const wire = await openWebSocket(server.port, `/topics/${topics.join(',')}`);
    const bytes = await wire.untilBytes((received) => serverFrames(received).length >= 50);
    wire.close();
    const names = new Set(topics.map((name) => name.slice('ticker.'.length)));
    for (const { payload } of serverFrames(bytes)) {
      const { symbol, price, change } = JSON.parse(payload);
      assert.ok(names.has(symbol), symbol);
      assert.ok(price > 0 && Number.isFinite(change), payload.toString());
    }
  });
  await server.stop();
}

run(async () => {
  const { working, missing } = await engines();
  for (const { engine, reason } of missing) {
    skip(`everything on ${engine}`, reason);
  }
  for (const engine of working) {
    console.log(`        --- ${engine}`);
    const server = await startServer(['serve', '--engine', engine]);
    await health(server);
    await publishing(server);
    await badRequests(server);
    await splitting(server);
    await cardinality(server);
    await origins(server);
    await page(server);
    await check('after all that the server stops with 0', async () => {
      assert.equal(await server.stop(), 0);
    });
    await demo(engine);
    await allowedOrigins(engine);
  }
});
