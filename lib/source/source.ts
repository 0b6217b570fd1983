/** Where readings come from: what every engine does for the rest of the connector. */
import type { EpochSeconds, Window } from '../window';
import type { ColumnInfo } from './columns';
import type { ReadingPlan } from './plan';
import type { ReadingsQuery } from './query';
import type { RowSink } from './rows';

export type { LongQuery, ReadingsQuery, WideQuery } from './query';

/** What a database says of itself, for the *Test* button. */
export interface SourceIdentity {
  readonly product: string;
  readonly version: string;
  readonly user: string;
}

/** A table or view as the database's catalog has it. */
export interface TableInfo {
  /** Its rows are those of other tables, whose indexes are not told. */
  readonly isView: boolean;
  readonly columns: readonly ColumnInfo[];
  /** Columns of each index in order, by their names; an expression is an empty name. */
  readonly indexes: readonly IndexInfo[];
}

export interface IndexInfo {
  readonly name: string;
  readonly columns: readonly string[];
  /** Whether texts of its first column are in order of their code points, as windows compare them. */
  readonly byCodePoints?: boolean;
}

export interface Source {
  /** Tells this database from others, without secrets: part of every Idempotency-Key. */
  readonly id: string;
  /** The database's own clock, in seconds since 1970 with fraction. Never this machine's. */
  clock(signal?: AbortSignal): Promise<number>;
  identify(): Promise<SourceIdentity>;
  /**
   * The oldest reading's instant in whole seconds, rounded down; undefined for an empty table.
   * @param warn told of stamps before it that are taken for none
   */
  oldest(query: ReadingsQuery, warn?: (message: string) => void): Promise<EpochSeconds | undefined>;
  /**
   * Streams the window's rows in order of time into a sink made for their plan, awaiting `drain` after each
   * chunk. Resolves only when the database itself said that the result is complete.
   * @param window what `:start_time` and `:end_time` of the user's own SQL say too; a part of a window that is
   *   read in several
   * @throws TmError TM_DATABASE_UNREACHABLE, TM_DATABASE_REFUSED, TM_QUERY_FAILED, TM_QUERY_TIMEOUT,
   *   TM_QUERY_COLUMNS; what `drain` throws; the signal's reason
   */
  read(query: ReadingsQuery, window: Window, options: ReadOptions): Promise<void>;
  /** As {@link read}, of the newest rows alone, whatever their time. */
  newest(query: ReadingsQuery, count: number, options: Pick<ReadOptions, 'sink' | 'signal'>): Promise<void>;
  /** Names of tables and views that may be read, as a query's `table` takes them, in order of their names. */
  tables(): Promise<readonly string[]>;
  /** @param table as in a query. @throws TmError TM_QUERY_FAILED where it is not there */
  table(table: string): Promise<TableInfo>;
  /** The command that makes an index which serves windows of the column; undefined where none does. */
  createIndexSql(table: string, column: Pick<ColumnInfo, 'name' | 'kind'>): string | undefined;
  /** Cancels what runs and closes every connection. */
  close(): Promise<void>;
}

export interface ReadOptions {
  /**
   * The native text of a timestamp: rows before it are left out as well (resuming a read). It may lie before the
   * window, in it or behind it.
   */
  readonly from?: string | undefined;
  readonly signal: AbortSignal;
  readonly sink: (plan: ReadingPlan) => RowSink;
  readonly drain: () => Promise<void> | undefined;
}
