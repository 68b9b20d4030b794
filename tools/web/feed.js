/* feed.js: one subscription that stays: a WebSocket which comes back by itself, to where it was.
 *
 * Speaks fanwire.v1 (fanwire-protocol(7)): each message comes with its offset, and each subscription
 * with its epoch; together they are the position from which the next connection goes on.
 *
 *      idle --open()--> connecting --> live
 *                        ^      |        |  the connection ends
 *                        |      v        v
 *                        +--- waiting <--+           close(): back to idle from anywhere
 *                        +--- refused                until there is another token
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { ask, onCredential, protocols, request } from './credential.js';
import { topicsPath } from './topics.js';

/* The first delay doubles up to the last; each is then spread over its upper half, so that many pages
 * which lost one server do not come back in the same moment. */
const DELAY_FIRST_MS = 500;
const DELAY_LAST_MS = 15000;

/* A connection that lived this long was good: the next delay is the first one again. */
const GOOD_AFTER_MS = 5000;

/* Subscriptions are asked for in groups, slower than the server's rate of messages. */
const GROUP = 32;
const GROUP_MS = 700;

/* Errors of fanwire.v1 that come back better. */
const PASSING = ['busy', 'memory', 'stopping'];

const EXPIRED = 4401;
const NEWLINE = 10;

function delayMs(failures) {
  const delay = Math.min(DELAY_FIRST_MS * 2 ** failures, DELAY_LAST_MS);
  return delay / 2 + Math.random() * (delay / 2);
}

/* Cuts a message at its first newline: the server's line of JSON, and the payload. */
function split(data) {
  if (typeof data === 'string') {
    const end = data.indexOf('\n');
    return [JSON.parse(data.slice(0, end)), data.slice(end + 1)];
  }
  const bytes = new Uint8Array(data);
  const end = bytes.indexOf(NEWLINE);
  return [JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))), data.slice(end + 1)];
}

export class Feed {
  #socket = null;
  #timer = 0;
  #failures = 0;
  #topics = [];
  #last = 0;
  #epochs = new Map();
  #positions = new Map();
  #awaited = 0;
  #resumes = false;
  #lost = false;
  #parts;

  /* onState(state, sentence) at each change; onMessage({ topic, offset, data }), data being a string or
   * an ArrayBuffer; onGap(topic) where messages are gone, and onPositions(Map of topic to position)
   * after each message, if one likes. */
  constructor(parts) {
    this.#parts = { onGap() {}, onPositions() {}, ...parts };
    addEventListener('online', () => this.#hurry());
    onCredential(() => this.#again());
  }

  /* Subscribes, first of all to the newest `last` messages that the server holds. */
  open(topics, last = 0) {
    this.close();
    this.#topics = topics;
    this.#last = last;
    this.#failures = 0;
    this.#epochs.clear();
    this.#positions.clear();
    this.#connect();
  }

  close() {
    this.#drop();
    this.#topics = [];
    this.#parts.onState('idle', '');
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.close(1000);
    }
  }

  #connect() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/topics/`, protocols());
    let openedAt = Infinity;
    this.#socket = socket;
    this.#timer = 0;
    socket.binaryType = 'arraybuffer';
    this.#parts.onState('connecting', 'Connecting');

    socket.onopen = () => {
      openedAt = performance.now();
      this.#subscribe(socket);
    };
    socket.onmessage = (event) => {
      if (socket === this.#socket) {
        this.#take(...split(event.data));
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
      this.#ended(event, openedAt < Infinity);
    };
  }

  async #subscribe(socket) {
    this.#awaited = this.#topics.length;
    this.#resumes = this.#positions.size > 0;
    this.#lost = false;
    for (let i = 0; i < this.#topics.length && socket === this.#socket; i += GROUP) {
      for (const topic of this.#topics.slice(i, i + GROUP)) {
        const since = this.#positions.get(topic);
        const where = since ? { since } : this.#last > 0 ? { last: this.#last } : {};
        socket.send(JSON.stringify({ subscribe: topic, ...where }));
      }
      await new Promise((resolve) => setTimeout(resolve, GROUP_MS));
    }
  }

  /* One thing that the server says. */
  #take(head, data) {
    if (head.error !== undefined) {
      this.#failed(head);
    } else if (head.subscribed !== undefined) {
      this.#begin(head.subscribed, head, head.recovered);
      this.#awaited -= 1;
      if (this.#awaited === 0) {
        this.#parts.onState('live', !this.#resumes ? 'Live'
          : this.#lost ? 'Live again, but messages were lost' : 'Live again, nothing missed');
      }
    } else if (head.recovered === false) {
      this.#begin(head.topic, head, false);
    } else if (head.topic !== undefined) {
      this.#positions.set(head.topic, `${this.#epochs.get(head.topic)}:${head.offset}`);
      this.#parts.onMessage({ topic: head.topic, offset: head.offset, data });
      this.#parts.onPositions(this.#positions);
    }
  }

  /* A subscription was not made: some reasons pass, others do not. */
  #failed({ error, message }) {
    if (PASSING.includes(error)) {
      this.#socket.close(1000); // and come back
      return;
    }
    this.#refused(message);
    if (error === 'refused' || error === 'forbidden') {
      ask(`The server does not allow this: ${message}.`, false);
    }
  }

  /* A subscription goes on behind a position. */
  #begin(topic, { epoch, offset }, recovered) {
    this.#epochs.set(topic, epoch);
    this.#positions.set(topic, `${epoch}:${offset}`);
    this.#parts.onPositions(this.#positions);
    if (!recovered) {
      this.#lost = true;
      this.#parts.onGap(topic);
    }
  }

  /* The connection is gone. A browser does not tell a page with what status it was refused: so the
   * page asks the same in a way whose answer it may read. */
  async #ended(event, opened) {
    if (opened && event.code !== EXPIRED) {
      this.#wait(event);
      return;
    }
    let response;
    try {
      response = await request(`${topicsPath([this.#topics[0]])}?info`);
    } catch {
      response = null;
    }
    if (this.#socket || this.#timer || this.#topics.length === 0) {
      return; // somebody has opened or closed it meanwhile, or there is a new token
    }
    if (response?.status === 401 || response?.status === 403) {
      this.#refused((await response.text()).trim());
    } else {
      this.#wait(event);
    }
  }

  /* It would be refused again: only another token helps. */
  #refused(sentence) {
    this.#drop();
    this.#parts.onState('refused', `Refused: ${sentence}`);
  }

  #wait(event) {
    const hint = /retry_ms=(\d{1,6})$/.exec(event.reason);
    const delay = hint ? Number(hint[1]) : delayMs(this.#failures);
    const seconds = Math.max(1, Math.round(delay / 1000));
    const reason = event.code === 1006 ? 'No connection' : `Closed (${event.code})`;
    this.#failures += 1;
    this.#parts.onState('waiting', `${reason}, next try in ${seconds} s`);
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  /* The network is back: no need to wait out the delay. */
  #hurry() {
    if (this.#timer) {
      clearTimeout(this.#timer);
      this.#connect();
    }
  }

  /* There is another token: it counts for this connection, too. */
  #again() {
    if (this.#topics.length > 0) {
      this.#drop();
      this.#connect();
    }
  }
}

/* Shows a feed's state in an element, which is made for that by style.css. */
export function stateShower(element) {
  return (state, sentence) => {
    element.dataset.state = state;
    element.textContent = sentence;
  };
}
