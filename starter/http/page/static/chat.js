// The open session as the page knows it, kept up to date by its events.

import { Problem, SESSIONS } from './api.js';
import { BackOff } from './back_off.js';
import { read, write } from './browser_store.js';
import { debounced } from './dom.js';
import { EventStream } from './event_stream.js';

/** How many of the latest changes are read to show who changed what. */
const CHANGES = 200;
/** How many older messages are loaded at once. */
const PAGE = 200;
/** If an agent gives no sign for this time, the page says so. */
const SILENCE_MILLISECONDS = 15_000;

/** @typedef {import('./contract').Session} Session */
/** @typedef {import('./contract').Message} Message */
/** @typedef {import('./contract').Change} Change */
/** @typedef {{revision: number, agent: string, since: number}} Turn */

/**
 * Fires `session`, `reset`, `older`, `message`, `sent`, `removed`, `partial`, `changes`, `turn`, `past`, `connection` and
 * `gone`, each after the state that it names has changed.
 */
export class Chat extends EventTarget {
  /** @type {Session | null} */
  session = null;
  /** @type {Map<string, Message>} in their order */
  messages = new Map();
  /** @type {Map<string, Message>} those that this window has sent, until their events come: others may precede them */
  sent = new Map();
  /** @type {string | null} the cursor for older messages */
  older = null;
  /** @type {Map<string, string>} the unfinished answers of agents */
  partials = new Map();
  /** @type {Map<number, Change>} by revision */
  changes = new Map();
  /** @type {Turn | null} the turn whose answer is awaited */
  turn = null;
  /** @type {Turn | null} the last turn, if its time is over and nobody has answered */
  unanswered = null;
  /** @type {Turn | null} the last turn, if this person has stopped it and the agent has not said so */
  stopped = null;
  /** Whether the awaited agent has given no sign for a while. */
  isSilent = false;
  /** @type {Session | null} the session at the earlier revision that the person looks at */
  past = null;
  isConnected = false;
  /** Whether the session is deleted, or not this person's. */
  isGone = false;

  #isClosed = false;
  #isLoadingOlder = false;
  #looks = 0;
  /** @type {Set<string>} unfinished answers that a later turn has overtaken: their agents may write on for a moment */
  #overtaken = new Set();
  /** The revision of the last change of the context that was seen. */
  #contextRevision = 0;
  #readContext = debounced(() => void this.#refresh(), 60);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #turnEnds;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #fallsSilent;

  /**
   * @param {import('./api.js').Api} api
   * @param {string} id
   * @param {number} turnSeconds
   */
  constructor(api, id, turnSeconds) {
    super();
    this.api = api;
    this.id = id;
    this.turnSeconds = turnSeconds;
    this.path = `${SESSIONS}/${encodeURIComponent(id)}`;
    this.stream = new EventStream(api, `${this.path}/events`, {
      opened: () => this.#connected(true),
      event: (name, data) => this.#take(name, data),
      interrupted: () => this.#connected(false),
      refused: (error) => this.#end(error),
    });
  }

