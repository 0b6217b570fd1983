/**
 * How large a body the endpoint takes, as its answers of 413 tell. Bodies of the size that was too large are
 * divided unasked, smaller ones are tried: so the pieces depend on the batch and the endpoint's limit, not on what
 * was learned when. A limit may be raised, and a proxy's spell of refusing everything ends: so the size is tried
 * at its double from time to time.
 */
import type { Clock } from './clock';

/** At most one post in this time is answered with 413 for the sake of trying. */
const TRIED_EVERY_MS = 60_000;

export class LargestBody {
  /** The smallest body that was too large. */
  #bytes = Infinity;
  /** Before it was doubled: a body between the two is one that is tried. */
  #learnedBytes = Infinity;
  #refusedAt = -Infinity;

  constructor(readonly clock: Clock) {}

  isTooLarge(bytes: number): boolean {
    return bytes >= this.#bytes;
  }

  /** A body was answered with 413. */
  refused(bytes: number): void {
    // One reading that is too large by itself says nothing new, however often it is sent again.
    if (this.isTooLarge(bytes)) return;
    // A body that was tried says no more than what was known before.
    this.#bytes = Math.min(this.#learnedBytes, bytes);
    this.#learnedBytes = this.#bytes;
    this.#refusedAt = this.clock.now();
  }

  /** What is divided for its size leaves a piece of at least half of that: where there is none, size is no matter. */
  accepted(bytes: number): void {
    if (bytes < this.#bytes / 2 || this.clock.now() - this.#refusedAt < TRIED_EVERY_MS) return;
    this.#learnedBytes = Math.max(this.#bytes, bytes + 1);
    this.#bytes = this.#learnedBytes * 2;
  }
}
