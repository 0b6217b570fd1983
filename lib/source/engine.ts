/**
 * What each engine does in its own way: sessions, running a statement, streaming rows, cancelling, its catalog.
 * Everything else of a {@link Source} is shared.
 */
import type { ColumnInfo } from './columns';
import type { Dialect } from './dialect';
import type { RowSink } from './rows';
import type { TableInfo } from './source';
import type { Sql } from './sql-text';

export type Cells = readonly (string | null)[];

export interface Engine {
  readonly dialect: Dialect;
  /** How many statements may run at a time. */
  readonly poolSize: number;
  /** Rows of a small result. */
  rows(statement: Sql, signal: AbortSignal): Promise<Cells[]>;
  /** The columns of a statement's result. It returns no row, and need not be run. */
  describe(statement: Sql, signal: AbortSignal): Promise<ColumnInfo[]>;
  /**
   * Streams a result, awaiting `drain` after each chunk and letting other work have its turn. Resolves only when
   * the server said that the result is complete; aborted, it cancels the statement on the server.
   */
  stream(statement: Sql, stream: StreamOptions): Promise<void>;
  tables(signal: AbortSignal): Promise<string[]>;
  /** @param parts of its name, unquoted: schema and table */
  table(parts: readonly string[], signal: AbortSignal): Promise<TableInfo>;
  /** What was thrown, in the connector's own family, without a secret. */
  error(thrown: unknown): Error;
  close(): Promise<void>;
}

export interface StreamOptions {
  readonly sink: RowSink;
  readonly drain: () => Promise<void> | undefined;
  readonly signal: AbortSignal;
}
