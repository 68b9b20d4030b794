/* chat.js: a chat: a room is a topic chat.ROOM, a message is JSON {"name","text","at"}.
 *
 * Who comes in gets the last 50 messages that the server holds. Nothing that others wrote becomes part
 * of the page: it is put in as text. Their names are what they say they are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { publish } from './credential.js';
import { Feed, stateShower } from './feed.js';
import { parseTopic, topicsPath } from './topics.js';

const PREFIX = 'chat.';
const HISTORY = 50;
const SHOWN_MAX = 300;
const NAME_KEY = 'fanwire.name';

/* Characters of what others wrote that are shown. */
const NAME_MAX = 40;
const TEXT_MAX = 2000;

/* Pixels from its end at which the log still counts as read to the end. */
const END_PX = 40;

const byId = (id) => document.getElementById(id);
const log = byId('log');
const roomField = byId('room');
const nameField = byId('name');
const textField = byId('text');
const result = byId('result');
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

let room = '';

function shorten(text, max) {
  return text.length > max ? `${text.slice(0, max)}…` : text;
}

/* What a message says: by this page, or by anything else that publishes to the topic. */
function read(data) {
  if (typeof data !== 'string') {
    return { name: '', text: `${data.byteLength} bytes that are no text`, at: NaN };
  }
  try {
    const { name, text, at } = JSON.parse(data);
    if (typeof text === 'string') {
      return { name: typeof name === 'string' ? name.trim() : '', text, at: Number(at) };
    }
  } catch {
    // not ours: shown as it is
  }
  return { name: '', text: data, at: NaN };
}

function append(item) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < END_PX;
  log.append(item);
  while (log.childElementCount > SHOWN_MAX) {
    log.firstElementChild.remove();
  }
  byId('log-empty').hidden = true;
  if (atEnd) {
    log.scrollTop = log.scrollHeight;
  }
}

function show({ data }) {
  const { name, text, at } = read(data);
  const item = document.createElement('li');
  const about = item.appendChild(document.createElement('span'));
  const body = item.appendChild(document.createElement('span'));
  const who = about.appendChild(document.createElement('bdi'));
  who.className = 'who';
  who.textContent = shorten(name, NAME_MAX) || 'somebody';
  // Outside of what a Date holds, and for who says none, there is no time.
  if (Math.abs(at) < 8.64e15) {
    about.append(` ${clock.format(at)}`);
  }
  about.className = 'about';
  body.className = 'body';
  body.textContent = shorten(text, TEXT_MAX);
  append(item);
}

function showGap() {
  const item = document.createElement('li');
  item.className = 'gap';
  item.textContent = 'Messages are missing here: the server does not hold them any more.';
  append(item);
}

const showState = stateShower(byId('state'));
const feed = new Feed({
  onState(state, sentence) {
    // What was said before one came in is there to be read, not announced.
    log.setAttribute('aria-live', 'off');
    if (state === 'live') {
      setTimeout(() => log.setAttribute('aria-live', 'polite'), 1000);
    }
    showState(state, sentence);
  },
  onMessage: show,
  onGap: showGap,
  onPositions(positions) {
    byId('position').textContent = `since=${[...positions.values()][0]}`;
  },
});

function enter(text) {
  try {
    room = parseTopic(`${PREFIX}${text.trim()}`);
    if (room === PREFIX) {
      throw new Error('Give the room a name.');
    }
  } catch (error) {
    roomField.setAttribute('aria-invalid', 'true');
    byId('room-error').textContent = error.message;
    return;
  }
  const name = room.slice(PREFIX.length);
  roomField.removeAttribute('aria-invalid');
  roomField.value = name;
  byId('room-error').textContent = '';
  byId('room-name').textContent = name;
  history.replaceState(null, '', `#${name}`);
  log.replaceChildren();
  byId('log-empty').hidden = false;
  feed.open([room], HISTORY);
}

byId('room-form').addEventListener('submit', (event) => {
  event.preventDefault();
  enter(roomField.value);
});

byId('say-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = textField.value.trim();
  if (text === '') {
    return;
  }
  try {
    const message = { name: nameField.value.trim(), text, at: Date.now() };
    await publish(topicsPath([room]), JSON.stringify(message), 'application/json');
    result.textContent = '';
    textField.value = '';
  } catch (error) {
    result.textContent = error.message;
  }
});

nameField.value = sessionStorage.getItem(NAME_KEY) ?? '';
nameField.addEventListener('input', () => sessionStorage.setItem(NAME_KEY, nameField.value));
addEventListener('hashchange', () => enter(location.hash.slice(1)));
enter(location.hash.slice(1) || 'lobby');
