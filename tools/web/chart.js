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

const SAMPLE_MS = 500;
const SAMPLES = 120; // one minute

/* Counts messages and draws how many there were per second, twice a second. */
export class RateChart {
  #counted = 0;
  #total = 0;
  #sampledAt = performance.now();
  #samples = new Array(SAMPLES).fill(0);
  #parts;

  /* parts: the elements svg, now, max, total and text (what a screen reader is told). */
  constructor(parts) {
    this.#parts = parts;
    setInterval(() => this.#sample(), SAMPLE_MS);
    this.#draw();
  }

  count() {
    this.#counted += 1;
  }

  #sample() {
    const now = performance.now();
    // Hidden pages are called late: a sample counts for the time that it really took.
    const seconds = (now - this.#sampledAt) / 1000;
    this.#samples.push(this.#counted / seconds);
    this.#samples.shift();
    this.#total += this.#counted;
    this.#counted = 0;
    this.#sampledAt = now;
    this.#draw();
  }

  #draw() {
    const { svg, now, max, total, text } = this.#parts;
    const { width, height } = svg.viewBox.baseVal;
    const highest = Math.max(...this.#samples);
    const ceiling = niceCeiling(highest);
    const line = linePath(this.#samples, width, height, 0, ceiling * 1.05);
    svg.querySelector('.line').setAttribute('d', line);
    svg.querySelector('.area').setAttribute('d', `${line}L${width} ${height}L0 ${height}Z`);

    // Over one second: the last two samples.
    const rate = Math.round((this.#samples[SAMPLES - 1] + this.#samples[SAMPLES - 2]) / 2);
    now.textContent = rate.toLocaleString();
    max.textContent = ceiling.toLocaleString();
    total.textContent = this.#total.toLocaleString();
    text.textContent =
      `Chart of the last minute: now ${rate} messages per second, highest ${Math.round(highest)}.`;
  }
}
