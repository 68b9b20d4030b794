#!/usr/bin/env node
/* frames.mjs: frames on the wire against `fanwire echo`: what comes back, and what each bad one costs.
 *
 * RFC 6455, sections 5 to 7. Runs against each engine that works here. The finer cases are
 * tests/conformance's and the unit tests'; these go through sockets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { check, pause, run, skip } from './support/checks.mjs';
import { engines, startServer } from './support/server.mjs';
import { frame, openWebSocket, serverFrames } from './support/wire.mjs';

const TEXT = 0x81;
const BINARY = 0x82;
const CLOSE = 0x88;
const PING = 0x89;
const PONG = 0x8a;
const MORE = 0x7f; // takes the FIN bit from a first byte

const closePayload = (code, reason = '') => Buffer.concat([
  Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);

/* (name, the bytes, the close code, the section) */
const BAD_FRAMES = [
  ['an unmasked frame', frame(TEXT, 'a', { masked: false }), 1002, '5.1'],
  ['reserved bit 1', frame(TEXT | 0x40, 'a'), 1002, '5.2'],
  ['reserved bit 2', frame(TEXT | 0x20, 'a'), 1002, '5.2'],
  ['reserved bit 3', frame(TEXT | 0x10, 'a'), 1002, '5.2'],
  ['a reserved data opcode', frame(0x83, 'a'), 1002, '5.2'],
  ['a reserved control opcode', frame(0x8b, 'a'), 1002, '5.2'],
  ['a length of 125 in the 2 byte form', frame(TEXT, 'a'.repeat(125), { lengthBytes: 2 }), 1002, '5.2'],
  ['a length of 65535 in the 8 byte form', frame(TEXT, 'a'.repeat(65535), { lengthBytes: 8 }), 1002,
    '5.2'],
  ['a length with its highest bit', frame(BINARY, '', { lengthBytes: 8, announced: 1n << 63n }), 1002,
    '5.2'],
  ['a length of 2^63-1', frame(BINARY, '', { lengthBytes: 8, announced: (1n << 63n) - 1n }), 1009,
    '10.4'],
  ['a length one over the limit', frame(BINARY, '', { lengthBytes: 8, announced: 65537 }), 1009, '10.4'],
  ['a ping of 126 bytes', frame(PING, 'a'.repeat(126)), 1002, '5.5'],
  ['a ping in fragments', frame(PING & MORE, 'a'), 1002, '5.5'],
  ['a continuation of nothing', frame(0x80, 'a'), 1002, '5.4'],
  ['a new message inside another', Buffer.concat([frame(TEXT & MORE, 'a'), frame(TEXT, 'b')]), 1002,
    '5.4'],
  ['a close of one byte', frame(CLOSE, 'a'), 1002, '5.5.1'],
  ['a close with 1005', frame(CLOSE, closePayload(1005)), 1002, '7.4.1'],
  ['a close with 1006', frame(CLOSE, closePayload(1006)), 1002, '7.4.1'],
  ['a close with 2999', frame(CLOSE, closePayload(2999)), 1002, '7.4.2'],
  ['a close whose reason is not UTF-8',
    frame(CLOSE, Buffer.concat([closePayload(1000), Buffer.from([0xff])])), 1007, '8.1'],
  ['text that is not UTF-8', frame(TEXT, Buffer.from([0xce, 0xba, 0xff])), 1007, '8.1'],
  ['text that ends inside a character', frame(TEXT, Buffer.from([0xe2, 0x82])), 1007, '8.1'],
  ['a surrogate in text', frame(TEXT, Buffer.from([0xed, 0xa0, 0x80])), 1007, '8.1'],
  ['text over two frames that is wrong in the first',
    frame(TEXT & MORE, Buffer.from([0xf5, 0x80])), 1007, '8.1'],
  ['fragments that together are over the limit', Buffer.concat([
    frame(BINARY & MORE, Buffer.alloc(65536)), frame(0x80, Buffer.alloc(1))]), 1009, '10.4'],
  ['129 fragments', Buffer.concat([frame(BINARY & MORE, ''),
    ...Array.from({ length: 128 }, () => frame(0x00, ''))]), 1009, '10.4'],
];

const CLOSES = [
  [1000, ''], [1001, ''], [1003, ''], [1007, ''], [1011, ''], [3000, ''], [4999, ''],
  [1000, 'with a reason'], [1000, 'ü'.repeat(61)],
];

/* Sends frames and gives the frames that come back once there are so many, or the end. */
async function exchange(server, bytes, framesCount, pieceBytes = bytes.length) {
  const wire = await openWebSocket(server.port, '/');
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    wire.send(bytes.subarray(at, at + pieceBytes));
    if (pieceBytes < bytes.length) {
      await pause(1);
    }
  }
  await wire.untilBytes((received) => serverFrames(received).length >= framesCount);
  return { wire, frames: serverFrames(wire.received) };
}

