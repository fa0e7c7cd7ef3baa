import type { ChangeEvent, ChatMessage, ChatSessionArtifact, FollowedMessage, SessionEvent } from "./schema.js";

type Json = unknown;
type JsonObject = Readonly<Record<string, Json>>;

/** A session as a follower knows it. */
export interface FollowedSession {
  readonly session: SessionAsFollowed;
  /** The latest messages of the transcript, in order. */
  readonly messages: readonly TranscriptMessage[];
  /** The cursor to ask for messages before these; null if there are none. */
  readonly older: string | null;
}

/**
 * The session without its number of messages: a change does not say which of its messages are new.
 * `context_hash` is null after somebody has edited the database, until a journey loads the session.
 */
export type SessionAsFollowed = Omit<ChatSessionArtifact, "message_count" | "context_hash"> & {
  readonly context_hash: string | null;
};

/** A message; if it is `truncated`, its body was too large for the stream: read it from the transcript. */
export type TranscriptMessage = Omit<ChatMessage, "body"> & {
  readonly body?: ChatMessage["body"];
  readonly truncated?: true;
};

/** The content of a change; null and absent mean the same. */
interface Change {
  readonly context?: JsonObject | null;
  readonly append?: Readonly<Record<string, readonly Json[]>> | null;
  readonly merge_strategy?: string | null;
  readonly remove_messages?: readonly string[] | null;
  readonly title?: string | null;
  readonly lifecycle_state?: ChatSessionArtifact["lifecycle_state"] | null;
  readonly new_user_id?: string | null;
}

export function foldSession(event: SessionEvent): FollowedSession {
  const { message_count: _, ...session } = event.session;
  return { session, messages: event.messages, older: event.older };
}

/** Applies a change by the rules of the engine. Nothing is changed in place. */
export function foldChange({ session, messages, older }: FollowedSession, event: ChangeEvent): FollowedSession {
  const change: Change = event.change;
  return {
    session: {
      ...session,
      revision: event.revision,
      context: changeContext(session.context, change),
      context_hash: event.context_hash,
      active_agent: event.active_agent,
      title: change.title == null ? session.title : change.title || null,
      lifecycle_state: change.lifecycle_state ?? session.lifecycle_state,
      user_id: change.new_user_id ?? session.user_id,
      turn_revision: event.turn ? event.revision : session.turn_revision,
      updated_at: event.applied_at,
    },
    messages: changeMessages(messages, change.remove_messages ?? [], event),
    older,
  };
}

/** RFC 7396: deep merge, null removes a key, arrays are replaced. */
export function mergePatch(target: Json, patch: Json): Json {
  if (!isObject(patch)) return patch;
  // `Object.fromEntries` takes `__proto__` for a key like any other; an assignment would set the prototype.
  const merged = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergePatch(merged.get(key), value));
  }
  return Object.fromEntries(merged);
}

/** Adds items to top-level arrays; an item replaces the first one that has the same `id`. */
export function appendItems(document: JsonObject, additions: Readonly<Record<string, readonly Json[]>>): JsonObject {
  const appended = new Map(Object.entries(document));
  for (const [key, items] of Object.entries(additions)) {
    const array = [...((appended.get(key) ?? []) as readonly Json[])];
    const places = new Map<string, number>();
    array.forEach((item, place) => {
      const id = idOf(item);
      if (id !== undefined && !places.has(id)) places.set(id, place);
    });
    for (const item of items) {
      const id = idOf(item);
      const place = (id === undefined ? undefined : places.get(id)) ?? array.length;
      array[place] = item;
      if (id !== undefined) places.set(id, place);
    }
    appended.set(key, array);
  }
  return Object.fromEntries(appended);
}

function changeContext(context: JsonObject, { context: patch, append, merge_strategy }: Change): JsonObject {
  const before = merge_strategy === "replace" ? {} : context;
  const patched = patch == null ? before : (mergePatch(before, patch) as JsonObject);
  return append == null ? patched : appendItems(patched, append);
}

function changeMessages(
  messages: readonly TranscriptMessage[],
  removed: readonly string[],
  { messages: named, applied_at }: ChangeEvent,
): readonly TranscriptMessage[] {
  if (removed.length === 0 && named.length === 0) return messages;
  const gone = new Set([...removed, ...named.filter((message) => message.body === null).map(({ id }) => id)]);
  const changed = messages.filter(({ id }) => !gone.has(id));
  const places = new Map(changed.map(({ id }, place) => [id, place]));
  for (const message of named) {
    if (!isThere(message)) continue;
    const place = places.get(message.id);
    if (place !== undefined) changed[place] = message;
    // With another time of creation, the message is older than the first one here, or it was removed later and added
    // anew, which another change reports.
    else if (message.created_at === applied_at) changed.push(message);
  }
  return changed;
}

function isThere(message: FollowedMessage): message is FollowedMessage & TranscriptMessage {
  return message.body !== null;
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function idOf(item: Json): string | undefined {
  const id = isObject(item) && Object.hasOwn(item, "id") ? item["id"] : undefined;
  return typeof id === "string" ? id : undefined;
}
