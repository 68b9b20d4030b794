#!/usr/bin/env node
/* tls.mjs: the server over TLS, seen by clients of others that check its certificate by a CA of the
 * test's: curl, openssl s_client, Python websockets, npm ws, Chromium with the demo page; certificates
 * swapped under load; and testssl.sh, which looks for what should not be there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { browserMissing, launchBrowser, openPage } from './support/browser.mjs';
import { atEnd, check, eventually, run, skip } from './support/checks.mjs';
import { curl } from './support/curl.mjs';
import { foreignClients } from './support/foreign_clients.mjs';
import { makeCa } from './support/pki.mjs';
import { engines, program, startServer, subscribersOf } from './support/server.mjs';

const NAMES = 'DNS:localhost,IP:127.0.0.1';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'fanwire-tls-'));
atEnd(() => fs.rmSync(folder, { recursive: true, force: true }));

function tlsFlags({ cert, key }) {
  return ['--tls-cert', cert, '--tls-key', key];
}

/* What openssl s_client says of a connection; ended at once. */
function sClient(server, ca, ...args) {
  const { stdout, stderr } = spawnSync('openssl', ['s_client', '-connect', server.address, '-CAfile', ca.file,
    '-verify_return_error', ...args], { input: '', encoding: 'utf8', timeout: 10_000 });
  return stdout + stderr;
}

/* ---- clients --------------------------------------------------------------------------------- */

async function clientsAgree(engine, ca, own, clients, browser) {
  const server = await startServer(['serve', '--engine', engine, '--demo', ...tlsFlags(own)]);
  const url = `https://${server.address}`;
  const page = browser && await openPage(browser, `${url}/ticker`);

  await check(`${engine}: curl checks the certificate, over 1.3 and 1.2`, async () => {
    for (const version of ['1.3', '1.2']) {
      const answer = await curl('--cacert', ca.file, '--tlsv1.2', '--tls-max', version, `${url}/healthz`);
      assert.equal(answer.status, 200);
    }
    await assert.rejects(curl(`${url}/healthz`), /curl ended with 60/, 'without the CA');
  });
  await check(`${engine}: curl is refused below TLS 1.2`, async () => {
    await assert.rejects(curl('--cacert', ca.file, '--ciphers', 'DEFAULT@SECLEVEL=0', '--tlsv1.0',
      '--tls-max', '1.1', `${url}/healthz`), /curl ended with 35/);
  });
  await check(`${engine}: openssl s_client finds TLS 1.3, http/1.1, a good chain`, async () => {
    const said = sClient(server, ca, '-alpn', 'h2,http/1.1');
    assert.match(said, /Verify return code: 0 \(ok\)/);
    assert.match(said, /New, TLSv1\.3, Cipher is TLS_AES_(128|256)_GCM/);
    assert.match(said, /ALPN protocol: http\/1\.1/);
  });
  for (const kind of clients) {
    await check(`${engine}: ${kind.name} receives over wss what curl publishes over https`, async () => {
      const client = await kind.open(`wss://${server.address}/topics/tls`, page, ca.file);
      for (const text of ['a', 'b'.repeat(20_000), 'c'.repeat(200_000)]) {
        const file = path.join(folder, 'body');
        fs.writeFileSync(file, text);
        const answer = await curl('--cacert', ca.file, '--data-binary', `@${file}`, `${url}/topics/tls`);
        assert.equal(JSON.parse(answer.body).receivers, 1);
      }
      await eventually('three messages', async () => {
        await client.refresh();
        return client.messages.length === 3;
      });
      assert.deepEqual(client.messages.map(({ bytes }) => bytes.length), [1, 20_000, 200_000]);
      client.close();
      await eventually('it has left', async () => subscribersOf(
        (await curl('--cacert', ca.file, `${url}/topics/tls?info`)).body) === 0);
    });
  }
  if (page) {
    await check(`${engine}: the ticker moves over wss, without complaints`, async () => {
      await eventually('prices come', () => page.evaluate(
        () => /\d+\.\d\d/.test(document.body.innerText)));
      assert.deepEqual(page.complaints, []);
    });
    await page.close();
  }
  await check(`${engine}: it stops`, async () => assert.equal(await server.stop(), 0));
}

/* ---- certificates under load ----------------------------------------------------------------- */

/* One who connects again and again, each time by a whole handshake of its own, and asks for a page:
 * when each began, and whose certificate it was shown. It goes on until `over`, and fails as soon as
 * one connection does. */
