// Where a message is written and an agent is chosen.

import { forget, read, write } from './browser_store.js';
import { byId, gathered, make, uuid } from './dom.js';
import { agentName } from './wording.js';

export class Composer {
  #form = byId('composer');
  #text = /** @type {HTMLTextAreaElement} */ (byId('message'));
  #agent = /** @type {HTMLSelectElement} */ (byId('agent'));
  #stop = /** @type {HTMLButtonElement} */ (byId('stop'));
  #send = /** @type {HTMLButtonElement} */ (byId('send'));

  /**
   * @param {import('./chat.js').Chat} chat
   * @param {import('./outbox.js').Outbox} outbox
   * @param {import('./contract').PageConfig} config
   * @param {AbortSignal} closed
   * @param {{written: () => void, failed: (error: Error) => void}} told
   */
  constructor(chat, outbox, config, closed, told) {
    this.chat = chat;
    this.outbox = outbox;
    this.config = config;
    this.told = told;
    this.draft = `draft.${chat.id}`;
    this.#text.value = read(this.draft) ?? '';
    const options = { signal: closed };
    this.#text.addEventListener('input', () => this.#keepDraft(), options);
    this.#text.addEventListener('keydown', (event) => this.#keyed(event), options);
    this.#form.addEventListener('submit', (event) => this.#submit(event), options);
    this.#agent.addEventListener('change', () => this.outbox.add(chat.id, { active_agent: this.#agent.value }), options);
    this.#stop.addEventListener('click', () => chat.stopTurn().catch(told.failed), options);
    const show = gathered(() => this.#show());
    for (const name of ['session', 'turn', 'past']) chat.addEventListener(name, show, options);
    outbox.addEventListener('changed', show, options);
    this.#fit();
    this.#show();
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }

  /**
   * Whether a change asks the agent that then leads for an answer.
   *
   * @param {string} agent
   */
  #answers(agent) {
    return this.config.answering_agents.includes(agent) || undefined;
  }

  /** @param {string} agent */
  handOver(agent) {
    this.outbox.add(this.chat.id, { active_agent: agent, turn: this.#answers(agent) });
  }

  /** The agent that leads once all that waits is sent. */
  get #leads() {
    const chosen = this.outbox.unsent(this.chat.id).filter((item) => item.change.active_agent && !item.refused);
    return chosen.at(-1)?.change.active_agent ?? this.chat.session?.active_agent ?? 'guide';
  }

  /** @param {KeyboardEvent} event */
  #keyed(event) {
    // While letters are composed, Enter chooses among them.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    this.#submit(event);
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const text = this.#text.value;
    if (!text.trim() || this.#send.disabled) return;
    this.outbox.add(this.chat.id, { messages: [{ id: uuid(), text }], turn: this.#answers(this.#leads) });
    this.#text.value = '';
    forget(this.draft);
    this.#fit();
    this.focus();
    this.told.written();
  }

  #keepDraft() {
    if (this.#text.value) write(this.draft, this.#text.value);
    else forget(this.draft);
    this.#fit();
  }

  /** As high as its text, where the browser does not see to that itself. */
  #fit() {
    if (CSS.supports('field-sizing', 'content')) return;
    this.#text.style.height = 'auto';
    this.#text.style.height = `${this.#text.scrollHeight}px`;
  }

  #show() {
    const { session, past, turn } = this.chat;
    const isReadOnly = past !== null || session === null || session.lifecycle_state !== 'ACTIVE';
    const shownAgent = past?.active_agent ?? this.#leads;
    this.#showAgents(shownAgent);
    this.#agent.disabled = isReadOnly;
    this.#send.disabled = isReadOnly && session !== null;
    this.#text.readOnly = isReadOnly && session !== null;
    this.#text.placeholder = placeholder(session, past, shownAgent);
    this.#stop.hidden = turn === null || past !== null;
  }

  /** @param {string} leads */
  #showAgents(leads) {
    const agents = [...new Set([...this.config.agents, leads])];
    const shown = [...this.#agent.options].map((option) => option.value);
    if (agents.join() !== shown.join()) {
      this.#agent.replaceChildren(...agents.map((agent) => make('option', { value: agent }, agentName(agent))));
    }
    this.#agent.value = leads;
  }
}

/**
 * @param {import('./contract').Session | null} session
 * @param {import('./contract').Session | null} past
 * @param {string} agent
 */
function placeholder(session, past, agent) {
  if (past) return 'An earlier revision can only be read';
  if (session && session.lifecycle_state !== 'ACTIVE') return 'This chat is archived';
  return `Write to ${agentName(agent)}`;
}
