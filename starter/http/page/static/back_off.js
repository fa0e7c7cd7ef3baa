// How long to wait before the next attempt: longer each time, and not all windows at the same moment.

const FIRST_MILLISECONDS = 400;
const LONGEST_MILLISECONDS = 8_000;

export class BackOff {
  #attempts = 0;

  next() {
    const longest = Math.min(FIRST_MILLISECONDS * 2 ** this.#attempts++, LONGEST_MILLISECONDS);
    return longest * (0.5 + Math.random() / 2);
  }

  async wait() {
    await new Promise((resolve) => setTimeout(resolve, this.next()));
  }

  reset() {
    this.#attempts = 0;
  }
}