async function connectAgainAndAgain(server, ca, over) {
  const [host, port] = server.address.split(':');
  const seen = [];
  while (!over()) {
    const since = Date.now();
    const shown = await new Promise((resolve, reject) => {
      const socket = tls.connect({ host, port, ca: fs.readFileSync(ca.file), servername: 'localhost' });
      let answer = '';
      let name;
      socket.on('error', reject);
      socket.on('data', (bytes) => { answer += bytes; });
      socket.on('end', () => (answer.startsWith('HTTP/1.1 200')
        ? resolve(name) : reject(new Error(`answered ${JSON.stringify(answer)}`))));
      socket.on('secureConnect', () => {
        name = socket.getPeerCertificate().subject.CN;
        socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      });
    });
    seen.push({ since, shown });
  }
  return seen;
}

async function swapCertificates(engine, ca, kind) {
  const served = ca.make('served', NAMES);
  const next = ca.make('next', NAMES);
  const server = await startServer(['serve', '--engine', engine, ...tlsFlags(served)]);
  const clients = [];
  for (let i = 0; i < 10; i += 1) {
    clients.push(await kind.open(`wss://${server.address}/topics/swap`, null, ca.file));
  }
  let published = 0;
  const publish = async () => {
    published += 1;
    const answer = await curl('--cacert', ca.file, '-d', String(published),
      `https://${server.address}/topics/swap`);
    assert.equal(JSON.parse(answer.body).receivers, clients.length);
  };
  await check(`${engine}: SIGHUP swaps certificates under load and drops nobody`, async () => {
    for (let i = 0; i < 5; i += 1) {
      await publish();
    }
    assert.match(sClient(server, ca), /subject=CN = served/);
    let over = false;
    const connectors = Array.from({ length: 4 }, () => connectAgainAndAgain(server, ca, () => over));
    await sleep(300);
    fs.renameSync(next.cert, served.cert);
    fs.renameSync(next.key, served.key);
    server.process.kill('SIGHUP');
    const since = Date.now();
    while (Date.now() - since < 2000) {
      await publish();
    }
    over = true;
    const seen = (await Promise.all(connectors)).flat();
    const olds = seen.filter(({ shown }) => shown === 'served');
    const news = seen.filter(({ shown }) => shown === 'next');
    assert.equal(olds.length + news.length, seen.length, 'no third one was shown');
    assert.ok(olds.some((one) => one.since < since), 'the old one before');
    const first = Math.min(...news.map((one) => one.since)) - since;
    const last = Math.max(...olds.map((one) => one.since)) - since;
    console.log(`        ${seen.length} connects, none dropped: the first new certificate after ${first} ms, `
      + `the last old one after ${last} ms`);
    assert.ok(last < 1000, `an old certificate after ${last} ms`);
    assert.ok(news.length >= 20, `${news.length} saw the new one`);
    for (const client of clients) {
      await eventually('all messages', () => client.messages.length === published);
      assert.equal(client.closedWith, null);
    }
  });
  await check(`${engine}: SIGHUP with a wrong key keeps what is in use`, async () => {
    fs.copyFileSync(ca.make('other', NAMES).key, served.key);
    server.process.kill('SIGHUP');
    await eventually('the log says so', () => /were not reloaded/.test(server.output()));
    assert.match(sClient(server, ca), /subject=CN = next/);
    await publish();
  });
  clients.forEach((client) => client.close());
  await server.stop();
}

/* ---- flags ----------------------------------------------------------------------------------- */

async function refuseBadFlags(ca, own) {
  const exposed = ca.make('exposed', NAMES);
  fs.chmodSync(exposed.key, 0o644);
  const rows = [
    [['--tls-cert', own.cert], 2, /each --tls-cert wants its --tls-key/],
    [['--tls-self-signed', ...tlsFlags(own)], 2, /--tls-self-signed is instead of/],
    [['--tls-client-ca', ca.file], 2, /--tls-client-ca wants --tls-cert/],
    [tlsFlags(exposed), 1, /exposed\.key.*chmod|exposed\.key.*others/],
    [tlsFlags({ cert: own.cert, key: path.join(folder, 'nothing.key') }), 1, /nothing\.key/],
  ];
  for (const [flags, code, line] of rows) {
    await check(`fanwire serve ${flags.map((flag) => path.basename(flag)).join(' ')} is refused`, () => {
      const { status, stderr } = spawnSync(program, ['serve', '--listen', '127.0.0.1:0', ...flags],
        { encoding: 'utf8', timeout: 10_000 });
      assert.equal(status, code, stderr);
      assert.match(stderr, line);
    });
  }
}

