/**
 * What the searches for refused readings have found. A held window is sent again and again: then only what was
 * refused is posted, not the whole batch and the whole search each time. It serves these repeats alone: whoever
 * sends a range again on purpose wants all of it to be posted.
 */

/** Of one batch: what of it was accepted, and where in it the refused pieces are. */
export interface SearchResult {
  readonly readings: number;
  readonly bytes: number;
  readonly posts: number;
  /** Which halves lead to each. */
  readonly refused: readonly string[];
}

/** A process that holds more batches than this searches some of them anew. */
const MOST_BATCHES = 1_000;

export class SearchMemory {
  /** By the batch's Idempotency-Key (the same bytes, and so the same pieces) and whose it is. The oldest first. */
  readonly #results = new Map<string, SearchResult>();

  /** @param key asked for only where it matters: it is a hash over the whole body */
  get(key: () => string): SearchResult | undefined {
    return this.#results.size === 0 ? undefined : this.#results.get(key());
  }

  /** Nothing refused: the batch is delivered, and there is nothing to remember. */
  note(key: () => string, result: SearchResult): void {
    if (this.#results.size > 0) this.#results.delete(key());
    if (result.refused.length === 0) return;
    this.#results.set(key(), result);
    const [oldest] = this.#results.keys();
    if (this.#results.size > MOST_BATCHES && oldest !== undefined) this.#results.delete(oldest);
  }
}
