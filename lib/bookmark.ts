/**
 * How far delivery has come: the end of the longest unbroken run of delivered windows. It moves after delivery,
 * never before, and back only by `set`.
 *
 * Kept beside it, so that a restart neither skips nor repeats: the windows that were given out and are not
 * delivered (they are given out again with the same edges, hence with the same bodies and keys), those that
 * were delivered ahead of a gap, and which process gives out windows. Any process may commit: each change is
 * made to what is stored at that moment.
 */
import { isDeepStrictEqual } from 'node:util';
import { TmError } from './errors';
import {
  EMPTY,
  absorb,
  formatState,
  nextWindow,
  parseState,
  type BookmarkState,
  type Plan,
} from './bookmark-state';
import { Claim, type Standing } from './lease';
import { revisionOf, type JsonObject, type StateStore } from './state/store';
import { sameWindow, type EpochSeconds, type Window } from './window';

export type { Plan } from './bookmark-state';

/** A change that waits to be written, with others or alone. */
interface Pending {
  /** Changes the state as it is stored; called again where another process was faster. */
  readonly apply: (state: BookmarkState) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Bookmark {
  /**
   * What a commit here gives out besides, in the same write, while this process has the lease: where there is a
   * backlog, writes are what it waits for. Found in `issued`.
   */
  giveOutNext: Plan | undefined;

  readonly #store: StateStore;
  readonly #claim = new Claim();
  /** As last read or written by this process. */
  #state: BookmarkState;
  #revision: number;
  #closed = false;
  #pending: Pending[] = [];
  #writing: Promise<void> | undefined;

  /** @throws TmError TM_STATE_UNREADABLE: never starts afresh over a broken state */
  static async open(store: StateStore, name: string): Promise<Bookmark> {
    return new Bookmark(store, name, await store.read('bookmark', name));
  }

  private constructor(
    store: StateStore,
    readonly name: string,
    record: JsonObject | undefined,
  ) {
    this.#store = store;
    this.#state = record === undefined ? EMPTY : parseState(record, name);
    this.#revision = revisionOf(record);
  }

  /** Undefined: it has never been set. */
  get position(): EpochSeconds | undefined {
    return this.#state.position;
  }

  /** Windows given out and not delivered: what a restart has to give out again. */
  get issued(): readonly Window[] {
    return this.#state.issued;
  }

  /** Who gives out its windows, as far as is known here. */
  get lease(): Standing {
    return this.#claim.standing(this.#state.lease);
  }

  /**
   * Takes the lease, and gives out the windows that are due, durable before they are returned. Empty: nothing
   * is due, as many as allowed are under way, or another has the lease (see `lease`).
   */
  async issue(plan: Plan): Promise<Window[]> {
    // Costs a write: not where it would come to nothing.
    if (this.lease.state === 'mine' && !nextWindow(this.#state, plan)) return [];
    return this.#change((state) => {
      state.lease = this.#claim.take(state.lease);
      return this.#giveOut(state, plan);
    });
  }

  #giveOut(state: BookmarkState, plan: Plan): Window[] {
    const windows: Window[] = [];
    if (this.#claim.standing(state.lease).state !== 'mine') return windows;
    for (;;) {
      const window = nextWindow(state, plan);
      if (!window) return windows;
      state.issued.push(window);
      windows.push(window);
    }
  }

  /** Where to begin when there is none. */
  start(position: EpochSeconds): Promise<void> {
    return this.#change((state) => {
      state.position ??= position;
      state.origin ??= state.position;
      absorb(state);
    });
  }

  /**
   * Takes note of a delivered window, and moves past it where nothing before it is missing.
   * @param from `issued`: counts only while this bookmark has the window given out; one from before it was set
   *   by hand would otherwise undo that. `by-hand`: any window
   * @returns whether the position moved
   */
  commit(window: Window, from: 'issued' | 'by-hand' = 'issued'): Promise<boolean> {
    return this.#change((state) => {
      if (from === 'issued' && !state.issued.some((issued) => sameWindow(issued, window))) return false;
      const before = state.position;
      state.issued = state.issued.filter((other) => other.start < window.start || other.end > window.end);
      if (window.end > (before ?? -Infinity)) state.ahead.push(window);
      absorb(state);
      if (from === 'issued' && this.giveOutNext) this.#giveOut(state, this.giveOutNext);
      return state.position !== before;
    });
  }

  /** On purpose, by hand: forwards or backwards. What was under way or ahead counts no more. */
  set(position: EpochSeconds): Promise<void> {
    return this.#change((state) => {
      state.position = position;
      state.origin = position;
      state.issued = [];
      state.ahead = [];
    });
  }

  /**
   * Sees all that other processes have changed before this was called, and answers the one that waits for the
   * lease.
   */
  async refresh(): Promise<void> {
    const revision = this.#revision;
    const record = await this.#store.read('bookmark', this.name);
    if (this.#closed || record === undefined) return;
    // What this process has changed meanwhile, or is changing, may be newer: then the next change sees all.
    const isNewest = !this.#writing && this.#revision === revision;
    if (isNewest) this.#state = this.#known(record);
    if (isNewest && !this.#claim.isChallenged(this.#state.lease)) return;
    await this.#change((state) => {
      if (this.#claim.isChallenged(state.lease)) state.lease = this.#claim.take(state.lease);
    });
  }

  /** Gives the lease back, when the changes under way are durable. Where that fails, it is taken over. */
  async release(): Promise<void> {
    if (this.#closed || (this.lease.state !== 'mine' && !this.#writing)) return;
    await this.#change((state) => {
      state.lease = this.#claim.release(state.lease);
    }).catch(() => undefined);
  }

  /**
   * Resolves when the changes under way are durable and the lease is given back; later changes are refused, for
   * another process may have taken over.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    const released = this.release();
    this.#closed = true;
    // Before it is given back, should that take long: whoever comes after in this process need not wait.
    this.#claim.end();
    await released;
  }

  /** Applies a change to what is stored, and writes it; where the write fails, nothing has changed. */
  #change<Result>(change: (state: BookmarkState) => Result): Promise<Result> {
    if (this.#closed) {
      return Promise.reject(new TmError('TM_CLOSED', `The bookmark "${this.name}" is being closed.`));
    }
    return new Promise<Result>((resolve, reject) => {
      let result: Result;
      this.#pending.push({
        apply: (state) => {
          result = change(state);
        },
        resolve: () => {
          resolve(result);
        },
        reject,
      });
      this.#writing ??= this.#write();
    });
  }

  /** What has come up while one write was under way shares the next: a disk or a database allows few a second. */
  async #write(): Promise<void> {
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const group = this.#pending.splice(0);
      try {
        await this.#writeOnce(group);
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#writing = undefined;
  }

  async #writeOnce(group: readonly Pending[]): Promise<void> {
    let next = this.#state;
    let revision = this.#revision;
    await this.#store.update('bookmark', this.name, (stored) => {
      const before = this.#known(stored);
      next = structuredClone(before);
      for (const { apply } of group) apply(next);
      const isNew = !isDeepStrictEqual(next, before) || (stored === undefined && this.#revision > 0);
      revision = revisionOf(stored) + (isNew ? 1 : 0);
      return isNew ? formatState(next) : undefined;
    });
    this.#state = next;
    this.#revision = revision;
    this.#claim.stored(next.lease);
  }

  /** The state as it is stored, unless somebody has taken it away: then as this process knows it. */
  #known(stored: JsonObject | undefined): BookmarkState {
    if (stored === undefined) {
      if (this.#revision > 0) this.#warn('is gone from where state is kept. It is written there again.');
      return this.#state;
    }
    if (revisionOf(stored) < this.#revision) {
      this.#warn(
        'is older than what was written last: it seems to have been restored from a backup. It is used all the same: what was delivered since is sent again.',
      );
      this.#revision = revisionOf(stored);
    }
    return parseState(stored, this.name);
  }

  #warn(what: string): void {
    this.#store.onWarning?.(`The state of bookmark "${this.name}" ${what}`);
  }
}
