// A half-written message. Each window has its own; what was written last is also there for windows that open later.

import { forget, read, readHere, write, writeHere } from './browser_store.js';

export class Draft {
  /** @param {string} session */
  constructor(session) {
    this.name = `draft.${session}`;
  }

  /** @returns {string} */
  get text() {
    return readHere(this.name) ?? read(this.name) ?? '';
  }

  set text(text) {
    const before = this.text;
    writeHere(this.name, text);
    if (text) write(this.name, text);
    else if (read(this.name) === before) forget(this.name); // else another window has written since
  }

  forget() {
    writeHere(this.name, '');
    forget(this.name);
  }
}
