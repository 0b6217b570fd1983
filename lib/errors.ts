/**
 * The one error family. `code` is stable: users switch on it in a Catch flow, so a code is never renamed.
 * Messages quote the bad value and say what to do; they never hold a key, a password or a URL with one.
 */
export type TmErrorCode =
  // What the user wrote
  | 'TM_SETTING_INVALID'
  | 'TM_ENV_UNSET'
  | 'TM_WINDOW_INVALID'
  | 'TM_MESSAGE_INVALID'
  // The database
  | 'TM_DATABASE_UNREACHABLE'
  | 'TM_DATABASE_REFUSED'
  | 'TM_QUERY_FAILED'
  | 'TM_QUERY_TIMEOUT'
  | 'TM_QUERY_COLUMNS'
  // The endpoint
  | 'TM_ENDPOINT_UNAVAILABLE'
  | 'TM_ENDPOINT_HOLD'
  | 'TM_READINGS_REFUSED'
  // State
  | 'TM_STATE_UNREADABLE'
  | 'TM_STATE_WRITE'
  // The queue that several machines share
  | 'TM_BROKER_UNREACHABLE'
  // A request for a range
  | 'TM_QUEUE_FULL'
  // A window under way
  | 'TM_STALLED'
  | 'TM_NOT_COMMITTED'
  | 'TM_BOOKMARK_IN_USE'
  | 'TM_BOOKMARK_STANDS_STILL'
  // An alarm that is over: no error, but on Catch like the alarm itself
  | 'TM_RECOVERED'
  | 'TM_CANCELLED'
  | 'TM_CLOSED';

export class TmError extends Error {
  /** An own property: Node-RED's Catch copies only those into `msg.error`. */
  readonly code: TmErrorCode;

  constructor(code: TmErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'TmError';
    this.code = code;
  }
}

/** In a few characters, for a status: what a window waits for. */
export const SHORT_REASONS: Readonly<Record<TmErrorCode, string>> = {
  TM_SETTING_INVALID: 'settings',
  TM_ENV_UNSET: 'settings',
  TM_WINDOW_INVALID: 'window',
  TM_MESSAGE_INVALID: 'message',
  TM_DATABASE_UNREACHABLE: 'database',
  TM_DATABASE_REFUSED: 'database access',
  TM_QUERY_FAILED: 'SQL error',
  TM_QUERY_TIMEOUT: 'query timeout',
  TM_QUERY_COLUMNS: 'columns',
  TM_ENDPOINT_UNAVAILABLE: 'endpoint',
  TM_ENDPOINT_HOLD: 'endpoint refuses',
  TM_READINGS_REFUSED: 'refused readings',
  TM_STATE_UNREADABLE: 'state',
  TM_STATE_WRITE: 'state',
  TM_BROKER_UNREACHABLE: 'broker',
  TM_QUEUE_FULL: 'queue full',
  TM_STALLED: 'wires',
  TM_NOT_COMMITTED: 'commit',
  TM_BOOKMARK_IN_USE: 'bookmark in use',
  TM_BOOKMARK_STANDS_STILL: 'standstill',
  TM_RECOVERED: 'recovered',
  TM_CANCELLED: 'cancelled',
  TM_CLOSED: 'closed',
};

/** Whatever was thrown, as one of the family; `code` is given to what is not of it yet. */
export function asTmError(thrown: unknown, code: TmErrorCode, prefix = ''): TmError {
  if (thrown instanceof TmError) return thrown;
  return new TmError(code, `${prefix}${reasonOf(thrown)}`, { cause: thrown });
}

/** The one-line reason of anything thrown. Node's AggregateError (all addresses refused) has an empty message. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.message === '') {
    return [...new Set(thrown.errors.map(reasonOf))].join('; ');
  }
  return thrown instanceof Error ? thrown.message || thrown.name : String(thrown);
}
