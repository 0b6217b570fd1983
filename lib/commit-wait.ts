/**
 * A delivered window of a bookmark is done with when its commit has come. That is a message of its own: where a
 * wire is missing or a node drops it, everything would stop without a word, or go on as if it had come.
 */
import { TmError } from './errors';
import type { Transfer } from './transfer';
import { describeWindow } from './window';

/** How long a delivered window waits for its commit before that is said. */
const EXPECTED_MS = 10_000;
/** …and until nobody waits for it any more. */
const GIVEN_UP_MS = 600_000;

type Settle = (failure: TmError | undefined) => void;

export class CommitWait {
  readonly #onProblem: (error: TmError) => void;
  readonly #waits = new Map<Transfer, Settle>();

  constructor(onProblem: (error: TmError) => void) {
    this.#onProblem = onProblem;
  }

  /**
   * Before the window is sent on, for its commit may come before anybody sees that it is delivered.
   * @returns to be called when it is delivered: resolves when it is committed or forgotten; rejects with why the
   *   commit failed, with TM_NOT_COMMITTED where none has come, or with what this was closed with
   */
  of(transfer: Transfer): () => Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const committed = new Promise<TmError | undefined>((resolve) => {
      const settle: Settle = (failure) => {
        clearTimeout(timer);
        this.#waits.delete(transfer);
        resolve(failure);
      };
      this.#waits.set(transfer, settle);
      transfer.onCommit = settle;
    });
    return async () => {
      const settle = this.#waits.get(transfer);
      if (settle) {
        timer = setTimeout(() => {
          this.#onProblem(notCommitted(transfer));
          timer = setTimeout(settle, GIVEN_UP_MS - EXPECTED_MS, notCommitted(transfer)).unref();
        }, EXPECTED_MS).unref();
      }
      const failure = await committed;
      if (failure) throw failure;
    };
  }

  /** Its commit is not waited for any more. */
  forget(transfer: Transfer): void {
    this.#waits.get(transfer)?.(undefined);
  }

  close(reason: TmError): void {
    for (const settle of this.#waits.values()) settle(reason);
  }
}

function notCommitted({ window, owner }: Transfer): TmError {
  return new TmError(
    'TM_NOT_COMMITTED',
    `posted but not committed: wire tm-post to a tm-bookmark (commit). The window ${describeWindow(window)} was delivered and the bookmark "${owner.bookmark ?? ''}" has not moved.`,
  );
}
