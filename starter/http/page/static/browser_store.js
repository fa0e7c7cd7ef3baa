// The browser's storage. All windows share the sign-in, half-written messages and messages that are not sent yet. Other
// values are one window's own, and survive its reloads.

const PREFIX = 'coexistence.';

/** If the browser keeps nothing (private windows, a full disk), the values are here as long as the window is open. */
const inThisWindow = new Map();

/**
 * @param {string} name
 * @returns {any}
 */
export function read(name) {
  try {
    const kept = localStorage.getItem(PREFIX + name);
    if (kept !== null) return JSON.parse(kept);
  } catch {
    // not readable: as if it were not there
  }
  return inThisWindow.get(name) ?? null;
}

/**
 * @param {string} name
 * @param {unknown} value
 */
export function write(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
    inThisWindow.delete(name);
  } catch {
    inThisWindow.set(name, value);
  }
}

/** @param {string} name */
export function forget(name) {
  inThisWindow.delete(name);
  try {
    localStorage.removeItem(PREFIX + name);
  } catch {
    // nothing is kept there
  }
}

/**
 * Read a value of this window's own.
 *
 * @param {string} name
 * @returns {any}
 */
export function readHere(name) {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + name) ?? 'null');
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {unknown} value
 */
export function writeHere(name, value) {
  try {
    sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // the value that all windows share must do
  }
}

export function forgetAllHere() {
  try {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
  } catch {
    // nothing is kept there
  }
}

/**
 * The names that begin with `start`, in order.
 *
 * @param {string} start
 * @returns {string[]}
 */
export function names(start) {
  const found = new Set(inThisWindow.keys());
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(PREFIX)) found.add(key.slice(PREFIX.length));
    }
  } catch {
    // nothing is kept there
  }
  return [...found].filter((name) => name.startsWith(start)).sort();
}

/**
 * Call `changed` when another window has changed a value.
 *
 * @param {string} start of the names
 * @param {(name: string) => void} changed
 */
export function watch(start, changed) {
  addEventListener('storage', ({ key }) => {
    if (key?.startsWith(PREFIX + start)) changed(key.slice(PREFIX.length));
  });
}

/**
 * Run the action in one window at a time. If the browser has no locks (over plain HTTP) or denies them (in a frame that
 * may keep nothing), windows do not wait for each other; nothing relies on locks alone.
 *
 * @template Result
 * @param {string} name
 * @param {() => Promise<Result>} action
 * @returns {Promise<Result>}
 */
export async function withLock(name, action) {
  let began = false;
  try {
    return await navigator.locks.request(PREFIX + name, () => {
      began = true;
      return action();
    });
  } catch (error) {
    if (began) throw error;
    return action();
  }
}
