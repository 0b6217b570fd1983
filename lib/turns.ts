/** At most so many at a time, the others in order of arrival and for as long as it takes. */
export class Turns {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(readonly atOnce: number) {}

  get running(): number {
    return this.#running;
  }

  /** @throws what `work` throws; the signal's reason, where it is aborted before `work` has begun */
  async run<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    while (this.#running >= this.atOnce && !signal.aborted) await this.#turn(signal);
    if (signal.aborted) {
      // The turn that was given to this one goes to the next.
      this.#waiting.shift()?.();
      signal.throwIfAborted();
    }
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const abort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(wake), 1);
        resolve();
      };
      const wake = (): void => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      this.#waiting.push(wake);
      signal.addEventListener('abort', abort, { once: true });
    });
  }
}
