/**
 * How much of a window one query is asked for: all of it, until the database says that this takes too long. Then
 * half, and half again until it fits, and more once queries are quick. Remembered for each query, so that the
 * next window does not begin with the same timeout.
 */
import type { ReadingsQuery, Source } from './source/source';
import type { EpochSeconds, Window } from './window';

/** What fits, as far as is known. */
interface Fit {
  seconds: number;
  /** After how long the database gave a longer one up. */
  timeoutMs: number;
}

const SHORTEST_SECONDS = 1;
/** A query that takes less than this share of the timeout may be asked for twice as much. */
const QUICK = 1 / 4;

const fits = new WeakMap<Source, WeakMap<ReadingsQuery, Fit>>();

function fitOf(source: Source, query: ReadingsQuery): Fit {
  const ofSource = fits.get(source) ?? new WeakMap<ReadingsQuery, Fit>();
  fits.set(source, ofSource);
  const fit = ofSource.get(query) ?? { seconds: Infinity, timeoutMs: Infinity };
  ofSource.set(query, fit);
  return fit;
}

/** For one window; what it learns serves the other windows of the query too. */
export class PartLength {
  readonly #fit: Fit;
  /** Not exceeded before there is progress, or the read would run into the same timeout again and again. */
  #most = Infinity;

  constructor(source: Source, query: ReadingsQuery) {
    this.#fit = fitOf(source, query);
  }

  /** The next part of a window, of which everything before `at` has been read. */
  partFrom(at: EpochSeconds, window: Window): Window {
    return { start: at, end: Math.min(window.end, at + Math.min(this.#fit.seconds, this.#most)) };
  }

  /**
   * The part timed out after `ms`.
   * @returns false where it cannot be shorter
   */
  narrow(part: Window, ms: number): boolean {
    const seconds = part.end - part.start;
    if (seconds <= SHORTEST_SECONDS) return false;
    this.#fit.seconds = this.#most = Math.ceil(seconds / 2);
    this.#fit.timeoutMs = ms;
    return true;
  }

  /** The shortest part timed out: its length is not what takes so long, and what is tried later begins with all. */
  forget(): void {
    this.#fit.seconds = Infinity;
  }

  /** The part was read in `ms`. */
  fitted(part: Window, ms: number): void {
    const seconds = part.end - part.start;
    if (seconds >= this.#fit.seconds && ms < this.#fit.timeoutMs * QUICK) this.#fit.seconds *= 2;
  }

  /** A batch was made: what comes before it is not read again. */
  progressed(): void {
    this.#most = Infinity;
  }
}
