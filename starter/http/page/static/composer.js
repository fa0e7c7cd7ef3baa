// The form in which people write a message and choose an agent.

import { byId, gathered, make, setText, uuid } from './dom.js';
import { Draft } from './draft.js';
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
   * @param {{written: () => void, failed: (error: Error) => void}} callbacks
   */
  constructor(chat, outbox, config, closed, callbacks) {
    this.chat = chat;
    this.outbox = outbox;
    this.config = config;
    this.callbacks = callbacks;
    this.draft = new Draft(chat.id);
    this.#text.value = this.draft.text;
    const options = { signal: closed };
    this.#text.addEventListener('input', () => this.#keepDraft(), options);
    this.#text.addEventListener('keydown', (event) => this.#keyed(event), options);
    this.#form.addEventListener('submit', (event) => this.#submit(event), options);
    this.#agent.addEventListener('change', () => this.outbox.add(chat.id, { active_agent: this.#agent.value }), options);
    this.#stop.addEventListener('click', () => this.#stopTurn(), options);
    const show = gathered(() => this.#show());
    for (const name of ['session', 'turn', 'past', 'gone']) chat.addEventListener(name, show, options);
    outbox.addEventListener('changed', show, options);
    this.#fit();
    this.#show();
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }

  /**
   * Put a text before the one in the form, to be edited.
   *
   * @param {string} text
   */
  edit(text) {
    this.#text.value = [text, this.#text.value].filter(Boolean).join('\n\n');
    this.#keepDraft();
    this.focus();
    this.#text.setSelectionRange(text.length, text.length);
  }

  /**
   * Whether the agent takes turns, so that a change asks it for an answer.
   *
   * @param {string} agent
   */
  #answers(agent) {
    return this.config.answering_agents.includes(agent) || undefined;
  }

  /** @param {string} agent */
  handOver(agent) {
    this.outbox.add(this.chat.id, { active_agent: agent, turn: this.#answers(agent) });
    this.focus();
  }

  #stopTurn() {
    this.chat.stopTurn().catch(this.callbacks.failed);
    this.focus();
  }

  /** The agent that leads once every waiting change is sent. */
  get #leads() {
    return this.outbox.nextAgent(this.chat.id) ?? this.chat.session?.active_agent ?? 'guide';
  }

  /** @param {KeyboardEvent} event */
  #keyed(event) {
    // While an input method composes characters, Enter chooses among them.
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
    this.#keepDraft();
    this.focus();
    this.callbacks.written();
  }

  #keepDraft() {
    this.draft.text = this.#text.value;
    this.#fit();
  }

  /** Make the field as high as its text, if the browser does not do so itself. */
  #fit() {
    if (CSS.supports('field-sizing', 'content')) return;
    this.#text.style.height = 'auto';
    this.#text.style.height = `${this.#text.scrollHeight}px`;
  }

  #show() {
    const { session, past, turn, isGone } = this.chat;
    const isReadOnly = isGone || past !== null || session === null || session.lifecycle_state !== 'ACTIVE';
    const isShut = isReadOnly && (session !== null || isGone); // people can write before the session is there
    const shownAgent = past?.active_agent ?? this.#leads;
    this.#showAgents(shownAgent);
    this.#agent.disabled = isReadOnly;
    this.#send.disabled = isShut;
    this.#text.readOnly = isShut;
    this.#text.placeholder = isGone ? 'This chat is not there' : placeholder(session, past, shownAgent);
    this.#stop.hidden = turn === null || past !== null || isGone;
    const isSilent = !isReadOnly && !this.#answers(shownAgent);
    byId('no-turns').hidden = !isSilent;
    if (isSilent) setText(byId('no-turns'), noTurns(shownAgent, this.config.answering_agents));
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

/**
 * @param {string} agent one that takes no turns
 * @param {string[]} answering those that do
 */
function noTurns(agent, answering) {
  const said = `${agentName(agent)} takes no turns here: what you write is kept, but nobody is asked to answer.`;
  if (answering.length === 0) return said;
  return `${said} For an answer, hand over to ${agentName(answering[0])}${answering.length > 1 ? ' or another agent' : ''}.`;
}
