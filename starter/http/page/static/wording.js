// Names and sentences of the page.

/** @param {string} agent */
export function agentName(agent) {
  const pillar = agent.replace(/^liaison_/, '');
  const words = pillar.replaceAll('_', ' ');
  const name = words.charAt(0).toUpperCase() + words.slice(1);
  return pillar === agent ? name : `${name} liaison`;
}

/** @param {string} agent */
function isAgent(agent) {
  return agent === 'guide' || agent.startsWith('liaison_');
}

/** @param {string | null} author */
export function authorName(author) {
  if (author === 'user') return 'You';
  if (author === 'manual') return 'Somebody, by hand';
  if (author === 'journey') return 'The engine';
  if (!author) return 'Somebody';
  return isAgent(author) ? agentName(author) : author;
}

/** @param {{title: string | null, created_at: string}} session */
export function sessionName(session) {
  // The time comes first: it tells chats apart even if there is no room for the day.
  return session.title || `Chat at ${time(session.created_at)}, ${shortDay(session.created_at)}`;
}

/**
 * Why the gateway does not take a change, for people.
 *
 * @param {import('./api.js').Problem} problem
 */
export function refusal({ code, message }) {
  if (code === 'TOO_LARGE' || code === 'CONTEXT_TOO_LARGE') return 'it is too long. Divide it into shorter messages.';
  if (code === 'SESSION_NOT_ACTIVE') return 'this chat is archived.';
  if (code === 'SESSION_NOT_FOUND') return 'this chat is not there any more.';
  return message;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const SHORT_DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const DAY_AND_TIME = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});

/** @param {string} at */
export function time(at) {
  return TIME.format(new Date(at));
}

/** @param {string} at */
export function day(at) {
  return DAY.format(new Date(at));
}

/** @param {string} at */
function shortDay(at) {
  return SHORT_DAY.format(new Date(at));
}

/** @param {string} at */
export function dayAndTime(at) {
  return DAY_AND_TIME.format(new Date(at));
}

/**
 * Who did what, as a sentence without its full stop.
 *
 * @param {import('./contract').Change} entry
 */
export function describeChange(entry) {
  return entry.revision === 0 ? 'The chat began' : `${authorName(entry.author)} ${whatChanged(entry.change)}`;
}

/** @param {import('./contract').Change['change']} change */
function whatChanged({ context, append, active_agent: agent, messages, remove_messages: removed, title, lifecycle_state: state }) {
  const said = [];
  if (messages?.length) said.push(messages.length === 1 ? 'wrote a message' : `wrote ${messages.length} messages`);
  if (removed?.length) said.push('removed a message');
  if (agent) said.push(`handed over to ${agentName(agent)}`);
  const keys = [...Object.keys(context ?? {}), ...Object.keys(append ?? {})];
  if (keys.length) said.push(`changed ${keys.slice(0, 4).join(', ')}${keys.length > 4 ? ' and more' : ''}`);
  if (title !== undefined) said.push(title ? `named the chat “${title}”` : 'removed the chat’s name');
  if (state) said.push(state === 'ARCHIVED' ? 'archived the chat' : 'reopened the chat');
  return said.join(', ') || 'made a change';
}
