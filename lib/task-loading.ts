/**
 * Reading the tasks from the store at the start, again and again until it answers; callers wait for that. Where
 * other machines share the store, it goes on looking for what they do.
 */
import { asTmError, type TmError } from './errors';
import type { TaskLedger } from './task-ledger';
import { retryPauseSeconds } from './task-run';

export interface LoadingSurroundings {
  /** How often the store is looked into; undefined: no more once all of it has been read. */
  readonly lookSeconds: number | undefined;
  /** Tasks have been read. */
  onLoaded(): Promise<void> | void;
  onProblem(error: TmError): void;
  /** Waits before the store is asked again. Rejects when the signal is aborted. */
  pause(seconds: number, signal: AbortSignal): Promise<void>;
}

export class TaskLoading {
  /** Problems said already: once each, not once per attempt. */
  #said = new Set<string>();
  #begin: () => void = () => undefined;
  /** Resolves when the store has answered, rejects when it failed to, the last time it was asked. */
  #attempt = new Promise<void>((resolve) => {
    this.#begin = resolve;
  });

  constructor(
    private readonly ledger: TaskLedger,
    private readonly surroundings: LoadingSurroundings,
  ) {}

  /** Resolves when every task has been read and nothing is to be looked for, or the signal is aborted. */
  async start(signal: AbortSignal): Promise<void> {
    const { lookSeconds } = this.surroundings;
    for (let failures = 0; !signal.aborted; failures++) {
      const problems = await this.#load();
      this.#sayNew(problems);
      if (problems.length === 0 && lookSeconds === undefined) return;
      const seconds = lookSeconds ?? retryPauseSeconds(failures);
      await this.surroundings.pause(seconds, signal).catch(() => undefined);
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

  async #load(): Promise<TmError[]> {
    const loading = this.ledger.load();
    this.#attempt = loading.then(() => undefined);
    // Whether anybody waits for it or not.
    this.#attempt.catch(() => undefined);
    this.#begin();
    try {
      // A task that cannot be read holds up no other.
      const errors = await loading;
      await this.ledger.prune();
      await this.surroundings.onLoaded();
      return errors;
    } catch (thrown) {
      return [asTmError(thrown, 'TM_STATE_UNREADABLE')];
    }
  }

  #sayNew(problems: readonly TmError[]): void {
    for (const problem of problems) {
      if (!this.#said.has(problem.message)) this.surroundings.onProblem(problem);
    }
    this.#said = new Set(problems.map(({ message }) => message));
  }
}
