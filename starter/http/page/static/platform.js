// A platform that shows this page in a frame may sign the person in: it hands its own token over.
//
// The page says `{"type": "coexistence:token-wanted"}` to its parent whenever it needs a token, and takes
// `{"type": "coexistence:token", "access_token": "…"}` from an origin that the gateway names, and from no other.

const PATIENCE_MILLISECONDS = 10_000;

/**
 * @param {import('./sign_in.js').SignIn} signIn
 * @returns {boolean} whether a platform shows this page
 */
export function followPlatform(signIn) {
  const origins = signIn.config.platform_origins;
  if (parent === self || origins.length === 0) return false;
  /** @type {(() => void)[]} */
  let waiting = [];
  addEventListener('message', ({ source, origin, data }) => {
    if (source !== parent || !origins.includes(origin)) return;
    if (data?.type !== 'coexistence:token' || typeof data.access_token !== 'string') return;
    signIn.take(data.access_token);
    for (const goOn of waiting) goOn();
    waiting = [];
  });
  signIn.platformAsksForToken = () =>
    new Promise((resolve, reject) => {
      waiting.push(resolve);
      for (const origin of origins) parent.postMessage({ type: 'coexistence:token-wanted' }, origin);
      setTimeout(() => reject(new Error('The platform hands no token over.')), PATIENCE_MILLISECONDS);
    });
  return true;
}
