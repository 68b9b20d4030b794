/* chart.js: lines in SVG: the rate of the last minute, and the small ones of the ticker.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* The path through values, left to right over the whole width; high values are up. */
export function linePath(values, width, height, low, high) {
  const span = high - low || 1;
  const step = width / Math.max(1, values.length - 1);
  return values
    .map((value, i) => {
      const y = height - ((value - low) / span) * height;
      return `${i === 0 ? 'M' : 'L'}${(i * step).toFixed(1)} ${y.toFixed(1)}`;
    })
    .join('');
}

/* A round number at or over the value: 1, 2 or 5 times a power of ten. */
export function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  const factor = [1, 2, 5, 10].find((f) => f * power >= value);
  return factor * power;
}

const SAMPLES = 60; // one a second

/* Draws a rate, once a second. */
export class RateChart {
  #samples = new Array(SAMPLES).fill(0);
  #parts;

  /* parts: the elements svg, now, max and text (what a screen reader is told). */
  constructor(parts) {
    this.#parts = parts;
    this.#draw();
  }

  /* The rate was this for so many seconds. */
  push(rate, seconds) {
    for (let i = Math.min(SAMPLES, Math.max(1, Math.round(seconds))); i > 0; i -= 1) {
      this.#samples.push(rate);
      this.#samples.shift();
    }
    this.#draw();
  }

  #draw() {
    const { svg, now, max, text } = this.#parts;
    const { width, height } = svg.viewBox.baseVal;
    const highest = Math.max(...this.#samples);
    const ceiling = niceCeiling(highest);
    const line = linePath(this.#samples, width, height, 0, ceiling * 1.05);
    const rate = Math.round(this.#samples[SAMPLES - 1]);
    svg.querySelector('.line').setAttribute('d', line);
    svg.querySelector('.area').setAttribute('d', `${line}L${width} ${height}L0 ${height}Z`);
    now.textContent = rate.toLocaleString();
    max.textContent = ceiling.toLocaleString();
    text.textContent =
      `Chart of the last minute: now ${rate} messages per second, highest ${Math.round(highest)}.`;
  }
}
