/* wire.mjs: bytes to the server and back, without a client library in between.
 *
 * For what no well-behaved client would send: malformed heads, malformed frames, one byte at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import net from 'node:net';
import { pause } from './checks.mjs';

/* A connection that collects what comes. */
export class Wire {
  received = Buffer.alloc(0);
  ended = false; // the server sent FIN or RST

  static async open(port) {
    const wire = new Wire();
    wire.socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    wire.socket.setNoDelay(true);
    wire.socket.on('data', (bytes) => { wire.received = Buffer.concat([wire.received, bytes]); });
    wire.socket.on('end', () => { wire.ended = true; });
    wire.socket.on('close', () => { wire.ended = true; });
    wire.socket.on('error', () => { wire.ended = true; });
    await new Promise((resolve, reject) => {
      wire.socket.once('connect', resolve);
      wire.socket.once('error', reject);
    });
    return wire;
  }

  send(bytes) {
    if (!this.socket.destroyed) {
      this.socket.write(bytes);
    }
  }

  /* Everything that came, once the server has closed or a time has passed. */
  async untilEnd(msMax = 5000) {
    const until = performance.now() + msMax;
    while (!this.ended && performance.now() < until) {
      await pause(5);
    }
    return this.received;
  }

  async untilBytes(enough, msMax = 5000) {
    const until = performance.now() + msMax;
    while (!enough(this.received) && !this.ended && performance.now() < until) {
      await pause(5);
    }
    return this.received;
  }

  close() {
    this.socket.destroy();
  }
}

/* A WebSocket handshake's request; lines are added to the head or, with a value null, left out. */
export function handshake(path, lines = {}) {
  const headers = {
    Host: '127.0.0.1',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
    ...lines,
  };
  const text = Object.entries(headers)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  return `GET ${path} HTTP/1.1\r\n${text}\r\n`;
}

/* A connection on which the handshake is done; what came after the 101 is in `received`. */
export async function openWebSocket(port, path) {
  const wire = await Wire.open(port);
  wire.send(handshake(path));
  const isWhole = (bytes) => bytes.includes('\r\n\r\n');
  const bytes = await wire.untilBytes(isWhole);
  if (!isWhole(bytes) || !bytes.toString('latin1').startsWith('HTTP/1.1 101 ')) {
    throw new Error(`no 101: ${JSON.stringify(bytes.toString('latin1'))}`);
  }
  wire.received = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4);
  return wire;
}

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/* One client frame. `first` is its whole first byte (FIN, reserved bits, opcode); `lengthBytes` forces
 * the 0, 2 or 8 byte form of the length, `announced` a length that is not the payload's. */
export function frame(first, payload = '', { masked = true, lengthBytes, announced } = {}) {
  const body = Buffer.from(payload);
  const count = BigInt(announced ?? body.length);
  const form = lengthBytes ?? (count < 126n ? 0 : count < 65536n ? 2 : 8);
  const maskBit = masked ? 0x80 : 0;
  const length = Buffer.alloc(1 + form);
  if (form === 0) {
    length[0] = maskBit | Number(count);
  } else if (form === 2) {
    length[0] = maskBit | 126;
    length.writeUInt16BE(Number(count), 1);
  } else {
    length[0] = maskBit | 127;
    length.writeBigUInt64BE(count, 1);
  }
  const bytes = masked ? body.map((byte, i) => byte ^ MASK[i % 4]) : body;
  return Buffer.concat([Buffer.from([first]), length, masked ? MASK : Buffer.alloc(0), bytes]);
}

/* The whole frames at the start of what a server sent: [{ first, payload }]. */
export function serverFrames(bytes) {
  const frames = [];
  for (let at = 0; at + 2 <= bytes.length;) {
    let count = bytes[at + 1];
    let header = 2;
    if (count === 126) {
      count = bytes.readUInt16BE(at + 2);
      header = 4;
    } else if (count === 127) {
      count = Number(bytes.readBigUInt64BE(at + 2));
      header = 10;
    }
    if (at + header + count > bytes.length) {
      break;
    }
    frames.push({ first: bytes[at], payload: bytes.subarray(at + header, at + header + count) });
    at += header + count;
  }
  return frames;
}
