/* guard.mjs: a proxy that wants a token, in front of a server: 401 without one, 403 with a wrong one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import http from 'node:http';
import net from 'node:net';
import { atEnd } from './checks.mjs';

/* A Close frame with 4401 (RFC 6455, section 5.5.1). */
const EXPIRED = Buffer.from([0x88, 2, 0x11, 0x31]);

/* What needs it; the pages themselves do not. */
const GUARDED = /^\/(topics\/|debug\/|publish$)/;

function refusal(tokens, given) {
  if (given === undefined) {
    return [401, 'no credential'];
  }
  return tokens.has(given) ? null : [403, 'this credential does not allow it'];
}

/* Starts one in front of a port of this machine, with one token.
 *
 * Gives { url, sent (what came as a token, and how), expire(newToken) }: expire() closes all WebSockets with
 * 4401, and from then on takes another token only.
 */
export async function startGuard(port, token) {
  const tokens = new Set([token]);
  const sockets = new Set();
  const sent = [];
  const server = http.createServer((request, response) => {
    const given = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1];
    const refused = GUARDED.test(request.url) ? refusal(tokens, given) : null;
    if (given !== undefined) {
      sent.push(`Authorization ${given}`);
    }
    if (refused) {
      response.writeHead(refused[0], { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' });
      response.end(`${refused[1]}\n`);
      request.resume();
      return;
    }
    // The server behind has no credentials set up, and refuses what it cannot read.
    const { method, url, headers: { authorization, ...headers } } = request;
    const upstream = http.request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    upstream.on('error', () => response.destroy());
    request.pipe(upstream);
  });
  server.on('upgrade', (request, socket) => {
    const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(/, */);
    const given = protocols.find((one) => one.startsWith('bearer.'))?.slice('bearer.'.length);
    const refused = refusal(tokens, given);
    if (given !== undefined) {
      sent.push(`subprotocol ${given}`);
    }
    if (refused) {
      socket.end(`HTTP/1.1 ${refused[0]} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      return;
    }
    const upstream = net.connect({ port, host: '127.0.0.1' });
    const lines = [`GET ${request.url} HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      const isProtocol = request.rawHeaders[i].toLowerCase() === 'sec-websocket-protocol';
      const value = isProtocol ? protocols.filter((one) => !one.startsWith('bearer.')).join(', ')
        : request.rawHeaders[i + 1];
      lines.push(`${request.rawHeaders[i]}: ${value}`);
    }
    upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
    upstream.pipe(socket);
    socket.pipe(upstream);
    sockets.add(socket);
    for (const one of [socket, upstream]) {
      one.on('error', () => {});
      one.on('close', () => {
        socket.destroy();
        upstream.destroy();
        sockets.delete(socket);
      });
    }
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  atEnd(() => {
    server.close();
    server.closeAllConnections();
    sockets.forEach((socket) => socket.destroy());
  });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    sent,
    expire(newToken) {
      tokens.clear();
      tokens.add(newToken);
      sockets.forEach((socket) => socket.write(EXPIRED));
    },
  };
}
