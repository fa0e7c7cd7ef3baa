import createClient, { type Client } from "openapi-fetch";
import { JourneyError } from "./errors.js";
import { follow, type Followed } from "./following.js";
import type {
  ChatContextChange,
  ChatMessages,
  ChatSessionArtifact,
  ChatSessionChange,
  ChatSessionHistory,
  ChatSessionList,
  InitializedChatSession,
  NewChatMessages,
  NewChatSession,
  operations,
  paths,
  UpdateReceipt,
} from "./schema.js";
import { Transport, type ConnectionOptions } from "./transport.js";

type Query<Operation extends keyof operations> = NonNullable<operations[Operation]["parameters"]["query"]>;

const RECEIPT = { Prefer: "return=minimal" };

/**
 * The chat sessions that a caller may see, over HTTP.
 *
 * A call is repeated after lost answers and outages until its deadline. All attempts of a change send one key, so it is
 * applied once. Pass an `idempotency_key` of your own to repeat a change after the call, or in another process.
 * Errors are `JourneyError`s.
 */
export class ChatSessions {
  readonly #transport: Transport;
  readonly #api: Client<paths>;

  constructor(options: ConnectionOptions) {
    this.#transport = new Transport(options);
    // The transport replaces this address with the gateway's own.
    this.#api = createClient<paths>({ baseUrl: "http://gateway", fetch: (request) => this.#transport.call(request) });
  }

  /**
   * Creates a session, or finds the one of the same name, or else of the same minute. If the first answer is lost, the
   * retry finds the session that the first attempt created.
   */
  async initialize(session: NewChatSession = {}): Promise<InitializedChatSession> {
    const isNamed = session.session_name != null || session.requested_at != null;
    // Stamped once, so that a retry in the next minute finds the session of the first attempt.
    const body = isNamed ? session : { ...session, requested_at: new Date().toISOString() };
    return dataOf(await this.#api.POST("/v1/chat-sessions", { body }));
  }

  async get(chat_session_id: string, query: Query<"get_chat_session"> = {}): Promise<ChatSessionArtifact> {
    const params = { path: { chat_session_id }, query };
    return dataOf(await this.#api.GET("/v1/chat-sessions/{chat_session_id}", { params }));
  }

  /** The user's most recent active session. */
  async latest(): Promise<ChatSessionArtifact> {
    return dataOf(await this.#api.GET("/v1/chat-sessions/latest"));
  }

  /** A page of sessions, the one with the latest change first; `next` is the cursor for `after`. */
  async list(query: Query<"list_chat_sessions"> = {}): Promise<ChatSessionList> {
    return dataOf(await this.#api.GET("/v1/chat-sessions", { params: { query } }));
  }

  /** Changes the context (a merge patch), the transcript, or the agent that leads. The receipt has no context. */
  async update(chat_session_id: string, change: ChatContextChange): Promise<UpdateReceipt> {
    const params = { path: { chat_session_id }, header: RECEIPT };
    const body = withKey(change);
    return dataOf(await this.#api.PATCH("/v1/chat-sessions/{chat_session_id}/context", { params, body }));
  }

  /** Changes title, lifecycle state or owner. */
  async edit(chat_session_id: string, change: ChatSessionChange): Promise<UpdateReceipt> {
    const params = { path: { chat_session_id }, header: RECEIPT };
    const body = withKey(change);
    return dataOf(await this.#api.PATCH("/v1/chat-sessions/{chat_session_id}", { params, body }));
  }

  /** Adds messages to the transcript; a message with the `id` of an existing one replaces its body. */
  async addMessages(
    chat_session_id: string,
    { idempotency_key, ...body }: NewChatMessages & Pick<ChatContextChange, "idempotency_key">,
  ): Promise<UpdateReceipt> {
    const header = { ...RECEIPT, "Idempotency-Key": idempotency_key ?? crypto.randomUUID() };
    const params = { path: { chat_session_id }, header };
    return dataOf(await this.#api.POST("/v1/chat-sessions/{chat_session_id}/messages", { params, body }));
  }

  /** Removes messages for good. */
  async removeMessages(chat_session_id: string, messageIds: string[]): Promise<UpdateReceipt> {
    // Not by each message's own address: there, the ID `..` would lead to another resource.
    return this.update(chat_session_id, { remove_messages: messageIds });
  }

  /** A page of the transcript, by default the latest one; `older` and `newer` are cursors for `before` and `after`. */
  async messages(chat_session_id: string, query: Query<"get_chat_messages"> = {}): Promise<ChatMessages> {
    const params = { path: { chat_session_id }, query };
    return dataOf(await this.#api.GET("/v1/chat-sessions/{chat_session_id}/messages", { params }));
  }

  /** A page of the ledger, oldest first; unless `complete`, ask again after the last entry's revision. */
  async history(chat_session_id: string, query: Query<"get_chat_session_history"> = {}): Promise<ChatSessionHistory> {
    const params = { path: { chat_session_id }, query };
    return dataOf(await this.#api.GET("/v1/chat-sessions/{chat_session_id}/history", { params }));
  }

  /** Deletes a session for good. */
  async delete(chat_session_id: string): Promise<void> {
    try {
      await this.#api.DELETE("/v1/chat-sessions/{chat_session_id}", { params: { path: { chat_session_id } } });
    } catch (error) {
      // An earlier attempt, whose answer was lost, has deleted it.
      const isDone = error instanceof JourneyError && error.code === "SESSION_NOT_FOUND" && error.outcome === "unknown";
      if (!isDone) throw error;
    }
  }

  /**
   * Follows a session: yields its present state, then each change once and in order, even if connections or gateways
   * fail. The iteration stops after `end`, or if the signal aborts. Throws a `JourneyError` if there is no such
   * session, if the token is refused, or if no gateway answers by the first deadline; later outages are waited out.
   */
  follow(chat_session_id: string, options: { signal?: AbortSignal } = {}): AsyncGenerator<Followed, void, void> {
    return follow(this.#transport, chat_session_id, options.signal);
  }
}

function withKey<Change extends { idempotency_key?: string | null }>(change: Change): Change {
  return { ...change, idempotency_key: change.idempotency_key ?? crypto.randomUUID() };
}

/** The data of an answer: the transport throws every error. */
function dataOf<Answer>(result: { data?: Answer }): NonNullable<Answer> {
  return result.data!;
}
