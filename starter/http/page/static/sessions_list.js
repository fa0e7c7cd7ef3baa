// The list of the person's sessions.

import { Problem, SESSIONS } from './api.js';
import { ask, dropQuestions } from './dialogs.js';
import { byId, debounced, make } from './dom.js';
import { dayAndTime, sessionName } from './wording.js';

/** @typedef {import('./contract').Session} Session */

const REFRESH_MILLISECONDS = 30_000;
/** How many sessions are read at first, and how many are read to show more. */
const FIRST_PAGE = 30;
const NEXT_PAGE = 50;
/** The gateway's own limit: so many are read of the archive, and at most so many when the list is read anew. */
const LARGEST_PAGE = 100;

export class SessionsList {
  /** @type {Session[]} */
  #active = [];
  /** @type {Session | null} the open one, as it was seen last */
  #seen = null;
  /** @type {string | null} */
  #next = null;
  /** How often the list was read, or read on. */
  #reads = 0;
  #archiveReads = 0;
  #list = byId('session-list');
  #more = /** @type {HTMLButtonElement} */ (byId('more-sessions'));
  #archive = /** @type {HTMLDetailsElement} */ (byId('archive'));
  /** Read the list anew, a moment later. */
  refresh = debounced(() => void this.#read(), 150);

  /**
   * @param {import('./api.js').Api} api
   * @param {{current: () => string, open: (id: string) => void, removed: (id: string) => void, failed: (error: Error) => void}} page
   */
  constructor(api, page) {
    this.api = api;
    this.page = page;
    this.#more.addEventListener('click', () => void this.#readMore());
    this.#archive.addEventListener('toggle', () => this.#readArchive().catch(this.page.failed));
    addEventListener('focus', () => this.refresh());
    setInterval(() => document.visibilityState === 'visible' && this.refresh(), REFRESH_MILLISECONDS);
  }

  /**
   * The open session has changed: show its title and its time, and move it to its place.
   *
   * @param {Session} session
   */
  see(session) {
    this.#seen = { ...session };
    const known = this.#active.find(({ chat_session_id: id }) => id === session.chat_session_id);
    if ((session.lifecycle_state === 'ACTIVE') === (known !== undefined)) this.#render();
    else this.refresh(); // it is new, archived or reopened
  }

  /** Forget what is shown and asked, because the person has left. */
  clear() {
    dropQuestions();
    this.#reads++;
    this.#archiveReads++;
    this.#active = [];
    this.#next = this.#seen = null;
    this.#render();
    this.#fill(byId('archived-list'), []);
  }

  /** Show which session is open. */
  show() {
    for (const link of document.querySelectorAll('.session-list a')) {
      const isCurrent = link.getAttribute('data-session') === this.page.current();
      if (isCurrent) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }

  async #read() {
    if (!this.api.signIn.isSignedIn) return;
    try {
      const limit = Math.min(Math.max(this.#active.length, FIRST_PAGE), LARGEST_PAGE);
      const reads = ++this.#reads;
      const page = await this.#ask(`limit=${limit}`);
      if (reads !== this.#reads) return; // what is shown by now is newer, or more
      this.#active = page.sessions;
      this.#next = page.next;
      this.#render();
      await this.#readArchive();
    } catch {
      // The connection's state is shown elsewhere, and the list is read again with the next change.
    }
  }

  async #readMore() {
    if (!this.#next) return;
    try {
      const page = await this.#ask(`limit=${NEXT_PAGE}&after=${encodeURIComponent(this.#next)}`);
      this.#reads++;
      const known = new Set(this.#active.map((session) => session.chat_session_id));
      this.#active.push(...page.sessions.filter((session) => !known.has(session.chat_session_id)));
      this.#next = page.next;
      this.#render();
    } catch (error) {
      this.page.failed(/** @type {Error} */ (error));
    }
  }

  async #readArchive() {
    if (!this.#archive.open) return;
    const reads = ++this.#archiveReads;
    const page = await this.#ask(`lifecycle_state=ARCHIVED&limit=${LARGEST_PAGE}`);
    if (reads !== this.#archiveReads) return;
    byId('no-archived').hidden = page.sessions.length > 0;
    this.#fill(byId('archived-list'), page.sessions);
  }

  /**
   * @param {string} query
   * @returns {Promise<{sessions: Session[], next: string | null}>} a page
   */
  #ask(query) {
    return this.api.get(`${SESSIONS}?${query}`);
  }

  #render() {
    const seen = this.#seen;
    this.#active = this.#active
      .map((each) => (seen?.chat_session_id === each.chat_session_id && changed(seen) >= changed(each) ? seen : each))
      .sort((one, other) => changed(other) - changed(one));
    this.#fill(this.#list, this.#active);
    this.#more.hidden = this.#next === null;
  }

  /**
   * Show these sessions. An entry that is there already stays the same element: its menu may be open, or have the focus.
   *
   * @param {HTMLElement} list
   * @param {Session[]} sessions
   */
  #fill(list, sessions) {
    const before = new Map([...list.children].map((item) => [item.getAttribute('data-entry'), item]));
    const items = sessions.map((session) => {
      const entry = `${session.chat_session_id} ${sessionName(session)}`;
      const item = before.get(entry) ?? this.#item(session, entry);
      item.querySelector('time')?.replaceWith(changedAt(session));
      return item;
    });
    const focused = document.activeElement;
    for (const [place, item] of items.entries()) {
      if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
    }
    while (list.children.length > items.length) list.lastElementChild?.remove();
    if (focused instanceof HTMLElement && list.contains(focused)) focused.focus(); // what is moved loses the focus
    this.show();
  }

  /**
   * @param {Session} session
   * @param {string} entry
   */
  #item(session, entry) {
    const id = session.chat_session_id;
    const name = sessionName(session);
    const isArchived = session.lifecycle_state === 'ARCHIVED';
    const open = (/** @type {MouseEvent} */ event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return; // a window of its own
      event.preventDefault();
      this.page.open(id);
    };
    const button = (/** @type {string} */ text, /** @type {() => Promise<void>} */ action) =>
      make('button', { type: 'button', class: 'quiet', onclick: () => void this.#do(action) }, text);
    return make(
      'li',
      { 'data-entry': entry },
      make(
        'a',
        { href: `?session=${id}`, 'data-session': id, onclick: open },
        make('bdi', { class: 'session-name' }, name),
        changedAt(session),
      ),
      make(
        'details',
        { class: 'session-menu' },
        make('summary', { 'aria-label': `More for ${name}` }, '⋯'),
        make(
          'div',
          {},
          button('Rename', () => this.#rename(session)),
          isArchived
            ? button('Reopen', () => this.#edit(session, { lifecycle_state: 'ACTIVE' }))
            : button('Archive', () => this.#edit(session, { lifecycle_state: 'ARCHIVED' })),
          button('Delete', () => this.#delete(session)),
        ),
      ),
    );
  }

  /** @param {() => Promise<void>} action */
  async #do(action) {
    try {
      await action();
    } catch (error) {
      this.page.failed(/** @type {Error} */ (error));
    }
    this.refresh();
  }

  /** @param {Session} session */
  async #rename(session) {
    const input = { label: 'Name', value: session.title ?? '' };
    const title = await ask({ title: 'Rename this chat', confirm: 'Rename', input });
    if (title !== null) await this.#edit(session, { title });
  }

  /**
   * @param {Session} session
   * @param {object} change
   */
  async #edit(session, change) {
    await this.api.send('PATCH', `${SESSIONS}/${session.chat_session_id}`, change);
  }

  /** @param {Session} session */
  async #delete(session) {
    const agreed = await ask({
      title: `Delete “${sessionName(session)}”?`,
      text: 'Its messages and its shared context are gone for good.',
      confirm: 'Delete',
      isDanger: true,
    });
    if (agreed === null) return;
    try {
      await this.api.send('DELETE', `${SESSIONS}/${session.chat_session_id}`);
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'SESSION_NOT_FOUND')) throw error;
    }
    this.page.removed(session.chat_session_id);
  }
}

/** @param {Session} session */
function changed({ updated_at: at }) {
  return Date.parse(at);
}

/** @param {Session} session */
function changedAt({ updated_at: at }) {
  return make('time', { datetime: at }, dayAndTime(at));
}
