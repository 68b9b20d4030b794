/* dashboard.js: puts the page at / together: the server's figures, and the forms.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { publish } from './credential.js';
import { Feed, stateShower } from './feed.js';
import { MessageList } from './messages.js';
import { Overview } from './overview.js';
import { RateChart } from './chart.js';
import { parseTopic, parseTopics, topicsPath } from './topics.js';

const byId = (id) => document.getElementById(id);

/* What the server says of itself. */

const chart = new RateChart({
  svg: byId('rate-chart'), now: byId('rate-now'), max: byId('rate-max'), text: byId('rate-text'),
});

const overviewIds = {
  deliveries: 'deliveries', count: 'topics-count', ws: 'subscribers-ws', sse: 'subscribers-sse',
  longpoll: 'subscribers-longpoll', rows: 'topics-rows', more: 'topics-more', slowRows: 'slow-rows',
  slowTable: 'slow-table', slowCount: 'slow-count', refusal: 'refusal',
};
const overviewParts = Object.entries(overviewIds).map(([name, id]) => [name, byId(id)]);
new Overview(Object.fromEntries(overviewParts), (rate, seconds) => chart.push(rate, seconds));

/* Subscribe. */

const topicsField = byId('subscribe-topics');
const stopButton = byId('subscribe-stop');
const messages = new MessageList(byId('messages'), byId('messages-count'), byId('messages-empty'));
const showState = stateShower(byId('subscribe-state'));
const feed = new Feed({
  onState(state, sentence) {
    showState(state, sentence);
    stopButton.disabled = state === 'idle';
    if (state === 'idle') {
      byId('subscribe-position').textContent = '';
    }
  },
  onMessage: (message) => messages.add(message),
  onGap: (topic) => messages.addGap(topic),
  onPositions(positions) {
    byId('subscribe-position').textContent = positions.size === 1
      ? `since=${[...positions.values()][0]}` : `the positions of ${positions.size} topics`;
  },
});

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

/* Subscribes to what the address names; a link of the list of topics changes it. */
function subscribeToShared() {
  const shared = location.hash.slice(1);
  if (shared) {
    topicsField.value = shared.split(',').join(', ');
    subscribe(shared);
  }
}

addEventListener('hashchange', subscribeToShared);
subscribeToShared();

/* Publish. */

const publishForm = byId('publish-form');
const publishTopic = byId('publish-topic');
const publishText = byId('publish-text');
const publishResult = byId('publish-result');

function showPublished(text, failed) {
  publishResult.classList.toggle('failed', failed);
  publishResult.textContent = text;
}

publishForm.addEventListener('submit', async (event) => {
  event.preventDefault();
  try {
    const topic = parseTopic(publishTopic.value);
    const { offset, receivers } = await publish(
      topicsPath([topic]), publishText.value, 'text/plain; charset=utf-8');
    const people = receivers === 1 ? '1 receiver' : `${receivers.toLocaleString()} receivers`;
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
