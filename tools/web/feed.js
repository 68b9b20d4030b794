/* feed.js: one subscription that stays: a WebSocket which comes back by itself.
 *
 *      idle --open()--> connecting --> live
 *                          ^             |  the connection ends
 *                          |             v
 *                          +--delay-- waiting          close(): back to idle from anywhere
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { topicsPath } from './topics.js';

/* The first delay doubles up to the last; each is then spread over its upper half, so that many pages
 * which lost one server do not come back in the same moment. */
const DELAY_FIRST_MS = 500;
const DELAY_LAST_MS = 15000;

/* A connection that lived this long was good: the next delay is the first one again. */
const GOOD_AFTER_MS = 5000;

function delayMs(failures) {
  const delay = Math.min(DELAY_FIRST_MS * 2 ** failures, DELAY_LAST_MS);
  return delay / 2 + Math.random() * (delay / 2);
}

function socketUrl(topics) {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  return `${scheme}://${location.host}${topicsPath(topics)}`;
}

export class Feed {
  #socket = null;
  #timer = 0;
  #failures = 0;
  #topics = [];
  #onState;
  #onMessage;

  /* onState(state, sentence) at each change; onMessage(data) with a string or an ArrayBuffer. */
  constructor(onState, onMessage) {
    this.#onState = onState;
    this.#onMessage = onMessage;
    addEventListener('online', () => this.#hurry());
  }

  open(topics) {
    this.close();
    this.#topics = topics;
    this.#failures = 0;
    this.#connect();
  }

  close() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.close(1000);
    }
    this.#onState('idle', '');
  }

  #connect() {
    const socket = new WebSocket(socketUrl(this.#topics));
    let openedAt = Infinity;
    this.#socket = socket;
    this.#timer = 0;
    socket.binaryType = 'arraybuffer';
    this.#onState('connecting', 'Connecting');

    socket.onopen = () => {
      openedAt = performance.now();
      if (socket === this.#socket) {
        this.#onState('live', 'Live');
      }
    };
    socket.onmessage = (event) => {
      if (socket === this.#socket) {
        this.#onMessage(event.data);
      }
    };
    socket.onclose = (event) => {
      if (socket !== this.#socket) {
        return; // closed by us, or succeeded by another
      }
      this.#socket = null;
      if (performance.now() - openedAt > GOOD_AFTER_MS) {
        this.#failures = 0;
      }
      this.#wait(event);
    };
  }

  #wait(event) {
    const delay = delayMs(this.#failures);
    const seconds = Math.max(1, Math.round(delay / 1000));
    const reason = event.code === 1006 ? 'No connection' : `Closed (${event.code})`;
    this.#failures += 1;
    this.#onState('waiting', `${reason}, next try in ${seconds} s`);
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  /* The network is back: no need to wait out the delay. */
  #hurry() {
    if (this.#timer) {
      clearTimeout(this.#timer);
      this.#connect();
    }
  }
}
