/* server.mjs: what the servers on Node.js share: HTTP, with TLS or without, and POST to publish.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';

/* publish(path, body) sends a message to all who hold the path, and says to how many. */
export function listener(over, certificate, key, publish) {
  const handler = (request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      const receivers = request.method === 'POST' ? publish(request.url, Buffer.concat(pieces)) : 0;
      const answer = JSON.stringify({ receivers });
      response.writeHead(200, { 'Content-Length': answer.length });
      response.end(answer);
    });
  };
  const server = over.includes('tls')
    ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, handler)
    : http.createServer(handler);
  server.keepAliveTimeout = 0;
  return server;
}
