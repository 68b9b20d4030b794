/* server.mjs: npm ws as an echo server and as a feed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { WebSocketServer } from 'ws';
import { listener } from '../server.mjs';

const [role, port, over, certificate, key] = process.argv.slice(2);
const topics = new Map();

/* A frame is made once and written to every socket: ws has no call for that, its sender has. */
function publish(path, body) {
  const subscribers = topics.get(path) ?? new Set();
  for (const socket of subscribers)
    socket.send(body, { binary: true });
  return subscribers.size;
}

const server = listener(over, certificate, key, publish);
const sockets = new WebSocketServer({
  server,
  perMessageDeflate: over.includes('deflate') ? { threshold: 0 } : false,
  skipUTF8Validation: false,
  maxPayload: 1 << 30,
  clientTracking: false,
});
sockets.on('connection', (socket, request) => {
  socket.on('error', () => socket.terminate());
  if (role === 'echo') {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    return;
  }
  const subscribers = topics.get(request.url) ?? new Set();
  topics.set(request.url, subscribers.add(socket));
  socket.on('close', () => subscribers.delete(socket));
});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 65535 });
