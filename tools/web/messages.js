/* messages.js: the list of the last messages, newest first.
 *
 * Drawn once a frame from what came since; a message that 50 others have overtaken before the frame
 * is counted and never drawn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

const SHOWN_MAX = 50;

/* Characters of a message that are shown. */
const TEXT_MAX = 2000;
const HEX_BYTES_MAX = 64;

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hour12: false,
});

function hex(buffer) {
  const bytes = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, HEX_BYTES_MAX));
  const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return bytes.length < buffer.byteLength ? `${text} …` : text;
}

function shorten(text) {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}

function gapItem(topic) {
  const item = document.createElement('li');
  item.className = 'gap';
  item.textContent = `Messages of ${topic} are missing here: the server does not hold them any more.`;
  return item;
}

function itemOf({ topic, offset, data, at }) {
  if (data === undefined) {
    return gapItem(topic);
  }
  const isText = typeof data === 'string';
  const item = document.createElement('li');
  const about = item.appendChild(document.createElement('span'));
  const body = item.appendChild(document.createElement('span'));
  const bytes = isText ? new TextEncoder().encode(data).length : data.byteLength;
  about.className = 'about';
  about.textContent =
    `${clock.format(at)} · ${topic} ${offset.toLocaleString()} · ${isText ? 'text' : 'binary'}, ${bytes.toLocaleString()} bytes`;
  body.className = 'body';
  body.textContent = isText ? shorten(data) : hex(data);
  return item;
}

export class MessageList {
  #list;
  #count;
  #empty;
  #waiting = [];
  #received = 0;
  #drawing = false;
  #paused = false;

  /* The elements: the list, the counter, and what stands in place of an empty list. */
  constructor(list, count, empty) {
    this.#list = list;
    this.#count = count;
    this.#empty = empty;
  }

  /* A message { topic, offset, data }. */
  add(message) {
    this.#received += 1;
    this.#put({ ...message, at: Date.now() });
  }

  /* Messages of a topic are gone. */
  addGap(topic) {
    this.#put({ topic });
  }

  #put(entry) {
    this.#waiting.push(entry);
    if (this.#waiting.length > SHOWN_MAX) {
      this.#waiting.shift();
    }
    this.#drawSoon();
  }

  /* While paused the list stands still to be read; counting goes on. */
  pause(paused) {
    this.#paused = paused;
    this.#drawSoon();
  }

  clear() {
    this.#waiting = [];
    this.#received = 0;
    this.#list.replaceChildren();
    this.#drawSoon();
  }

  #drawSoon() {
    if (!this.#drawing) {
      this.#drawing = true;
      requestAnimationFrame(() => this.#draw());
    }
  }

  #draw() {
    this.#drawing = false;
    this.#count.textContent = this.#received.toLocaleString();
    if (!this.#paused) {
      this.#list.prepend(...this.#waiting.reverse().map(itemOf));
      this.#waiting = [];
      while (this.#list.childElementCount > SHOWN_MAX) {
        this.#list.lastElementChild.remove();
      }
    }
    this.#empty.hidden = this.#list.childElementCount > 0;
  }
}
