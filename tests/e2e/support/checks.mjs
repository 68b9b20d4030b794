/* checks.mjs: counts the checks of one script and ends it with "N passed, N failed, N skipped".
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* No check takes longer; one that does has hung. */
const CHECK_MS_MAX = 60_000;

let passed = 0;
let failed = 0;
let skipped = 0;
const leftovers = [];

function timeLimit(ms) {
  let timer;
  const promise = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return { promise, clear: () => clearTimeout(timer) };
}

/* Runs one check, whose name is a sentence; it fails by throwing. */
export async function check(name, body, msMax = CHECK_MS_MAX) {
  const limit = timeLimit(msMax);
  try {
    await Promise.race([body(), limit.promise]);
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n        ${String(error.stack ?? error).replaceAll('\n', '\n        ')}`);
  } finally {
    limit.clear();
  }
}

/* Says out loud what cannot be checked here. */
export function skip(name, reason) {
  skipped += 1;
  console.log(`skipped: ${name}: ${reason}`);
}

/* What must be undone when the script ends, however it ends; newest first. */
export function atEnd(undo) {
  leftovers.push(undo);
}

async function end(code) {
  for (const undo of leftovers.reverse()) {
    await undo();
  }
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exit(code ?? (failed === 0 ? 0 : 1));
}

/* Runs a whole script. */
export async function run(script) {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => end(1));
  }
  try {
    await script();
  } catch (error) {
    failed += 1;
    console.log(`FAILED  the script itself\n${error.stack ?? error}`);
  }
  await end();
}

/* Waits until a condition holds, looking every few milliseconds; the sentence says what was awaited. */
export async function eventually(sentence, condition, msMax = 10_000) {
  const until = performance.now() + msMax;
  for (;;) {
    const value = await condition();
    if (value) {
      return value;
    }
    if (performance.now() > until) {
      throw new Error(`within ${msMax} ms it did not come true that ${sentence}`);
    }
    await pause(20);
  }
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