/* The last thing that came is a close frame of this code; it is answered, and then comes the end. */
async function assertClosedWith(wire, code) {
  await wire.untilBytes((received) => serverFrames(received).some((one) => one.first === CLOSE));
  wire.send(frame(CLOSE, closePayload(code)));
  await wire.untilEnd();
  wire.close();
  const last = serverFrames(wire.received).at(-1);
  assert.ok(last, 'a frame came');
  assert.equal(last.first, CLOSE);
  assert.equal(last.payload.readUInt16BE(0), code);
  assert.ok(wire.ended, 'the server closed');
}

async function goodFrames(server) {
  for (const count of [0, 1, 125, 126, 127, 65535, 65536]) {
    for (const [name, first] of [['text', TEXT], ['binary', BINARY]]) {
      await check(`${count} bytes of ${name} come back as they went`, async () => {
        const payload = Buffer.alloc(count, 'Größe');
        const whole = name === 'text' ? Buffer.from('é'.repeat(count >> 1) + 'a'.repeat(count & 1)) : payload;
        const { wire, frames } = await exchange(server, frame(first, whole), 1);
        wire.close();
        assert.equal(frames.length, 1);
        assert.equal(frames[0].first, first);
        assert.ok(frames[0].payload.equals(whole));
      });
    }
  }
  await check('fragments with a ping in between: the pong first, then one message', async () => {
    const bytes = Buffer.concat([
      frame(TEXT & MORE, 'one '), frame(PING, 'p'), frame(0x00, 'two '), frame(0x80, 'three')]);
    const { wire, frames } = await exchange(server, bytes, 2);
    wire.close();
    assert.deepEqual(frames.map((one) => [one.first, one.payload.toString()]),
      [[PONG, 'p'], [TEXT, 'one two three']]);
  });
  await check('a message that comes one byte at a time comes back', async () => {
    const { wire, frames } = await exchange(server, frame(TEXT, 'drop by drop: ä€😀'), 1, 1);
    wire.close();
    assert.equal(frames[0].payload.toString(), 'drop by drop: ä€😀');
  });
  await check('a thousand messages in one write come back in order', async () => {
    const texts = Array.from({ length: 1000 }, (_, i) => `message ${i}`);
    const bytes = Buffer.concat(texts.map((text) => frame(TEXT, text)));
    const { wire, frames } = await exchange(server, bytes, 1000);
    wire.close();
    assert.deepEqual(frames.map((one) => one.payload.toString()), texts);
  });
  await check('a pong that nobody asked for is passed over', async () => {
    const { wire, frames } = await exchange(
      server, Buffer.concat([frame(PONG, 'x'), frame(TEXT, 'a')]), 1);
    wire.close();
    assert.deepEqual(frames.map((one) => one.first), [TEXT]);
  });
}

async function closes(server) {
  for (const [code, reason] of CLOSES) {
    await check(`a close with ${code} ${reason && `and ${reason.length} letters `}is answered`, async () => {
      const { wire } = await exchange(server, frame(CLOSE, closePayload(code, reason)), 1);
      await assertClosedWith(wire, code);
    });
  }
  await check('an empty close is answered by a close', async () => {
    const { wire } = await exchange(server, frame(CLOSE), 1);
    await wire.untilEnd();
    assert.equal(serverFrames(wire.received).at(-1)?.first, CLOSE);
    assert.ok(wire.ended);
  });
  await check('what follows a close is not answered', async () => {
    const bytes = Buffer.concat([frame(CLOSE, closePayload(1000)), frame(TEXT, 'late'), frame(PING, 'p')]);
    const { wire } = await exchange(server, bytes, 1);
    await wire.untilEnd();
    assert.deepEqual(serverFrames(wire.received).map((one) => one.first), [CLOSE]);
  });
}

async function badFrames(server) {
  for (const [name, bytes, code, section] of BAD_FRAMES) {
    for (const [how, piece] of [['at once', bytes.length], ['in pieces', Math.ceil(bytes.length / 20)]]) {
      await check(`${name}, ${how}: ${code} (section ${section})`, async () => {
        const { wire } = await exchange(server, bytes, 1, piece);
        await assertClosedWith(wire, code);
      });
    }
  }
}

run(async () => {
  const { working, missing } = await engines();
  for (const { engine, reason } of missing) {
    skip(`everything on ${engine}`, reason);
  }
  for (const engine of working) {
    console.log(`        --- ${engine}`);
    const server = await startServer(['echo', '--engine', engine]);
    await goodFrames(server);
    await closes(server);
    await badFrames(server);
    await check('after all that the server echoes still, and stops with 0', async () => {
      const { wire, frames } = await exchange(server, frame(TEXT, 'still here'), 1);
      wire.close();
      assert.equal(frames[0].payload.toString(), 'still here');
      assert.equal(await server.stop(), 0);
    });
  }
});
