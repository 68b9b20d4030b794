/* foreign_clients.mjs: WebSocket clients of others behind one face.
 *
 * Each opens with a URL and has: messages, an array of { type: 'text' | 'binary', bytes }; closedWith,
 * the close code or null; send(type, bytes); refresh(), after which messages is up to date; close().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { atEnd } from './checks.mjs';

const PYTHON = '/usr/bin/python3';
const PYTHON_CLIENT = fileURLToPath(new URL('python_client.py', import.meta.url));

async function openPython(url, page, caFile) {
  const child = spawn(PYTHON, [PYTHON_CLIENT, url], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: caFile ? { ...process.env, SSL_CERT_FILE: caFile } : process.env,
  });
  const lines = readline.createInterface({ input: child.stdout });
  const client = {
    messages: [],
    closedWith: null,
    send: (type, bytes) => child.stdin.write(
      `${JSON.stringify({ type, base64: bytes.toString('base64') })}\n`),
    refresh: async () => {},
    close: () => child.kill(),
  };
  atEnd(() => child.kill('SIGKILL'));
  await new Promise((resolve, reject) => {
    child.on('exit', () => reject(new Error('the Python client ended')));
    lines.on('line', (line) => {
      const said = JSON.parse(line);
      if (said.open) {
        resolve();
      } else if (said.closed !== undefined) {
        client.closedWith = said.closed;
      } else {
        client.messages.push({ type: said.type, bytes: Buffer.from(said.base64, 'base64') });
      }
    });
  });
  return client;
}

async function openNode(url, page, caFile) {
  const { default: WebSocket } = await import('ws');
  const socket = new WebSocket(url, caFile ? { ca: fs.readFileSync(caFile) } : {});
  const client = {
    messages: [],
    closedWith: null,
    send: (type, bytes) => socket.send(bytes, { binary: type === 'binary' }),
    refresh: async () => {},
    close: () => socket.terminate(),
  };
  socket.on('message', (bytes, isBinary) => {
    client.messages.push({ type: isBinary ? 'binary' : 'text', bytes });
  });
  socket.on('close', (code) => { client.closedWith = code; });
  await new Promise((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
  });
  return client;
}

/* In the browser, on a page of the server's own origin. */
async function openBrowser(url, page) {
  await page.evaluate((to) => new Promise((resolve, reject) => {
    const state = { messages: [], closedWith: null, socket: new WebSocket(to) };
    window.client = state;
    state.socket.binaryType = 'arraybuffer';
    state.socket.onopen = () => resolve();
    state.socket.onerror = () => reject(new Error('the browser could not connect'));
    state.socket.onclose = (event) => { state.closedWith = event.code; };
    state.socket.onmessage = ({ data }) => {
      const isText = typeof data === 'string';
      const bytes = isText ? new TextEncoder().encode(data) : new Uint8Array(data);
      let binary = '';
      for (const byte of bytes) {
        binary += String.fromCharCode(byte);
      }
      state.messages.push([isText ? 'text' : 'binary', btoa(binary)]);
    };
  }), url);
  const client = {
    messages: [],
    closedWith: null,
    send: (type, bytes) => page.evaluate((kind, base64) => {
      const sent = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      window.client.socket.send(kind === 'text' ? new TextDecoder().decode(sent) : sent);
    }, type, bytes.toString('base64')),
    async refresh() {
      const { messages, closedWith } = await page.evaluate((from) => ({
        messages: window.client.messages.slice(from), closedWith: window.client.closedWith,
      }), client.messages.length);
      client.closedWith = closedWith;
      for (const [type, base64] of messages) {
        client.messages.push({ type, bytes: Buffer.from(base64, 'base64') });
      }
    },
    close: () => page.evaluate(() => window.client.socket.close()),
  };
  return client;
}

/* The kinds of clients: { name, missing (why not here, or null), open(url, page, caFile) }; with
 * a CA's file it alone is trusted (the browser was told before). */
export async function foreignClients(browserMissing) {
  const hasPython = spawnSync(PYTHON, ['-c', 'import websockets']).status === 0;
  const hasNode = await import('ws').then(() => true, () => false);
  return [
    { name: 'Python websockets', open: openPython,
      missing: hasPython ? null : 'python3-websockets is not installed' },
    { name: 'npm ws', open: openNode,
      missing: hasNode ? null : 'ws is not installed (tools/setup --test)' },
    { name: 'Chromium WebSocket', open: openBrowser, missing: browserMissing },
  ];
}
