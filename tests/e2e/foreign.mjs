#!/usr/bin/env node
/* foreign.mjs: what curl publishes reaches the clients of others byte for byte, and what they send to
 * the echo server comes back so.
 *
 * Publisher: curl. Subscribers: Python websockets, npm ws, Chromium. Text and binary, 0 bytes to
 * 64 KiB, on each engine that works here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { browserMissing, launchBrowser, openPage } from './support/browser.mjs';
import { atEnd, check, eventually, run, skip } from './support/checks.mjs';
import { curl } from './support/curl.mjs';
import { foreignClients } from './support/foreign_clients.mjs';
import { engines, startServer } from './support/server.mjs';

/* Around each form of the frame's length, up to a client's limit. */
const SIZES = [0, 1, 2, 100, 125, 126, 127, 128, 1000, 4096, 16384, 65535, 65536];

/* Text of so many bytes, of characters of 1 to 4 bytes, with line ends inside. */
function textOf(count) {
  const letters = 'a é\n€\r\n😀"\\';
  let bytes = Buffer.from(letters.repeat(Math.ceil(count / 10))).subarray(0, count);
  // Not cut inside a character: what remains of one is filled up.
  while (!bytes.equals(Buffer.from(bytes.toString()))) {
    bytes = bytes.subarray(0, -1);
  }
  return Buffer.concat([bytes, Buffer.alloc(count - bytes.length, '.')]);
}

/* So many bytes in which each value comes, in an order that repeats late. */
function binaryOf(count) {
  return Buffer.from(Array.from({ length: count }, (_, i) => (i * 167 + (i >> 8) * 13) & 0xff));
}

const MESSAGES = SIZES.flatMap((count) => [
  { type: 'text', bytes: textOf(count) },
  { type: 'binary', bytes: binaryOf(count) },
]);

/* Publishes as a user would: text by -d, anything else from a file. */
async function publish(server, { type, bytes }, file) {
  const url = `${server.url}/topics/foreign`;
  if (type === 'text') {
    return curl('-d', bytes.toString(), url);
  }
  await fs.writeFile(file, bytes);
  return curl('--data-binary', `@${file}`, '-H', 'Content-Type: application/octet-stream', url);
}

async function checkReceived(name, client) {
  await check(`${name}: as many messages as were sent`, async () => {
    await eventually(`${name} has all ${MESSAGES.length}`, async () => {
      await client.refresh();
      return client.messages.length >= MESSAGES.length;
    });
    assert.equal(client.messages.length, MESSAGES.length);
  });
  for (const [i, wanted] of MESSAGES.entries()) {
    await check(`${name}: ${wanted.bytes.length} bytes of ${wanted.type}`, async () => {
      const got = client.messages[i];
      assert.equal(got?.type, wanted.type);
      assert.ok(got.bytes.equals(wanted.bytes), 'byte for byte');
    });
  }
}

async function subscribing(engine, clients, browser, file) {
  const server = await startServer(['serve', '--engine', engine]);
  const url = `ws://${server.address}/topics/foreign`;
  const page = browser && await openPage(browser, server.url);
  const open = [];
  for (const kind of clients) {
    open.push({ name: kind.name, client: await kind.open(url, page) });
  }
  for (const message of MESSAGES) {
    const answer = await publish(server, message, file);
    assert.equal(answer.status, 200);
    assert.equal(JSON.parse(answer.body).receivers, clients.length);
  }
  for (const { name, client } of open) {
    await checkReceived(`${engine}, curl to ${name}`, client);
  }
  await check(`${engine}: SIGTERM closes each of them with 1001`, async () => {
    const code = await server.stop();
    for (const { name, client } of open) {
      await eventually(`${name} is closed`, async () => {
        await client.refresh();
        return client.closedWith !== null;
      });
      assert.equal(client.closedWith, 1001, name);
    }
    assert.equal(code, 0);
  });
  await page?.close();
}

async function echoing(engine, clients, browser) {
  const server = await startServer(['echo', '--engine', engine]);
  // The echo server has no page; its 404 is a document of the right origin all the same.
  const page = browser && await openPage(browser, server.url);
  for (const kind of clients) {
    const client = await kind.open(`ws://${server.address}/any/path`, page);
    for (const { type, bytes } of MESSAGES) {
      await client.send(type, bytes);
    }
    await checkReceived(`${engine}, echo to ${kind.name}`, client);
    client.close();
  }
  await page?.close();
  await server.stop();
}

run(async () => {
  const { working, missing } = await engines();
  for (const { engine, reason } of missing) {
    skip(`everything on ${engine}`, reason);
  }
  const noBrowser = await browserMissing();
  const clients = [];
  for (const kind of await foreignClients(noBrowser)) {
    if (kind.missing) {
      skip(kind.name, kind.missing);
    } else {
      clients.push(kind);
    }
  }
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'fanwire-'));
  atEnd(() => fs.rm(folder, { recursive: true, force: true }));
  const browser = noBrowser ? null : await launchBrowser();
  for (const engine of working) {
    await subscribing(engine, clients, browser, path.join(folder, 'body'));
    await echoing(engine, clients, browser);
  }
});
