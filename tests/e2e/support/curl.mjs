/* curl.mjs: one request by curl, as a user would make it, and its answer taken apart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { spawn } from 'node:child_process';

/* Gives { status, headers (names in small letters; the last of a name), body (a Buffer) }. */
export function curl(...args) {
  return new Promise((resolve, reject) => {
    const child = spawn('curl', ['--silent', '--show-error', '--include', '--http1.1',
      '--max-time', '10', '--header', 'Expect:', ...args]);
    const out = [];
    let errors = '';
    child.stdout.on('data', (bytes) => out.push(bytes));
    child.stderr.on('data', (bytes) => { errors += bytes; });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0) {
        reject(new Error(`curl ended with ${code}: ${errors.trim()} (${args.join(' ')})`));
      } else {
        resolve(parseAnswer(Buffer.concat(out)));
      }
    });
  });
}

/* An answer's bytes taken apart. */
export function parseAnswer(bytes) {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) {
    throw new Error(`no whole answer: ${JSON.stringify(bytes.toString('latin1'))}`);
  }
  const [statusLine, ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3})( |$)/.exec(statusLine);
  if (!status) {
    throw new Error(`not a status line: ${JSON.stringify(statusLine)}`);
  }
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(status[1]), headers, body: bytes.subarray(headEnd + 4) };
}
