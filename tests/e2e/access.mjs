#!/usr/bin/env node
/* access.mjs: credentials, settings and operation of `fanwire serve`, from outside.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd, check, eventually, run } from './support/checks.mjs';
import { engines, program, runToEnd, startServer } from './support/server.mjs';

const folder = mkdtempSync(join(tmpdir(), 'fanwire-access-'));
atEnd(() => rmSync(folder, { recursive: true, force: true }));

function file(name, text) {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function fanwire(...args) {
  return runToEnd(args);
}

function token(key, ...flags) {
  const { status, stdout, stderr } = fanwire('token', '--key', key, ...flags);
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

/* By curl: it does not keep its connections. */
function fetchStatus(server, path, flags) {
  const { stdout } = spawnSync('curl', ['-s', '-m', '10', '-i', ...flags, `${server.url}${path}`],
    { encoding: 'utf8' });
  const found = /^HTTP\/1\.1 (\d+)/.exec(stdout);
  return { status: found ? Number(found[1]) : 0, text: stdout };
}

function status(server, path, ...flags) {
  return fetchStatus(server, path, flags).status;
}

const secret = file('secret', 'correct horse battery staple 123\n');
const hash = spawnSync('openssl', ['passwd', '-6', 'wonder'], { encoding: 'utf8' }).stdout.trim();
const passwords = file('passwords', `# names\nalice:${hash}:a.*:news chat\n`);

/* What a service may answer: (the client's status, the service's, its text). */
const answerOf = (count) => '{"publish":"news"}'.padEnd(count);
const later = Math.floor(Date.now() / 1000) + 60;
const hookAnswers = [
  [202, 200, '{"publish":"news"}'],
  [202, 200, '{"publish":["a","news"]}'],
  [202, 200, '{"publish":"a news"}'],
  [202, 200, '{"publish":"*","more":[{"unknown":null}]}'],
  [202, 200, ' \r\n\t{"publish":"n*"}\n'],
  [202, 200, `{"publish":"news","expires":${later}}`],
  [202, 200, '{"publish":"news","expires":9223372036854775807}'],
  [202, 200, `{"publish":"news","subject":"${'s'.repeat(256)}"}`],
  [202, 200, answerOf(16384)],
  [403, 200, '{}'],
  [403, 200, '{"subscribe":"*"}'],
  [403, 200, '{"publish":""}'],
  [403, 200, '{"publish":[]}'],
  [403, 200, '{"publish":["ne","ws"]}'],
  [403, 200, '{"Publish":"news"}'],
  [401, 200, '{"publish":"news","expires":0}'],
  [401, 200, '{"publish":"news","expires":-1}'],
  [401, 200, '{"publish":"news","expires":1}'],
  [401, 200, '{"publish":"news","expires":-9223372036854775808}'],
  [500, 200, '{"publish":"a**"}'],
  [500, 200, '{"publish":"news","subscribe":"a,b"}'],
  [500, 200, `{"publish":"news","subject":"${'s'.repeat(257)}"}`],
  [503, 200, answerOf(16385)],
  [503, 200, `"${'a'.repeat(100000)}"`],
  [503, 200, `{"publish":"${'a '.repeat(2048)}news"}`],
  [503, 200, `{"publish":[${'"a",'.repeat(2048)}"news"]}`],
  [503, 200, ''],
  [503, 200, 'hello'],
  [503, 200, 'null'],
  [503, 200, 'true'],
  [503, 200, '"news"'],
  [503, 200, '["news"]'],
  [503, 200, '{"publish":"news"'],
  [503, 200, '{"publish":"news"}{}'],
  [503, 200, '{"publish":"news"}x'],
  [503, 200, '{"publish":"news",}'],
  [503, 200, "{'publish':'news'}"],
  [503, 200, '\ufeff{"publish":"news"}'],
  [503, 200, '{"publish":"x","publish":"news"}'],
  [503, 200, '{"publish":"news\\u0000"}'],
  [503, 200, Buffer.from('{"publish":"news","subject":"\xff"}', 'latin1')],
  [503, 200, '{"publish":null}'],
  [503, 200, '{"publish":7}'],
  [503, 200, '{"publish":{"0":"news"}}'],
  [503, 200, '{"publish":["news",7]}'],
  [503, 200, '{"publish":[["news"]]}'],
  [503, 200, '{"publish":"news","subscribe":false}'],
  [503, 200, '{"publish":"news","subject":7}'],
  [503, 200, '{"publish":"news","subject":null}'],
  [503, 200, '{"publish":"news","observe":"yes"}'],
  [503, 200, '{"publish":"news","observe":1}'],
  [503, 200, '{"publish":"news","expires":"never"}'],
  [503, 200, '{"publish":"news","expires":null}'],
  [503, 200, `{"publish":"news","expires":${later}.5}`],
  [503, 200, '{"publish":"news","expires":9223372036854775808}'],
  [503, 200, '{"publish":"news","expires":1e99}'],
  [503, 200, `${'['.repeat(16000)}`],
  [503, 200, `{"publish":"news","more":${'['.repeat(3000)}${']'.repeat(3000)}}`],
  [503, 201, '{"publish":"news"}'],
  [503, 204, ''],
  [503, 206, '{"publish":"news"}'],
  [503, 301, '{"publish":"news"}'],
  [503, 302, ''],
  [503, 400, '{"publish":"news"}'],
  [401, 401, '{"publish":"news"}'],
  [403, 403, '{"publish":"news"}'],
  [503, 404, '{"publish":"news"}'],
  [503, 500, '{"publish":"news"}'],
  [503, 503, '{"publish":"news"}'],
];

