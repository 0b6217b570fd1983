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
  /** In the form of PostgreSQL's DataRow messages, whole ones. */
  | { readonly rows: Uint8Array; readonly last: boolean }
  | { readonly failed: SqliteFailure };

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
