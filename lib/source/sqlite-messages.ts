/** What is said between the connector and the processes that read SQLite files for it. */

/** To the process: first which file, then one statement after another. */
export type SqliteRequest =
  | { readonly open: string }
  | { readonly describe: string; readonly values: readonly SqliteValue[] }
  | { readonly run: string; readonly values: readonly SqliteValue[] }
  /** One chunk of rows more. */
  | { readonly more: true };

export type SqliteValue = string | number | bigint;

export type SqliteAnswer =
  | { readonly opened: true }
  /** Of the statement that was sent; before its rows, where it is run. */
  | { readonly columns: readonly SqliteColumn[] }
  | { readonly rows: CellChunk; readonly last: boolean }
  | { readonly failed: SqliteFailure };

/** Cells of rows, one behind the other. */
export interface CellChunk {
  /** Their texts in UTF-8. */
  readonly bytes: Uint8Array;
  /** How long each of them is; -1 is NULL. */
  readonly lengths: Int32Array;
}

export interface SqliteColumn {
  readonly name: string;
  /** As it was declared; null for an expression, and where nothing was. */
  readonly type: string | null;
}

export interface SqliteFailure {
  readonly message: string;
  /** SQLite's or the connector's own. */
  readonly code: string | undefined;
}
