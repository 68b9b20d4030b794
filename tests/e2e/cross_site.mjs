#!/usr/bin/env node
/* cross_site.mjs: what a page of a stranger's can do in a browser that carries credentials: nothing
 * (SECURITY.md, Origins). The server is on loopback, which is no protection.
 *
 * Cookies are by host and not by port, so that a page of another port of 127.0.0.1 is same-site: the
 * browser sends the cookie along, as it does from a subdomain. Runs against each engine that works.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { browserMissing, launchBrowser, openPage } from './support/browser.mjs';
import { atEnd, check, eventually, run, skip } from './support/checks.mjs';
import { engines, runToEnd, startServer } from './support/server.mjs';

/* Pages of an origin of their own: a port of 127.0.0.1. What their requests carried is in `cookies`. */
async function startSite() {
  const site = http.createServer((request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/html' });
    response.end('<!doctype html><title>a page</title>');
  });
  await new Promise((resolve) => { site.listen(0, '127.0.0.1', resolve); });
  atEnd(() => {
    site.closeAllConnections();
    site.close();
  });
  return `http://127.0.0.1:${site.address().port}`;
}

/* Tries all that a page can: (what, what came of it). Runs in the page. */
async function tryAll(url) {
  const withCookies = { credentials: 'include' };
  const text = (answer) => answer.text();
  const ways = {
    socket: () => new Promise((resolve, reject) => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/topics/secret?since=first`);
      socket.onmessage = (event) => { resolve(event.data); socket.close(); };
      socket.onclose = () => reject(new Error('closed'));
    }),
    stream: () => new Promise((resolve, reject) => {
      const source = new EventSource(`${url}/topics/secret?since=first`, { withCredentials: true });
      source.onmessage = (event) => { resolve(event.data); source.close(); };
      source.onerror = () => { reject(new Error('failed')); source.close(); };
    }),
    poll: () => fetch(`${url}/topics/secret?since=first`, withCookies).then(text),
    info: () => fetch(`${url}/topics/secret?info`, withCookies).then(text),
    preflighted: () => fetch(`${url}/topics/secret`, {
      ...withCookies, method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' },
    }).then(text),
    publish: () => fetch(`${url}/topics/secret`, { ...withCookies, method: 'POST', body: 'forged' }).then(text),
    blind: () => fetch(`${url}/topics/secret`, {
      ...withCookies, mode: 'no-cors', method: 'POST', body: 'forged blindly',
    }).then((answer) => `${answer.type} ${answer.status}`),
    form: () => new Promise((resolve) => {
      const frame = Object.assign(document.createElement('iframe'), { name: 'answer' });
      document.body.appendChild(frame);
      const form = document.body.appendChild(document.createElement('form'));
      Object.assign(form, { method: 'POST', action: `${url}/topics/secret`, target: 'answer', enctype: 'text/plain' });
      form.appendChild(Object.assign(document.createElement('input'), { name: 'forged', value: 'by a form' }));
      form.submit();
      setTimeout(resolve, 300, 'sent');
    }),
    script: () => new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.onload = () => resolve('ran');
      script.onerror = () => reject(new Error('did not run'));
      script.src = `${url}/topics/secret?info&callback=alert`;
      document.head.appendChild(script);
    }),
  };
  const came = {};
  for (const [name, way] of Object.entries(ways)) {
    const patience = new Promise((resolve) => { setTimeout(resolve, 5000, 'nothing'); });
    came[name] = await Promise.race([way().catch((error) => `failed: ${error.message}`), patience]);
  }
  return came;
}

async function underAttack(browser, engine, folder) {
  const allowed = await startSite();
  const stranger = await startSite();
  const key = path.join(folder, 'secret');
  writeFileSync(key, 'correct horse battery staple 123\n', { mode: 0o600 });
  const { stdout } = runToEnd(['token', '--key', key, '--subscribe', '*', '--publish', '*']);
  const server = await startServer(['serve', '--engine', engine, '--history', '100', '--token-key', key,
    '--token-cookie', 'feed', '--allow-origin', allowed]);
  const authorization = { Authorization: `Bearer ${stdout.trim()}` };
  const offset = async () => (await (await fetch(`${server.url}/topics/secret?info`, { headers: authorization }))
    .json()).offset;
  await fetch(`${server.url}/topics/secret`, { method: 'POST', body: 'the secret', headers: authorization })
    .then((answer) => answer.text());

  const context = await browser.createBrowserContext();
  await context.setCookie({ name: 'feed', value: stdout.trim(), domain: '127.0.0.1', path: '/', sameSite: 'Lax' });
  await check(`${engine}: a page of an allowed origin reads and publishes with the browser's cookie`, async () => {
    const page = await openPage(context, allowed);
    const came = await page.evaluate(tryAll, server.url);
    assert.equal(came.socket, 'the secret');
    assert.equal(came.stream, 'the secret');
    assert.equal(came.poll, 'the secret');
    assert.match(came.publish, /"offset":\d+/);
    assert.match(came.preflighted, /"offset":\d+/);
    await eventually('the blind ways are ways, too', async () => await offset() === 5);
    await page.close();
  });
  const before = await offset();
  for (const [who, of] of [['another port of the same host', stranger],
    ['another name of the same machine', stranger.replace('127.0.0.1', 'localhost')]]) {
    await check(`${engine}: a page of ${who} reads nothing and publishes nothing`, async () => {
      const page = await openPage(context, of);
      const came = await page.evaluate(tryAll, server.url);
      for (const way of ['socket', 'stream', 'poll', 'info', 'preflighted', 'publish', 'script']) {
        assert.match(came[way], /^failed: /, `${way}: ${came[way]}`);
      }
      assert.doesNotMatch(JSON.stringify(came), /the secret/);
      assert.equal(await offset(), before, 'nothing was published');
      await page.close();
    });
  }
  await check(`${engine}: nor does a page without an origin`, async () => {
    const page = await openPage(context, stranger);
    const came = await page.evaluate(async (attack, url) => {
      const frame = document.createElement('iframe');
      const told = new Promise((resolve) => { window.onmessage = (event) => resolve([event.origin, event.data]); });
      frame.sandbox = 'allow-scripts allow-forms';
      frame.srcdoc = `<!doctype html><head></head><body><script>(${attack})("${url}").then((came) =>
        parent.postMessage(came, '*'))</scr${''}ipt></body>`;
      document.body.appendChild(frame);
      return told;
    }, tryAll.toString(), server.url);
    assert.equal(came[0], 'null');
    for (const way of ['socket', 'stream', 'poll', 'info', 'preflighted', 'publish', 'script']) {
      assert.match(came[1][way], /^failed: /, `${way}: ${came[1][way]}`);
    }
    assert.equal(await offset(), before, 'nothing was published');
    await page.close();
  });
  await check(`${engine}: the strangers were refused by their origin`, async () => {
    assert.match(server.output(), /answered 403: this origin may not connect/);
    assert.match(server.output(), /answered 403: a cookie counts only from an origin that may connect/);
    assert.equal(await server.stop(), 0);
  });
  await context.close();
}

await run(async () => {
  const noBrowser = await browserMissing();
  if (noBrowser !== null) {
    skip('pages of other origins', noBrowser);
    return;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'fanwire-cross-site-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const browser = await launchBrowser();
  const { working, missing } = await engines();
  for (const { engine, reason } of missing) {
    skip(`pages of other origins on ${engine}`, reason);
  }
  for (const engine of working) {
    await underAttack(browser, engine, folder);
  }
});
