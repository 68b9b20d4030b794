/* topics.js: names of topics: what is one, and where it lives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/* What one connection may subscribe to; the server's limit. */
export const TOPICS_MAX = 128;

const NAME = /^[A-Za-z0-9_.:-]{1,128}$/;

/* Splits "a, b" into names; throws an Error whose message is for people. */
export function parseTopics(text) {
  const names = text.split(',').map((name) => name.trim()).filter((name) => name !== '');
  if (names.length === 0) {
    throw new Error('Give at least one topic.');
  }
  const wrong = names.find((name) => !NAME.test(name));
  if (wrong !== undefined) {
    throw new Error(`“${wrong}” is no topic name: 1 to 128 letters, digits or _ - . :`);
  }
  const unique = [...new Set(names)];
  if (unique.length > TOPICS_MAX) {
    throw new Error(`At most ${TOPICS_MAX} topics fit one connection.`);
  }
  return unique;
}

/* One topic, checked as above. */
export function parseTopic(text) {
  const names = parseTopics(text);
  if (names.length !== 1) {
    throw new Error('Publish to one topic at a time.');
  }
  return names[0];
}

/* The characters of a name need no escaping in a path. */
export function topicsPath(names) {
  return `/topics/${names.join(',')}`;
}
