// Start the page: sign in, find a session, show it.

import { Api, Problem, SESSIONS } from './api.js';
import { BackOff } from './back_off.js';
import { forget, read, write } from './browser_store.js';
import { Chat } from './chat.js';
import { Composer } from './composer.js';
import { Connection } from './connection.js';
import { ContextPanel } from './context_panel.js';
import { Conversation } from './conversation.js';
import { ask } from './dialogs.js';
import { byId, make, setText, uuid } from './dom.js';
import { Draft } from './draft.js';
import { closeDrawers, setUpDrawers } from './drawers.js';
import { Outbox } from './outbox.js';
import { followPlatform } from './platform.js';
import { SessionsList } from './sessions_list.js';
import { SignIn, SignInNeeded } from './sign_in.js';
import { showSignInForm } from './sign_in_form.js';
import { Timeline } from './timeline.js';
import { agentName, sessionName } from './wording.js';

/** A chat without a name gets the beginning of its first message, up to this length. */
const NAME_CHARACTERS = 60;

const ARCHIVED = 'This chat is archived. It can be read; reopen it in the list to go on.';

class Page {
  /** @type {Chat | null} */
  #chat = null;
  #closing = new AbortController();
  #opened = 0;
  /** The first message that this window has sent to the chat. @type {{id: string, text: string} | null} */
  #firstSent = null;

