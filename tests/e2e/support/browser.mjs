/* browser.mjs: Chromium without a window and with a fresh profile, driven by puppeteer-core.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import fs from 'node:fs';
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

/* Starts a browser; it is closed at the end of the script. */
export async function launchBrowser() {
  const { default: puppeteer } = await import('puppeteer-core');
  const browser = await puppeteer.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
  atEnd(() => browser.close());
  return browser;
}

/* A page whose errors, and whatever its security policy refuses, are collected in page.complaints. */
export async function openPage(browser, url, { width = 1280, height = 900 } = {}) {
  const page = await browser.newPage();
  page.complaints = [];
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
