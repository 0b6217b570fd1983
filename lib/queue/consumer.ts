/**
 * Takes windows out of the queue and has them delivered on this machine. A window of a bookmark is done with when
 * the bookmark, which all machines share, has it committed; until then the queue keeps it.
 */
import type { Bookmark } from '../bookmark';
import { TmError } from '../errors';
import type { Transfer, Transfers } from '../transfer';
import { describeWindow, sameWindow } from '../window';
import { keyOf, type Done, type QueuedWindow } from './queue';

export interface ConsumerSurroundings {
  readonly transfers: Transfers;
  bookmark(name: string): Promise<Pick<Bookmark, 'position' | 'issued' | 'refresh'>>;
  /** Sends the window on; its transfer was issued by `transfers`. */
  readonly emit: (transfer: Transfer) => void;
  /** Something to act on that no other node reports. */
  onProblem(error: TmError): void;
  /** More or fewer windows are under way. */
  onChange(): void;
}

/** How long a delivered window waits for its commit before that is said. */
const COMMIT_EXPECTED_MS = 10_000;
/** …and, where commits have arrived before, until the window is given back. */
const COMMIT_GIVEN_UP_MS = 600_000;

export class Consumer {
  readonly #surroundings: ConsumerSurroundings;
  readonly #underWay = new Map<string, Promise<Done>>();
  readonly #transfers = new Set<Transfer>();
  readonly #closing = new AbortController();
  #committed = false;
  #unknownSaid = new Set<string>();

  constructor(surroundings: ConsumerSurroundings) {
    this.#surroundings = surroundings;
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  /** As the queue's {@link Deliver}. The same window twice at a time is delivered once. */
  deliver(queued: QueuedWindow): Promise<Done> {
    const key = keyOf(queued);
    const known = this.#underWay.get(key);
    if (known) return known;
    const delivery = this.#deliver(queued).finally(() => {
      this.#underWay.delete(key);
      this.#surroundings.onChange();
    });
    this.#underWay.set(key, delivery);
    this.#surroundings.onChange();
    return delivery;
  }

  /** What is under way is given back. */
  close(reason: TmError): void {
    this.#closing.abort(reason);
    for (const transfer of this.#transfers) transfer.fail(reason);
  }

  async #deliver({ window, owner }: QueuedWindow): Promise<Done> {
    this.#closing.signal.throwIfAborted();
    if (owner.bookmark !== undefined && !(await this.#isWanted(owner.bookmark, window))) return {};
    this.#closing.signal.throwIfAborted();
    const { transfers, emit } = this.#surroundings;
    const transfer = transfers.issue(window, owner);
    this.#transfers.add(transfer);
    try {
      transfer.onStalled = (message) => {
        this.#surroundings.onProblem(new TmError('TM_STALLED', message));
      };
      const commit = owner.bookmark === undefined ? undefined : this.#commitOf(transfer);
      emit(transfer);
      const outcome = await transfer.outcome;
      if (outcome.state === 'failed') throw outcome.error;
      await commit?.();
      return { receipt: outcome.receipt };
    } finally {
      this.#transfers.delete(transfer);
      transfers.forget(transfer);
    }
  }

  /** Whether the bookmark has it given out and not committed: else it is a repeat, or the bookmark was set by hand. */
  async #isWanted(name: string, window: QueuedWindow['window']): Promise<boolean> {
    const bookmark = await this.#surroundings.bookmark(name);
    await bookmark.refresh();
    if (bookmark.position !== undefined) return bookmark.issued.some((issued) => sameWindow(issued, window));
    const error = new TmError(
      'TM_SETTING_INVALID',
      `A window of the bookmark "${name}" was taken from the queue, but the state of this machine knows no such bookmark: machines that share a queue must keep their state in the same database. The window was given back.`,
    );
    if (!this.#unknownSaid.has(name)) this.#surroundings.onProblem(error);
    this.#unknownSaid.add(name);
    throw error;
  }

  /** @returns what waits for the commit; the commit itself may come before that is called */
  #commitOf(transfer: Transfer): () => Promise<void> {
    const timers = new Set<NodeJS.Timeout>();
    const { signal } = this.#closing;
    let abort: () => void = () => undefined;
    const committed = new Promise<TmError | undefined>((resolve) => {
      transfer.onCommit = resolve;
      abort = () => {
        resolve(signal.reason as TmError);
      };
      signal.addEventListener('abort', abort, { once: true });
    });
    const later = (milliseconds: number, act: () => void): void => {
      timers.add(setTimeout(act, milliseconds).unref());
    };
    return async () => {
      later(COMMIT_EXPECTED_MS, () => {
        this.#surroundings.onProblem(notCommitted(transfer));
      });
      later(COMMIT_GIVEN_UP_MS, () => {
        if (this.#committed) transfer.onCommit?.(notCommitted(transfer));
      });
      const failure = await committed;
      for (const timer of timers) clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      if (failure) throw failure;
      this.#committed = true;
    };
  }
}

function notCommitted({ window, owner }: Transfer): TmError {
  return new TmError(
    'TM_NOT_COMMITTED',
    `posted but not committed: wire tm-post to a tm-bookmark (commit). The window ${describeWindow(window)} was delivered and the bookmark "${owner.bookmark ?? ''}" has not moved.`,
  );
}
