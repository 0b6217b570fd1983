/** SQL of MySQL and MariaDB. */
import { TmError } from '../errors';
import { isNumeric, type ColumnInfo } from './columns';
import type { Dialect, Role } from './dialect';
import { listedDecimals, listedFloats } from './listed-numbers';
import { bound, raw, sql, textOf, type Bound, type Sql } from './sql-text';

/** Of a list of names as literals: a statement must be smaller than what a server takes (`max_allowed_packet`). */
const MOST_LIST_BYTES = 1_500_000;

/** Of a decimal. */
const MOST_DIGITS = { whole: 35, fraction: 30 };

const LOCAL_TIME = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?$/;
const EARLIEST = raw("TIMESTAMP'1000-01-01 00:00:00'");

export const mysqlDialect: Dialect = {
  lexis: 'mysql',
  quote: (name) => `\`${name.replaceAll('`', '``')}\``,
  // The session's zone is UTC.
  clock: 'SELECT UNIX_TIMESTAMP(NOW(6))',
  identity:
    "SELECT IF(VERSION() LIKE '%MariaDB%', 'MariaDB', 'MySQL'), SUBSTRING_INDEX(VERSION(), '-', 1), CURRENT_USER()",
  text: selected,
  binary: (expression) => sql`CAST(CONVERT(${expression} USING utf8mb4) AS BINARY)`,
  shortened: (expression, by) => sql`LEFT(${expression}, CHAR_LENGTH(${expression}) - ${raw(String(by))})`,
  among(expression, column, names) {
    if (column.kind === 'text') {
      const bytes = names.reduce((sum, name) => sum + Buffer.byteLength(name), 0);
      if (bytes > MOST_LIST_BYTES) return raw('TRUE');
      const list = bound({ as: 'names', value: names, column });
      return sql`${asText(expression, column)} IN (${list})`;
    }
    const numbers = listedNumbers(column, names);
    if (!numbers) return raw('TRUE');
    return numbers.length === 0 ? raw('FALSE') : sql`${expression} IN (${raw(numbers.join(', '))})`;
  },
  // By code points: a collation may take letters together.
  like: (expression, column, pattern) =>
    // Their texts are not those that are posted.
    column.type === 'float' || column.type === 'bit'
      ? raw('TRUE')
      : sql`CONVERT(${asText(expression, column)} USING utf8mb4) COLLATE utf8mb4_bin LIKE ${bound({ as: 'text', value: pattern, column })} ESCAPE '!'`,
  // Zero dates, of rows whose time was not understood when they were stored, are of no calendar.
  finite: (expression, { kind }) =>
    kind === 'instant' || kind === 'naive' ? sql`${expression} >= ${EARLIEST}` : sql`TRUE`,
  limited: (fields, rest, count) => sql`SELECT ${fields} ${rest} LIMIT ${raw(String(count))}`,
};

/** Undefined where the server cannot tell which rows are of none of the names. */
function listedNumbers(column: ColumnInfo, names: readonly string[]): readonly string[] | undefined {
  if (!isNumeric(column)) return undefined;
  return column.kind === 'number' ? listedFloats(names) : listedDecimals(names, MOST_DIGITS);
}

/** The server writes texts of all types itself; some of them less than exactly. */
function selected(expression: Sql, column: ColumnInfo, role: Role): Sql {
  switch (column.type) {
    // Six digits are not all that it holds; as a double it is whole.
    case 'float':
      return sql`${expression} + 0e0`;
    // Bytes.
    case 'bit':
      return sql`${expression} + 0`;
    case 'timestamp':
      return role === 'value' ? sql`CONCAT(${expression}, '+00:00')` : expression;
    default:
      return asText(expression, column);
  }
}

/** Bytes as `\x00ff`: they may be no text in any encoding. */
function asText(expression: Sql, { type }: ColumnInfo): Sql {
  return type === 'binary' ? sql`CONCAT(_utf8mb4 0x5C78, LOWER(HEX(${expression})))` : expression;
}

/**
 * A statement for the driver. Its protocol of parameters gives rows that cost more on both sides, so that values
 * are literals; each is made of digits alone, whatever the value holds and however the server reads quotes.
 */
export function literalText(statement: Sql): string {
  return textOf(statement, literal);
}

function literal({ as, value, column }: Bound): string {
  if (typeof value !== 'string') return value.length === 0 ? 'NULL' : value.map(hexText).join(', ');
  switch (as) {
    case 'instant':
    case 'naive': {
      const time = localTime(value);
      // In the user's own SQL it becomes of whatever type its place is.
      return column ? `TIMESTAMP'${time}'` : `'${time}'`;
    }
    case 'number':
      if (!Number.isFinite(Number(value)) || value.trim() === '') throw notBound(value);
      return value;
    default:
      return hexText(value);
  }
}

/** Sessions are in UTC; a date is its midnight. */
function localTime(value: string): string {
  const time = value.replace('T', ' ').replace('Z', '');
  const whole = time.length === 10 ? `${time} 00:00:00` : time;
  if (!LOCAL_TIME.test(whole)) throw notBound(value);
  return whole;
}

function hexText(text: string): string {
  return text === '' ? "_utf8mb4 ''" : `_utf8mb4 0x${Buffer.from(text).toString('hex')}`;
}

function notBound(value: string): TmError {
  return new TmError('TM_QUERY_FAILED', `${JSON.stringify(value)} cannot be compared with a column of time.`);
}
