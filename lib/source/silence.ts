/**
 * A server that has fallen silent: its machine is gone, or something between has forgotten the connection. No
 * packet tells of that, and the operating system may wait for hours; the server's own statement timeout says
 * nothing once the server cannot be heard.
 */
export class Silence {
  #timer: NodeJS.Timeout | undefined;

  /** @param onSilence called when nothing was heard for so long */
  constructor(
    private readonly milliseconds: number,
    private readonly onSilence: () => void,
  ) {
    this.heard();
  }

  heard(): void {
    // Called for each chunk of a result: a timer that is set again costs less than another one.
    if (this.#timer) this.#timer.refresh();
    else this.#timer = setTimeout(this.onSilence, this.milliseconds);
  }

  /** While `work` is under way nothing is asked of the server, and its silence means nothing. */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    this.end();
    try {
      return await work;
    } finally {
      this.heard();
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
