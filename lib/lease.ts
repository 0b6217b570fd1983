/**
 * Which process gives out a bookmark's windows, of all that share its state. Others may deliver and commit
 * them; two that gave them out would only do everything twice.
 *
 * Nobody's clock decides. Whoever else wants the lease writes a challenge beside it, which its holder takes
 * away again: a lease whose challenge has stood long enough, by the challenger's own monotonic clock, is taken
 * over, and one whose holder has provably ended is at once. Each claim has a token of its own, and windows are
 * given out in the same step as the lease is read: a holder that was only held up finds another's token there,
 * under a higher fence, and gives out nothing more.
 */
import { randomBytes } from 'node:crypto';
import {
  describeProcess,
  isGone,
  parseProcess,
  sameProcess,
  thisProcess,
  type ProcessIdentity,
} from './process-identity';
import type { JsonObject } from './state/store';

export interface Lease {
  /** How often the lease has changed hands. */
  readonly fence: number;
  readonly holder: Holder | undefined;
  /** By whoever waits for the lease. */
  readonly challenge: string | undefined;
}

export interface Holder extends ProcessIdentity {
  /** Tells the claims of one process apart. */
  readonly token: string;
}

/** What has come of a claim. */
export type Standing =
  | { readonly state: 'mine' }
  /** By a process that runs. */
  | { readonly state: 'held'; readonly by: string }
  /** By one that may have ended: it has not answered yet. */
  | { readonly state: 'asked'; readonly by: string };

/** How soon a holder that runs must have looked for a challenge. */
export const ANSWERED_WITHIN_MS = 20_000;

/** Of this process, and not given back. */
const live = new Set<string>();

export class Claim {
  readonly #token = randomBytes(9).toString('hex');
  /** The challenge that stands now, whoever has written it; `stored` once it is known to be. */
  #standing: { readonly challenge: string; readonly since: number; stored: boolean } | undefined;
  /** The fence of the lease whose holder has taken a challenge away. */
  #answered: number | undefined;

  /**
   * Takes the lease where it can be had, and takes away the challenge where it is held already.
   * @returns the lease to be stored in the same step as `lease` was read
   */
  take(lease: Lease | undefined): Lease {
    const { fence, holder, challenge } = lease ?? { fence: 0, holder: undefined, challenge: undefined };
    if (holder?.token === this.#token) return { fence, holder, challenge: undefined };
    if (!holder || hasEnded(holder)) return this.#mine(fence + 1);
    const now = performance.now();
    if (challenge === undefined) {
      if (this.#standing?.stored) this.#answered = fence;
      this.#standing = { challenge: randomBytes(9).toString('hex'), since: now, stored: false };
      return { fence, holder, challenge: this.#standing.challenge };
    }
    if (this.#standing?.challenge !== challenge) this.#standing = { challenge, since: now, stored: true };
    if (now - this.#standing.since >= ANSWERED_WITHIN_MS) return this.#mine(fence + 1);
    return { fence, holder, challenge };
  }

  /** What `take` gave is durable: only then can a challenge that is gone have been answered. */
  stored(lease: Lease | undefined): void {
    if (this.#standing && lease?.challenge === this.#standing.challenge) this.#standing.stored = true;
  }

  standing(lease: Lease | undefined): Standing {
    const holder = lease?.holder;
    if (holder?.token === this.#token) return { state: 'mine' };
    const by = holder ? describeProcess(holder) : 'nobody';
    const runs = holder !== undefined && (this.#answered === lease?.fence || runsBeyondDoubt(holder));
    return { state: runs ? 'held' : 'asked', by };
  }

  /** Whether somebody waits for the answer of this claim's holder. */
  isChallenged(lease: Lease | undefined): boolean {
    return lease?.holder?.token === this.#token && lease.challenge !== undefined;
  }

  /** For the next one, at once. The fence stays, so that it goes on growing. */
  release(lease: Lease | undefined): Lease | undefined {
    if (lease?.holder?.token !== this.#token) return lease;
    return { fence: lease.fence, holder: undefined, challenge: undefined };
  }

  /** This process claims it no more, released or not. */
  end(): void {
    live.delete(this.#token);
  }

  #mine(fence: number): Lease {
    live.add(this.#token);
    this.#standing = undefined;
    return { fence, holder: { ...thisProcess(), token: this.#token }, challenge: undefined };
  }
}

function hasEnded(holder: Holder): boolean {
  if (sameProcess(holder, thisProcess())) return !live.has(holder.token);
  return isGone(holder);
}

/** Where the system tells a process from a later one under its number. */
function runsBeyondDoubt(holder: Holder): boolean {
  const own = thisProcess();
  return holder.realm === own.realm && holder.started !== '' && !hasEnded(holder);
}

export function formatLease(lease: Lease | undefined): JsonObject | undefined {
  if (!lease) return undefined;
  const { fence, holder, challenge } = lease;
  return { fence, holder: holder && { ...holder }, challenge };
}

/** Anything that is none is a lease that nobody holds. */
export function parseLease(stored: unknown): Lease | undefined {
  if (typeof stored !== 'object' || stored === null) return undefined;
  const { fence, holder, challenge }: Partial<Record<keyof Lease, unknown>> = stored;
  if (typeof fence !== 'number') return undefined;
  return {
    fence,
    holder: parseHolder(holder),
    challenge: typeof challenge === 'string' ? challenge : undefined,
  };
}

function parseHolder(stored: unknown): Holder | undefined {
  const identity = parseProcess(stored);
  if (!identity) return undefined;
  const { token } = stored as Partial<Record<keyof Holder, unknown>>;
  return typeof token === 'string' ? { ...identity, token } : undefined;
}
