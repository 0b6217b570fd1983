/**
 * Takes windows out of the queue and has them delivered on this machine. A window of a bookmark is done with when
 * the bookmark, which all machines share, has it committed; until then the queue keeps it.
 */
import type { Bookmark } from '../bookmark';
import { CommitWait } from '../commit-wait';
import { TmError } from '../errors';
import type { Transfer, Transfers } from '../transfer';
import { sameWindow } from '../window';
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

export class Consumer {
  readonly #surroundings: ConsumerSurroundings;
  readonly #underWay = new Map<string, Promise<Done>>();
  readonly #transfers = new Set<Transfer>();
  readonly #closing = new AbortController();
  readonly #commits: CommitWait;
  #unknownSaid = new Set<string>();

  constructor(surroundings: ConsumerSurroundings) {
    this.#surroundings = surroundings;
    this.#commits = new CommitWait((error) => {
      surroundings.onProblem(error);
    });
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
    this.#commits.close(reason);
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
      const commit = owner.bookmark === undefined ? undefined : this.#commits.of(transfer);
      emit(transfer);
      const outcome = await transfer.outcome;
      if (outcome.state === 'failed') throw outcome.error;
      await commit?.();
      return { receipt: outcome.receipt };
    } finally {
      this.#transfers.delete(transfer);
      this.#commits.forget(transfer);
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
}
