/**
 * What each engine does in its own way: sessions, running a statement, streaming rows, cancelling, its catalog.
 * Everything else of a {@link Source} is shared.
 */
import { TmError } from '../errors';
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
  /**
   * Before its first row a stream compares all of what each column was described as: what was described once need
   * not be asked again.
   */
  readonly comparesColumns?: boolean;
  /** Rows of a small result. */
  rows(statement: Sql, signal: AbortSignal): Promise<Cells[]>;
  /**
   * What is another text whenever something may have been written since it was last asked; undefined: it cannot
   * tell. Of an engine whose columns may hold something else later than they held.
   */
  state?(signal: AbortSignal): Promise<string | undefined>;
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
  /** What the fields were when the statement was made: see {@link checkColumns}. */
  readonly columns: readonly ColumnInfo[];
  readonly sink: RowSink;
  readonly drain: () => Promise<void> | undefined;
  readonly signal: AbortSignal;
}

/**
 * For an engine that says what the columns of a result are before its rows.
 * @throws TmError TM_QUERY_COLUMNS where they are others than the statement was made for
 * @param types whether another type of the same kind is another column, too
 */
export function checkColumns(
  made: readonly ColumnInfo[],
  given: readonly ColumnInfo[],
  { types = false }: { readonly types?: boolean } = {},
): void {
  const other = given.find(({ kind, padded, type }, index) => {
    const column = made[index];
    return column?.kind !== kind || column.padded !== padded || (types && column.type !== type);
  });
  if (!other) return;
  throw new TmError(
    'TM_QUERY_COLUMNS',
    `The column ${JSON.stringify(other.name)} was altered to ${other.type} while it was read. The window is read again.`,
  );
}
