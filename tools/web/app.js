/* app.js: puts the page together: the forms, the feeds, the chart, the ticker.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { Feed } from './feed.js';
import { MessageList } from './messages.js';
import { RateChart } from './chart.js';
import { Ticker } from './ticker.js';
import { parseTopic, parseTopics, topicsPath } from './topics.js';

const byId = (id) => document.getElementById(id);

const rate = new RateChart({
  svg: byId('rate-chart'),
  now: byId('rate-now'),
  max: byId('rate-max'),
  total: byId('rate-total'),
  text: byId('rate-text'),
});

/* Shows a feed's state in its element. */
function stateShower(element) {
  return (state, sentence) => {
    element.dataset.state = state;
    element.textContent = sentence;
  };
}

/* Subscribe. */

const topicsField = byId('subscribe-topics');
const stopButton = byId('subscribe-stop');
const messages = new MessageList(byId('messages'), byId('messages-count'), byId('messages-empty'));
const showState = stateShower(byId('subscribe-state'));
const feed = new Feed(
  (state, sentence) => {
    showState(state, sentence);
    stopButton.disabled = state === 'idle';
  },
  (data) => {
    rate.count();
    messages.add(data);
  },
);

function subscribe(text) {
  let topics;
  try {
    topics = parseTopics(text);
  } catch (error) {
    topicsField.setAttribute('aria-invalid', 'true');
    byId('subscribe-error').textContent = error.message;
    return;
  }
  topicsField.removeAttribute('aria-invalid');
  byId('subscribe-error').textContent = '';
  // The address of the page says what it shows, for reloading and for sharing.
  history.replaceState(null, '', `#${topics.join(',')}`);
  feed.open(topics);
}

byId('subscribe-form').addEventListener('submit', (event) => {
  event.preventDefault();
  subscribe(topicsField.value);
});

stopButton.addEventListener('click', () => {
  feed.close();
  history.replaceState(null, '', location.pathname);
  topicsField.focus(); // this button is disabled now and would lose the focus
});

byId('messages-pause').addEventListener('click', (event) => {
  const paused = event.currentTarget.getAttribute('aria-pressed') !== 'true';
  event.currentTarget.setAttribute('aria-pressed', String(paused));
  messages.pause(paused);
});

byId('messages-clear').addEventListener('click', () => messages.clear());

/* Publish. */

const publishForm = byId('publish-form');
const publishTopic = byId('publish-topic');
const publishText = byId('publish-text');
const publishResult = byId('publish-result');

function showPublished(text, failed) {
  publishResult.classList.toggle('failed', failed);
  publishResult.textContent = text;
}

async function publish(topic, text) {
  const response = await fetch(topicsPath([topic]), {
    method: 'POST',
    headers: { 'Content-Type': 'text/plain; charset=utf-8' },
    body: text,
  });
  const answer = await response.text();
  if (!response.ok) {
    throw new Error(`${response.status} ${response.statusText}: ${answer.trim()}`);
  }
  return JSON.parse(answer);
}

publishForm.addEventListener('submit', async (event) => {
  event.preventDefault();
  try {
    const topic = parseTopic(publishTopic.value);
    const { offset, receivers } = await publish(topic, publishText.value);
    const people = receivers === 1 ? '1 receiver' : `${receivers} receivers`;
    showPublished(`Published to ${topic}, offset ${offset}: ${people}.`, false);
    publishText.select();
  } catch (error) {
    showPublished(error.message, true);
  }
});

publishText.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    publishForm.requestSubmit();
  }
});

function showShell() {
  byId('publish-shell').textContent =
    `curl -d 'Hello' ${location.origin}/topics/${publishTopic.value.trim() || 'NAME'}`;
}

publishTopic.addEventListener('input', showShell);
showShell();

/* The demo feed, where the server has one: /demo.json says which topics it writes. */

async function startTicker() {
  const response = await fetch('/demo.json');
  if (!response.ok) {
    return;
  }
  const { topics } = await response.json();
  if (topics.length === 0) {
    return;
  }
  const ticker = new Ticker(byId('ticker-rows'), topics.map((name) => name.replace(/^ticker\./, '')));
  byId('ticker').hidden = false;
  byId('main').classList.add('with-ticker');
  const tickerFeed = new Feed(stateShower(byId('ticker-state')), (data) => {
    rate.count();
    if (typeof data === 'string') {
      ticker.take(data);
    }
  });
  tickerFeed.open(topics);
}

startTicker();

const shared = location.hash.slice(1);
if (shared) {
  topicsField.value = shared.split(',').join(', ');
  subscribe(shared);
}
