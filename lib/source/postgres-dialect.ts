/** PostgreSQL's own SQL, and its types by the ids of pg_type.dat, which are the same in all versions. */
import { escapeIdentifier } from 'pg';
import type { ColumnInfo, ColumnKind } from './columns';
import type { Dialect } from './dialect';
import { listedDecimals, listedFloats, listedIntegers } from './listed-numbers';
import { bound, raw, sql, textOf, type Bound, type Sql } from './sql-text';

interface PostgresType {
  readonly name: string;
  readonly kind: ColumnKind;
  readonly padded?: boolean;
}

const TYPES: Readonly<Record<number, PostgresType>> = {
  16: { name: 'boolean', kind: 'boolean' },
  20: { name: 'bigint', kind: 'integer' },
  21: { name: 'smallint', kind: 'number' },
  23: { name: 'integer', kind: 'number' },
  25: { name: 'text', kind: 'text' },
  700: { name: 'real', kind: 'number' },
  701: { name: 'double precision', kind: 'number' },
  1042: { name: 'character', kind: 'text', padded: true },
  1043: { name: 'character varying', kind: 'text' },
  // A date is its midnight.
  1082: { name: 'date', kind: 'naive' },
  1114: { name: 'timestamp', kind: 'naive' },
  1184: { name: 'timestamptz', kind: 'instant' },
  1700: { name: 'numeric', kind: 'decimal' },
  2950: { name: 'uuid', kind: 'text' },
};

/** @param typeName the catalog's, where it is known */
export function postgresColumn(name: string, typeId: number, typeName?: string): ColumnInfo {
  const type = TYPES[typeId] ?? { name: `of type ${typeId}`, kind: 'text' };
  return {
    name,
    type: typeName ?? type.name,
    kind: type.kind,
    ...(type.padded ? { padded: true } : {}),
  };
}

export const postgresDialect: Dialect = {
  lexis: 'postgres',
  quote: escapeIdentifier,
  clock: 'SELECT extract(epoch FROM clock_timestamp())::text',
  identity: "SELECT 'PostgreSQL', split_part(current_setting('server_version'), ' ', 1), current_user::text",
  // The session's settings shape the text of every type; a cast would only cost.
  text: (expression) => expression,
  binary: (expression) => sql`${expression}::text COLLATE "C"`,
  textIndex: (quoted) => `${quoted} COLLATE "C"`,
  shortened: (expression, by) => sql`left(${expression}::text, ${raw(String(-by))})`,
  among(expression, column, names) {
    const listed = listedAs(column, names);
    if (!listed) return raw('true');
    const list = bound({ as: 'names', value: listed, column });
    return arrayType(column) === 'text' && !TEXTS.has(column.type)
      ? sql`${expression}::text = ANY(${list})`
      : sql`${expression} = ANY(${list})`;
  },
  // By code points: a collation may take letters together, or not do patterns at all.
  like: (expression, column, pattern) =>
    column.kind === 'boolean'
      ? raw('true')
      : sql`${expression}::text COLLATE "C" LIKE ${bound({ as: 'text', value: pattern, column })} ESCAPE '!'`,
  finite: (expression, { kind }) =>
    kind === 'instant' || kind === 'naive'
      ? sql`${expression} >= '0001-01-01' AND ${expression} < '10000-01-01'`
      : sql`true`,
  limited: (fields, rest, count) => sql`SELECT ${fields} ${rest} LIMIT ${raw(String(count))}`,
};

/** A statement for the driver: text with placeholders, and their values as text. */
export function parameterised(statement: Sql): { text: string; values: string[] } {
  return {
    text: textOf(statement, (of, index) => `$${index + 1}${cast(of)}`),
    values: statement.bounds.map(({ value }) => (typeof value === 'string' ? value : arrayText(value))),
  };
}

/** In the user's own SQL there is none: a parameter becomes whatever type the column or function there has. */
function cast({ as, value, column }: Bound): string {
  if (typeof value !== 'string') return `::${column ? arrayType(column) : 'text'}[]`;
  switch (as) {
    case 'instant':
      return column ? '::timestamptz' : '';
    case 'naive':
      return column ? '::timestamp' : '';
    case 'number':
      return `::${column ? numberType(column, value) : 'bigint'}`;
    default:
      return column ? '::text' : '';
  }
}

/** Integers are compared as such, for an index to serve. */
function numberType({ type }: ColumnInfo, value: string): string {
  if (type === 'numeric') return 'numeric';
  return /^-?\d+$/.test(value) && type !== 'real' && type !== 'double precision' ? 'bigint' : 'float8';
}

const TEXTS: ReadonlySet<string> = new Set(['text', 'character varying']);
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** The type that names are compared in. */
function arrayType({ type, padded }: ColumnInfo): string {
  if (padded) return 'bpchar';
  switch (type) {
    case 'smallint':
    case 'integer':
    case 'bigint':
      return 'bigint';
    case 'real':
    case 'double precision':
      return 'float8';
    case 'numeric':
    case 'uuid':
      return type;
    default:
      return 'text';
  }
}

/** The names that can be of that type; undefined where the database cannot tell which rows are of none of them. */
function listedAs(column: ColumnInfo, names: readonly string[]): readonly string[] | undefined {
  // What it sends for one is not its text.
  if (column.kind === 'boolean') return undefined;
  switch (arrayType(column)) {
    case 'bigint':
      return listedIntegers(names);
    case 'numeric':
      return listedDecimals(names, { whole: 1000, fraction: 1000 });
    case 'float8':
      return listedFloats(names);
    case 'uuid':
      return names.filter((name) => UUID.test(name));
    default:
      return names;
  }
}

function arrayText(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}
