// The conversation: messages in their order, those that wait to be sent, those that are being written, and who took over.

import { byId, gathered, make, setText } from './dom.js';
import { messageArticle } from './message_article.js';
import { agentName, authorName } from './wording.js';

/** If the view is closer to the end than this, it follows new messages. */
const NEAR_END_PIXELS = 80;
const NEAR_TOP_PIXELS = 1200;
/** An unsent message is shown as waiting only after this time. */
const LATE_MILLISECONDS = 1500;

export class Conversation {
  #log = byId('log');
  #list = byId('messages');
  #toLatest = byId('to-latest');
  /** @type {Map<string, HTMLElement>} the stored messages */
  #articles = new Map();
  /** @type {Map<string, HTMLElement>} messages that are not stored yet, below the stored ones */
  #below = new Map();
  /** @type {Set<number>} the revisions of hand-overs that are shown */
  #marked = new Set();
  #followsEnd = true;
  /** Show the messages that are not stored, once for any number of changes. */
  #settle = gathered(() => this.#showBelow());

  /**
   * @param {import('./chat.js').Chat} chat
   * @param {import('./outbox.js').Outbox} outbox
   * @param {AbortSignal} closed
   * @param {{handOver: (agent: string) => void, edit: (text: string) => void}} writing the composer's actions: hand
   *   over with a turn, and take a text to be edited
   */
  constructor(chat, outbox, closed, writing) {
    this.chat = chat;
    this.outbox = outbox;
    this.closed = closed;
    this.writing = writing;
    this.#list.replaceChildren();
    const on = (/** @type {string} */ name, /** @type {(detail: any) => void} */ action) =>
      chat.addEventListener(name, (event) => action(/** @type {CustomEvent} */ (event).detail), { signal: closed });
    on('reset', () => this.#reset());
    on('older', (messages) => this.#prepend(messages));
    on('message', ({ message, isNew }) => this.#put(message, isNew));
    on('sent', () => this.#settle());
    on('removed', (id) => this.#remove(id));
    on('changes', (entries) => this.#mark(entries));
    on('partial', () => this.#settle());
    on('turn', () => this.#settle());
    on('session', () => this.#settle());
    on('past', () => this.#showPast());
    on('gone', () => this.#settle());
    outbox.addEventListener('changed', () => this.#settle(), { signal: closed });
    this.#log.addEventListener('scroll', () => this.#scrolled(), { passive: true, signal: closed });
    this.#toLatest.addEventListener('click', () => this.#toEnd(), { signal: closed });
    const resized = new ResizeObserver(() => this.#followsEnd && this.#toEnd());
    resized.observe(this.#log);
    resized.observe(this.#list);
    closed.addEventListener('abort', () => resized.disconnect());
    this.#showBelow();
  }

  /** Show the end, because the person has written something. */
  follow() {
    this.#toEnd();
  }

  #reset() {
    this.#log.setAttribute('aria-live', 'off'); // nobody wants the last fifty messages read out
    this.#articles = new Map([...this.chat.messages.values()].map((message) => [message.id, this.#make(message)]));
    this.#below.clear();
    this.#marked.clear();
    this.#list.replaceChildren(...this.#articles.values());
    for (const article of this.#articles.values()) markDay(article);
    this.#mark(this.chat.changes.values());
    this.#showBelow();
    this.#toEnd();
    requestAnimationFrame(() => this.#log.removeAttribute('aria-live'));
  }

  /** @param {import('./contract').Message} message */
  #make(message) {
    const article = this.#article({
      ...message,
      at: message.created_at,
      body: message.body ?? {},
      state: /** @type {const} */ ('sent'),
    });
    this.#hideIfLater(article);
    return article;
  }

  /** @param {import('./message_article.js').Shown} shown */
  #article(shown) {
    const find = (/** @type {string} */ id) =>
      this.outbox.unsent(this.chat.id).find((item) => item.change.messages?.some((message) => message.id === id));
    return messageArticle(shown, {
      retry: (id) => {
        const item = find(id);
        if (item) this.outbox.retry(item);
      },
      discard: (id) => {
        const item = find(id);
        if (item) this.outbox.discard(item);
      },
      edit: (id) => {
        const item = find(id);
        if (!item) return;
        this.outbox.discard(item);
        this.writing.edit((item.change.messages ?? []).map(({ text }) => text).join('\n\n'));
      },
      handOver: this.writing.handOver,
    });
  }

  /** @param {import('./contract').Message[]} messages */
  #prepend(messages) {
    const anchor = this.#list.firstElementChild;
    const before = anchor?.getBoundingClientRect().top ?? 0;
    this.#log.setAttribute('aria-live', 'off');
    this.#log.classList.add('prepending'); // the browser's own anchoring would count twice
    const articles = messages.map((message) => /** @type {const} */ ([message.id, this.#make(message)]));
    this.#articles = new Map([...articles, ...this.#articles]);
    this.#list.prepend(...articles.map(([, article]) => article));
    for (const [, article] of articles) markDay(article);
    if (anchor instanceof HTMLElement) markDay(anchor);
    this.#mark(this.chat.changes.values());
    if (anchor) this.#log.scrollTop += anchor.getBoundingClientRect().top - before;
    this.#log.classList.remove('prepending');
    requestAnimationFrame(() => this.#log.removeAttribute('aria-live'));
    this.#loadIfNearTop();
  }

  /**
   * @param {import('./contract').Message} message
   * @param {boolean} isNew
   */
  #put(message, isNew) {
    const article = this.#make(message);
    const shown = this.#articles.get(message.id) ?? this.#below.get(message.id);
    this.#below.delete(message.id);
    this.#articles.set(message.id, article);
    if (shown && !isNew) shown.replaceWith(article);
    else {
      shown?.remove();
      this.#insert(article);
    }
    markDay(article);
    if (isNew && !this.#followsEnd) this.#toLatest.hidden = false;
    this.#settle();
  }

  /**
   * Put a stored message before those that are not stored.
   *
   * @param {HTMLElement} stored
   */
  #insert(stored) {
    const [first] = this.#below.values();
    if (first?.parentElement) first.before(stored);
    else this.#list.append(stored);
  }

  /** @param {string} id */
  #remove(id) {
    this.#articles.get(id)?.remove();
    this.#articles.delete(id);
    this.#settle();
  }

  /**
   * Show between the messages who took over.
   *
   * @param {Iterable<import('./contract').Change>} entries
   */
  #mark(entries) {
    const news = [...entries].filter(({ revision, change }) => change.active_agent && !this.#marked.has(revision));
    if (news.length === 0) return;
    const stored = [...this.#articles.values()];
    const first = this.chat.older ? Number(stored[0]?.dataset.revision ?? 0) : 0;
    for (const { revision, change, author } of news) {
      if (revision <= first) continue; // among messages that are not loaded yet
      const said = `${authorName(author)} handed over to ${agentName(String(change.active_agent))}`;
      const marker = make('p', { class: 'marker', 'data-revision': revision }, said);
      const later = stored.find((article) => Number(article.dataset.revision) > revision);
      if (later) later.before(marker);
      else this.#insert(marker);
      this.#hideIfLater(marker);
      this.#marked.add(revision);
    }
    if (this.#followsEnd) this.#toEnd();
  }

  /** Show the messages that are not stored: those that wait, and answers that are being written. */
  #showBelow() {
    if (this.closed.aborted) return;
    const shown = new Map();
    const now = Date.now();
    for (const [id, { created_at: at, ...message }] of this.chat.sent) shown.set(id, { ...message, at, state: 'sent' });
    for (const item of this.outbox.unsent(this.chat.id)) {
      for (const { id, text } of item.change.messages ?? []) {
        if (this.#articles.has(id)) continue;
        const isLate = now - item.at > LATE_MILLISECONDS;
        const state = item.refused ? 'refused' : isLate ? 'waiting' : 'sent';
        if (!item.refused && !isLate) setTimeout(() => this.#showBelow(), LATE_MILLISECONDS);
        shown.set(id, { role: 'user', author: 'user', body: { text }, at: item.at, state, problem: item.refused, mayRetry: item.mayRetry });
      }
    }
    for (const [id, text] of this.chat.partials) {
      const asked = this.chat.turn ?? this.chat.stopped;
      const author = asked?.agent ?? this.chat.session?.active_agent ?? null;
      const state = this.chat.stopped ? 'stopped' : 'writing';
      shown.set(id, { role: 'assistant', author, body: { text }, at: now, state });
    }
    this.#updateBelow(shown);
    this.#showProposals();
    this.#showAnswering();
  }

  /** A proposal can be taken as long as nothing was said since, nobody has taken it, and the chat takes changes. */
  #showProposals() {
    const { session, past, isGone } = this.chat;
    const isOpen = session?.lifecycle_state === 'ACTIVE' && past === null && !isGone;
    const leads = this.outbox.nextAgent(this.chat.id) ?? session?.active_agent;
    const last = [...this.#articles.values()].at(-1);
    for (const button of this.#list.querySelectorAll('.proposal')) {
      if (!(button instanceof HTMLElement)) continue;
      button.hidden = !isOpen || button.closest('article') !== last || button.dataset.agent === leads;
    }
  }

  /** @param {Map<string, any>} shown */
  #updateBelow(shown) {
    for (const [id, article] of this.#below) {
      if (shown.has(id)) continue;
      article.remove();
      this.#below.delete(id);
    }
    for (const [id, { at, ...message }] of shown) {
      const before = this.#below.get(id);
      const what = `${message.state} ${message.author} ${message.problem ?? ''}`;
      if (before?.dataset.what === what) {
        const text = message.state === 'writing' && before.querySelector('.text');
        if (text instanceof HTMLElement) setText(text, message.body.text);
        continue;
      }
      const article = this.#article({ ...message, id, at: new Date(at).toISOString(), revision: Infinity });
      article.dataset.what = what;
      if (before) before.replaceWith(article);
      else this.#list.append(article);
      this.#below.set(id, article);
      this.#hideIfLater(article);
    }
    if (shown.size && this.#followsEnd) this.#toEnd();
  }

  #showAnswering() {
    const { past } = this.chat;
    const said = this.chat.isGone || past ? '' : waitingFor(this.chat);
    byId('answering').hidden = !said;
    byId('answering').classList.toggle('late', this.chat.turn === null || this.chat.isSilent);
    setText(byId('answering-text'), said);
    const isEmpty = this.chat.session !== null && this.#articles.size + this.#below.size === 0;
    byId('empty').hidden = !isEmpty || past !== null;
    if (this.#followsEnd) this.#toEnd();
  }

  #showPast() {
    for (const shown of this.#list.children) if (shown instanceof HTMLElement) this.#hideIfLater(shown);
    this.#showAnswering();
    this.#toEnd();
  }

  /** @param {HTMLElement} shown */
  #hideIfLater(shown) {
    shown.hidden = this.chat.past !== null && Number(shown.dataset.revision) > this.chat.past.revision;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    this.#followsEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PIXELS;
    if (this.#followsEnd) this.#toLatest.hidden = true;
    this.#loadIfNearTop();
  }

  #toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#followsEnd = true;
    this.#toLatest.hidden = true;
  }

  /** Messages that do not fill the view cannot be scrolled, so they count as near the top. */
  #loadIfNearTop() {
    const { scrollTop, scrollHeight, clientHeight } = this.#log;
    if (!this.chat.older || (scrollTop > NEAR_TOP_PIXELS && scrollHeight > clientHeight * 2)) return;
    // A person who scrolls up faster than messages load is at the top again when they come.
    this.chat.loadOlder().then(
      (hasLoaded) => hasLoaded && this.#loadIfNearTop(),
      () => {}, // the connection's state is shown elsewhere; scrolling on asks again
    );
  }
}

/**
 * A line about the awaited answer; empty if none is awaited, or if its text is being shown.
 *
 * @param {import('./chat.js').Chat} chat
 */
function waitingFor({ turn, unanswered, stopped, partials, isSilent }) {
  if (turn && isSilent) {
    const what = partials.size ? 'finished its answer' : 'answered';
    return `${agentName(turn.agent)} has not ${what} yet. It may be busy, or away.`;
  }
  if (turn && partials.size === 0) return `${agentName(turn.agent)} is about to answer…`;
  if (unanswered) return `${agentName(unanswered.agent)} has not answered in time. Write again to ask anew.`;
  if (stopped) return `You have stopped ${agentName(stopped.agent)}.`;
  return '';
}

/**
 * Name the day above its first message.
 *
 * @param {HTMLElement} article
 */
function markDay(article) {
  let before = article.previousElementSibling;
  while (before instanceof HTMLElement && !before.dataset.at) before = before.previousElementSibling;
  const label = article.querySelector('.day');
  if (!(label instanceof HTMLElement)) return;
  const other = before instanceof HTMLElement ? before.dataset.at : undefined;
  const isFirst = !other || new Date(other).toDateString() !== new Date(article.dataset.at ?? '').toDateString();
  const isToday = new Date(article.dataset.at ?? '').toDateString() === new Date().toDateString();
  label.hidden = !isFirst || (isToday && !other);
}
