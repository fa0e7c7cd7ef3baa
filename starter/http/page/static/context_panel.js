// The shared context, and who changed what in it.

import { byId, gathered, make } from './dom.js';
import { authorName, dayAndTime, describeChange } from './wording.js';

/** How many of the latest changes are listed. */
const LISTED = 30;
/** Values that are nested deeper are shown as JSON. */
const DEEPEST = 12;

export class ContextPanel {
  #values = byId('context-values');
  #changes = byId('changes');
  /** @type {Map<string, string>} the value that was shown of each key, as JSON */
  #before = new Map();

  /**
   * @param {import('./chat.js').Chat} chat
   * @param {AbortSignal} closed
   */
  constructor(chat, closed) {
    this.chat = chat;
    this.#values.replaceChildren();
    this.#changes.replaceChildren();
    const show = gathered(() => this.#show());
    for (const name of ['session', 'past', 'changes']) chat.addEventListener(name, show, { signal: closed });
  }

  #show() {
    const session = this.chat.past ?? this.chat.session;
    if (!session) return;
    const keys = Object.keys(session.context).sort();
    const isLive = this.#before.size > 0 && !this.chat.past;
    const now = new Map(keys.map((key) => [key, JSON.stringify(session.context[key])]));
    const items = keys.map((key) => this.#item(key, session.context[key], isLive && now.get(key) !== this.#before.get(key)));
    if (!this.chat.past) this.#before = now;
    this.#values.replaceChildren(
      ...(items.length ? items : [make('p', { class: 'nothing' }, 'Nothing is shared yet. What the agents find out appears here.')]),
    );
    this.#listChanges(session.revision);
  }

  /**
   * @param {string} key
   * @param {unknown} value
   * @param {boolean} isNew
   */
  #item(key, value, isNew) {
    const last = this.#lastChangeOf(key);
    return make(
      'div',
      { class: isNew ? 'entry new' : 'entry' },
      make('h3', {}, make('bdi', {}, key)),
      readable(value, 0),
      last && make('p', { class: 'by' }, `${authorName(last.author)}, ${dayAndTime(last.applied_at)}`),
    );
  }

  /** @param {string} key */
  #lastChangeOf(key) {
    const until = this.chat.past?.revision ?? Infinity;
    return [...this.chat.changes.values()].findLast(
      ({ revision, change }) =>
        revision <= until &&
        (key in (change.context ?? {}) || key in (change.append ?? {}) || change.merge_strategy === 'replace'),
    );
  }

  /** @param {number} until */
  #listChanges(until) {
    const entries = [...this.chat.changes.values()].filter(({ revision }) => revision <= until).slice(-LISTED).reverse();
    this.#changes.replaceChildren(
      ...entries.map((entry) =>
        make(
          'li',
          {},
          make('span', { class: 'what', dir: 'auto' }, describeChange(entry)),
          make('span', { class: 'when' }, `Revision ${entry.revision}, ${dayAndTime(entry.applied_at)}`),
        ),
      ),
    );
  }
}

/**
 * @param {unknown} value
 * @param {number} depth
 * @returns {HTMLElement}
 */
function readable(value, depth) {
  if (value === null || typeof value !== 'object') return make('span', { class: 'value', dir: 'auto' }, sayable(value));
  if (depth >= DEEPEST) return make('code', {}, JSON.stringify(value));
  if (Array.isArray(value)) {
    if (!value.length) return make('span', { class: 'value' }, 'none');
    return make('ul', {}, ...value.map((item) => make('li', {}, readable(item, depth + 1))));
  }
  const pairs = Object.entries(value);
  if (!pairs.length) return make('span', { class: 'value' }, 'none');
  const shown = pairs.flatMap(([key, item]) => [
    make('dt', {}, make('bdi', {}, key)),
    make('dd', {}, readable(item, depth + 1)),
  ]);
  return make('dl', {}, ...shown);
}

/** @param {unknown} value */
function sayable(value) {
  if (value === null) return 'nothing';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return String(value);
}
