#!/usr/bin/env node
/* life.mjs: how the command starts, which engine it takes, and how it ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { atEnd, check, eventually, run, skip } from './support/checks.mjs';
import { curl } from './support/curl.mjs';
import { engines, runToEnd, startServer, subscribersOf, withoutIoUring } from './support/server.mjs';
import { frame, openWebSocket, serverFrames } from './support/wire.mjs';

/* Command lines that are wrong; each is answered by 2 and a sentence that names the culprit. */
const WRONG_USAGE = [
  [['nonsense'], 'nonsense'],
  [['serve', '--nonsense'], '--nonsense'],
  [['serve', 'nonsense'], 'nonsense'],
  [['serve', '--workers'], '--workers'],
  [['serve', '--workers', 'many'], 'many'],
  [['serve', '--workers', '0'], '--workers'],
  [['serve', '--workers', '-1'], '--workers'],
  [['serve', '--engine', 'kqueue'], 'kqueue'],
  [['serve', '--max-message', '12x'], '12x'],
  [['serve', '--listen', 'nonsense'], 'nonsense'],
  [['serve', '--listen', '127.0.0.1:99999'], '99999'],
  [['echo', '--demo'], '--demo'],
];

async function usage() {
  for (const [args, culprit] of WRONG_USAGE) {
    await check(`fanwire ${args.join(' ')}: exit code 2 and a sentence about ${culprit}`, async () => {
      const { status, stderr, stdout } = runToEnd(args);
      assert.equal(status, 2, stderr);
      assert.ok(stderr.includes(culprit), stderr);
      assert.equal(stdout, '');
    });
  }
  await check('fanwire alone says how it is used, exit code 2', async () => {
    const { status, stderr } = runToEnd([]);
    assert.equal(status, 2);
    assert.match(stderr, /usage/i);
  });
  await check('fanwire --help and fanwire --version answer on the standard output, exit code 0', async () => {
    const help = runToEnd(['--help']);
    const version = runToEnd(['--version']);
    assert.equal(help.status, 0);
    assert.match(help.stdout, /serve/);
    assert.match(help.stdout, /echo/);
    assert.equal(version.status, 0);
    assert.match(version.stdout, /\d+\.\d+\.\d+/);
  });
  await check('a port that is taken: exit code 1 and a sentence with the address', async () => {
    const server = await startServer(['serve']);
    const { status, stderr } = runToEnd(['serve', '--listen', server.address]);
    await server.stop();
    assert.equal(status, 1);
    assert.ok(stderr.includes(server.address), stderr);
  });
  await check('listening to other hosts, anybody publishing: refused until it is said', async () => {
    const { status, stderr } = runToEnd(['serve', '--listen', '0.0.0.0:0']);
    assert.ok(status === 1 || status === 2, `exit code ${status}`);
    assert.match(stderr, /--insecure-publish/);
    const server = await startServer(['serve', '--insecure-publish'], { listen: '0.0.0.0:0' });
    assert.equal((await curl('-d', 'a', `http://127.0.0.1:${server.port}/topics/a`)).status, 202);
    assert.equal(await server.stop(), 0);
  });
}

async function listening() {
  await check('--workers says how many there are, and the ready line repeats it', async () => {
    for (const workers of [1, 3]) {
      const server = await startServer(['serve', '--workers', String(workers)]);
      assert.equal(server.workers, workers);
      assert.equal(await server.stop(), 0);
    }
  });
  await check('two listeners answer both', async () => {
    const server = await startServer(['serve', '--listen', '127.0.0.1:0']);
    const ports = [...server.output().matchAll(/127\.0\.0\.1:(\d+)/g)].map((match) => match[1]);
    assert.equal(new Set(ports).size, 2, server.output());
    for (const port of ports) {
      assert.equal((await curl(`http://127.0.0.1:${port}/healthz`)).status, 200);
    }
    assert.equal(await server.stop(), 0);
  });
  await check('a unix socket answers, and is removed at the end', async () => {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'fanwire-'));
    atEnd(() => fs.rm(folder, { recursive: true, force: true }));
    const socket = path.join(folder, 'socket');
    const server = await startServer(['serve'], { listen: `unix:${socket}` });
    assert.equal((await curl('--unix-socket', socket, 'http://fanwire/healthz')).status, 200);
    assert.equal(await server.stop(), 0);
    await assert.rejects(fs.access(socket));
  });
  await check('--max-message is the limit of what a client may send', async () => {
    const server = await startServer(['echo', '--max-message', '1000']);
    const wire = await openWebSocket(server.port, '/');
    wire.send(Buffer.from([0x82, 0xfe, 0x03, 0xe9, 0, 0, 0, 0])); // announces 1001
    await wire.untilEnd();
    assert.equal(serverFrames(wire.received)[0].payload.readUInt16BE(0), 1009);
    assert.equal(await server.stop(), 0);
  });
}

