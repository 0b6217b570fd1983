/**
 * How much of a window one query is asked for: all of it, until the database says that this takes too long. Then
 * half, and half again until it fits, and more once queries are quick. Remembered for each query, so that the
 * next window does not begin with the same timeout.
 */
import type { ReadingsQuery, Source } from './source/source';
import type { EpochSeconds, Window } from './window';

/** What is known of a query. */
interface Fit {
  /** What fits. */
  seconds: number;
  /** After how long the database gave a longer part up. */
  timeoutMs: number;
  /** So many quick parts in a row, until twice as much is tried; more where that was tried too early. */
  growAfter: number;
  quick: number;
  /** It was doubled, and whether that fits is not known yet. */
  trying: boolean;
  /** What the user was told. */
  told: number;
}

const SHORTEST_SECONDS = 1;
/** Quick is what takes less than this share of the timeout: twice as much would fit by far. */
const QUICK = 1 / 4;
const MOST_QUICK = 1024;

const fits = new WeakMap<Source, WeakMap<ReadingsQuery, Fit>>();

function fitOf(source: Source, query: ReadingsQuery): Fit {
  const ofSource = fits.get(source) ?? new WeakMap<ReadingsQuery, Fit>();
  fits.set(source, ofSource);
  const fit = ofSource.get(query) ?? {
    seconds: Infinity,
    timeoutMs: Infinity,
    growAfter: 1,
    quick: 0,
    trying: false,
    told: Infinity,
  };
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
    const fit = this.#fit;
    const seconds = lengthOf(part);
    if (seconds <= SHORTEST_SECONDS) return false;
    if (fit.trying) fit.growAfter = Math.min(fit.growAfter * 4, MOST_QUICK);
    fit.trying = false;
    fit.quick = 0;
    fit.seconds = this.#most = Math.ceil(seconds / 2);
    fit.timeoutMs = ms;
    return true;
  }

  /** The shortest part timed out: its length is not what takes so long, and what is tried later begins with all. */
  forget(): void {
    this.#fit.seconds = Infinity;
  }

  /**
   * The part was read in `ms`.
   * @returns its length in seconds, where it is news to the user that no more fits
   */
  fitted(part: Window, ms: number): number | undefined {
    const fit = this.#fit;
    const seconds = lengthOf(part);
    if (seconds < fit.seconds) return undefined;
    if (fit.trying) fit.growAfter = 1;
    fit.trying = false;
    fit.quick = ms < fit.timeoutMs * QUICK ? fit.quick + 1 : 0;
    const news = fit.told > seconds ? seconds : undefined;
    fit.told = seconds;
    if (fit.quick >= fit.growAfter) {
      fit.quick = 0;
      fit.trying = true;
      fit.seconds *= 2;
    }
    return news;
  }

  /** A batch was made: what comes before it is not read again. */
  progressed(): void {
    this.#most = Infinity;
  }
}

function lengthOf({ start, end }: Window): number {
  return end - start;
}
