// One message as an article.

import { make } from './dom.js';
import { agentName, authorName, day, dayAndTime, time } from './wording.js';

/**
 * @typedef {object} Shown
 * @property {string} id
 * @property {string | null} role
 * @property {string | null} author
 * @property {string} at
 * @property {Record<string, unknown>} body
 * @property {number} revision
 * @property {'sent' | 'waiting' | 'refused' | 'writing' | 'stopped'} state
 * @property {string} [problem] why it is refused
 * @property {boolean} [mayRetry] whether it may be taken later, as it is
 */

/**
 * @typedef {object} Actions
 * @property {(id: string) => void} retry
 * @property {(id: string) => void} edit
 * @property {(id: string) => void} discard
 * @property {(agent: string) => void} handOver
 */

/**
 * @param {Shown} message
 * @param {Actions} actions
 */
export function messageArticle(message, actions) {
  const name = message.author ?? message.role ?? 'somebody';
  const isOwn = message.role === 'user';
  const article = make(
    'article',
    {
      'aria-label': name,
      'aria-busy': message.state === 'writing' ? 'true' : null,
      class: `message ${isOwn ? 'own' : 'other'} ${message.state}`,
      'data-id': message.id,
      'data-revision': message.revision,
      'data-at': message.at,
      'data-note': 'status' in message.body && !('model' in message.body),
    },
    make('p', { class: 'day', hidden: true }, day(message.at)),
    make(
      'header',
      {},
      isOwn ? null : avatar(name),
      make('bdi', { class: 'author' }, authorName(message.author ?? message.role)),
      make('time', { datetime: message.at, title: dayAndTime(message.at) }, time(message.at)),
    ),
    make('div', { class: 'text', dir: 'auto' }, textOf(message.body)),
  );
  article.append(...footer(message, actions));
  return article;
}

/** @param {Record<string, unknown>} body */
function textOf(body) {
  return typeof body.text === 'string' ? body.text : JSON.stringify(body, null, 2);
}

/** @param {string} name */
function avatar(name) {
  const letters = agentName(name).slice(0, 1);
  return make('span', { class: 'avatar', 'aria-hidden': 'true', 'data-tint': tint(name) }, letters);
}

/**
 * One of six colours, always the same for a name.
 *
 * @param {string} name
 */
function tint(name) {
  return name === 'guide' ? 0 : 1 + ([...name].reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0) % 5);
}

/**
 * @param {Shown} message
 * @param {Actions} actions
 * @returns {HTMLElement[]}
 */
function footer({ id, state, problem, mayRetry, body }, actions) {
  if (state === 'waiting') return [make('p', { class: 'delivery' }, 'Not sent yet. It goes out as soon as it can.')];
  if (state === 'refused') {
    const button = (/** @type {string} */ text, /** @type {(id: string) => void} */ action) =>
      make('button', { type: 'button', class: 'quiet', onclick: () => action(id) }, text);
    return [
      make('p', { class: 'delivery' }, `Not sent: ${problem}`),
      make(
        'p',
        { class: 'delivery-actions' },
        mayRetry ? button('Try again', actions.retry) : null,
        button('Edit', actions.edit),
        button('Discard', actions.discard),
      ),
    ];
  }
  const parts = [];
  const proposed = body.proposed_agent;
  if (typeof proposed === 'string') {
    const handOver = () => actions.handOver(proposed);
    parts.push(
      make(
        'button',
        { type: 'button', class: 'proposal', 'data-agent': proposed, onclick: handOver },
        `Hand over to ${agentName(proposed)}`,
      ),
    );
  }
  if (typeof body.model === 'string') {
    const until = body.status === 'stopped' ? ', until it was stopped' : '';
    parts.push(make('p', { class: 'model' }, `Written by the model “${body.model}”${until}`));
  }
  return parts;
}
