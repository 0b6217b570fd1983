/** Where readings come from: what every engine does for the rest of the connector. */
import type { EpochSeconds, Window } from '../window';
import type { ReadingColumns, ReadingSink } from './columns';

/** What is read: a table with named columns, or the user's own SQL. */
export type ReadingsQuery = TableQuery | SqlQuery;

export interface TableQuery {
  readonly from: 'table';
  /** `table` or `schema.table`; parts may be quoted with double quotes. */
  readonly table: string;
  readonly sensorColumn: string;
  readonly timestampColumn: string;
  readonly valueColumn: string;
  /** Exact names; empty: all sensors. */
  readonly sensors: readonly string[];
}

export interface SqlQuery {
  readonly from: 'sql';
  /** Holds `:start_time` and `:end_time`; its columns are timestamp, value and sensor or sensor_id. */
  readonly sql: string;
}

/** What a database says of itself, for the *Test* button. */
export interface SourceIdentity {
  readonly product: string;
  readonly version: string;
  readonly user: string;
}

export interface Source {
  /** Tells this database from others, without secrets: part of every Idempotency-Key. */
  readonly id: string;
  /** The database's own clock, in seconds since 1970 with fraction. Never this machine's. */
  clock(signal?: AbortSignal): Promise<number>;
  identify(): Promise<SourceIdentity>;
  /** The oldest reading's instant in whole seconds, rounded down; undefined for an empty table. */
  oldest(query: ReadingsQuery): Promise<EpochSeconds | undefined>;
  /**
   * Streams the window's rows in order of time into a sink made for their column types, awaiting `drain`
   * after each chunk. Resolves only when the database itself said that the result is complete.
   * @param window what `:start_time` and `:end_time` of the user's own SQL say too; a part of a window that is
   *   read in several
   * @param from the native text of a timestamp: rows before it are left out as well (resuming a read). It may
   *   lie before the window, in it or behind it
   * @throws TmError TM_DATABASE_UNREACHABLE, TM_DATABASE_REFUSED, TM_QUERY_FAILED, TM_QUERY_TIMEOUT,
   *   TM_QUERY_COLUMNS; what `drain` throws; the signal's reason
   */
  read(query: ReadingsQuery, window: Window, options: ReadOptions): Promise<void>;
  /** Cancels what runs and closes every connection. */
  close(): Promise<void>;
}

export interface ReadOptions {
  readonly from?: string | undefined;
  readonly signal: AbortSignal;
  readonly sink: (columns: ReadingColumns) => ReadingSink;
  readonly drain: () => Promise<void> | undefined;
}
