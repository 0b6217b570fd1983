/**
 * What an answer of the endpoint means for the readings that were posted.
 *
 * - `accepted`: they have arrived.
 * - `retry`: it may take the same post later.
 * - `hold`: nothing will be taken until somebody mends the key, the address or the proxy; the readings are fine.
 * - `split`: too large; the readings are taken in smaller posts.
 * - `refused`: these readings are not taken, now or later.
 */
import type { TmError } from '../errors';

export type OutcomeKind = 'accepted' | 'retry' | 'hold' | 'split' | 'refused';

/** One exchange with the endpoint. */
export interface Outcome {
  readonly kind: OutcomeKind;
  /** In a few characters, for a status: `endpoint 503`, `endpoint timeout`. */
  readonly reason: string;
  /** Undefined where there was no answer. */
  readonly status?: number;
  /** The start of what it answered, for people; never with the key. */
  readonly answer: string;
  /** How long it asks to be left alone. */
  readonly retryAfterSeconds?: number;
  /** Why there was no answer. */
  readonly error?: TmError;
}

/** The statuses that do not mean what their hundred means. */
const STATUSES: Readonly<Record<number, OutcomeKind>> = {
  401: 'hold', // the key is missing or unknown
  402: 'hold', // the account
  403: 'hold', // the key may not post here
  404: 'hold', // the address
  405: 'hold', // the address: something that takes no posts
  407: 'hold', // the proxy wants a user and a password
  408: 'retry', // it waited too long for the request
  410: 'hold', // the address, gone for good
  413: 'split',
  415: 'hold', // the compression setting, or an address that takes no JSON
  425: 'retry', // too early
  429: 'retry', // too many requests
};

/** The hundreds. A redirect that was not followed (see client.ts) leads away from the configured address. */
const HUNDREDS: Readonly<Record<number, OutcomeKind>> = {
  2: 'accepted',
  3: 'hold',
  4: 'refused',
  5: 'retry',
};

/** What 409 means: `accepted` where the endpoint answers it to a repeat of what it has. */
export type ConflictMeaning = 'refused' | 'accepted';

export function kindOf(status: number, conflict: ConflictMeaning = 'refused'): OutcomeKind {
  if (status === 409) return conflict;
  return STATUSES[status] ?? HUNDREDS[Math.floor(status / 100)] ?? 'retry';
}

/** What to do about an answer that holds everything up. */
export function adviceFor(status: number | undefined): string {
  switch (status) {
    case undefined:
      return 'Check the address and the TLS settings';
    case 401:
    case 403:
      return 'Check the endpoint key';
    case 402:
      return 'Check the account with the cloud';
    case 407:
      return 'Check the user and password of the proxy';
    case 415:
      return 'Set the compression to none or auto, and check the address';
    default:
      return 'Check the address of the endpoint';
  }
}
