/**
 * The database's own clock: asked, and reckoned by this machine's monotonic one in between. It may be set, so
 * what was asked long ago counts for little.
 */
const SKEW_SECONDS = 5;
const FRESH_FOR_MS = 60_000;

export class DatabaseClock {
  readonly #asking: () => Promise<number>;
  readonly #onWarning: (message: string) => void;
  #asked: { readonly clock: number; readonly at: number } | undefined;
  #skewSaid = false;

  /** @param ask seconds since 1970 with fraction. @param onWarning told when it is far from this machine's */
  constructor(ask: () => Promise<number>, onWarning: (message: string) => void) {
    this.#asking = ask;
    this.#onWarning = onWarning;
  }

  /** As the database last named it, which no reckoning is ahead of. */
  get asked(): number | undefined {
    return this.#asked?.clock;
  }

  /** As it must be now, where it was not set. */
  get reckoned(): number | undefined {
    return this.#asked && this.#asked.clock + (performance.now() - this.#asked.at) / 1000;
  }

  get isFresh(): boolean {
    return this.#asked !== undefined && performance.now() - this.#asked.at <= FRESH_FOR_MS;
  }

  /** @throws what the database throws */
  async ask(): Promise<number> {
    const clock = await this.#asking();
    this.#asked = { clock, at: performance.now() };
    const skew = clock - Date.now() / 1000;
    const skewed = Math.abs(skew) > SKEW_SECONDS;
    if (skewed && !this.#skewSaid) {
      this.#onWarning(
        `The database's clock is ${Math.abs(skew).toFixed(1)} s ${skew > 0 ? 'ahead of' : 'behind'} this machine's. Windows follow the database's clock.`,
      );
    }
    this.#skewSaid = skewed;
    return clock;
  }
}
