#!/usr/bin/env node
/* servers.mjs: our client against the servers of others: what they send it comes back byte for byte.
 *
 * Servers: npm ws, with and without permessage-deflate, and Python websockets, which offers it; both
 * over TLS as well, with certificates of a CA of the test's. The client is the echoing one of the
 * conformance suite, on each engine that works here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { atEnd, check, eventually, run, skip } from './support/checks.mjs';
import { makeCa } from './support/pki.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = process.env.FANWIRE_CLIENT ?? `${root}build/dev/bin/fanwire-conformance-client`;
const EXAMPLE = `${root}build/dev/bin/example-client_echo`;
const PYTHON = '/usr/bin/python3';
const PYTHON_SERVER = fileURLToPath(new URL('support/python_server.py', import.meta.url));
const MISSING = 77;

/* Around each form of the frame's length, and beyond one receive buffer. */
const SIZES = [0, 1, 125, 126, 127, 1000, 65535, 65536, 300000];
const MESSAGES = SIZES.flatMap((count) => [
  { type: 'text', bytes: Buffer.from('abc défgh€ij'.repeat(Math.ceil(count / 12)).slice(0, count)) },
  { type: 'binary', bytes: Buffer.from(Array.from({ length: count }, (_, i) => (i * 167) & 0xff)) },
]);

/* Each gives { port, messages, send(message), close(), closedWith }. */
async function nodeServer(options, tls) {
  const { WebSocketServer } = await import('ws');
  const listener = tls
    ? https.createServer({ cert: fs.readFileSync(tls.cert), key: fs.readFileSync(tls.key) })
    : http.createServer();
  const server = new WebSocketServer({ server: listener, ...options });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  atEnd(() => { server.close(); listener.close(); });
  const peer = { port: listener.address().port, messages: [], closedWith: null, open: false };
  server.on('connection', (socket) => {
    peer.open = true;
    socket.on('message', (bytes, isBinary) => {
      peer.messages.push({ type: isBinary ? 'binary' : 'text', bytes });
    });
    socket.on('close', (code) => { peer.closedWith = code; });
    peer.send = ({ type, bytes }) => socket.send(bytes, { binary: type === 'binary' });
    peer.close = () => socket.close(1000);
    peer.extensions = socket.extensions;
  });
  return peer;
}

async function pythonServer(tls) {
  const child = spawn(PYTHON, [PYTHON_SERVER, ...(tls ? [tls.cert, tls.key] : [])], { stdio: ['pipe', 'pipe', 'inherit'] });
  atEnd(() => child.kill('SIGKILL'));
  const peer = {
    port: 0,
    messages: [],
    closedWith: null,
    open: false,
    send: ({ type, bytes }) => child.stdin.write(
      `${JSON.stringify({ type, base64: bytes.toString('base64') })}\n`),
    close: () => child.stdin.end(),
  };
  readline.createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line);
    if (said.port) {
      peer.port = said.port;
    } else if (said.open) {
      peer.open = true;
    } else if (said.closed !== undefined) {
      peer.closedWith = said.closed;
    } else {
      peer.messages.push({ type: said.type, bytes: Buffer.from(said.base64, 'base64') });
    }
  });
  await eventually('the Python server listens', async () => peer.port !== 0);
  return peer;
}

