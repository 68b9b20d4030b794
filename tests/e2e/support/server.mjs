/* server.mjs: starts and stops the server under test.
 *
 * The program is build/release/bin/fanwire, or what FANWIRE_BIN names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { atEnd } from './checks.mjs';

export const root = fileURLToPath(new URL('../../..', import.meta.url));
export const program = process.env.FANWIRE_BIN ?? `${root}build/release/bin/fanwire`;

/* Runs a program under a filter that answers io_uring's system calls with EPERM, as containers do. */
export const withoutIoUring = [
  '/usr/bin/python3', fileURLToPath(new URL('without_io_uring.py', import.meta.url)),
];

const READY = /^ready: listening on (.*) \((uring|epoll), (\d+) workers?\)$/m;
const READY_MS_MAX = 10_000;
const STOP_MS_MAX = 30_000;

/* Runs the program to its end; for what should not start. */
export function runToEnd(args, { wrapper = [] } = {}) {
  const [command, ...rest] = [...wrapper, program, ...args];
  return spawnSync(command, rest, { encoding: 'utf8', timeout: 10_000, killSignal: 'SIGKILL' });
}

/* Starts `fanwire serve` or `fanwire echo` on a free port and waits for its ready line.
 *
 * Gives { process, address, port, engine, workers, url, output(), stop() }; stop() is SIGTERM and
 * answers the exit code, null when it had to be killed.
 */
export async function startServer(args, { wrapper = [], listen = '127.0.0.1:0' } = {}) {
  const [command, ...rest] = [...wrapper, program, ...args];
  const child = spawn(command, [...rest, '--listen', listen], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit').then(([code]) => code);
  let output = '';
  atEnd(() => child.kill('SIGKILL'));

  const ready = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ready line in:\n${output}`)), READY_MS_MAX);
    const read = (bytes) => {
      output += bytes;
      const found = READY.exec(output);
      if (found) {
        clearTimeout(timer);
        resolve(found);
      }
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('error', reject);
    ended.then((code) => reject(new Error(`ended with ${code} before it was ready:\n${output}`)));
  });

  const [, address, engine, workers] = ready;
  return {
    process: child,
    address,
    port: Number(address.split(':').pop()),
    engine,
    workers: Number(workers),
    url: `http://${address}`,
    ended,
    output: () => output,
    async stop() {
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
      child.kill('SIGTERM');
      const code = await ended;
      clearTimeout(timer);
      return code;
    },
  };
}

/* The engines to test: epoll works everywhere; io_uring may be missing, if the program itself says so.
 *
 * Gives { working, missing: [{ engine, reason }] }.
 */
export async function engines() {
  const { status, stderr } = runToEnd(['echo', '--engine', 'uring', '--listen', 'unix:/nowhere/at/all']);
  if (status === 1 && /io_uring does not work/.test(stderr)) {
    return { working: ['epoll'], missing: [{ engine: 'uring', reason: stderr.trim().split('\n')[0] }] };
  }
  return { working: ['uring', 'epoll'], missing: [] };
}

/* How many are subscribed to a topic, whatever their transport. */
export function subscribersOf(info) {
  const { subscribers } = JSON.parse(info);
  return typeof subscribers === 'number'
    ? subscribers
    : Object.values(subscribers).reduce((sum, count) => sum + count, 0);
}
