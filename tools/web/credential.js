/* credential.js: the token of this tab: asked for when the server wants one, sent with everything.
 *
 * It lives in sessionStorage: a reload keeps it, closing the tab forgets it, no other tab sees it. fetch
 * sends it as Authorization; a WebSocket, which cannot, as the subprotocol bearer.TOKEN.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

const KEY = 'fanwire.token';

/* What may stand in a list of subprotocols (RFC 9110, section 5.6.2), as long as the server takes. */
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,8192}$/;

const button = document.getElementById('credential');
const listeners = [];
let asking = null;
let dismissed = false;

function token() {
  return sessionStorage.getItem(KEY) ?? '';
}

function setToken(text) {
  if (text) {
    sessionStorage.setItem(KEY, text);
  } else {
    sessionStorage.removeItem(KEY);
  }
  dismissed = false;
  showButton();
  listeners.forEach((listener) => listener());
}

function showButton() {
  button.textContent = token() ? 'Forget token' : 'Use a token';
}

/* Calls back when the token is another one: what was refused may work now. */
export function onCredential(listener) {
  listeners.push(listener);
}

/* The subprotocols of a WebSocket: ours, and the token. */
export function protocols() {
  return token() ? ['fanwire.v1', `bearer.${token()}`] : ['fanwire.v1'];
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function openDialog(reason) {
  const field = element('input', {
    id: 'token-field', type: 'password', autocomplete: 'off', spellcheck: false,
  });
  const error = element('p', { className: 'error', id: 'token-error', role: 'alert' });
  const cancel = element('button', { type: 'button', textContent: 'Cancel' });
  const form = element('form', { noValidate: true },
    element('h2', { id: 'token-title', textContent: 'A token, please' }),
    element('p', { id: 'token-reason', textContent: reason }),
    element('label', { htmlFor: 'token-field', textContent: 'Token' }),
    field, error,
    element('p', {
      className: 'quiet', textContent: 'It stays in this tab, and is forgotten when the tab is closed.',
    }),
    element('div', { className: 'line-up' },
      element('button', { type: 'submit', className: 'main-button', textContent: 'Use it' }), cancel));
  const dialog = element('dialog', { className: 'card', id: 'token-dialog' }, form);
  dialog.setAttribute('aria-labelledby', 'token-title');
  dialog.setAttribute('aria-describedby', 'token-reason');
  field.setAttribute('aria-describedby', 'token-error');
  document.body.append(dialog);

  return new Promise((resolve) => {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const text = field.value.trim().replace(/^Bearer\s+/i, '');
      if (!TOKEN.test(text)) {
        field.setAttribute('aria-invalid', 'true');
        error.textContent = text
          ? 'This is no token: it has characters that cannot be sent.' : 'Paste a token first.';
        field.focus();
        return;
      }
      dialog.close(text);
    });
    cancel.addEventListener('click', () => dialog.close(''));
    dialog.addEventListener('close', () => {
      dialog.remove(); // and with it the token that stood in its field
      resolve(dialog.returnValue);
    });
    dialog.showModal();
    field.focus();
  });
}

/* Asks for a token, once for all who want it at the same time.
 *
 * insist       ask although the question was dismissed before: somebody has just pressed a button
 * returns      a promise of whether there is a new one
 */
export async function ask(reason, insist) {
  if (asking) {
    return Boolean(await asking);
  }
  if (dismissed && !insist) {
    return false;
  }
  asking = openDialog(reason);
  const text = await asking;
  asking = null;
  if (text) {
    setToken(text);
  } else {
    dismissed = true;
  }
  return Boolean(text);
}

/* What a refusal says, for people. */
function reasonOf(status, sentence) {
  const why = sentence.trim() || `status ${status}`;
  return status === 401
    ? `The server wants to know who asks: ${why}.`
    : `The server does not allow this${token() ? ' to the token in use' : ''}: ${why}.`;
}

/* fetch with the token; asks for one when it is refused, and then tries again.
 *
 * returns      a promise of the answer, which is the refusal when no token was given
 */
export async function request(path, options = {}, insist = false) {
  for (;;) {
    const sent = token();
    const headers = { ...options.headers, ...(sent && { Authorization: `Bearer ${sent}` }) };
    const response = await fetch(path, { cache: 'no-store', ...options, headers });
    if (response.status !== 401 && response.status !== 403) {
      return response;
    }
    const sentence = await response.clone().text();
    const another = sent !== token(); // given while this one was on its way
    if (!another && !await ask(reasonOf(response.status, sentence), insist)) {
      return response;
    }
  }
}

/* Publishes a text; throws an Error whose message is for people. */
export async function publish(path, text, type) {
  const options = { method: 'POST', headers: { 'Content-Type': type }, body: text };
  const response = await request(path, options, true);
  const answer = await response.text();
  if (!response.ok) {
    throw new Error(`Not published: ${answer.trim() || response.statusText} (${response.status})`);
  }
  return JSON.parse(answer);
}

button.addEventListener('click', () => {
  if (token()) {
    setToken('');
  } else {
    ask('It is sent with everything that this page asks of the server.', true);
  }
});

showButton();
