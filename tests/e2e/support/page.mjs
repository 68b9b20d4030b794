/* page.mjs: what the tests of the pages do in a page: read, fill in, go by the tab key, look.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import assert from 'node:assert/strict';
import { root } from './server.mjs';

/* Where screenshots are kept. */
export const PICTURES = process.env.PICTURES ?? `${root}build/e2e`;

/* WCAG 2.1, success criterion 1.4.3. */
export const CONTRAST_MIN = 4.5;

export const textOf = (page, selector) => page.$eval(selector, (element) => element.textContent);
export const textsOf = (page, selector) =>
  page.$$eval(selector, (all) => all.map((one) => one.textContent));
export const stateOf = (page, selector) => page.$eval(selector, (element) => element.dataset.state);
export const isLive = async (page, selector) => await stateOf(page, selector) === 'live';

export async function fill(page, selector, text) {
  await page.$eval(selector, (field) => { field.value = ''; });
  await page.type(selector, text);
}

/* Goes from field to field by the tab key until one is reached; each stop must be seen to be one. */
export async function tabTo(page, selector) {
  for (let i = 0; i < 80; i += 1) {
    await page.keyboard.press('Tab');
    const { found, seen } = await page.evaluate((wanted) => ({
      found: document.activeElement.matches(wanted),
      // After the last field the focus is on the browser's own controls for one step.
      seen: document.activeElement === document.body
        || getComputedStyle(document.activeElement).outlineStyle !== 'none',
    }), selector);
    assert.ok(seen, 'the focus is visible');
    if (found) {
      return;
    }
  }
  throw new Error(`the tab key does not reach ${selector}`);
}

/* The contrast of an element's text to what lies behind it, as WCAG 2.1 computes it; run in the page. */
function contrastsInPage(selectors) {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return channels(color)[3] === 0 ? behind(element.parentElement) : color;
  };
  return selectors.map((selector) => {
    const element = document.querySelector(selector);
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(behind(element))];
    return [selector, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
}

export async function assertContrasts(page, selectors) {
  for (const [selector, contrast] of await page.evaluate(contrastsInPage, selectors)) {
    assert.ok(contrast >= CONTRAST_MIN, `${selector} has ${contrast.toFixed(2)}`);
  }
}

export async function assertFits(page) {
  const { wide, inner } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth, inner: window.innerWidth,
  }));
  assert.ok(wide <= inner, `${wide} of ${inner}`);
}

/* Every field and button has a name that a screen reader says. */
export async function assertNamed(page) {
  const tree = await page.accessibility.snapshot({ interestingOnly: true });
  const nameless = [];
  const walk = (node) => {
    if (['textbox', 'button', 'link'].includes(node.role) && !node.name) {
      nameless.push(node.role);
    }
    (node.children ?? []).forEach(walk);
  };
  walk(tree);
  assert.deepEqual(nameless, []);
}

/* What a page complained of that a test did not bring about. Refused requests are logged by the browser
 * itself; a refused WebSocket, too. */
export function realComplaints(page) {
  return page.complaints.filter((text) =>
    !/status of (400|401|403|404)|ERR_CONNECTION|WebSocket connection to/.test(text));
}
