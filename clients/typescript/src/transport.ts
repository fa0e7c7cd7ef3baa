import { JourneyError, lostAnswer, readError, type Outcome } from "./errors.js";
import { isPassing, pause } from "./retries.js";

export interface ConnectionOptions {
  /** A gateway's address, like `https://journeys.example.com`; or several, to change between during outages. */
  url: string | readonly string[];
  /** The caller's token, or a function that returns it and is called before each request. */
  token: string | (() => string | Promise<string>);
  /** The tenant that a service acts for. */
  tenantId?: string;
  /** The user that a service acts for. */
  userId?: string;
  /** How long a call may take with its retries; 20 seconds by default. A gateway itself gives up after 10. */
  deadlineMs?: number;
}

const DEADLINE_MS = 20_000;

/** Sends requests to a gateway, and to the next one if it does not answer. */
export class Transport {
  readonly deadlineMs: number;
  readonly #urls: readonly string[];
  readonly #token: ConnectionOptions["token"];
  readonly #onBehalfOf: Record<string, string> = {};
  #current = 0;

  constructor({ url, token, tenantId, userId, deadlineMs = DEADLINE_MS }: ConnectionOptions) {
    this.#urls = [url].flat().map((each) => each.replace(/\/+$/, ""));
    if (this.#urls.length === 0) throw new TypeError("url: name a gateway");
    this.#token = token;
    this.deadlineMs = deadlineMs;
    if (tenantId !== undefined) this.#onBehalfOf["x-tenant-id"] = encodeHeader(tenantId);
    if (userId !== undefined) this.#onBehalfOf["x-user-id"] = encodeHeader(userId);
  }

  /** The gateway that is used now. */
  get url(): string {
    return this.#urls[this.#current]!;
  }

  /** Uses the next gateway from now on, unless another call has left this one before. */
  leave(url: string): void {
    if (url === this.url) this.#current = (this.#current + 1) % this.#urls.length;
  }

  async token(): Promise<string> {
    return typeof this.#token === "string" ? this.#token : this.#token();
  }

  /** The headers that say who asks. */
  credentials(token: string): Record<string, string> {
    return { ...this.#onBehalfOf, authorization: `Bearer ${token}` };
  }

  /** Sends a request again and again, with the same body and key, until it is answered or the deadline passes. */
  async call(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const body = (await request.text()) || null;
    const defaultOutcome: Outcome = request.method === "GET" ? "not accepted" : "unknown";
    const deadline = AbortSignal.timeout(this.deadlineMs);
    let mayBeAccepted = false;
    let error: JourneyError | undefined;
    for (let failures = 0; ; failures++) {
      const url = this.url;
      const headers = { ...Object.fromEntries(request.headers), ...this.credentials(await this.token()) };
      let retryAfter: string | null = null;
      try {
        const answer = await fetch(url + pathname + search, { method: request.method, headers, body, signal: deadline });
        // An answer that breaks off is lost as well, so all of it is read here.
        const text = await answer.text();
        if (answer.ok) return new Response(text || null, { status: answer.status });
        error = readError(answer.status, text, defaultOutcome);
        retryAfter = answer.headers.get("retry-after");
      } catch (cause) {
        mayBeAccepted ||= defaultOutcome === "unknown";
        // An earlier answer of a gateway says more than that the deadline has cut off this attempt.
        if (!deadline.aborted || !error) error = lostAnswer(url, defaultOutcome, cause);
      }
      // The refusal of this attempt says nothing about an earlier one whose answer was lost.
      if (mayBeAccepted && error.outcome !== "accepted") error = withOutcomeUnknown(error);
      if (!isPassing(error)) throw error;
      mayBeAccepted = error.outcome === "accepted" || error.outcome === "unknown";
      this.leave(url);
      await pause(failures, retryAfter, deadline);
      if (deadline.aborted) throw error;
    }
  }
}

function withOutcomeUnknown({ code, message, status, field, cause }: JourneyError): JourneyError {
  const detail = message.slice(`${code}: `.length);
  return new JourneyError({ code, detail, status, field, outcome: "unknown" }, { cause });
}

/** IDs are UTF-8, but `fetch` takes each character of a header for a byte. */
function encodeHeader(id: string): string {
  return String.fromCharCode(...new TextEncoder().encode(id));
}
