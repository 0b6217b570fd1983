/** A limit to how long the database may take: what it waits for others is not its time. */
export class TimeLimit {
  #left: number;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onOver called when so much time was taken */
  constructor(
    milliseconds: number,
    private readonly onOver: () => void,
  ) {
    this.#left = milliseconds;
    this.#go();
  }

  async pausedDuring<Result>(work: Promise<Result>): Promise<Result> {
    this.end();
    this.#left -= performance.now() - this.#since;
    try {
      return await work;
    } finally {
      this.#go();
    }
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #go(): void {
    this.#since = performance.now();
    this.#timer = setTimeout(this.onOver, Math.max(0, this.#left));
  }
}
