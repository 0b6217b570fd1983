/** Reading the tasks from the store at the start, again and again until it answers; callers wait for that. */
import { asTmError, type TmError } from './errors';
import type { TaskLedger } from './task-ledger';

export interface LoadingSurroundings {
  /** Tasks have been read. */
  onLoaded(): void;
  onProblem(error: TmError): void;
  /** Waits before the store is asked again. Rejects when the signal is aborted. */
  pause(failures: number, signal: AbortSignal): Promise<void>;
}

export class TaskLoading {
  /** Problems said already: once each, not once per attempt. */
  readonly #said = new Set<string>();
  #begin: () => void = () => undefined;
  /** Resolves when the store has answered, rejects when it failed to, the last time it was asked. */
  #attempt = new Promise<void>((resolve) => {
    this.#begin = resolve;
  });

  constructor(
    private readonly ledger: TaskLedger,
    private readonly surroundings: LoadingSurroundings,
  ) {}

  /** Resolves when every task has been read, or the signal is aborted. */
  async start(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures++) {
      const loading = this.ledger.load();
      this.#attempt = loading.then(() => undefined);
      // Whether anybody waits for it or not.
      this.#attempt.catch(() => undefined);
      this.#begin();
      try {
        // A task that cannot be read holds up no other.
        const errors = await loading;
        await this.ledger.prune();
        this.surroundings.onLoaded();
        if (errors.length === 0) return;
        for (const error of errors) this.#sayOnce(error);
      } catch (thrown) {
        this.#sayOnce(asTmError(thrown, 'TM_STATE_UNREADABLE'));
      }
      await this.surroundings.pause(failures, signal).catch(() => undefined);
    }
  }

  /** @throws TmError TM_STATE_UNREADABLE when the store failed to answer */
  async done(): Promise<void> {
    let attempt;
    do {
      attempt = this.#attempt;
      await attempt;
      // The first one is only the wait for the start.
    } while (attempt !== this.#attempt);
  }

  #sayOnce(error: TmError): void {
    if (this.#said.has(error.message)) return;
    this.#said.add(error.message);
    this.surroundings.onProblem(error);
  }
}
