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
import { Claim, formatLease, parseLease, type Lease, type Standing } from './lease';
import { revisionOf, type JsonObject, type StateStore } from './state/store';
import {
  formatInstant,
  formatWindow,
  parseInstant,
  parseWindow,
  sameWindow,
  type EpochSeconds,
  type Window,
} from './window';

interface BookmarkState {
  position: EpochSeconds | undefined;
  /** Where it was started or set by hand: what lies before was not asked for, whatever is read again. */
  origin: EpochSeconds | undefined;
  /** Given out, not yet delivered; in order of their starts. */
  issued: Window[];
  /** Delivered beyond the position; in order of their starts. */
  ahead: Window[];
  /** Who gives out windows. */
  lease: Lease | undefined;
}

const EMPTY: BookmarkState = {
  position: undefined,
  origin: undefined,
  issued: [],
  ahead: [],
  lease: undefined,
};

export interface Plan {
  /** No window ends behind this instant: the database's clock less the settle delay. */
  readonly horizon: EpochSeconds;
  /** How much new data makes a window due. */
  readonly intervalSeconds: number;
  readonly longestSeconds: number;
  /** How much of what lies before is read again with each window, for readings that came late. */
  readonly lookbackSeconds: number;
  /** How many windows may be given out and undelivered, or delivered ahead of a gap, at a time. */
  readonly inFlight: number;
}

/** A change that waits to be written, with others or alone. */
interface Pending {
  /** Changes the state as it is stored; called again where another process was faster. */
  readonly apply: (state: BookmarkState) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Bookmark {
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
      const windows: Window[] = [];
      state.lease = this.#claim.take(state.lease);
      if (this.#claim.standing(state.lease).state !== 'mine') return windows;
      for (;;) {
        const window = nextWindow(state, plan);
        if (!window) return windows;
        state.issued.push(window);
        windows.push(window);
      }
    });
  }

  /** Where to begin when there is none. */
  start(position: EpochSeconds): Promise<void> {
    return this.#change((state) => {
      state.position ??= position;
      state.origin ??= state.position;
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
      state.position ??= window.start;
      state.origin ??= state.position;
      state.issued = state.issued.filter((other) => other.start < window.start || other.end > window.end);
      if (window.end > state.position) state.ahead.push(window);
      absorb(state);
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

  /**
   * Resolves when the changes under way are durable and the lease is given back; later changes are refused, for
   * another process may have taken over.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    let released: Promise<void> | undefined;
    if (this.lease.state === 'mine' || this.#writing) {
      released = this.#change((state) => {
        state.lease = this.#claim.release(state.lease);
      });
    }
    this.#closed = true;
    // Where it cannot be given back, it is taken over.
    await released?.catch(() => undefined);
    this.#claim.end();
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

/**
 * The next window to give out: as long as allowed while there is a backlog, else whole intervals once one is
 * over. Within the windows under way at most `inFlight` lie beyond the position, delivered ones included: a
 * window that fails again and again does not let the rest run away from it.
 */
function nextWindow(state: BookmarkState, plan: Plan): Window | undefined {
  if (state.position === undefined) return undefined;
  if (state.issued.length >= plan.inFlight) return undefined;
  let start = state.position;
  let limit = plan.horizon;
  for (const window of [...state.issued, ...state.ahead].sort((a, b) => a.start - b.start)) {
    if (window.start > start) {
      // A gap before what was committed by hand: filled whatever its length.
      limit = Math.min(limit, window.start);
      break;
    }
    start = Math.max(start, window.end);
  }
  const fillsGap = limit < plan.horizon;
  if (!fillsGap && state.issued.length + state.ahead.length >= plan.inFlight) return undefined;
  const available = limit - start;
  let length = plan.longestSeconds;
  if (available < length) {
    length = fillsGap ? available : Math.floor(available / plan.intervalSeconds) * plan.intervalSeconds;
  }
  if (length <= 0) return undefined;
  const from = Math.max(start - plan.lookbackSeconds, state.origin ?? start);
  return { start: Math.min(from, start), end: start + length };
}

/** Moves the position over the windows ahead that it has reached. */
function absorb(state: BookmarkState): void {
  state.ahead.sort((a, b) => a.start - b.start);
  for (
    let first = state.ahead[0];
    first && first.start <= (state.position ?? first.start);
    first = state.ahead[0]
  ) {
    state.position = Math.max(state.position ?? first.start, first.end);
    state.ahead.shift();
  }
}

function formatState(state: BookmarkState): JsonObject {
  return {
    position: state.position === undefined ? null : formatInstant(state.position),
    origin: state.origin === undefined ? undefined : formatInstant(state.origin),
    issued: state.issued.map((window) => ({ ...formatWindow(window) })),
    ahead: state.ahead.map((window) => ({ ...formatWindow(window) })),
    lease: formatLease(state.lease),
  };
}

function parseState(record: Readonly<Record<string, unknown>>, name: string): BookmarkState {
  const windows = (value: unknown): Window[] =>
    Array.isArray(value) ? value.map((item) => parseWindow(item)) : [];
  const instant = (value: unknown, field: string): EpochSeconds | undefined =>
    value === null || value === undefined ? undefined : parseInstant(value, field, 'UTC');
  try {
    const position = instant(record.position, 'position');
    return {
      position,
      origin: instant(record.origin, 'origin') ?? position,
      issued: windows(record.issued),
      ahead: windows(record.ahead),
      lease: parseLease(record.lease),
    };
  } catch (cause) {
    throw new TmError(
      'TM_STATE_UNREADABLE',
      `The state of bookmark "${name}" cannot be understood: ${cause instanceof Error ? cause.message : String(cause)} Mend it, or delete it and set the bookmark by hand with a tm-bookmark (set).`,
      { cause },
    );
  }
}
