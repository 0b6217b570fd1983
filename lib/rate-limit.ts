/**
 * How many requests a caller may make: a token bucket each, full at first and filled again evenly. Callers are
 * told apart by what they prove (a key) or else by where they come from, so that a flood without the key takes
 * nothing from those who have it.
 */

export interface RateLimitSettings {
  /** At once, after a pause. */
  readonly burst: number;
  /** For ever. */
  readonly perSecond: number;
}

interface Bucket {
  tokens: number;
  /** Milliseconds. */
  filledAt: number;
}

/** Addresses can be made up (IPv6); the longest unseen are forgotten, and begin with a full bucket again. */
const MOST_CALLERS = 1_000;

export class RateLimit {
  /** The longest unseen first. */
  readonly #buckets = new Map<string, Bucket>();

  /** @param now milliseconds that only ever grow */
  constructor(
    readonly settings: RateLimitSettings,
    readonly now: () => number = () => performance.now(),
  ) {}

  /** Counts a request. @returns whole seconds until the next one is taken, or undefined where this one is */
  refuse(caller: string): number | undefined {
    const { burst, perSecond } = this.settings;
    const now = this.now();
    const bucket = this.#buckets.get(caller) ?? { tokens: burst, filledAt: now };
    this.#buckets.delete(caller);
    this.#buckets.set(caller, bucket);
    const [longestUnseen] = this.#buckets.keys();
    if (this.#buckets.size > MOST_CALLERS && longestUnseen !== undefined) this.#buckets.delete(longestUnseen);
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.filledAt) / 1000) * perSecond);
    bucket.filledAt = now;
    if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond));
    bucket.tokens--;
    return undefined;
  }
}