  close() {
    this.#isClosed = true;
    this.stream.close();
    clearTimeout(this.#turnEnds);
    clearTimeout(this.#fallsSilent);
  }

  /**
   * Load the messages before the first one here.
   *
   * @returns {Promise<boolean>} whether this call has loaded some
   */
  async loadOlder() {
    if (!this.older || this.#isLoadingOlder) return false;
    this.#isLoadingOlder = true;
    const before = this.older;
    try {
      const page = await this.api.get(`${this.path}/messages?limit=${PAGE}&before=${encodeURIComponent(before)}`);
      if (this.older !== before) return false; // the stream has begun anew, with later messages
      /** @type {Message[]} */
      const messages = page.messages.filter((/** @type {Message} */ message) => !this.messages.has(message.id));
      this.messages = new Map([...messages.map((message) => /** @type {const} */ ([message.id, message])), ...this.messages]);
      this.older = page.older;
      this.#fire('older', messages);
      return true;
    } finally {
      this.#isLoadingOlder = false;
    }
  }

  /**
   * Look at the session as it was.
   *
   * @param {number} revision
   */
  async lookAt(revision) {
    if (!this.session || revision >= this.session.revision) {
      this.lookAtNow();
      return;
    }
    const look = ++this.#looks;
    const past = await this.api.get(`${this.path}?at_revision=${revision}`);
    if (look !== this.#looks) return; // the person looks at another revision by now
    this.past = past;
    this.#fire('past');
  }

  lookAtNow() {
    this.#looks++;
    if (!this.past) return;
    this.past = null;
    this.#fire('past');
  }

  /** Stop the turn whose answer is awaited. */
  async stopTurn() {
    const turn = this.turn;
    if (!turn) return;
    await this.api.send('DELETE', `${this.path}/turn`);
    // If a turn runs, its agent says that it was stopped. If none does, only the page says so.
    write(`stopped.${this.id}`, turn.revision);
    if (this.turn?.revision === turn.revision) this.#waitFor(turn);
  }

  /**
   * Show a message that this window has sent, until its event comes.
   *
   * @param {Message} message
   */
  addSent(message) {
    if (this.session && message.revision <= this.session.revision) return; // its event was faster
    this.sent.set(message.id, message);
    this.#fire('sent');
  }

  /**
   * @param {string} name
   * @param {any} data
   */
  #take(name, data) {
    if (name === 'session') this.#begin(data);
    else if (name === 'change') this.#apply(data);
    else if (name === 'partial') this.#showPartial(data);
    else if (name === 'end' && data.reason !== 'token_expired') {
      this.stream.close();
      this.#end(new Error(data.reason));
    }
  }

  /** @param {Error} error */
  #end(error) {
    this.isGone = true;
    this.#fire('gone', error);
  }

  /** @param {{session: Session, messages: Message[], older: string | null}} data */
  #begin({ session, messages, older }) {
    this.session = session;
    this.#contextRevision = session.revision;
    this.messages = new Map(messages.map((message) => [message.id, message]));
    for (const [id, { revision }] of this.sent) if (revision <= session.revision) this.sent.delete(id);
    this.older = older;
    this.partials.clear();
    this.#overtaken.clear();
    this.changes.clear();
    this.#fire('session');
    this.#fire('reset');
    void this.#loadChanges(session);
  }

  /** @param {Change & {messages: Message[]}} event */
  #apply({ messages, ...entry }) {
    const { session } = this;
    if (!session) return;
    const { title, lifecycle_state: state, remove_messages: removed = [] } = entry.change;
    if (entry.turn) this.#overtake();
    this.changes.set(entry.revision, entry);
    session.revision = entry.revision;
    session.active_agent = entry.active_agent;
    session.updated_at = entry.applied_at;
    if (title !== undefined) session.title = title || null;
    if (state === 'ACTIVE' || state === 'ARCHIVED') session.lifecycle_state = state;
    this.#fire('session');
    this.#fire('changes', [entry]);
    for (const id of removed) this.#remove(id);
    for (const message of messages) {
      this.partials.delete(message.id);
      this.sent.delete(message.id);
      if (message.truncated) this.stream.restart();
      else if (message.body === null) this.#remove(message.id);
      else this.#put(message);
    }
    this.#follow(entry);
    if (changesContext(entry)) {
      this.#contextRevision = entry.revision;
      this.#readContext();
    }
  }

