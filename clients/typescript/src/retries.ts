import type { JourneyError } from "./errors.js";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

// The gateway, or a proxy before it, cannot serve now.
const PASSING = new Set([408, 429, 502, 503, 504]);

/** Whether the same request may succeed later. */
export function isPassing(error: JourneyError): boolean {
  return error.status === 0 || PASSING.has(error.status);
}

/**
 * Waits before the next attempt, or until the signal aborts.
 *
 * The pauses grow with the number of failures. Half of each is random; otherwise many callers who are refused together
 * would come back together.
 */
export async function pause(failures: number, retryAfter: string | null, signal: AbortSignal | undefined): Promise<void> {
  const growing = Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
  const asked = Number(retryAfter ?? 0) * 1000 || 0;
  await new Promise<void>((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, asked + growing);
    signal?.addEventListener("abort", end);
  });
}
