// The revisions as a timeline that people can step back through.

import { byId, debounced, gathered, setText } from './dom.js';
import { dayAndTime, describeChange } from './wording.js';

export class Timeline {
  #slider = /** @type {HTMLInputElement} */ (byId('revision'));
  #back = /** @type {HTMLButtonElement} */ (byId('step-back'));
  #on = /** @type {HTMLButtonElement} */ (byId('step-on'));
  #number = byId('revision-number');
  #text = byId('revision-text');
  #wanted = Infinity;

  /**
   * @param {import('./chat.js').Chat} chat
   * @param {AbortSignal} closed
   * @param {(error: Error) => void} failed
   */
  constructor(chat, closed, failed) {
    this.chat = chat;
    this.failed = failed;
    const look = debounced(() => void this.#look(), 120);
    const options = { signal: closed };
    const choose = (/** @type {number} */ revision) => {
      const now = chat.session?.revision ?? 0;
      // The end means the present, even if a later revision comes in a moment.
      this.#wanted = revision >= now ? Infinity : Math.max(revision, 0);
      this.#slider.value = String(Math.min(this.#wanted, now));
      this.#say();
      look();
    };
    this.#slider.addEventListener('input', () => choose(Number(this.#slider.value)), options);
    this.#back.addEventListener('click', () => choose(Number(this.#slider.value) - 1), options);
    this.#on.addEventListener('click', () => choose(Number(this.#slider.value) + 1), options);
    byId('back-to-now').addEventListener('click', () => choose(Infinity), options);
    const show = gathered(() => this.#show());
    for (const name of ['session', 'past', 'changes']) chat.addEventListener(name, show, options);
    this.#show();
  }

  async #look() {
    const revision = this.#wanted;
    try {
      await this.chat.lookAt(revision);
    } catch (error) {
      if (revision !== this.#wanted) return;
      this.#wanted = Infinity;
      this.failed(/** @type {Error} */ (error));
      this.chat.lookAtNow();
      this.#show();
    }
  }

  #show() {
    const { session, past } = this.chat;
    this.#slider.disabled = !session;
    if (!session) return;
    const isAtEnd = !past && Number(this.#slider.value) >= Number(this.#slider.max);
    this.#slider.max = String(session.revision);
    if (isAtEnd || (!past && this.#wanted >= session.revision)) this.#slider.value = String(session.revision);
    byId('past').hidden = past === null;
    if (past) setText(byId('past-text'), `You are looking at revision ${past.revision} of ${session.revision}. It can only be read.`);
    this.#say();
  }

  #say() {
    const revision = Number(this.#slider.value);
    const now = this.chat.session?.revision ?? 0;
    const entry = this.chat.changes.get(revision);
    const what = entry ? `${describeChange(entry)}, ${dayAndTime(entry.applied_at)}` : '';
    this.#enable(this.#back, revision > 0);
    this.#enable(this.#on, revision < now);
    setText(this.#number, `${revision} of ${now}`);
    setText(this.#text, what);
    this.#slider.setAttribute('aria-valuetext', `${revision} of ${now}${what && `: ${what}`}`);
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {boolean} isOn
   */
  #enable(button, isOn) {
    if (!isOn && document.activeElement === button) this.#slider.focus(); // a disabled button loses the focus
    button.disabled = !isOn;
  }
}
