/**
 * How far delivery has come: the end of the longest unbroken run of delivered windows. It moves after delivery,
 * never before, and back only by `set`.
 *
 * Kept beside it, so that a restart neither skips nor repeats: the windows that were given out and are not
 * delivered (they are given out again with the same edges, hence with the same bodies and keys), and those that
 * were delivered ahead of a gap.
 */
import { TmError } from './errors';
import type { JsonObject, StateStore } from './state/store';
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
  /** Given out, not yet delivered; in order, each beginning where the one before it (or a window ahead) ends. */
  issued: Window[];
  /** Delivered beyond the position; in order. */
  ahead: Window[];
}

export interface Plan {
  /** No window ends behind this instant: the database's clock less the settle delay. */
  readonly horizon: EpochSeconds;
  /** How much new data makes a window due. */
  readonly intervalSeconds: number;
  readonly longestSeconds: number;
  /** How many windows may be given out and undelivered, or delivered ahead of a gap, at a time. */
  readonly inFlight: number;
}

export class Bookmark {
  readonly #store: StateStore;
  #state: BookmarkState;
  #closed = false;
  /** One change at a time: each is written before the next begins. */
  #queue: Promise<unknown> = Promise.resolve();

  /** @throws TmError TM_STATE_UNREADABLE: never starts afresh over a broken state */
  static async open(store: StateStore, name: string): Promise<Bookmark> {
    const record = await store.read('bookmark', name);
    return new Bookmark(store, name, record === undefined ? undefined : parseState(record, name));
  }

  private constructor(
    store: StateStore,
    readonly name: string,
    state: BookmarkState | undefined,
  ) {
    this.#store = store;
    this.#state = state ?? { position: undefined, issued: [], ahead: [] };
  }

  /** As it stands in the store: another process may have moved it. */
  refresh(): Promise<void> {
    return this.#change(() => undefined);
  }

  /** Undefined: it has never been set. */
  get position(): EpochSeconds | undefined {
    return this.#state.position;
  }

  /** Windows given out and not delivered: what a restart has to give out again. */
  get issued(): readonly Window[] {
    return this.#state.issued;
  }

  /**
   * Gives out the windows that are due, durable before they are returned. Empty: nothing is due, or as many as
   * allowed are under way.
   */
  issue(plan: Plan): Promise<Window[]> {
    return this.#change((state) => {
      const windows: Window[] = [];
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
      state.issued = [];
      state.ahead = [];
    });
  }

  /** Resolves when the change under way is durable; later ones are refused, for another process may have taken over. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
  }

  /** Applies a change and writes it; where the write fails, nothing has changed. */
  #change<Result>(change: (state: BookmarkState) => Result): Promise<Result> {
    const changed = this.#queue.then(async () => {
      if (this.#closed) throw new TmError('TM_CLOSED', `The bookmark "${this.name}" is being closed.`);
      let next: BookmarkState | undefined;
      let result: Result | undefined;
      await this.#store.update('bookmark', this.name, (stored) => {
        const state: BookmarkState =
          stored === undefined
            ? { position: undefined, issued: [], ahead: [] }
            : parseState(stored, this.name);
        next = structuredClone(state);
        result = change(next);
        return sameState(next, state) ? undefined : formatState(next);
      });
      this.#state = next ?? this.#state;
      return result as Result;
    });
    this.#queue = changed.catch(() => undefined);
    return changed;
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
  if (available >= plan.longestSeconds) return { start, end: start + plan.longestSeconds };
  if (fillsGap) return { start, end: limit };
  const length = Math.floor(available / plan.intervalSeconds) * plan.intervalSeconds;
  return length > 0 ? { start, end: start + length } : undefined;
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

function sameState(a: BookmarkState, b: BookmarkState): boolean {
  return a.position === b.position && sameWindows(a.issued, b.issued) && sameWindows(a.ahead, b.ahead);
}

function sameWindows(a: readonly Window[], b: readonly Window[]): boolean {
  return (
    a.length === b.length &&
    a.every((window, index) => {
      const other = b[index];
      return other !== undefined && sameWindow(window, other);
    })
  );
}

function formatState(state: BookmarkState): JsonObject {
  return {
    position: state.position === undefined ? null : formatInstant(state.position),
    issued: state.issued.map((window) => ({ ...formatWindow(window) })),
    ahead: state.ahead.map((window) => ({ ...formatWindow(window) })),
  };
}

function parseState(record: Readonly<Record<string, unknown>>, name: string): BookmarkState {
  const windows = (value: unknown): Window[] =>
    Array.isArray(value) ? value.map((item) => parseWindow(item)) : [];
  try {
    const { position } = record;
    return {
      position:
        position === null || position === undefined ? undefined : parseInstant(position, 'position', 'UTC'),
      issued: windows(record.issued),
      ahead: windows(record.ahead),
    };
  } catch (cause) {
    throw new TmError(
      'TM_STATE_UNREADABLE',
      `The state of bookmark "${name}" cannot be understood: ${cause instanceof Error ? cause.message : String(cause)} Mend it, or set the bookmark by hand with a tm-bookmark (set).`,
      { cause },
    );
  }
}