  /** @param {import('./contract').PageConfig} config */
  constructor(config) {
    this.config = config;
    this.signIn = new SignIn(config);
    this.api = new Api(this.signIn);
    this.outbox = new Outbox(this.api, this.signIn);
    this.connection = new Connection(() => this.#hurry());
    this.list = new SessionsList(this.api, {
      current: () => this.#chat?.id ?? '',
      open: (id) => this.#show(id),
      removed: (id) => this.#removed(id),
      failed: (error) => this.#notice(error.message),
    });
    this.api.onSignInNeeded = () => this.#askToSignIn('Your sign-in has ended. Nothing that you have written is lost.');
    this.signIn.addEventListener('changed', () => this.#start());
    this.outbox.addEventListener('sent', (event) => this.#sent(/** @type {CustomEvent} */ (event).detail));
    this.outbox.addEventListener('changed', () => this.outbox.isDone && this.connection.succeeded());
    this.outbox.addEventListener('refused', (event) => this.#refused(/** @type {CustomEvent} */ (event).detail));
    this.outbox.addEventListener('failed', (event) => this.#sendingFailed(/** @type {CustomEvent} */ (event).detail));
    byId('new-chat').addEventListener('click', () => void this.#newChat());
    byId('sign-out').addEventListener('click', () => void this.#signOut());
    addEventListener('popstate', () => void this.#openAddressed());
    setUpDrawers();
    if (followPlatform(this.signIn)) {
      this.signIn.kept = null;
      void this.signIn.platformAsksForToken?.().catch((error) => this.#askToSignIn(error.message));
    } else void this.#start();
  }

  async #start() {
    this.#close();
    if (!this.signIn.isSignedIn) {
      this.#askToSignIn();
      return;
    }
    this.list.clear();
    document.body.dataset.view = 'chat';
    byId('sign-in').hidden = true;
    setText(byId('who'), this.signIn.label);
    this.outbox.flush();
    this.list.refresh();
    await this.#openAddressed();
  }

  /** @param {string} [reason] */
  #askToSignIn(reason) {
    this.#close();
    this.signIn.lapse();
    this.list.clear();
    document.body.dataset.view = 'sign-in';
    byId('sign-in').hidden = false;
    showSignInForm(this.signIn, reason);
  }

  async #signOut() {
    const unsent = this.outbox.unsent().length;
    const text = unsent === 1 ? 'One message is not sent yet, and is discarded.' : `${unsent} messages are not sent yet, and are discarded.`;
    if (unsent && (await ask({ title: 'Sign out?', text, confirm: 'Sign out', isDanger: true })) === null) return;
    history.replaceState(null, '', location.pathname);
    this.signIn.signOut();
  }

  /** Open the session of the page's address; without one the latest, or a new one. */
  async #openAddressed() {
    const addressed = new URLSearchParams(location.search).get('session');
    const opened = ++this.#opened;
    if (addressed !== this.#chat?.id) this.connection.begin();
    const backOff = new BackOff();
    while (opened === this.#opened) {
      try {
        const id = addressed ?? (await this.#latestOrNew(opened));
        if (id && opened === this.#opened) this.#show(id, { isNewPlace: false });
        return;
      } catch (error) {
        if (error instanceof SignInNeeded || opened !== this.#opened) return;
        if (error instanceof Problem && !error.passes) {
          this.#askToSignIn(error.message);
          return;
        }
        this.connection.failed(error instanceof Problem ? error.code : 'UNREACHABLE');
        await backOff.wait();
      }
    }
  }

  /**
   * @param {number} opened which opening of a session it is for
   * @returns {Promise<string | null>} null if another session is opened meanwhile
   */
  async #latestOrNew(opened) {
    try {
      return (await this.api.get(`${SESSIONS}/latest`)).chat_session_id;
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'SESSION_NOT_FOUND')) throw error;
    }
    if (opened !== this.#opened) return null;
    // Without a name it is the session of this minute, so that two windows that open together find the same one.
    try {
      const session = await this.api.send('POST', SESSIONS, {});
      if (session.lifecycle_state === 'ACTIVE') return session.chat_session_id;
    } catch (error) {
      if (!(error instanceof Problem && error.code === 'SESSION_NOT_ACTIVE')) throw error;
    }
    if (opened !== this.#opened) return null;
    return (await this.#create(uuid())).chat_session_id; // this minute's session was deleted or archived
  }

  /**
   * @param {string} name
   * @returns {Promise<import('./contract').Session>}
   */
  #create(name) {
    return this.api.send('POST', SESSIONS, {}, { 'idempotency-key': `page/${name}` });
  }

  async #newChat() {
    closeDrawers();
    const opened = this.#opened;
    // Kept until it is answered: a second press after a lost answer finds the same chat.
    const name = read('new-chat') ?? uuid();
    write('new-chat', name);
    try {
      const made = await this.#create(name);
      // A chat that was opened from the list meanwhile, and is in use, is no new chat.
      const session = made.revision > 0 ? await this.#create(uuid()) : made;
      forget('new-chat');
      if (opened === this.#opened) this.#show(session.chat_session_id); // else the person has opened another meanwhile
      this.list.refresh();
    } catch (error) {
      if (error instanceof Problem && !error.passes) forget('new-chat');
      if (error instanceof Error && !(error instanceof SignInNeeded)) this.#notice(`The chat could not be made: ${error.message}`);
    }
  }

  /**
   * @param {string} id
   * @param {{isNewPlace?: boolean}} [place] whether the browser's Back leads to the session before
   */
  #show(id, { isNewPlace = true } = {}) {
    this.#opened++;
    closeDrawers();
    if (this.#chat?.id === id) return;
    const early = this.#chat ? '' : /** @type {HTMLTextAreaElement} */ (byId('message')).value;
    this.#close();
    this.connection.begin();
    if (this.outbox.isDone) this.connection.succeeded();
    history[isNewPlace ? 'pushState' : 'replaceState'](null, '', `?session=${encodeURIComponent(id)}`);
    const chat = (this.#chat = new Chat(this.api, id, this.config.turn_seconds));
    const { signal } = (this.#closing = new AbortController());
    const failed = (/** @type {Error} */ error) => void (signal.aborted || this.#notice(error.message));
    const conversation = new Conversation(chat, this.outbox, signal, {
      handOver: (agent) => composer.handOver(agent),
      edit: (text) => composer.edit(text),
    });
    const composer = new Composer(chat, this.outbox, this.config, signal, {
      written: () => conversation.follow(),
      failed,
    });
    new ContextPanel(chat, signal);
    new Timeline(chat, signal, failed);
    chat.addEventListener('connection', () => this.connection.stream(chat.isConnected), { signal });
    chat.addEventListener('session', () => this.#showSession(chat), { signal });
    chat.addEventListener('gone', (event) => this.#gone(/** @type {CustomEvent} */ (event).detail), { signal });
    this.#showTrace(id);
    this.list.show();
    if (early) composer.edit(early);
    else if (matchMedia('(pointer: fine)').matches) composer.focus();
  }

  #close() {
    this.#opened++;
    this.#closing.abort();
    this.#chat?.close();
    this.#chat = null;
    this.#firstSent = null;
    this.#notice('');
    setText(/** @type {HTMLElement} */ (byId('title').firstElementChild), '');
    document.title = 'Coexistence chat';
    byId('past').hidden = true;
    const shown = ['messages', 'context-values', 'changes', 'revision-number', 'revision-text'];
    for (const id of shown) byId(id).replaceChildren();
    byId('revision').removeAttribute('aria-valuetext');
    /** @type {HTMLTextAreaElement} */ (byId('message')).value = ''; // its text is kept as a draft
  }

  /** @param {Chat} chat */
  #showSession(chat) {
    const { session } = chat;
    if (!session) return;
    void this.#name(chat);
    const name = sessionName(session);
    const title = /** @type {HTMLElement} */ (byId('title').firstElementChild);
    if (title.textContent !== name) {
      setText(title, name);
      document.title = `${name} · Coexistence chat`;
    }
    this.list.see(session);
    const isArchived = session.lifecycle_state === 'ARCHIVED';
    if (isArchived) this.#notice(ARCHIVED);
    else if (byId('notice').firstElementChild?.textContent === ARCHIVED) this.#notice('');
  }

  /** @param {string} id */
  #showTrace(id) {
    const link = /** @type {HTMLAnchorElement} */ (byId('trace'));
    const { temporal_ui_url: ui, temporal_namespace: namespace } = this.config;
    link.hidden = ui === null;
    if (ui) link.href = `${ui}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(`chat-session/${id}`)}`;
  }

  /** @param {Error} error */
  #gone(error) {
    if (error instanceof SignInNeeded) return;
    const isForbidden = error instanceof Problem && error.status === 403;
    if (isForbidden) {
      this.#askToSignIn(error.message);
      return;
    }
    this.connection.end();
    byId('trace').hidden = true;
    const isDeleted = error.message === 'deleted';
    const words = isDeleted ? 'This chat was deleted.' : 'There is no such chat, or it is not yours.';
    this.#notice(words, { text: 'Open the latest chat', action: () => this.#openLatest() });
    this.list.refresh();
  }

  #openLatest() {
    this.#close();
    history.pushState(null, '', location.pathname);
    void this.#openAddressed();
  }

  /** @param {string} id */
  #removed(id) {
    new Draft(id).forget();
    for (const item of this.outbox.unsent(id)) this.outbox.discard(item);
    if (this.#chat?.id === id) this.#openLatest();
  }

  /** @param {{item: import('./contract').Unsent, receipt: any}} sent */
  #sent({ item, receipt }) {
    const chat = this.#chat;
    if (!chat || chat.id !== item.session) return;
    for (const { id, text } of item.change.messages ?? []) {
      const revision = receipt.applied_revision;
      const at = receipt.updated_at;
      chat.addSent({ id, role: 'user', author: 'user', revision, created_at: at, body: { text } });
      this.#firstSent ??= { id, text };
      void this.#name(chat);
    }
  }

  /**
   * Name a chat after its first message, if this window has sent that.
   *
   * @param {Chat} chat
   */
  async #name(chat) {
    const { session, older, messages, sent } = chat;
    const first = this.#firstSent;
    const isFirst = first?.id === (messages.keys().next().value ?? sent.keys().next().value);
    if (!session || session.title || older || !first || !isFirst) return;
    this.#firstSent = null;
    const line = [...first.text.trim().split('\n', 1)[0].replace(/\s+/g, ' ')]; // by characters, so that none is cut in half
    const title = line.length > NAME_CHARACTERS ? `${line.slice(0, NAME_CHARACTERS - 1).join('').trimEnd()}…` : line.join('');
    try {
      await this.api.send('PATCH', chat.path, { title });
    } catch {
      // The chat stays without a name; people can give it one.
    }
  }

  /** @param {{item: import('./contract').Unsent, reason: string}} refused */
  #refused({ item, reason }) {
    const agent = item.change.active_agent;
    if (agent && this.#chat?.id === item.session) this.#notice(`Not handed over to ${agentName(agent)}: ${reason}`);
  }

  /** @param {Error} error */
  #sendingFailed(error) {
    if (error instanceof Problem && !this.outbox.isDone) this.connection.failed(error.code);
    void this.connection.look();
  }

  /** An outage may be over: try everything at once. */
  #hurry() {
    this.#chat?.stream.hurry();
    this.outbox.flush();
    this.list.refresh();
  }

  /**
   * @param {string} text
   * @param {{text: string, action: () => void}} [offer]
   */
  #notice(text, offer) {
    const notice = byId('notice');
    notice.hidden = !text;
    const dismiss = make('button', { type: 'button', class: 'icon', 'aria-label': 'Dismiss', onclick: () => this.#notice('') }, '✕');
    const button = offer && make('button', { type: 'button', class: 'quiet', onclick: offer.action }, offer.text);
    notice.replaceChildren(...(text ? [make('span', {}, text), button ?? dismiss] : []));
  }
}

async function start() {
  const backOff = new BackOff();
  for (;;) {
    try {
      const answer = await fetch('page/config.json');
      if (answer.ok) {
        new Page(await answer.json());
        return;
      }
    } catch {
      // The gateway cannot be reached, and is asked again.
    }
    setText(byId('status'), 'Not connected; trying again.');
    await backOff.wait();
  }
}

void start();
