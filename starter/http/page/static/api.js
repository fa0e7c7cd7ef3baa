// Requests to the gateway, with the person's token.

import { SignInNeeded } from './sign_in.js';

export const SESSIONS = 'v1/chat-sessions';

const SECONDS = 30;

/** An answer that is an error, or none at all. */
export class Problem extends Error {
  /**
   * @param {number} status 0 if there was no answer
   * @param {{code?: string, detail?: string, field?: string}} [details]
   */
  constructor(status, details = {}) {
    super(details.detail ?? 'The service cannot be reached.');
    this.status = status;
    this.code = details.code ?? 'UNREACHABLE';
    this.field = details.field ?? '';
  }

  /** Whether the same request may succeed later. */
  get passes() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

export class Api {
  /** @param {import('./sign_in.js').SignIn} signIn */
  constructor(signIn) {
    this.signIn = signIn;
    /** Called if somebody has to sign in anew. */
    this.onSignInNeeded = () => {};
  }

  /**
   * @param {string} path
   * @returns {Promise<any>}
   */
  get(path) {
    return this.#read('GET', path);
  }

  /**
   * @param {'POST' | 'PATCH' | 'DELETE'} method
   * @param {string} path
   * @param {object} [body]
   * @param {Record<string, string>} [headers]
   * @returns {Promise<any>}
   */
  send(method, path, body, headers = {}) {
    return this.#read(method, path, body, { prefer: 'return=minimal', ...headers });
  }

  /**
   * @param {string} path
   * @param {Record<string, string>} headers
   * @param {AbortSignal} signal
   */
  open(path, headers, signal) {
    return this.#request(path, { headers, signal });
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {Record<string, string>} [headers]
   */
  async #read(method, path, body, headers = {}) {
    const { who } = this.signIn;
    const answer = await this.#request(path, {
      method,
      headers: body ? { ...headers, 'content-type': 'application/json' } : headers,
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(SECONDS * 1000),
    });
    const said = answer.status === 204 ? null : await answer.json().catch(() => Promise.reject(new Problem(0)));
    if (this.signIn.who !== who) throw new SignInNeeded();
    return said;
  }

  /**
   * @param {string} path
   * @param {RequestInit} request
   */
  async #request(path, request) {
    const { who } = this.signIn;
    try {
      const token = await this.signIn.token();
      const answer = await this.#fetch(path, request, who, token);
      if (answer.status !== 401) return await checked(answer);
      const again = await this.#fetch(path, request, who, await this.signIn.renew(token));
      if (again.status === 401) throw new SignInNeeded();
      return await checked(again);
    } catch (error) {
      // An answer, even a refusal, is only for the person who asked.
      if (this.signIn.who !== who) throw new SignInNeeded();
      if (error instanceof SignInNeeded && who) this.onSignInNeeded();
      if (error instanceof Problem || error instanceof SignInNeeded || request.signal?.aborted) throw error;
      throw new Problem(0);
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} request
   * @param {string} who the person who asks; nobody else's token may be sent with the request
   * @param {string} token
   */
  #fetch(path, request, who, token) {
    if (this.signIn.who !== who) throw new SignInNeeded();
    return fetch(path, { ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } });
  }
}

/** @param {Response} answer */
async function checked(answer) {
  if (answer.ok) return answer;
  throw new Problem(answer.status, await answer.json().catch(() => ({ code: 'NO_GATEWAY', detail: answer.statusText })));
}
