/** SQLite's SQL, and what its declared types say of columns that may hold anything all the same. */
import { TEXT_MARK, type ColumnInfo } from './columns';
import type { Dialect } from './dialect';
import type { SqliteColumn, SqliteValue } from './sqlite-messages';
import { bound, raw, sql, textOf, type Bound, type Sql } from './sql-text';

/** Begins as a date does. */
const TIME_TEXT = "'____-__-__%'";

export const sqliteDialect: Dialect = {
  lexis: 'sqlite',
  quote: (name) => `"${name.replaceAll('"', '""')}"`,
  clock: "SELECT (julianday('now') - 2440587.5) * 86400",
  identity: "SELECT 'SQLite', sqlite_version(), ''",
  // Cells come as they are; as text SQLite would write 15 digits of a number. Bytes are told apart by what they hold.
  text: (expression, { marked }, role) =>
    marked && role === 'value'
      ? sql`CASE typeof(${expression}) WHEN 'text' THEN '${raw(TEXT_MARK)}' || ${expression} ELSE ${expression} END`
      : expression,
  binary: (expression) => sql`${expression} COLLATE BINARY`,
  textIndex: (quoted) => `${quoted} COLLATE BINARY`,
  shortened: (expression, by) => sql`substr(${expression}, 1, length(${expression}) - ${raw(String(by))})`,
  among: (expression, column, names) =>
    orUntold(
      column,
      expression,
      sql`${expression} IN (SELECT value FROM json_each(${bound({ as: 'names', value: names, column })}))`,
    ),
  like: (expression, column, pattern) =>
    orUntold(
      column,
      expression,
      sql`${expression} LIKE ${bound({ as: 'text', value: pattern, column })} ESCAPE '!'`,
    ),
  // Numbers are less than every text, and texts less than bytes. No digit stands alone, for a column of numbers would
  // compare it as one.
  storage: {
    numbers: (expression) => sql`${expression} < ''`,
    times: (expression) =>
      sql`${expression} >= '' AND ${expression} < ':' AND ${expression} LIKE ${raw(TIME_TEXT)}`,
    digits: (expression) =>
      sql`${expression} >= '1' AND ${expression} < '2' AND typeof(${expression}) = 'text' AND ${expression} NOT LIKE ${raw(TIME_TEXT)}`,
  },
  limited: (fields, rest, count) => sql`SELECT ${fields} ${rest} LIMIT ${raw(String(count))}`,
};

/** Of doubles SQLite reads and writes fewer digits than they have, and bytes it does not write as we do. */
function orUntold({ kind }: ColumnInfo, expression: Sql, condition: Sql): Sql {
  return kind === 'mixed' ? sql`(${condition} OR typeof(${expression}) IN ('real', 'blob'))` : condition;
}

/** By the rules of type affinity (SQLite documentation, "Datatypes In SQLite", 3.1). */
export function sqliteColumn({ name, type }: SqliteColumn): ColumnInfo {
  const declared = (type ?? '').trim();
  // Numbers are stored as texts there.
  if (!/int/i.test(declared) && /char|clob|text/i.test(declared))
    return { name, type: declared, kind: 'text' };
  // Dates are declared too, and are texts or numbers.
  const numeric = /int|real|floa|doub|num|dec|bool/i.test(declared);
  return {
    name,
    type: declared || 'of no type',
    kind: 'mixed',
    marked: true,
    ...(numeric ? { numeric } : {}),
  };
}

/** A statement for the drivers: text with placeholders, and their values. */
export function sqliteStatement(statement: Sql): { text: string; values: SqliteValue[] } {
  return { text: textOf(statement, () => '?'), values: statement.bounds.map(valueOf) };
}

function valueOf({ as, value }: Bound): SqliteValue {
  if (typeof value !== 'string') return listJson(value);
  if (as !== 'number') return value;
  return /^-?\d+$/.test(value) ? BigInt(value) : Number(value);
}

/** As JSON has them. */
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i;

/** Names that are numbers stand there as such too: SQLite does not take one for the other everywhere. */
function listJson(names: readonly string[]): string {
  const numbers = names.filter((name) => NUMBER.test(name));
  return `[${[...names.map((name) => JSON.stringify(name)), ...numbers].join(',')}]`;
}
