/* between.mjs: what stands between a client and the server: a relay that can be cut, and nginx.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { atEnd, eventually } from './checks.mjs';

const NGINX = '/usr/sbin/nginx';

/* A port that nobody has at the moment. */
export function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/* A relay to a port; cut() ends every connection through it, with a RST. */
export async function startRelay(port) {
  const pairs = new Set();
  const server = net.createServer((client) => {
    const upstream = net.connect({ port, host: '127.0.0.1' });
    const end = () => {
      client.destroy();
      upstream.destroy();
      pairs.delete(end);
    };
    end.reset = () => {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
      pairs.delete(end);
    };
    pairs.add(end);
    client.pipe(upstream);
    upstream.pipe(client);
    for (const socket of [client, upstream]) {
      socket.on('error', end);
      socket.on('close', end);
    }
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  atEnd(() => server.close());
  return {
    port: server.address().port,
    url: `http://127.0.0.1:${server.address().port}`,
    cut() {
      const count = pairs.size;
      for (const end of [...pairs]) {
        end.reset();
      }
      return count;
    },
  };
}

/* Why there is no nginx here; null when there is. */
export function nginxMissing() {
  return fs.existsSync(NGINX) ? null : `there is no ${NGINX}`;
}

/* The settings that fanwire-protocol(7) documents, read from there, in a server of our own. */
function configuration(folder, listen, upstream) {
  const manual = fs.readFileSync(
    new URL('../../../tools/man/fanwire-protocol.7', import.meta.url), 'utf8');
  const [location] = /^location \/ \{[^}]*\}/m.exec(manual);
  const [map] = /^map \$http_upgrade .*$/m.exec(manual);
  return `
daemon off; pid ${folder}/pid; error_log ${folder}/errors warn;
worker_processes 1; worker_shutdown_timeout 1s;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
    uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
    ${map}
    server {
        listen 127.0.0.1:${listen};
        ${location.replace('127.0.0.1:8080', `127.0.0.1:${upstream}`)}
    }
}
`;
}

/* nginx in front of a port. reload() makes it end its connections a second later; errors() is the
 * end of its log. */
export async function startNginx(upstream) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'fanwire-nginx-'));
  const port = await freePort();
  const file = path.join(folder, 'nginx.conf');
  fs.writeFileSync(file, configuration(folder, port, upstream));
  fs.chmodSync(folder, 0o777);
  const child = spawn(NGINX, ['-c', file, '-p', folder], { stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (bytes) => { errors += bytes; });
  const ended = new Promise((resolve) => { child.on('exit', resolve); });
  atEnd(async () => {
    child.kill('SIGTERM');
    await ended;
    fs.rmSync(folder, { recursive: true, force: true });
  });
  await eventually(`nginx listens: ${errors}`, () => new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.on('connect', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  }));
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    reload: () => child.kill('SIGHUP'),
    errors: () => fs.readFileSync(path.join(folder, 'errors'), 'utf8').slice(-500),
  };
}
