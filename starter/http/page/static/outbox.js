// Changes that are made on this page and that the gateway has not taken yet.
//
// Each is kept in the browser under a name of its own until it is taken or discarded, so a reload loses none and
// windows do not overwrite each other's. A change has its idempotency key from the start: any window may send it any
// number of times, and it is applied once.

import { Problem, SESSIONS } from './api.js';
import { BackOff } from './back_off.js';
import { forget, names, read, watch, withLock, write } from './browser_store.js';
import { uuid } from './dom.js';
import { SignInNeeded } from './sign_in.js';
import { refusal } from './wording.js';

const START = 'unsent.';

/**
 * Fires `changed`; `sent` with the change and its receipt; `failed` with the error of an attempt that is repeated;
 * `refused` with a change that has no message, which is dropped.
 */
export class Outbox extends EventTarget {
  #backOff = new BackOff();
  #isSending = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {import('./api.js').Api} api
   * @param {import('./sign_in.js').SignIn} signIn
   */
  constructor(api, signIn) {
    super();
    this.api = api;
    this.signIn = signIn;
    watch(START, () => this.dispatchEvent(new Event('changed')));
  }

  /**
   * @param {string} [session]
   * @returns {import('./contract').Unsent[]} the person's changes, oldest first
   */
  unsent(session) {
    return names(START)
      .map((name) => read(name))
      .filter((item) => item && item.who === this.signIn.who && (!session || item.session === session));
  }

  /**
   * @param {string} session
   * @returns {string | undefined} the agent that the person hands the session over to, if this is not sent yet
   */
  nextAgent(session) {
    return this.unsent(session).findLast((item) => item.change.active_agent && !item.refused)?.change.active_agent;
  }

  /** Whether nothing waits to be sent. */
  get isDone() {
    return this.#next() === undefined;
  }

  /**
   * @param {string} session
   * @param {import('./contract').Unsent['change']} change
   */
  add(session, change) {
    this.#keep({ key: `page/${uuid()}`, who: this.signIn.who, session, at: Date.now(), change });
    this.flush();
  }

  /** @param {import('./contract').Unsent} item */
  discard(item) {
    forget(nameOf(item));
    this.dispatchEvent(new Event('changed'));
  }

  /** @param {import('./contract').Unsent} item */
  retry({ refused: _, mayRetry: __, ...item }) {
    this.#keep(item);
    this.flush();
  }

  /** Send what can be sent, in order. */
  flush() {
    clearTimeout(this.#timer);
    if (!this.#isSending) void this.#send();
  }

  async #send() {
    this.#isSending = true;
    try {
      await withLock('sending', async () => {
        for (let next = this.#next(); next; next = this.#next()) await this.#sendOne(next);
      });
      this.#backOff.reset();
    } catch (error) {
      // If the person has to sign in again, everything is sent after that.
      if (!(error instanceof SignInNeeded) || this.signIn.isSignedIn) this.#timer = setTimeout(() => this.flush(), this.#backOff.next());
      this.dispatchEvent(new CustomEvent('failed', { detail: error }));
    } finally {
      this.#isSending = false;
    }
  }

  #next() {
    return this.unsent().find((item) => !item.refused);
  }

  /** @param {import('./contract').Unsent} item */
  async #sendOne(item) {
    const path = `${SESSIONS}/${item.session}/context`;
    try {
      const receipt = await this.api.send('PATCH', path, item.change, { 'idempotency-key': item.key });
      forget(nameOf(item));
      this.dispatchEvent(new CustomEvent('sent', { detail: { item, receipt } }));
      this.dispatchEvent(new Event('changed'));
    } catch (error) {
      if (!(error instanceof Problem) || error.passes) throw error;
      if (!read(nameOf(item))) return; // discarded meanwhile, with its chat or by a sign-out
      if (error.field === 'turn' && item.change.turn) {
        // An agent that takes no turns leads by now. The key may stay, because it identifies the change without `turn`.
        this.#keep({ ...item, change: { ...item.change, turn: undefined } });
      } else if (item.change.messages) {
        this.#keep({ ...item, refused: refusal(error), mayRetry: error.code === 'SESSION_NOT_ACTIVE' });
      } else {
        this.discard(item);
        this.dispatchEvent(new CustomEvent('refused', { detail: { item, reason: refusal(error) } }));
      }
    }
  }

  /** @param {import('./contract').Unsent} item */
  #keep(item) {
    write(nameOf(item), item);
    this.dispatchEvent(new Event('changed'));
  }
}

/** @param {import('./contract').Unsent} item */
function nameOf(item) {
  return `${START}${String(item.at).padStart(15, '0')}.${item.key}`;
}