/* caFile: the client trusts it; without it the server is plain. */
async function echoedBy(engine, name, open, caFile) {
  const peer = await open();
  const url = `127.0.0.1:${peer.port}/any?x=1`;
  const args = caFile ? [`wss://${url}`, caFile] : [`ws://${url}`];
  const child = spawn(PROGRAM, [engine, ...args], { stdio: 'ignore' });
  const ended = once(child, 'exit').then(([code]) => code);
  atEnd(() => child.kill('SIGKILL'));
  await eventually(`${name}: the client is there`, async () => peer.open);
  if (name.endsWith('with deflate')) {
    await check(`${engine}, ${name}: it is agreed on`, async () => {
      assert.match(peer.extensions, /permessage-deflate/);
    });
  }
  for (const message of MESSAGES) {
    peer.send(message);
  }
  await check(`${engine}, ${name}: every message came back`, async () => {
    await eventually(`all ${MESSAGES.length}`, async () => peer.messages.length >= MESSAGES.length);
    assert.equal(peer.messages.length, MESSAGES.length);
    for (const [i, wanted] of MESSAGES.entries()) {
      assert.equal(peer.messages[i].type, wanted.type, `message ${i}`);
      assert.ok(peer.messages[i].bytes.equals(wanted.bytes), `message ${i}, byte for byte`);
    }
  });
  await check(`${engine}, ${name}: the close is clean on both sides`, async () => {
    peer.close();
    await eventually('the server saw the close', async () => peer.closedWith !== null);
    assert.equal(peer.closedWith, 1000);
    assert.equal(await ended, 0);
  });
}

/* What the client says of a server whose certificate it must not believe. */
async function distrusts(engine, name, tls, caFile, sentence) {
  const peer = await nodeServer({}, tls);
  const child = spawn(PROGRAM, [engine, `wss://localhost:${peer.port}/`, caFile],
    { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (bytes) => { said += bytes; });
  const [code] = await once(child, 'close');
  await check(`${engine}: ${name} is not believed, and why`, async () => {
    assert.equal(said, `failed: ${sentence}\n`);
    assert.equal(code, 1);
    assert.equal(peer.open, false);
  });
}

/* tools/examples/client_echo.c, against a server that echoes. */
async function example() {
  const { WebSocketServer } = await import('ws');
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  atEnd(() => server.close());
  server.on('connection', (socket) => {
    socket.on('message', (bytes, isBinary) => socket.send(bytes, { binary: isBinary }));
  });
  const url = `ws://localhost:${server.address().port}`;
  const child = spawn(EXAMPLE, [url, 'a line'], { stdio: ['ignore', 'pipe', 'inherit'] });
  atEnd(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (bytes) => { output += bytes; });
  const [code] = await once(child, 'close');
  await check('the example client-echo prints what came back', async () => {
    assert.equal(output, 'a line\n');
    assert.equal(code, 0);
  });
}

run(async () => {
  const hasPython = spawnSync(PYTHON, ['-c', 'import websockets']).status === 0;
  const hasNode = await import('ws').then(() => true, () => false);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'fanwire-servers-'));
  atEnd(() => fs.rmSync(folder, { recursive: true, force: true }));
  const ca = makeCa(folder);
  const own = ca.make('own', 'DNS:localhost,IP:127.0.0.1');
  const elsewhere = ca.make('elsewhere', 'DNS:elsewhere.test');
  const servers = [];
  if (hasNode) {
    await example();
    servers.push(['npm ws', () => nodeServer({ perMessageDeflate: false })]);
    servers.push(['npm ws with deflate', () => nodeServer({ perMessageDeflate: { threshold: 0 } })]);
    servers.push(['npm ws over TLS', () => nodeServer({ perMessageDeflate: false }, own), ca.file]);
  } else {
    skip('npm ws', 'ws is not installed (tools/setup --test)');
  }
  if (hasPython) {
    servers.push(['Python websockets', () => pythonServer()]);
    servers.push(['Python websockets over TLS', () => pythonServer(own), ca.file]);
  } else {
    skip('Python websockets', 'python3-websockets is not installed');
  }
  for (const engine of ['uring', 'epoll']) {
    if (spawnSync(PROGRAM, [engine, 'ws://127.0.0.1:1/']).status === MISSING) {
      skip(`everything on ${engine}`, 'it does not work here');
      continue;
    }
    for (const [name, open, caFile] of servers) {
      await echoedBy(engine, name, open, caFile);
    }
    if (hasNode) {
      await distrusts(engine, 'a certificate for another host', elsewhere, ca.file,
        'the certificate is not for this host name');
      await distrusts(engine, 'a certificate of another CA', own, elsewhere.cert,
        "the certificate's issuer is not trusted");
    }
  }
});