async function demandCertificates(engine, ca, own) {
  const server = await startServer(['echo', '--engine', engine, ...tlsFlags(own), '--tls-client-ca', ca.file]);
  const alice = ca.make('alice', 'DNS:alice');
  await check(`${engine}: --tls-client-ca lets in who shows a certificate, and nobody else`, async () => {
    const url = `https://${server.address}/`;
    const answer = await curl('--cacert', ca.file, '--cert', alice.cert, '--key', alice.key, url);
    assert.equal(answer.status, 404);
    await assert.rejects(curl('--cacert', ca.file, url), /curl ended with (35|52|55|56)/);
  });
  await server.stop();
}

/* ---- the scanner ----------------------------------------------------------------------------- */

async function scan(engine, own) {
  const server = await startServer(['echo', '--engine', engine, ...tlsFlags(own)]);
  const report = path.join(folder, `testssl-${engine}.json`);
  const { stdout } = spawnSync('testssl', ['--quiet', '--color', '0', '--warnings', 'off', '--ip', 'one',
    '-p', '-s', '-R', '-C', '--jsonfile', report, server.address], { encoding: 'utf8', timeout: 60_000 });
  const findings = new Map(JSON.parse(fs.readFileSync(report, 'utf8'))
    .map(({ id, finding }) => [id, finding]));
  const isSaid = (id, wanted) => assert.match(findings.get(id) ?? `nothing of ${id} in ${stdout}`, wanted, id);
  await check(`${engine}: testssl finds TLS 1.2 and 1.3 only`, () => {
    for (const id of ['SSLv2', 'SSLv3', 'TLS1', 'TLS1_1']) {
      isSaid(id, /^not offered/);
    }
    isSaid('TLS1_2', /^offered/);
    isSaid('TLS1_3', /^offered/);
  });
  await check(`${engine}: testssl finds AEAD suites only`, () => {
    for (const id of ['NULL', 'aNULL', 'EXPORT', 'LOW', '3DES_IDEA', 'AVERAGE']) {
      isSaid(`cipherlist_${id}`, /^not offered/);
    }
    isSaid('cipherlist_STRONG', /^offered/);
  });
  await check(`${engine}: testssl finds no renegotiation and no compression`, () => {
    isSaid('secure_client_renego', /^not vulnerable/);
    isSaid('CRIME_TLS', /^not vulnerable/);
  });
  await check(`${engine}: openssl s_client cannot renegotiate`, async () => {
    const client = spawn('openssl', ['s_client', '-connect', server.address, '-tls1_2'],
      { stdio: ['pipe', 'pipe', 'pipe'] });
    atEnd(() => client.kill('SIGKILL'));
    let said = '';
    client.stdout.on('data', (bytes) => { said += bytes; });
    client.stderr.on('data', (bytes) => { said += bytes; });
    await eventually('it is connected', () => /Verify return code/.test(said));
    client.stdin.write('R\n');
    await eventually('it is refused', () => client.exitCode !== null && /RENEGOTIATING/.test(said));
    assert.match(server.output(), /renegotiation is not accepted/);
  });
  await check(`${engine}: the server has borne it all`, async () => assert.equal(await server.stop(), 0));
}

run(async () => {
  const ca = makeCa(folder);
  const own = ca.make('localhost', NAMES);
  const { working, missing } = await engines();
  for (const { engine, reason } of missing) {
    skip(`everything on ${engine}`, reason);
  }
  let noBrowser = await browserMissing();
  let browser = null;
  if (!noBrowser) {
    browser = await launchBrowser({ ca: ca.file });
  }
  const clients = [];
  for (const kind of await foreignClients(noBrowser)) {
    if (kind.missing) {
      skip(kind.name, kind.missing);
    } else {
      clients.push(kind);
    }
  }
  const hasScanner = spawnSync('testssl', ['--version']).error === undefined;
  if (!hasScanner) {
    skip('testssl', 'it is not installed (tools/setup --test)');
  }
  await refuseBadFlags(ca, own);
  for (const engine of working) {
    await clientsAgree(engine, ca, own, clients, browser);
    await swapCertificates(engine, ca, clients[0]);
    await demandCertificates(engine, ca, own);
    if (hasScanner) {
      await scan(engine, own);
    }
  }
});
