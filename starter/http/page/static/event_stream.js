// A session's events. `EventSource` cannot send a token, so the stream is read with `fetch`.

import { Problem } from './api.js';
import { BackOff } from './back_off.js';
import { SignInNeeded } from './sign_in.js';

/** The gateway says something every 15 seconds; after this silence, the connection is dead. */
const SILENCE_MILLISECONDS = 40_000;

/**
 * @typedef {object} Follower
 * @property {() => void} opened
 * @property {(name: string, data: any) => void} event
 * @property {() => void} interrupted the stream has ended, and is opened again
 * @property {(error: Error) => void} refused the stream is not opened again
 */

export class EventStream {
  /** @type {AbortController | null} */
  #reading = null;
  #isClosed = false;
  #lastId = '';
  #backOff = new BackOff();
  #endWait = () => {};

  /**
   * @param {import('./api.js').Api} api
   * @param {string} path
   * @param {Follower} follower
   */
  constructor(api, path, follower) {
    this.api = api;
    this.path = path;
    this.follower = follower;
    void this.#follow();
  }

  close() {
    this.#isClosed = true;
    this.#reading?.abort();
    this.#endWait();
  }

  /** Try again now, because something has changed. */
  hurry() {
    this.#backOff.reset();
    this.#endWait();
  }

  /** Begin with the whole session anew. */
  restart() {
    this.#lastId = '';
    this.#reading?.abort();
    this.hurry();
  }

  async #follow() {
    while (!this.#isClosed) {
      try {
        await this.#read();
      } catch (error) {
        if (this.#isClosed) return;
        if (error instanceof SignInNeeded || (error instanceof Problem && !error.passes)) {
          this.follower.refused(error);
          return;
        }
      }
      if (this.#isClosed) return;
      this.follower.interrupted();
      await this.#wait(this.#backOff.next());
    }
  }

  async #read() {
    const reading = (this.#reading = new AbortController());
    /** @type {Record<string, string>} */
    const headers = this.#lastId ? { accept: 'text/event-stream', 'last-event-id': this.#lastId } : {};
    const opening = setTimeout(() => reading.abort(), SILENCE_MILLISECONDS);
    const answer = await this.api.open(this.path, headers, reading.signal).finally(() => clearTimeout(opening));
    if (!answer.body) return;
    this.follower.opened();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const silence = setTimeout(() => reading.abort(), SILENCE_MILLISECONDS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      this.#backOff.reset();
      const blocks = (text + value).split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        if (reading.signal.aborted) return;
        this.#take(block);
      }
    }
  }

  /** @param {string} block */
  #take(block) {
    /** @type {Record<string, string>} */
    const fields = {};
    for (const line of block.split('\n')) {
      const [name] = line.split(':', 1);
      fields[name] = line.slice(name.length + 1).replace(/^ /, '');
    }
    const data = fields.event && JSON.parse(fields.data);
    if (fields.id) this.#lastId = fields.id; // first, because the event may have the stream begin anew
    if (fields.event) this.follower.event(fields.event, data);
  }

  /** @param {number} milliseconds */
  async #wait(milliseconds) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#endWait = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
  }
}