  /** @param {Message} message */
  #put(message) {
    const isNew = !this.messages.has(message.id);
    this.messages.set(message.id, message);
    this.#fire('message', { message, isNew });
  }

  /** @param {string} id */
  #remove(id) {
    this.partials.delete(id);
    if (this.messages.delete(id)) this.#fire('removed', id);
  }

  /** Drop the unfinished answers of an earlier turn. If there is none, they belong to the turn that begins now. */
  #overtake() {
    if (!(this.turn ?? this.unanswered ?? this.stopped)) return;
    for (const id of this.partials.keys()) this.#overtaken.add(id);
    this.partials.clear();
  }

  /** @param {{message_id: string, text: string}} partial */
  #showPartial({ message_id: id, text }) {
    if (this.messages.has(id) || this.#overtaken.has(id)) return;
    this.partials.set(id, text);
    this.#hear();
    this.#fire('partial', id);
  }

  async #refresh() {
    const { session } = this;
    const wanted = this.#contextRevision;
    if (!session) return;
    const now = await this.#ask(this.path, () => this.session === session && this.#contextRevision === wanted);
    if (!now || now.revision < this.#contextRevision) return; // a later read is on its way
    session.context = now.context;
    this.#fire('session');
  }

  /** @param {Session} session */
  async #loadChanges(session) {
    let after = session.revision >= CHANGES ? `&after_revision=${session.revision - CHANGES}` : '';
    // If the changes are large, they come in several pages, the latest in the last.
    for (let isComplete = false; !isComplete; ) {
      const path = `${this.path}/history?limit=${CHANGES}${after}`;
      const page = await this.#ask(path, () => this.session === session);
      if (!page) return;
      const { entries, complete } = page;
      for (const entry of entries) this.changes.set(entry.revision, entry);
      this.changes = new Map([...this.changes].sort(([one], [other]) => one - other));
      this.#fire('changes', entries);
      isComplete = complete || entries.length === 0;
      after = `&after_revision=${entries.at(-1)?.revision}`;
    }
    this.#findTurn();
  }

  /**
   * Ask until there is an answer.
   *
   * @param {string} path
   * @param {() => boolean} isWanted
   * @returns {Promise<any>} null if it is refused, or not wanted any more
   */
  async #ask(path, isWanted) {
    const backOff = new BackOff();
    while (!this.#isClosed && isWanted()) {
      try {
        const answer = await this.api.get(path);
        return isWanted() ? answer : null;
      } catch (error) {
        if (!(error instanceof Problem && error.passes)) return null;
      }
      await backOff.wait();
    }
    return null;
  }

  /** Wait for the answer of the last turn, if it has not come. */
  #findTurn() {
    const revision = this.session?.turn_revision;
    const asked = revision ? this.changes.get(revision) : undefined;
    const answer = asked && this.#answerKey(asked.revision);
    const isOver = [...this.changes.values()].some((entry) => entry.idempotency_key === answer);
    if (asked && !isOver) this.#follow(asked);
    else this.#waitFor(null);
  }

  /** @param {Change} entry */
  #follow(entry) {
    if (entry.turn) {
      if (this.session) this.session.turn_revision = entry.revision;
      this.#waitFor({ revision: entry.revision, agent: entry.active_agent, since: Date.parse(entry.applied_at) });
      return;
    }
    const asked = this.turn ?? this.unanswered ?? this.stopped;
    if (asked && entry.idempotency_key === this.#answerKey(asked.revision)) this.#waitFor(null);
  }

  /** @param {Turn | null} turn */
  #waitFor(turn) {
    clearTimeout(this.#turnEnds);
    const left = turn ? turn.since + this.turnSeconds * 1000 - Date.now() : 0;
    const isStopped = turn && read(`stopped.${this.id}`) >= turn.revision;
    this.turn = turn && left > 0 && !isStopped ? turn : null;
    this.unanswered = turn && left <= 0 && !isStopped ? turn : null;
    this.stopped = isStopped ? turn : null;
    if (this.turn) this.#turnEnds = setTimeout(() => this.#waitFor(turn), left);
    else if (!this.stopped) this.partials.clear();
    this.#hear();
    this.#fire('turn');
  }

  /** Restart the clock: an agent gives a sign, or another turn is awaited. */
  #hear() {
    this.isSilent = false;
    clearTimeout(this.#fallsSilent);
    if (!this.turn && (this.stopped || this.partials.size === 0)) return;
    this.#fallsSilent = setTimeout(() => {
      this.isSilent = this.turn !== null;
      if (!this.isSilent) this.partials.clear(); // no turn goes on with them
      this.#fire('turn');
    }, SILENCE_MILLISECONDS);
  }

  /** @param {number} revision */
  #answerKey(revision) {
    return `agent-turn/${this.id}/${revision}`;
  }

  /** @param {boolean} isConnected */
  #connected(isConnected) {
    this.isConnected = isConnected;
    this.#fire('connection');
  }

  /**
   * @param {string} name
   * @param {unknown} [detail]
   */
  #fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** @param {Change} entry */
function changesContext({ author, change }) {
  const byHand = author === 'manual' || author === 'journey';
  return byHand || change.context != null || change.append != null;
}
