// Waiting: for a condition, for a time that the protocol names, or for nothing at all.

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Polls until `condition` gives something; what it gives. */
export async function until(what, condition, timeoutMs = 5_000) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`timed out: ${what} (${timeoutMs} ms)`);
    await sleep(10);
  }
}

/** Fails when `promise` takes longer than `timeoutMs`. */
export function within(what, promise, timeoutMs = 5_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out: ${what} (${timeoutMs} ms)`)), timeoutMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What arrives, in order; `next()` waits for it. */
export class Queue {
  #items = [];
  #waiting = [];

  push(item) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#items.push(item);
  }

  async next(what = "the next item", timeoutMs = 5_000) {
    if (this.#items.length > 0) return this.#items.shift();
    let waiting;
    const arrives = new Promise((resolve) => this.#waiting.push((waiting = resolve)));
    try {
      return await within(what, arrives, timeoutMs);
    } catch (error) {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      throw error;
    }
  }

  /** Everything that has arrived and nobody has taken. */
  drain() {
    return this.#items.splice(0);
  }

  get length() {
    return this.#items.length;
  }
}
