/* ticker.js: puts the page at /ticker together: the demo feed's symbols, each with its last prices.
 *
 * /demo.json says which topics the server's demo feed writes; there is none without --demo.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { request } from './credential.js';
import { Feed, stateShower } from './feed.js';
import { Quotes, PRICES } from './quotes.js';

const byId = (id) => document.getElementById(id);

async function start() {
  const response = await request('/demo.json');
  const { topics } = response.ok ? await response.json() : { topics: [] };
  byId('without').hidden = topics.length > 0;
  byId('ticker').hidden = topics.length === 0;
  if (topics.length === 0) {
    return;
  }
  const quotes = new Quotes(byId('ticker-rows'), topics.map((name) => name.replace(/^ticker\./, '')));
  const feed = new Feed({
    onState: stateShower(byId('ticker-state')),
    onMessage({ data }) {
      if (typeof data === 'string') {
        quotes.take(data);
      }
    },
  });
  feed.open(topics, PRICES);
}

start();
