/**
 * Which timestamps of a sensor have arrived at the stand-in for the cloud. Whole seconds, which simulated plants
 * and most historians write, take a bit each: weeks of them are known exactly. Of others only the latest are.
 */
import { millisecondsOf } from './cloud-body';

const HOUR_SECONDS = 3600;
/** Twelve weeks, 450 bytes an hour. */
const HOURS_KEPT = 2016;
const OTHERS_KEPT = 2000;

export class SeenTimestamps {
  readonly #hours = new Map<number, Uint8Array>();
  readonly #others = new Set<string | number>();

  constructor(readonly keep: 'counts' | 'readings') {}

  /** @returns whether it had been seen before */
  add(timestamp: string | number): boolean {
    const seconds = millisecondsOf(timestamp) / 1000;
    // Digits below the millisecond are in the text alone.
    const isWhole = Number.isInteger(seconds) && !/\.\d*[1-9]/.test(String(timestamp));
    return isWhole ? this.#addSecond(seconds) : this.#addOther(timestamp);
  }

  #addSecond(second: number): boolean {
    const hour = Math.floor(second / HOUR_SECONDS);
    let bits = this.#hours.get(hour);
    if (!bits) {
      bits = new Uint8Array(HOUR_SECONDS / 8);
      this.#hours.set(hour, bits);
      if (this.keep === 'counts') dropOldest(this.#hours, HOURS_KEPT);
    }
    const place = second - hour * HOUR_SECONDS;
    const bit = 1 << (place & 7);
    const before = bits[place >> 3] ?? 0;
    bits[place >> 3] = before | bit;
    return (before & bit) !== 0;
  }

  #addOther(timestamp: string | number): boolean {
    const before = this.#others.has(timestamp);
    this.#others.add(timestamp);
    if (this.keep === 'counts') dropOldest(this.#others, OTHERS_KEPT);
    return before;
  }
}

/** Maps and sets keep the order of insertion: the first is the oldest. */
export function dropOldest<Key>(kept: Map<Key, unknown> | Set<Key>, most: number): void {
  while (kept.size > most) {
    const [oldest] = kept.keys();
    if (oldest === undefined) return;
    kept.delete(oldest);
  }
}
