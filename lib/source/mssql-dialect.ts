/** SQL Server's own SQL, of 2012 and later. */
import type { ColumnInfo } from './columns';
import type { Dialect } from './dialect';
import { ownSqlParts } from './mssql-own-sql';
import { BINARY_COLLATION, isAscii, isCodePage, LONGEST_LISTED } from './mssql-parameters';
import { baseType, exactText } from './mssql-types';
import { bound, join, raw, sql, type Sql } from './sql-text';

/** A statement takes 2,100 parameters at most; there may be two lists in one. */
const MOST_PARAMETERS = 1000;
const BINARY = raw(` COLLATE ${BINARY_COLLATION}`);

const INTEGER = /^-?\d{1,18}$/;
const DECIMAL = /^-?\d{1,18}(\.\d{1,18})?$/;
const GUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

export const mssqlDialect: Dialect = {
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
        return numbersAmong(expression, column, names, INTEGER);
      case 'decimal':
      case 'numeric':
      case 'money':
      case 'smallmoney':
      case 'real':
      case 'float':
        return numbersAmong(expression, column, names, DECIMAL);
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
  // Behind char there are blanks, which LIKE does not leave out.
  like: (expression, column, pattern) =>
    sql`RTRIM(${comparable(expression, column)}) LIKE ${bound({ as: 'text', value: pattern })} ESCAPE '!'`,
  limited: (fields, rest, count) => sql`SELECT TOP (${raw(String(count))}) ${fields} ${rest}`,
  ownSql: ownSqlParts,
};

/** As text that functions of text take. */
function comparable(expression: Sql, column: ColumnInfo): Sql {
  const text = exactText(expression, column);
  return /^n?(var)?char/.test(column.type) ? text : sql`CONVERT(nvarchar(4000), ${text})`;
}

function numbersAmong(expression: Sql, column: ColumnInfo, names: readonly string[], fits: RegExp): Sql {
  const numbers = names.filter((name) => fits.test(name));
  // As texts they could be told apart no more; what is not wanted is left out where rows are read.
  const isFloat = column.type === 'float' || column.type === 'real';
  if (isFloat && numbers.length > MOST_PARAMETERS) return raw('1 = 1');
  return oneOf(expression, column, numbers, 'number');
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
  if (names.some(({ length }) => length > LONGEST_LISTED)) return raw('1 = 1');
  const list = bound({ as: 'names', value: names });
  return sql`CASE WHEN EXISTS (SELECT 1 FROM ${list} AS listed WHERE listed.name = ${text}${BINARY}) THEN 1 ELSE 0 END = 1`;
}