await run(async () => {
  await check('a key pair is made, the private half for its owner alone, and never over another', () => {
    for (const kind of ['es256', 'eddsa']) {
      const key = join(folder, `${kind}.jwk`);
      assert.equal(fanwire('token', '--new-key', kind, '--key', key, '--id', kind).status, 0);
      assert.equal(statSync(key).mode & 0o777, 0o600);
      assert.ok(!('d' in JSON.parse(readFileSync(`${key}.pub`, 'utf8'))));
      assert.equal(fanwire('token', '--new-key', kind, '--key', key).status, 1);
      assert.equal(fanwire('token', '--key', `${key}.pub`).status, 1, 'it cannot sign');
    }
  });

  for (const engine of (await engines()).working) {
    const server = await startServer(['serve', '--engine', engine, '--log-format', 'text',
      '--token-key', secret, '--token-key', join(folder, 'eddsa.jwk.pub'),
      '--password-file', passwords, '--anonymous-subscribe', 'public.*']);
    const bearer = ['-H', `Authorization: Bearer ${token(join(folder, 'eddsa.jwk'),
      '--publish', 'news', '--observe')}`];

    await check(`${engine}: publishing wants a credential that allows it`, async () => {
      assert.equal(status(server, '/topics/news', '-d', 'x'), 401);
      assert.equal(status(server, '/topics/news', '-d', 'x', ...bearer), 202);
      assert.equal(status(server, '/topics/other', '-d', 'x', ...bearer), 403);
      assert.equal(status(server, '/topics/news', '-d', 'x', '-H', 'Authorization: Bearer x'), 401);
    });

    await check(`${engine}: a name and a password do, again and again`, async () => {
      for (let i = 0; i < 3; i++)
        assert.equal(status(server, '/topics/news', '-d', 'x', '-u', 'alice:wonder'), 202);
      assert.equal(status(server, '/topics/x', '-d', 'x', '-u', 'alice:wonder'), 403);
      for (const wrong of ['alice:wonde', 'alice:', 'alice:wonderr', 'Alice:wonder', 'bob:wonder', ':'])
        assert.equal(status(server, '/topics/news', '-d', 'x', '-u', wrong), 401, wrong);
      const { text } = fetchStatus(server, '/topics/news', ['-d', 'x']);
      assert.match(text, /WWW-Authenticate: Basic/);
    });

    await check(`${engine}: figures are for who may observe`, async () => {
      assert.equal(status(server, '/metrics'), 401);
      assert.equal(status(server, '/metrics', '-u', 'alice:wonder'), 403);
      const { text } = fetchStatus(server, '/metrics', bearer);
      assert.match(text, /^fanwire_connections \d+$/m);
      for (const category of ['session', 'output', 'input', 'deflate', 'tls', 'receive']) {
        for (const name of ['fanwire_memory_bytes', 'fanwire_connection_bytes'])
          assert.match(text, new RegExp(`^${name}\\{category="${category}"\\} \\d+$`, 'm'));
      }
      assert.match(text, /^fanwire_memory_bytes\{category="receive"\} [1-9]\d+$/m);
      assert.match(text, /^fanwire_connection_bytes\{category="session"\} [1-9]\d+$/m);
    });

    await check(`${engine}: the log has no credential in it`, async () => {
      status(server, '/topics/news?token=eyJsecret', '-d', 'x');
      status(server, '/topics/news', '-d', 'x', '-u', 'alice:secretpassword');
      await eventually('it is logged', () => /answered 401/.test(server.output()));
      assert.doesNotMatch(server.output(), /eyJ|secretpassword|Bearer |Basic /);
    });
    assert.equal(await server.stop(), 0);
  }

  /* ---- the hook ---- */
  const asked = [];
  const hook = http.createServer((request, response) => {
    let body = '';
    request.on('data', (bytes) => { body += bytes; });
    request.on('end', () => {
      const question = JSON.parse(body);
      asked.push(question);
      const cookie = question.headers.cookie ?? '';
      const answers = {
        'sid=good': [200, JSON.stringify({ subject: 'u', subscribe: ['*'], publish: 'news' })],
      };
      const [code, text] = answers[cookie] ?? hookAnswers[cookie.slice(4)]?.slice(1) ?? [403, ''];
      if (cookie === 'sid=never')
        return;
      response.writeHead(code, { Location: 'http://127.0.0.1:1/' });
      response.end(text);
    });
  });
  await new Promise((resolve) => { hook.listen(0, '127.0.0.1', resolve); });
  const server = await startServer(['serve', '--auth-timeout', '1',
    '--auth-url', `http://127.0.0.1:${hook.address().port}/who`]);
  await check('a service decides, and one that does not work lets nobody in', async () => {
    for (const [name, expected] of Object.entries({ good: 202, never: 503, x: 403 })) {
      const got = await statusAsync(server, '/topics/news?a=b', `sid=${name}`);
      assert.equal(got, expected, name);
    }
    assert.deepEqual(
      { method: asked[0].method, path: asked[0].path, query: asked[0].query },
      { method: 'POST', path: '/topics/news', query: 'a=b' });
  });
  await check(`${hookAnswers.length} answers of the service are each taken as they should be`, async () => {
    for (const [i, [expected, code, text]] of hookAnswers.entries()) {
      const got = await statusAsync(server, '/topics/news', `sid=${i}`);
      assert.equal(got, expected, `${code} ${text.slice(0, 100)}`);
    }
  });
  await check('nobody waits for who waits for the service', async () => {
    const slow = Array.from({ length: 20 }, () => statusAsync(server, '/topics/news', 'sid=never'));
    const from = Date.now();
    assert.equal((await fetch(`${server.url}/healthz`)).status, 200);
    assert.ok(Date.now() - from < 500);
    assert.ok((await Promise.all(slow)).every((code) => code === 503));
  });
  assert.equal(await server.stop(), 0);
  hook.closeAllConnections();
  hook.close();

  /* ---- settings ---- */
  await check('a mistake in the settings is named with its place and what was meant', () => {
    const rows = [
      ['max-topcs: 100', /yaml:1: there is no setting 'max-topcs'; did you mean 'max-topics'/],
      ['listen: x\nlisten: y', /yaml:2: 'listen' is there twice/],
      ['max-topics: 1', /max-topics takes a number from 64/],
      ['max-topics: [100]', /one value, not a list/],
      ['listen: &a x', /yaml:1/],
      ['listen: {a: b}', /yaml:1/],
      ['- a', /NAME: VALUE/],
      ['deflate: maybe', /true or false/],
      ['"', /yaml:\d+: this is not YAML/],
      ['demo: true\n---\ndemo: false', /one document/],
      ['token-cookie: feed', /allow-origin/],
      ['token-key: /nowhere', /cannot read '\/nowhere'/],
      ['auth-url: ftp://a', /http or https/],
      ['anonymous-subscribe: "*.a"', /anonymous-subscribe: a pattern/],
      ['anonymous-publish: a**', /anonymous-publish: a pattern/],
      ['token-cookie: a b\nallow-origin: https://a.b', /token-cookie: .*cookie's name/],
      ['certificate-observe: true', /need tls-client-ca/],
      ['password-file: /nowhere', /password-file: cannot read '\/nowhere'/],
      ['listen: 0.0.0.0:1', /reachable from other hosts/],
      ['listen: 127.0.0.1', /cannot listen on '127.0.0.1': .*HOST:PORT/],
      ['listen: 192.0.2.1:80\ninsecure-publish: true', /cannot listen on '192.0.2.1:80'/],
      ['allow-origin: https://a.b/', /an allowed origin is/],
      ['memory-max: 1000', /at least 33554432/],
      ['proxy-protocol: true', /needs trusted_proxies/],
      ['tls-cert: /nowhere\ntls-key: /nowhere', /TLS: \/nowhere/],
    ];
    for (const [text, message] of rows) {
      const { status: code, stderr } = fanwire('config', 'check', '--config', file('a.yaml', `${text}\n`));
      assert.notEqual(code, 0, text);
      assert.match(stderr, message, text);
    }
  });
  await check('a key without an id is spoken of when it is one of several', () => {
    const named = join(folder, 'es256.jwk.pub');
    const rows = [[[secret], ''], [[named, join(folder, 'eddsa.jwk.pub')], ''], [[secret, named], 'without an id']];
    for (const [keys, said] of rows) {
      const { status: code, stderr } = fanwire('config', 'check',
        ...keys.flatMap((key) => ['--token-key', key]), '--listen', '127.0.0.1:0');
      assert.equal(code, 0, stderr);
      assert.equal(stderr.includes('without an id'), said !== '', keys.join(' '));
    }
  });
  await check('settings are good while the server that runs with them has their port', async () => {
    const running = await startServer(['serve']);
    const { status: code, stdout } = fanwire('config', 'check', '--listen', running.address);
    assert.equal(code, 0);
    assert.equal(stdout, 'the settings are good\n');
    assert.equal(status(running, '/healthz'), 200);
    assert.equal(await running.stop(), 0);
  });
  await check('a listener that somebody else opened is judged by where it listens', async () => {
    const opening = (family, host) => ['/usr/bin/python3', '-c', `import os, socket, sys
listener = socket.socket(socket.${family})
listener.bind(${host})
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.execv(sys.argv[1], sys.argv[1:])`];
    const rows = [['AF_INET', "('127.0.0.1', 0)"], ['AF_INET6', "('::1', 0)"], ['AF_UNIX', "''"]];
    for (const [family, host] of rows) {
      const running = await startServer(['serve'], { wrapper: opening(family, host), listen: 'fd:3' });
      if (family !== 'AF_UNIX')
        assert.equal(status(running, '/topics/a', '-d', 'x'), 202, host);
      assert.equal(await running.stop(), 0);
    }
    for (const [family, host] of [['AF_INET', "('0.0.0.0', 0)"], ['AF_INET6', "('::', 0)"]]) {
      const { status: code, stderr } = runToEnd(['serve', '--listen', 'fd:3'],
        { wrapper: opening(family, host) });
      assert.equal(code, 2, host);
      assert.match(stderr, /'fd:3' is reachable from other hosts/);
    }
  });
  await check('a flag is stronger than a variable, and that than the file', () => {
    const path = file('b.yaml', 'max-topics: 100\nmax-message: 200\nmax-output: 5000\n');
    const shown = spawnSync(program, ['config', 'show', '--config', path, '--max-topics', '300'],
      { encoding: 'utf8', env: { ...process.env, FANWIRE_MAX_TOPICS: '400', FANWIRE_MAX_MESSAGE: '500' } });
    assert.match(shown.stdout, /^max-topics: 300 {2}# --max-topics$/m);
    assert.match(shown.stdout, /^max-message: 500 {2}# FANWIRE_MAX_MESSAGE$/m);
    assert.match(shown.stdout, /^max-output: 5000 {2}# .*b\.yaml:3$/m);
  });
  await check('every setting is in both manuals', () => {
    const { stdout } = fanwire('config', 'show');
    const plain = (path) => readFileSync(new URL(path, import.meta.url), 'utf8').replaceAll('\\-', '-');
    const commands = plain('../../tools/man/fanwire.1');
    const settings = plain('../../tools/man/fanwire.yaml.5');
    const names = [...stdout.matchAll(/^#? ?([a-z-]+): /gm)].map(([, name]) => name);
    assert.ok(names.length > 30);
    for (const name of names) {
      assert.ok(commands.includes(`--${name}`), `--${name} is not in fanwire(1)`);
      assert.ok(settings.includes(`.B ${name}`), `${name} is not in fanwire.yaml(5)`);
    }
  });

  /* ---- SIGHUP ---- */
  await check('SIGHUP applies good settings, keeps the old for bad ones, and drops nobody', async () => {
    const path = file('c.yaml', `token-key: ${secret}\nlog-format: text\n`);
    const running = await startServer(['serve', '--config', path]);
    const key = token(secret, '--publish', '*', '--subscribe', '*');
    const bearer = ['-H', `Authorization: Bearer ${key}`];
    assert.equal(status(running, '/topics/a', '-d', 'x', ...bearer), 202);
    const other = file('other', 'another horse battery staple 4567\n');
    file('c.yaml', `token-key: ${other}\nlog-format: text\nmax-topics: 70\n`);
    running.process.kill('SIGHUP');
    await eventually('it says so', () => /settings are applied/.test(running.output()));
    assert.match(running.output(), /max-topics has changed; that takes a restart/);
    await eventually('the old key is gone', () => (status(running, '/topics/a', '-d', 'x', ...bearer)) === 401);
    file('c.yaml', 'tokn-key: x\n');
    running.process.kill('SIGHUP');
    await eventually('it says so', () => /those from before stay/.test(running.output()));
    const fresh = ['-H', `Authorization: Bearer ${token(other, '--publish', '*')}`];
    assert.equal(status(running, '/topics/a', '-d', 'x', ...fresh), 202);
    assert.equal(await running.stop(), 0);
  });
  await check('SIGHUP changes how lines are logged, and says mistakes as the log says things', async () => {
    const path = file('d.yaml', 'log-format: json\n');
    const running = await startServer(['serve', '--config', path]);
    file('d.yaml', 'tokn-key: x\n');
    running.process.kill('SIGHUP');
    await eventually('it says so', () => /those from before stay/.test(running.output()));
    const lines = running.output().split('\n').filter((line) => line !== '' && !line.startsWith('ready: '))
      .map((line) => JSON.parse(line));
    assert.ok(lines.some(({ level, message }) => level === 'error' && /d\.yaml:1: .*tokn-key/.test(message)));
    file('d.yaml', 'log-format: text\nquiet: true\nmax-topics: 70\n');
    running.process.kill('SIGHUP');
    await eventually('it is text', () => /^\S+Z warn reload: max-topics has changed/m.test(running.output()));
    assert.doesNotMatch(running.output(), /settings are applied/, 'it is quiet');
    file('d.yaml', 'log-format: text\n');
    running.process.kill('SIGHUP');
    await eventually('it is not quiet', () => /info reload: the settings are applied/.test(running.output()));
    assert.equal(await running.stop(), 0);
  });
  await check('SIGHUP leaves a server of this machine alone its figures', async () => {
    const running = await startServer(['serve', '--log-format', 'text']);
    assert.equal(status(running, '/metrics'), 200);
    running.process.kill('SIGHUP');
    await eventually('it says so', () => /settings are applied/.test(running.output()));
    assert.equal(status(running, '/metrics'), 200);
    assert.equal(await running.stop(), 0);
  });
  await check('SIGHUP does not open to strangers what listens where they reach it', async () => {
    const path = file('e.yaml', `token-key: ${secret}\nlog-format: text\n`);
    const running = await startServer(['serve', '--config', path], { listen: '0.0.0.0:0' });
    const local = { url: `http://127.0.0.1:${running.port}` };
    assert.equal(status(local, '/topics/a', '-d', 'x'), 401);
    for (const text of ['', 'insecure-publish: true\n', 'auth-url: http://127.0.0.1:1/\n']) {
      const before = running.output().length;
      file('e.yaml', `${text}log-format: text\n`);
      running.process.kill('SIGHUP');
      await eventually('it says so', () => /those from before stay/.test(running.output().slice(before)));
      assert.match(running.output().slice(before), /error .* is reachable from other hosts/);
      assert.equal(status(local, '/topics/a', '-d', 'x'), 401, text);
    }
    assert.equal(await running.stop(), 0);
  });
});

/* Not by curl: the hook runs in this process, which must not block. */
async function statusAsync(server, path, cookie) {
  const answer = await fetch(`${server.url}${path}`, { method: 'POST', body: 'x', headers: { cookie } });
  await answer.text();
  return answer.status;
}
