/**
 * The turns of one record: what is done with it happens one after another, and of the writes that wait for
 * their turn only the last is carried out. So a store that is slower than its writers falls no further
 * behind than one write.
 */
export class RecordTurns<Content> {
  #last: Promise<unknown> = Promise.resolve();
  #pending = 0;
  #waiting: { content: Content } | undefined;
  #written = Promise.resolve();

  constructor(private readonly put: (content: Content) => Promise<void>) {}

  get idle(): boolean {
    return this.#pending === 0;
  }

  /** Resolves when `content`, or what was written after it, has been put. */
  write(content: Content): Promise<void> {
    if (this.#waiting) {
      this.#waiting.content = content;
      return this.#written;
    }
    const waiting = { content };
    this.#waiting = waiting;
    this.#written = this.take(() => {
      this.#waiting = undefined;
      return this.put(waiting.content);
    });
    return this.#written;
  }

  /** Does `step` when everything before it is over, failed or not. */
  take<T>(step: () => Promise<T>): Promise<T> {
    this.#pending++;
    const turn = this.#last.then(step).finally(() => this.#pending--);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Resolves when nothing waits any more. */
  async settled(): Promise<void> {
    while (!this.idle) await this.#last;
  }
}
