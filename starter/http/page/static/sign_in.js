// Who is signed in, and a token that is valid now.

import { forget, forgetAllHere, names, read, watch, withLock, write } from './browser_store.js';

const KEPT = 'sign-in';
const RENEWED_SECONDS_BEFORE_END = 60;
const PATIENCE_MILLISECONDS = 15_000;

/**
 * @typedef {object} Kept
 * @property {string} token
 * @property {number} ends in seconds since 1970, by this browser's clock
 * @property {string} tenant
 * @property {string} user
 * @property {string} label the person's name on the page
 * @property {string} [refresh] Supabase's refresh token
 */

export class SignInNeeded extends Error {}

export class SignInRefused extends Error {}

export class SignIn extends EventTarget {
  /** @param {import('./contract').PageConfig} config */
  constructor(config) {
    super();
    this.config = config;
    /** @type {Kept | null} */
    this.kept = read(KEPT);
    /** Who was signed in before. @type {Kept | null} */
    this.last = null;
    watch(KEPT, () => {
      if (!this.platformAsksForToken) this.#become(read(KEPT));
    });
  }

  get isSignedIn() {
    return this.kept !== null;
  }

  get label() {
    return this.kept?.label ?? '';
  }

  /** Identifies the person whose values this browser keeps; empty if nobody is signed in. */
  get who() {
    return whoIs(this.kept);
  }

  /** @returns {Promise<string>} a token that is valid for a while */
  async token() {
    if (this.kept && this.kept.ends - RENEWED_SECONDS_BEFORE_END > Date.now() / 1000) return this.kept.token;
    return this.renew(this.kept?.token);
  }

  /**
   * Another token than this one, which is refused or about to end.
   *
   * @param {string} [old]
   * @returns {Promise<string>}
   */
  async renew(old) {
    return withLock(KEPT, async () => {
      const latest = this.#latest();
      // After a sign-in has lapsed, only another token counts: the person may be at the form already.
      if (!latest || (!this.kept && latest.token === this.last?.token)) throw new SignInNeeded();
      this.#become(latest);
      if (latest.token !== old) return latest.token; // another window was faster
      const { who } = this;
      try {
        const renewed = await this.#askForToken(latest);
        // The person may have signed out meanwhile. Of another window's sign-out, this one may not have been told yet.
        if (renewed && (this.who !== who || whoIs(read(KEPT)) !== who)) throw new SignInNeeded();
        if (renewed) this.keep(renewed);
      } catch (error) {
        if (!(error instanceof SignInRefused)) throw error;
        if (this.kept === latest) throw new SignInNeeded(); // else the person has signed in anew meanwhile
      }
      if (!this.kept) throw new SignInNeeded();
      return this.kept.token;
    });
  }

  /**
   * @param {string} tenant
   * @param {string} user
   */
  async forDevelopment(tenant, user) {
    this.keep(await this.#askGateway(tenant, user));
  }

  /**
   * @param {string} email
   * @param {string} password
   */
  async withPassword(email, password) {
    this.keep(await this.#askSupabase('password', { email, password }));
  }

  /**
   * Take a token that the platform hands over. It is kept in this window only.
   *
   * @param {string} token
   */
  take(token) {
    const claims = claimsOf(token);
    this.#become({
      token,
      ends: Number(claims.exp),
      tenant: String(claims.app_metadata?.tenant_id ?? ''),
      user: String(claims.sub ?? ''),
      label: String(claims.email ?? claims.sub ?? ''),
    });
  }

  /** @param {Kept} kept */
  keep(kept) {
    write(KEPT, kept);
    this.#become(kept);
  }

  /**
   * A new token of the same person changes nothing on the page; another person begins anew.
   *
   * @param {Kept | null} kept null if nobody is signed in any more
   */
  #become(kept) {
    const before = this.who;
    this.kept = kept;
    if (this.who === before) return;
    if (before) forgetAllHere();
    this.dispatchEvent(new Event('changed'));
  }

  /** End the sign-in in this window only, so that the person is asked anew. */
  lapse() {
    this.last = this.kept ?? this.last;
    this.kept = null;
  }

  /** Sign out in every window, and leave nothing of the person's in this browser. */
  signOut() {
    for (const name of names('')) forget(name);
    this.#become(null);
  }

  #latest() {
    return this.platformAsksForToken ? this.kept : (read(KEPT) ?? this.kept);
  }

  /** Asks the platform for a token, if the platform shows this page. @type {(() => Promise<void>) | null} */
  platformAsksForToken = null;

  /**
   * @param {Kept} kept
   * @returns {Promise<Kept | null>} null if the platform has handed it over already
   */
  async #askForToken(kept) {
    if (this.platformAsksForToken) {
      await this.platformAsksForToken();
      return null;
    }
    if (kept.refresh) return this.#askSupabase('refresh_token', { refresh_token: kept.refresh });
    if (this.config.sign_in === 'development') return this.#askGateway(kept.tenant, kept.user);
    throw new SignInRefused('The sign-in has ended.');
  }

  /**
   * @param {string} tenant
   * @param {string} user
   * @returns {Promise<Kept>}
   */
  async #askGateway(tenant, user) {
    const answer = await post('v1/dev/token', { tenant_id: tenant, user_id: user });
    const ends = Date.now() / 1000 + answer.expires_in;
    return { token: answer.access_token, ends, tenant, user, label: `${user} · ${tenant}` };
  }

  /**
   * @param {string} grant
   * @param {object} body
   * @returns {Promise<Kept>}
   */
  async #askSupabase(grant, body) {
    const { supabase_url: url, supabase_anon_key: key } = this.config;
    const answer = await post(`${url}/auth/v1/token?grant_type=${grant}`, body, { apikey: String(key) });
    const claims = claimsOf(answer.access_token);
    return {
      token: answer.access_token,
      ends: Date.now() / 1000 + answer.expires_in,
      tenant: String(claims.app_metadata?.tenant_id ?? ''),
      user: String(claims.sub),
      label: String(claims.email ?? claims.sub),
      refresh: answer.refresh_token,
    };
  }
}

/** @param {Kept | null} kept */
function whoIs(kept) {
  return kept ? JSON.stringify([kept.tenant, kept.user]) : '';
}

/**
 * @param {string} url
 * @param {object} body
 * @param {Record<string, string>} [headers]
 */
async function post(url, body, headers = {}) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MILLISECONDS),
  });
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const reason = said.detail ?? said.msg ?? said.error_description ?? said.message ?? answer.statusText;
  if (answer.status >= 500 || answer.status === 429) throw new Error(String(reason));
  throw new SignInRefused(String(reason));
}

/**
 * A token's claims. The gateway verifies them; the page only shows them.
 *
 * @param {string} token
 * @returns {any}
 */
function claimsOf(token) {
  const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}
