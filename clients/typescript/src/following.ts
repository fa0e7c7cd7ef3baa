import { JourneyError, lostAnswer, readError } from "./errors.js";
import { readEvents, type StreamEvent } from "./event_stream.js";
import { foldChange, foldSession, type FollowedSession } from "./folding.js";
import { isPassing, pause } from "./retries.js";
import type { ChangeEvent, EndEvent, PartialEvent, SessionEvent } from "./schema.js";
import type { Transport } from "./transport.js";

/**
 * An event for a follower: first the session, then each change with the session after it, and at last why no more come.
 *
 * `session` comes again if more than 1,000 revisions passed while no connection was open. `partial` is the text so far
 * of a message that an agent is writing; some may be left out. The reason `not_found` of `end` means that the session
 * is no longer yours, or was deleted while no connection was open.
 */
export type Followed =
  | ({ readonly event: "session" } & FollowedSession)
  | ({ readonly event: "change"; readonly change: ChangeEvent } & FollowedSession)
  | ({ readonly event: "partial"; readonly partial: PartialEvent } & FollowedSession)
  | ({ readonly event: "end" } & EndEvent);

// A gateway sends something at least every 15 seconds, so a connection that is silent for longer than this is dead.
const SILENCE_MS = 40_000;

/** Follows a session over any number of connections, until it ends or the signal aborts. */
export async function* follow(
  transport: Transport,
  chatSessionId: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Followed, void, void> {
  const deadline = Date.now() + transport.deadlineMs;
  let seen: FollowedSession | undefined;
  for (let failures = 0; !signal?.aborted; failures++) {
    const url = transport.url;
    const token = await transport.token();
    const headers: Record<string, string> = { ...transport.credentials(token), accept: "text/event-stream" };
    if (seen) headers["last-event-id"] = String(seen.session.revision);
    const connection = new Connection(`${url}/v1/chat-sessions/${encodeURIComponent(chatSessionId)}/events`);
    try {
      for await (const { name, data } of connection.events(headers, signal)) {
        failures = 0;
        if (name === "session") {
          seen = foldSession(JSON.parse(data) as SessionEvent);
          yield { event: "session", ...seen };
        } else if (name === "change" && seen) {
          const change = JSON.parse(data) as ChangeEvent;
          if (change.revision <= seen.session.revision) continue;
          seen = foldChange(seen, change);
          yield { event: "change", change, ...seen };
        } else if (name === "partial" && seen) {
          yield { event: "partial", partial: JSON.parse(data) as PartialEvent, ...seen };
        } else if (name === "end") {
          const end = JSON.parse(data) as EndEvent;
          // With a renewed token, the stream goes on.
          if (end.reason === "token_expired" && (await transport.token()) !== token) continue;
          yield { event: "end", ...end };
          return;
        }
      }
    } catch (error) {
      if (signal?.aborted) return;
      if (!(error instanceof JourneyError)) throw error;
      if (seen && error.code === "SESSION_NOT_FOUND") {
        yield { event: "end", reason: "not_found" };
        return;
      }
      // Until the session has come, the deadline holds as for every call.
      if (!isPassing(error) || (!seen && Date.now() >= deadline)) throw error;
    }
    transport.leave(url);
    await pause(failures, connection.retryAfter, signal);
  }
}

class Connection {
  /** When to come back, if the gateway says so. */
  retryAfter: string | null = null;
  readonly #silence = new AbortController();

  constructor(private readonly url: string) {}

  async *events(headers: Record<string, string>, signal: AbortSignal | undefined): AsyncGenerator<StreamEvent, void, void> {
    const either = AbortSignal.any([this.#silence.signal, ...(signal ? [signal] : [])]);
    const answer = await this.#received(fetch(this.url, { headers, signal: either }));
    this.retryAfter = answer.headers.get("retry-after");
    if (!answer.ok || !answer.body) throw readError(answer.status, await this.#received(answer.text()), "not accepted");
    yield* readEvents(this.#chunks(answer.body));
  }

  async *#chunks(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void, void> {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (;;) {
        const { done, value } = await this.#received(reader.read());
        if (done) return;
        yield value;
      }
    } finally {
      // This closes the connection, also if the caller stops early. A connection that has failed is closed already.
      await reader.cancel().catch(() => undefined);
    }
  }

  async #received<T>(next: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#silence.abort(), SILENCE_MS);
    try {
      return await next;
    } catch (cause) {
      throw lostAnswer(this.url, "not accepted", cause);
    } finally {
      clearTimeout(timer);
    }
  }
}
