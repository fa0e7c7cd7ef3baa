// The state of the connection, in words.

import { byId, setText } from './dom.js';

const LOOK_MILLISECONDS = 4_000;
const PATIENCE_MILLISECONDS = 10_000;

const KEPT = 'What you write is kept, and sent when it is back.';

export class Connection {
  #status = byId('status');
  #isStreaming = false;
  #hasStreamed = false;
  /** How often a stream was opened. */
  #streams = 0;
  /** @type {string | null} the code of the outage that the gateway reports */
  #away = null;
  /** @type {string | null} the code with which a request failed; a gateway does not see whether a worker runs */
  #failed = null;
  #recovered = () => {};
  #isLooking = false;
  /** Whether the session is gone. */
  #isOver = false;

  /** @param {() => void} recovered called when an outage may be over */
  constructor(recovered) {
    this.#recovered = recovered;
    setInterval(() => document.visibilityState === 'visible' && void this.look(), LOOK_MILLISECONDS);
    addEventListener('online', () => this.#recovered());
    addEventListener('offline', () => void this.look());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#recovered();
    });
    this.#show();
  }

  /** @param {boolean} isStreaming whether the session's events come in */
  stream(isStreaming) {
    this.#isStreaming = isStreaming;
    this.#hasStreamed ||= isStreaming;
    if (isStreaming) this.#streams++;
    // The gateway has just answered, so it is there; `look` may find that out only seconds later.
    if (isStreaming && this.#failed === 'UNREACHABLE') this.#failed = null;
    if (isStreaming && this.#away === 'UNREACHABLE') this.#found(null);
    else this.#show();
  }

  /** Another session is opened. */
  begin() {
    this.#isStreaming = this.#hasStreamed = this.#isOver = false;
    this.#show();
  }

  /** The session is gone: there is no connection to it any more, and none is missed. */
  end() {
    this.#isOver = true;
    this.#show();
  }

  /** Ask the gateway whether it can serve. */
  async look() {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const streams = this.#streams;
    try {
      const answer = await fetch('readyz', { signal: AbortSignal.timeout(PATIENCE_MILLISECONDS) });
      const code = answer.ok ? null : ((await answer.json()).code ?? 'UNREACHABLE');
      this.#found(code);
    } catch {
      if (streams === this.#streams) this.#found('UNREACHABLE'); // else the gateway has answered since
    } finally {
      this.#isLooking = false;
    }
  }

  /**
   * A request failed, and is repeated.
   *
   * @param {string} code
   */
  failed(code) {
    this.#failed = code;
    this.#show();
  }

  /** No request is repeated any more. */
  succeeded() {
    this.#failed = null;
    this.#show();
  }

  /** @param {string | null} away */
  #found(away) {
    const isBack = this.#away !== null && away === null;
    this.#away = away;
    this.#show();
    if (isBack) this.#recovered();
  }

  #show() {
    const words = this.#words();
    const isWell = words === 'Connected';
    this.#status.dataset.state = isWell ? 'well' : words === 'Connecting…' ? 'connecting' : 'troubled';
    setText(this.#status, words);
  }

  #words() {
    // A dead connection may look open for a while, so the stream alone does not say that all is well.
    const away = this.#away ?? this.#failed;
    const isReached = this.#isStreaming && away !== 'UNREACHABLE';
    if (!isReached && !navigator.onLine) return `You are offline. ${KEPT}`;
    if (away === 'DATABASE_UNAVAILABLE') return `A store cannot be reached. ${KEPT}`;
    if (away === 'ENGINE_UNAVAILABLE') return `The engine cannot be reached. ${KEPT}`;
    if (this.#isOver) return '';
    if (isReached) return 'Connected';
    if (away || this.#hasStreamed) return `Not connected; trying again. ${KEPT}`;
    return 'Connecting…';
  }
}