async function ending(engine) {
  await check(`SIGTERM on ${engine}: each subscriber is told 1001, the exit code is 0`, async () => {
    const server = await startServer(['serve', '--engine', engine]);
    const wires = [];
    for (let i = 0; i < 50; i += 1) {
      wires.push(await openWebSocket(server.port, '/topics/news'));
    }
    const started = performance.now();
    const stopped = server.stop();
    for (const wire of wires) {
      await wire.untilBytes((received) => serverFrames(received).length > 0);
      wire.send(frame(0x88, wire.received.subarray(2, 4)));
      await wire.untilEnd();
      const frames = serverFrames(wire.received);
      assert.equal(frames.length, 1);
      assert.equal(frames[0].first, 0x88);
      assert.equal(frames[0].payload.readUInt16BE(0), 1001);
    }
    assert.equal(await stopped, 0);
    assert.ok(performance.now() - started < 3000, 'with everybody gone there is nothing to wait for');
  });
  await check(`SIGTERM on ${engine} with clients that neither read nor answer ends all the same`, async () => {
    const server = await startServer(['serve', '--engine', engine]);
    const wires = await Promise.all([1, 2, 3].map(() => openWebSocket(server.port, '/topics/news')));
    wires.forEach((wire) => wire.socket.pause());
    assert.equal(await server.stop(), 0);
    wires.forEach((wire) => wire.close());
  });
  await check(`SIGINT on ${engine} ends with 0 too`, async () => {
    const server = await startServer(['serve', '--engine', engine]);
    server.process.kill('SIGINT');
    assert.equal(await server.ended, 0);
  });
  await check(`a client that vanishes on ${engine} is forgotten`, async () => {
    const server = await startServer(['serve', '--engine', engine]);
    const wire = await openWebSocket(server.port, '/topics/news');
    const count = async () => subscribersOf((await curl(`${server.url}/topics/news?info`)).body);
    assert.equal(await count(), 1);
    wire.socket.resetAndDestroy();
    await eventually('nobody is subscribed', async () => await count() === 0);
    assert.equal(await server.stop(), 0);
  });
}

async function choosing(working) {
  for (const engine of working) {
    await check(`--engine ${engine} is what the ready line says`, async () => {
      const server = await startServer(['serve', '--engine', engine]);
      assert.equal(server.engine, engine);
      assert.equal(await server.stop(), 0);
    });
  }
  await check('--engine uring where io_uring is forbidden: exit code 1, and why, and what to do', async () => {
    const { status, stderr } = runToEnd(
      ['serve', '--engine', 'uring', '--listen', '127.0.0.1:0'], { wrapper: withoutIoUring });
    assert.equal(status, 1);
    assert.match(stderr, /io_uring/);
    assert.match(stderr, /not permitted|EPERM|seccomp/i);
    assert.match(stderr, /epoll|kernel\.io_uring_disabled|allow/i);
  });
  await check('--engine auto where io_uring is forbidden: epoll, and the log says why', async () => {
    const server = await startServer(['serve', '--engine', 'auto'], { wrapper: withoutIoUring });
    assert.equal(server.engine, 'epoll');
    await eventually('the log says why',
      () => /io_uring.*(not permitted|EPERM|seccomp)/i.test(server.output()));
    assert.equal((await curl('-d', 'a', `${server.url}/topics/a`)).status, 202);
    assert.equal(await server.stop(), 0);
  });
}

run(async () => {
  const { working, missing } = await engines();
  for (const { engine, reason } of missing) {
    skip(`everything on ${engine}`, reason);
  }
  await usage();
  await listening();
  await choosing(working);
  for (const engine of working) {
    await ending(engine);
  }
});
