/**
 * The side of the machine that gives windows out: puts them into the queue, and watches each until it is
 * delivered, wherever that happens. Whether a bookmark's window is delivered is seen in the bookmark, which all
 * machines share; what the queue tells of it is a hint to look there. What the broker has lost is put again.
 */
import type { Bookmark } from '../bookmark';
import { asTmError, TmError } from '../errors';
import { settlesWithin } from '../signals';
import type { Transfer } from '../transfer';
import { describeWindow, sameWindow } from '../window';
import { keyOf, type Done, type QueuedWindow, type WindowQueue } from './queue';

export interface ProducerSurroundings {
  bookmark(name: string): Promise<Pick<Bookmark, 'issued' | 'refresh'>>;
  /** The bookmark has moved past the transfer's window, or the window is none of its own any more. */
  onCommitted(transfer: Transfer): void;
  onProblem(error: TmError): void;
  /** Puts have failed, or go through again. */
  onBroker(failure: TmError | undefined): void;
  /** Milliseconds, of a clock that only goes forwards. */
  now?(): number;
}

interface Entry {
  readonly queued: QueuedWindow;
  readonly transfer: Transfer;
  putting: Promise<void> | undefined;
  /** When the broker took it; undefined: it has not, or has lost it. */
  putAt: number | undefined;
  /** The queue says that it is done with. */
  hinted: boolean;
}

const LOOK_EVERY_MS = 15_000;
const PUT_WITHIN_MS = 15_000;

export class Producer {
  readonly #queue: Pick<WindowQueue, 'put' | 'repeatAfterSeconds'>;
  readonly #surroundings: ProducerSurroundings;
  readonly #entries = new Map<string, Entry>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #lookAgain = false;
  #failedWith: string | undefined;
  #closed = false;

  constructor(queue: Pick<WindowQueue, 'put' | 'repeatAfterSeconds'>, surroundings: ProducerSurroundings) {
    this.#queue = queue;
    this.#surroundings = surroundings;
  }

  /** Windows that were put and are not known to be delivered. */
  get underWay(): number {
    return this.#entries.size;
  }

  /**
   * A window of a bookmark or a task, whose transfer waits in this process: put now, or as soon as there is a
   * broker, and again where that loses it.
   */
  async hand(transfer: Transfer): Promise<void> {
    // It may have ended while the queue was being opened: then its window is not wanted, or comes once more.
    if (this.#closed || transfer.ended) return;
    // Its window is out of this process's hands: no node here is expected to take it.
    transfer.progressed();
    const queued = { window: transfer.window, owner: transfer.owner };
    const key = keyOf(queued);
    const entry: Entry = { queued, transfer, putting: undefined, putAt: undefined, hinted: false };
    this.#entries.set(key, entry);
    transfer.signal.addEventListener('abort', () => {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
    });
    this.#lookLater();
    await this.#put(entry);
  }

  /** A window that was built by hand: nobody waits for it here. @throws TmError TM_BROKER_UNREACHABLE */
  async put(queued: QueuedWindow): Promise<void> {
    const putting = this.#queue.put(queued);
    if (!(await settlesWithin(PUT_WITHIN_MS, putting))) {
      throw new TmError(
        'TM_BROKER_UNREACHABLE',
        `The broker has not taken the window ${describeWindow(queued.window)} within ${PUT_WITHIN_MS / 1000} s. Send it again; a repeat does no harm.`,
      );
    }
    await putting;
    this.#surroundings.onBroker(undefined);
  }

  /** As the queue tells. */
  done(key: string, { receipt }: Done): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    const { queued, transfer } = entry;
    if (queued.owner.bookmark !== undefined) {
      entry.hinted = true;
      this.#look();
    } else if (receipt) {
      this.#entries.delete(key);
      transfer.deliveredElsewhere(receipt);
    }
  }

  /** The broker may have lost what it had. */
  connected(): void {
    for (const entry of this.#entries.values()) entry.putAt = undefined;
    this.#look();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#entries.clear();
  }

  #lookLater(): void {
    if (this.#closed || this.#timer || this.#entries.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#look();
      this.#lookLater();
    }, LOOK_EVERY_MS).unref();
  }

  /** One look at a time; asked for during one, another follows. */
  #look(): void {
    if (this.#looking) {
      this.#lookAgain = true;
      return;
    }
    this.#looking = true;
    void this.#lookOnce().finally(() => {
      this.#looking = false;
      if (!this.#lookAgain || this.#closed) return;
      this.#lookAgain = false;
      this.#look();
    });
  }

  /** Never rejects. */
  async #lookOnce(): Promise<void> {
    const names = new Set([...this.#entries.values()].flatMap(({ queued }) => queued.owner.bookmark ?? []));
    try {
      for (const name of names) await this.#lookAt(name);
      this.#failedWith = undefined;
    } catch (thrown) {
      const error = asTmError(thrown, 'TM_STATE_UNREADABLE');
      if (error.code !== this.#failedWith && !this.#closed) this.#surroundings.onProblem(error);
      this.#failedWith = error.code;
    }
    const now = this.#now();
    for (const entry of this.#entries.values()) {
      const age = entry.putAt === undefined ? Infinity : now - entry.putAt;
      if (age >= this.#queue.repeatAfterSeconds * 1000) void this.#put(entry);
    }
  }

  async #lookAt(name: string): Promise<void> {
    const hinted = new Set([...this.#entries.values()].filter((entry) => entry.hinted));
    const bookmark = await this.#surroundings.bookmark(name);
    await bookmark.refresh();
    for (const [key, entry] of this.#entries) {
      const { window, owner } = entry.queued;
      if (owner.bookmark !== name) continue;
      if (!bookmark.issued.some((issued) => sameWindow(issued, window))) {
        this.#entries.delete(key);
        this.#surroundings.onCommitted(entry.transfer);
      } else if (hinted.has(entry)) this.#notShared(entry);
    }
  }

  /** Done with elsewhere, but not in the bookmark as it is here. It is put again at the next look. */
  #notShared(entry: Entry): void {
    entry.hinted = false;
    entry.putAt = this.#now() - this.#queue.repeatAfterSeconds * 1000 + LOOK_EVERY_MS;
    this.#surroundings.onProblem(
      new TmError(
        'TM_NOT_COMMITTED',
        `The window ${describeWindow(entry.queued.window)} was taken from the queue and done with, but the bookmark "${entry.queued.owner.bookmark ?? ''}" has not moved past it. Machines that share a queue must keep their state in the same database. It is put into the queue again.`,
      ),
    );
  }

  /** Never rejects; one at a time for a window. */
  #put(entry: Entry): Promise<void> {
    entry.putting ??= this.#queue
      .put(entry.queued)
      .then(
        () => {
          entry.putAt = this.#now();
          this.#surroundings.onBroker(undefined);
        },
        (thrown: unknown) => {
          if (!this.#closed) this.#surroundings.onBroker(asTmError(thrown, 'TM_BROKER_UNREACHABLE'));
        },
      )
      .finally(() => {
        entry.putting = undefined;
      });
    return entry.putting;
  }

  #now(): number {
    return this.#surroundings.now?.() ?? performance.now();
  }
}
