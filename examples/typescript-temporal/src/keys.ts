/** A session's ID, derived as `journeys/chat_session/idempotency_keys.json` describes it. */

import { createHash } from 'node:crypto';

const NAMESPACE = '7baf5ca4-b8fe-5acc-85ec-76401313aa4b';

/** A user's session, identified by the minute of the request or by a name. */
export type SessionOf = { tenant_id: string; user_id: string } & (
  | { requested_at: string; session_name?: never }
  | { session_name: string; requested_at?: never }
);

export function sessionId(of: SessionOf): string {
  return uuidV5(sessionKey(of));
}

export function workflowId(chatSessionId: string): string {
  return `chat-session/${chatSessionId}`;
}

/** JSON.stringify writes canonical JSON (RFC 8785) if all values are strings and the names are sorted. */
export function sessionKey({ tenant_id, user_id, requested_at, session_name }: SessionOf): string {
  const intent = 'initialize_chat_session';
  const scope =
    requested_at === undefined
      ? { intent, session_name, tenant_id, user_id }
      : { intent, tenant_id, timestamp_window: utcMinute(requested_at), user_id };
  return createHash('sha256').update(JSON.stringify(scope), 'utf8').digest('hex');
}

/** A time rounded down to the minute. RFC 3339 allows `t`, `z` and a space, which not every `Date` can parse. */
function utcMinute(time: string): string {
  const parsed = new Date(time.toUpperCase().replace(' ', 'T'));
  return `${parsed.toISOString().slice(0, 'YYYY-MM-DDTHH:MM'.length)}:00Z`;
}

function uuidV5(name: string): string {
  const hash = createHash('sha1')
    .update(Buffer.from(NAMESPACE.replaceAll('-', ''), 'hex'))
    .update(name, 'utf8')
    .digest();
  hash[6] = (hash[6]! & 0x0f) | 0x50;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  return hash.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
