#!/usr/bin/env node
/* servers.mjs: our client against the servers of others: what they send it comes back byte for byte.
 *
 * Servers: npm ws, with and without permessage-deflate, and Python websockets, which offers it. The
 * client is the echoing one of the conformance suite, on each engine that works here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { atEnd, check, eventually, run, skip } from './support/checks.mjs';

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
async function nodeServer(options) {
  const { WebSocketServer } = await import('ws');
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options });
  await once(server, 'listening');
  atEnd(() => server.close());
  const peer = { port: server.address().port, messages: [], closedWith: null, open: false };
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

async function pythonServer() {
  const child = spawn(PYTHON, [PYTHON_SERVER], { stdio: ['pipe', 'pipe', 'inherit'] });
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

async function echoedBy(engine, name, open) {
  const peer = await open();
  const child = spawn(PROGRAM, [engine, `ws://127.0.0.1:${peer.port}/any?x=1`], { stdio: 'ignore' });
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
  const servers = [];
  if (hasNode) {
    await example();
    servers.push(['npm ws', () => nodeServer({ perMessageDeflate: false })]);
    servers.push(['npm ws with deflate', () => nodeServer({ perMessageDeflate: { threshold: 0 } })]);
  } else {
    skip('npm ws', 'ws is not installed (tools/setup --test)');
  }
  if (hasPython) {
    servers.push(['Python websockets', pythonServer]);
  } else {
    skip('Python websockets', 'python3-websockets is not installed');
  }
  for (const engine of ['uring', 'epoll']) {
    if (spawnSync(PROGRAM, [engine, 'ws://127.0.0.1:1/']).status === MISSING) {
      skip(`everything on ${engine}`, 'it does not work here');
      continue;
    }
    for (const [name, open] of servers) {
      await echoedBy(engine, name, open);
    }
  }
});
