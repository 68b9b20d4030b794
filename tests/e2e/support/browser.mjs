/* browser.mjs: Chromium without a window and with a fresh profile, driven by puppeteer-core.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { atEnd } from './checks.mjs';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
];

/* Why there is no browser here; null when there is. */
export async function browserMissing() {
  if (!fs.existsSync(CHROMIUM)) {
    return `there is no ${CHROMIUM}`;
  }
  try {
    await import('puppeteer-core');
    return null;
  } catch {
    return 'puppeteer-core is not installed (tools/setup --test)';
  }
}

/* A home folder whose certificate store trusts a CA, as a user's does who imported it. */
function homeThatTrusts(caFile) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'fanwire-home-'));
  atEnd(() => fs.rmSync(home, { recursive: true, force: true }));
  const store = path.join(home, '.pki/nssdb');
  fs.mkdirSync(store, { recursive: true });
  for (const args of [['-N', '--empty-password'], ['-A', '-t', 'C,,', '-n', 'test', '-i', caFile]]) {
    const { status, stderr } = spawnSync('certutil', ['-d', `sql:${store}`, ...args], { encoding: 'utf8' });
    if (status !== 0) {
      throw new Error(`certutil: ${stderr}`);
    }
  }
  return home;
}

/* Starts a browser; it is closed at the end of the script.
 *
 * ca           a file of a CA that it shall trust
 */
export async function launchBrowser({ ca } = {}) {
  const { default: puppeteer } = await import('puppeteer-core');
  const browser = await puppeteer.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: FLAGS,
    env: ca ? { ...process.env, HOME: homeThatTrusts(ca) } : process.env,
  });
  atEnd(() => browser.close());
  return browser;
}

/* A page whose errors, and whatever its security policy refuses, are collected in page.complaints. */
export async function openPage(browser, url, { width = 1280, height = 900 } = {}) {
  const page = await browser.newPage();
  page.complaints = [];
  await page.evaluateOnNewDocument(() => {
    document.addEventListener('securitypolicyviolation', (event) =>
      console.error(`the policy forbids ${event.violatedDirective}: ${event.blockedURI}`));
  });
  page.on('pageerror', (error) => page.complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.location().url?.endsWith('/demo.json')) {
      page.complaints.push(message.text());
    }
  });
  await page.setViewport({ width, height });
  await page.goto(url, { waitUntil: 'load' });
  return page;
}
