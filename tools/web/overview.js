/* overview.js: what the server says of itself: its topics with their rates, and who is slow.
 *
 * Asks /debug/topics and /debug/slow every second while the page is seen. A rate is what was counted
 * between two answers, by the server's clock, over the last few of them: so it is right however late an
 * answer comes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { onCredential, request } from './credential.js';

const ASK_MS = 1000;

/* For an answer the server looks at every topic, 16 ms for 65,536: beyond these it is asked less often. */
const MANY_TOPICS = 10000;
const ASK_MANY_MS = 5000;

/* Answers that a topic's rate is taken over; and the chart's, which shows every second by itself. */
const WINDOW = 4;

/* Counts of the last few answers. */
class Counter {
  #counts = [];

  /* Adds one; gives the rate per second since the last and over the window. What counts anew (another
   * epoch, another server) has no rate yet. */
  add(atMs, count, epoch = '') {
    const newest = this.#counts.at(-1);
    if (newest && (newest.epoch !== epoch || newest.atMs >= atMs || newest.count > count)) {
      this.#counts = [];
    }
    this.#counts.push({ atMs, count, epoch });
    if (this.#counts.length > WINDOW) {
      this.#counts.shift();
    }
    return { rate: this.#rateFrom(0), seconds: newest ? (atMs - newest.atMs) / 1000 : 0,
      latest: this.#rateFrom(Math.max(0, this.#counts.length - 2)) };
  }

  #rateFrom(index) {
    const [from, to] = [this.#counts[index], this.#counts.at(-1)];
    return to.atMs > from.atMs ? ((to.count - from.count) * 1000) / (to.atMs - from.atMs) : 0;
  }
}

function rateText(rate) {
  return rate.toLocaleString(undefined, { maximumFractionDigits: rate < 10 ? 1 : 0 });
}

/* Sets a text only when it is another one: what stands still is not announced, nor selected away. */
function show(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function addCell(row, className) {
  const cell = row.appendChild(document.createElement('td'));
  cell.className = className;
  return cell;
}

class TopicRow {
  row = document.createElement('tr');
  counter = new Counter();
  #cells;

  constructor(name) {
    const head = this.row.appendChild(document.createElement('th'));
    const link = head.appendChild(document.createElement('a'));
    head.scope = 'row';
    link.href = `#${name}`;
    link.textContent = name;
    this.#cells = ['number', 'number wide', 'number', 'number', 'number'].map(
      (className) => addCell(this.row, className));
  }

  show(rate, { offset, subscribers }) {
    const { ws, sse, longpoll } = subscribers;
    const texts = [rateText(rate), ...[offset, ws, sse, longpoll].map((n) => n.toLocaleString())];
    texts.forEach((text, i) => show(this.#cells[i], text));
  }
}

function bytesText(bytes) {
  return bytes < 1024 ? `${bytes} B` : bytes < 1048576
    ? `${Math.round(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

const TRANSPORTS = { ws: 'WebSocket', sse: 'event stream', longpoll: 'long poll' };

export class Overview {
  #parts;
  #topics = new Map();
  #messages = new Counter();
  #deliveries = new Counter();
  #timer = 0;
  #askMs = ASK_MS;

  #onRate;

  /* parts: the elements deliveries, count, ws, sse, longpoll, rows, more, slowRows, slowTable,
   * slowCount and refusal. onRate(rate, seconds) once a second. */
  constructor(parts, onRate) {
    this.#parts = parts;
    this.#onRate = onRate;
    document.addEventListener('visibilitychange', () => this.#hurry());
    onCredential(() => this.#hurry());
    this.#ask();
  }

  #hurry() {
    if (this.#timer) {
      clearTimeout(this.#timer);
      this.#timer = 0;
      this.#ask();
    }
  }

  async #ask() {
    if (!document.hidden) {
      try {
        const topics = await this.#read('/debug/topics');
        this.#showTopics(topics);
        this.#showSlow(await this.#read('/debug/slow'));
        show(this.#parts.refusal, '');
      } catch (error) {
        show(this.#parts.refusal, error.message);
      }
      this.#parts.refusal.hidden = this.#parts.refusal.textContent === '';
    }
    this.#timer = setTimeout(() => this.#ask(), this.#askMs);
  }

  async #read(path) {
    let response;
    try {
      response = await request(path);
    } catch {
      throw new Error('The server does not answer. These are its last figures.');
    }
    if (!response.ok) {
      const sentence = (await response.text()).trim();
      throw new Error(`The server does not tell its figures: ${sentence} (${response.status}).`);
    }
    return response.json();
  }

  #showTopics({ at_ms: atMs, count, messages, owed, subscribers, topics }) {
    const { rows, more } = this.#parts;
    this.#askMs = count > MANY_TOPICS ? ASK_MANY_MS : ASK_MS;
    const { latest, seconds } = this.#messages.add(atMs, messages);
    if (seconds > 0) {
      this.#onRate(latest, seconds);
    }
    show(this.#parts.deliveries, rateText(this.#deliveries.add(atMs, owed).rate));
    show(this.#parts.count, count.toLocaleString());
    for (const transport of Object.keys(TRANSPORTS)) {
      show(this.#parts[transport], subscribers[transport].toLocaleString());
    }
    const listed = new Map();
    for (const topic of topics) {
      const entry = this.#topics.get(topic.topic) ?? new TopicRow(topic.topic);
      entry.show(entry.counter.add(atMs, topic.offset, topic.epoch).rate, topic);
      listed.set(topic.topic, entry);
    }
    this.#topics = listed;
    this.#place(rows, [...listed.values()].map((entry) => entry.row));
    const unseen = count - topics.length;
    show(more, unseen > 0 ? `and ${unseen.toLocaleString()} with fewer messages`
      : count === 0 ? 'No topic yet: subscribe or publish below, and there is one.' : '');
  }

  /* Rows that are in their place stay: one that has the focus keeps it. */
  #place(body, rows) {
    rows.forEach((row, i) => {
      if (body.children[i] !== row) {
        body.insertBefore(row, body.children[i] ?? null);
      }
    });
    while (body.children.length > rows.length) {
      body.lastElementChild.remove();
    }
  }

  #showSlow({ slow, count }) {
    const { slowRows, slowTable, slowCount } = this.#parts;
    slowRows.replaceChildren(...slow.map((one) => {
      const row = document.createElement('tr');
      const head = row.appendChild(document.createElement('th'));
      head.scope = 'row';
      head.textContent = one.topic;
      const texts = [TRANSPORTS[one.transport], bytesText(one.queued), one.dropped.toLocaleString(),
        `${(one.for_ms / 1000).toFixed(1)} s`];
      texts.forEach((text, i) => {
        addCell(row, i === 0 ? '' : 'number').textContent = text;
      });
      return row;
    }));
    slowTable.hidden = slow.length === 0;
    show(slowCount, count === 0 ? 'Nobody is slow.'
      : count === 1 ? '1 connection owes too much.' : `${count} connections owe too much.`);
  }
}
