/** Since when something has been due and nothing has moved, and the alarm of it. */
export class Standstill {
  readonly #alarmSeconds: number;
  readonly #onChange: (seconds: number | undefined) => void;
  /** Process time (ms). */
  #since: number | undefined;

  /**
   * @param alarmSeconds 0: there is no alarm
   * @param onChange told for how long, again and again once it is an alarm, and undefined when it is none
   */
  constructor(alarmSeconds: number, onChange: (seconds: number | undefined) => void) {
    this.#alarmSeconds = alarmSeconds;
    this.#onChange = onChange;
  }

  /** 0: nothing is due, or it has just moved. */
  get seconds(): number {
    return this.#since === undefined ? 0 : (performance.now() - this.#since) / 1000;
  }

  /** To be called from time to time. @param due whether there is something to move over */
  look(due: boolean): void {
    if (!due) {
      this.moved();
      return;
    }
    this.#since ??= performance.now();
    if (this.#alarmSeconds > 0 && this.seconds >= this.#alarmSeconds) this.#onChange(this.seconds);
  }

  moved(): void {
    this.#since = undefined;
    this.#onChange(undefined);
  }
}
