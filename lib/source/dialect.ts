/** What differs between the SQL of the engines; everything else of a statement is built in one place. */
import type { ColumnInfo } from './columns';
import type { SqlLexis } from './sql-parameters';
import type { Sql } from './sql-text';

/** What a column is selected as: each is text that is the same whatever the session or machine. */
export type Role = 'timestamp' | 'sensor' | 'value';

/** Conditions for what of a column is of which type, that an index on it serves. */
export interface Storage {
  numbers(expression: Sql): Sql;
  /** Texts that begin as a date. */
  times(expression: Sql): Sql;
  /** Texts that may be numbers since 1970. */
  digits(expression: Sql): Sql;
}

export interface Dialect {
  /** How the user's own SQL is taken apart. */
  readonly lexis: SqlLexis;
  /** A name as an identifier, whatever is in it. */
  quote(name: string): string;
  /** SELECT of the server's clock: one row, seconds since 1970 in UTC with fraction. */
  readonly clock: string;
  /** SELECT of product, version and user: one row of three texts. */
  readonly identity: string;
  /**
   * The text of a column: times as `2026-01-31 12:00:00.1234567`, instants with an offset or in UTC, and numbers
   * with every digit.
   */
  text(expression: Sql, column: ColumnInfo, role: Role): Sql;
  /** Comparison and order by code points: whatever collation a text column of times has. */
  binary(expression: Sql): Sql;
  /** A quoted column in an index that serves {@link binary}; undefined where none does. */
  textIndex?(quoted: string): string;
  /** A text less so many characters at its end. */
  shortened(expression: Sql, by: number): Sql;
  /** Whether a column holds one of the names; a superset will do, for names are compared exactly afterwards. */
  among(expression: Sql, column: ColumnInfo, names: readonly string[]): Sql;
  /** Whether a column's text is like a pattern of `%`, `_` and the escape `!`; a superset will do. */
  like(expression: Sql, column: ColumnInfo, pattern: string): Sql;
  /** A condition that only times of a calendar fulfil, where the engine has others (`-infinity`). */
  finite?(expression: Sql, column: ColumnInfo): Sql;
  /** Of an engine where a column may hold numbers and texts at once. */
  readonly storage?: Storage;
  /** `SELECT TOP (n) …` or `… LIMIT n`. */
  limited(select: Sql, rest: Sql, count: number): Sql;
  /** The user's own SQL as something to select from, called `readings`. */
  derived?(userSql: Sql): Sql;
  /**
   * The user's own SQL in two: what has to stand before the statement that selects from it, and the rest, for an
   * engine whose derived tables may not begin with WITH.
   * @throws TmError TM_QUERY_FAILED where it cannot be selected from
   */
  ownSql?(userSql: string): { readonly commonTables: string; readonly select: string };
}
