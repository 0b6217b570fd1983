/** SQL Server's own SQL, of 2012 and later. */
import { decimalOf } from '../decimal';
import type { ColumnInfo } from './columns';
import type { Dialect } from './dialect';
import { listedDecimals, listedIntegers } from './listed-numbers';
import { ownSqlParts } from './mssql-own-sql';
import { BINARY_COLLATION, isAscii, isCodePage, LONGEST_LISTED } from './mssql-parameters';
import { baseType, exactText } from './mssql-types';
import { bound, join, raw, sql, type Sql } from './sql-text';

/** A statement takes 2,100 parameters at most; there may be two lists in one. */
const MOST_PARAMETERS = 1000;
const BINARY = raw(` COLLATE ${BINARY_COLLATION}`);

/** Of what names are converted to, decimal(38, 18). */
const MOST_DIGITS = { whole: 20, fraction: 18 };
/** Which rows are wanted is decided where they are read. */
const ANY = raw('1 = 1');
const GUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

export const mssqlDialect: Dialect = {
  lexis: 'mssql',
  quote: (name) => `[${name.replaceAll(']', ']]')}]`,
  // One reading of the clock. Seconds alone would be more than an int from 2038 on.
  clock: `DECLARE @now datetime2(3) = SYSUTCDATETIME();
SELECT CONVERT(nvarchar(40), DATEDIFF(day, '19700101', @now) * CONVERT(decimal(20, 3), 86400)
  + DATEDIFF(millisecond, CONVERT(datetime2(3), CONVERT(date, @now)), @now) / CONVERT(decimal(20, 3), 1000))`,
  identity: `SELECT N'SQL Server', CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')), SUSER_SNAME()`,
  text: exactText,
  binary: (expression) => sql`CONVERT(nvarchar(4000), ${expression})${BINARY}`,
  // LEN leaves blanks at the end out, as those of char are none of its text's.
  shortened: (expression, by) =>
    sql`LEFT(${expression}, CASE WHEN LEN(${expression}) < ${raw(String(by))} THEN 0 ELSE LEN(${expression}) - ${raw(String(by))} END)`,
  among(expression, column, names) {
    switch (baseType(column)) {
      case 'tinyint':
      case 'smallint':
      case 'int':
      case 'bigint':
        return oneOf(expression, column, listedIntegers(names), 'number');
      case 'decimal':
      case 'numeric':
      case 'money':
      case 'smallmoney':
        return numbersAmong(expression, column, listedDecimals(names, MOST_DIGITS));
      case 'real':
      case 'float':
        return numbersAmong(
          expression,
          column,
          names.filter((name) => decimalOf(name)),
        );
      // Their texts are not those that the driver gives.
      case 'bit':
      case 'sql_variant':
        return ANY;
      case 'uniqueidentifier':
        return oneOf(
          expression,
          column,
          names.filter((name) => GUID.test(name)),
        );
      case 'char':
      case 'varchar':
      case 'nchar':
      case 'nvarchar':
        return oneOf(expression, column, names);
      default:
        return oneOf(comparable(expression, column), undefined, names);
    }
  },
  /**
   * By code units: a collation may take letters together, and then `A%` is not how Aarhus begins. Behind char there
   * are blanks that mean nothing; behind varchar they are of the name.
   */
  like(expression, column, pattern) {
    const base = baseType(column);
    if (base === 'bit' || base === 'sql_variant' || base === 'real' || base === 'float') return ANY;
    const text = comparable(expression, column);
    const compared = column.padded ? sql`RTRIM(${text})` : text;
    return sql`${compared}${BINARY} LIKE ${bound({ as: 'text', value: pattern })} ESCAPE '!'`;
  },
  limited: (fields, rest, count) => sql`SELECT TOP (${raw(String(count))}) ${fields} ${rest}`,
  ownSql: ownSqlParts,
};

/** As text that functions of text take. */
function comparable(expression: Sql, column: ColumnInfo): Sql {
  const text = exactText(expression, column);
  return /^n?(var)?char/.test(column.type) ? text : sql`CONVERT(nvarchar(4000), ${text})`;
}

/** @param numbers undefined where it cannot be told here which rows are of none of the names */
function numbersAmong(expression: Sql, column: ColumnInfo, numbers: readonly string[] | undefined): Sql {
  // As texts they could be told apart no more; what is not wanted is left out where rows are read.
  return numbers === undefined || numbers.length > MOST_PARAMETERS
    ? ANY
    : oneOf(expression, column, numbers, 'number');
}

function oneOf(
  expression: Sql,
  column: ColumnInfo | undefined,
  names: readonly string[],
  as: 'text' | 'number' = 'text',
): Sql {
  if (names.length === 0) return raw('1 = 0');
  if (names.length > MOST_PARAMETERS) return oneOfMany(sql`CONVERT(nvarchar(4000), ${expression})`, names);
  // In lists by type: one name of another type would have the whole column converted.
  const lists = isCodePage(column)
    ? [names.filter(isAscii), names.filter((name) => !isAscii(name))]
    : [names];
  const conditions = lists
    .filter((list) => list.length > 0)
    .map((list) => {
      const values = list.map((value) => bound({ as, value, column }));
      return sql`${expression} IN (${join(values, ', ')})`;
    });
  return sql`(${join(conditions, ' OR ')})`;
}

/**
 * More names than there can be parameters, in a table of their own. Within CASE, for that keeps the server from
 * reading the window once for each name: it takes such a table to have one row.
 */
function oneOfMany(text: Sql, names: readonly string[]): Sql {
  if (names.some(({ length }) => length > LONGEST_LISTED)) return ANY;
  const list = bound({ as: 'names', value: names });
  return sql`CASE WHEN EXISTS (SELECT 1 FROM ${list} AS listed WHERE listed.name = ${text}${BINARY}) THEN 1 ELSE 0 END = 1`;
}
