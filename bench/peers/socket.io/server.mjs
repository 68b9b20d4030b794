/* server.mjs: Socket.IO as an echo server and as a feed of rooms.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { Server } from 'socket.io';
import { listener } from '../server.mjs';

const [role, port, over, certificate, key] = process.argv.slice(2);

const server = listener(over, certificate, key, (path, body) => {
  io.to(path).emit('m', body.toString('latin1'));
  return io.sockets.adapter.rooms.get(path)?.size ?? 0;
});
const io = new Server(server, {
  transports: ['websocket'],
  serveClient: false,
  perMessageDeflate: over.includes('deflate') ? { threshold: 0 } : false,
  httpCompression: false,
  maxHttpBufferSize: 1 << 30,
  pingInterval: 3600000,
  pingTimeout: 3600000,
  connectionStateRecovery: undefined,
});
io.on('connection', (socket) => {
  if (role === 'echo')
    socket.on('m', (text) => socket.emit('m', text));
  else
    socket.join(socket.handshake.query.topic);
});
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 65535 });
