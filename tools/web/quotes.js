/* quotes.js: the table of the demo feed: a row for each symbol, its price moving.
 *
 * A message is {"symbol":"FNW","price":101.25,"change":0.12,"at":...}. Rows are drawn once a frame,
 * however many messages came; what a hidden page misses is drawn when it is seen again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { linePath } from './chart.js';

const SVG = 'http://www.w3.org/2000/svg';
const SPARK_WIDTH = 100;
const SPARK_HEIGHT = 24;

/* Prices of the small line: what is shown of the past. */
export const PRICES = 48;

const money = new Intl.NumberFormat('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

function cell(row, tag, className) {
  const element = row.appendChild(document.createElement(tag));
  element.className = className;
  return element;
}

class Row {
  #row;
  #price;
  #change;
  #path;
  #prices = [];
  #shown = 0;
  #ticks = 0;
  #message = null;

  constructor(body, symbol) {
    this.#row = body.appendChild(document.createElement('tr'));
    this.#row.dataset.symbol = symbol;
    const head = cell(this.#row, 'th', 'symbol');
    head.scope = 'row';
    head.textContent = symbol;

    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('class', 'spark');
    svg.setAttribute('viewBox', `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    this.#path = svg.appendChild(document.createElementNS(SVG, 'path'));
    cell(this.#row, 'td', 'spark-cell').append(svg);

    this.#price = cell(this.#row, 'td', 'price number').appendChild(document.createElement('span'));
    this.#price.textContent = '–';
    this.#change = cell(this.#row, 'td', 'change number');
  }

  take(message) {
    this.#message = message;
    this.#prices.push(message.price);
    if (this.#prices.length > PRICES) {
      this.#prices.shift();
    }
  }

  draw() {
    const { price, change } = this.#message;
    if (this.#shown !== 0 && price !== this.#shown) {
      this.#ticks ^= 1;
      this.#price.className = `tick-${price > this.#shown ? 'up' : 'down'}-${this.#ticks}`;
    }
    this.#shown = price;
    this.#price.textContent = money.format(price);
    this.#change.textContent =
      `${change > 0 ? '▲ +' : change < 0 ? '▼ −' : ''}${money.format(Math.abs(change))}`;
    this.#row.className = change > 0 ? 'up' : change < 0 ? 'down' : '';
    const low = Math.min(...this.#prices);
    const high = Math.max(...this.#prices);
    // A margin, so that the stroke is not cut at the highest and lowest price.
    const margin = (high - low || 1) * 0.1;
    this.#path.setAttribute(
      'd', linePath(this.#prices, SPARK_WIDTH, SPARK_HEIGHT, low - margin, high + margin));
  }
}

export class Quotes {
  #body;
  #rows = new Map();
  #changed = new Set();

  constructor(body, symbols) {
    this.#body = body;
    for (const symbol of symbols) {
      this.#rows.set(symbol, new Row(body, symbol));
    }
  }

  /* One message's text; what is not a price is passed over. */
  take(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    const { symbol, price, change } = message ?? {};
    if (typeof symbol !== 'string' || !Number.isFinite(price) || !Number.isFinite(change)) {
      return;
    }
    const row = this.#rows.get(symbol);
    if (!row) {
      return;
    }
    row.take(message);
    if (this.#changed.size === 0) {
      requestAnimationFrame(() => this.#draw());
    }
    this.#changed.add(row);
  }

  #draw() {
    for (const row of this.#changed) {
      row.draw();
    }
    this.#changed.clear();
  }
}
