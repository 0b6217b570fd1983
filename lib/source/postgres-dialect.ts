/** PostgreSQL's own SQL, and its types by the ids of pg_type.dat, which are the same in all versions. */
import { escapeIdentifier } from 'pg';
import type { ColumnInfo, ColumnKind } from './columns';
import type { Dialect } from './dialect';
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
  quote: escapeIdentifier,
  clock: 'SELECT extract(epoch FROM clock_timestamp())::text',
  identity: "SELECT 'PostgreSQL', split_part(current_setting('server_version'), ' ', 1), current_user::text",
  // The session's settings shape the text of every type; a cast would only cost.
  text: (expression) => expression,
  binary: (expression) => sql`${expression}::text COLLATE "C"`,
  shortened: (expression, by) => sql`left(${expression}::text, ${raw(String(-by))})`,
  among(expression, column, names) {
    const { type, fits } = arrayType(column);
    const list = bound({
      as: 'names',
      value: fits ? names.filter((name) => fits.test(name)) : names,
      column,
    });
    return type === 'text' && !TEXTS.has(column.type)
      ? sql`${expression}::text = ANY(${list})`
      : sql`${expression} = ANY(${list})`;
  },
  like: (expression, column, pattern) =>
    sql`${expression}::text LIKE ${bound({ as: 'text', value: pattern, column })} ESCAPE '!'`,
  finite: (expression, { kind }) =>
    kind === 'instant' || kind === 'naive'
      ? sql`${expression} > '-infinity' AND ${expression} < 'infinity'`
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
  if (typeof value !== 'string') return `::${column ? arrayType(column).type : 'text'}[]`;
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
const DECIMAL = /^-?\d{1,18}(\.\d{1,18})?$/;

/** The type that names are compared in, and which names can be of it. */
function arrayType({ type, padded }: ColumnInfo): { type: string; fits?: RegExp } {
  if (padded) return { type: 'bpchar' };
  switch (type) {
    case 'smallint':
    case 'integer':
    case 'bigint':
      return { type: 'bigint', fits: /^-?\d{1,18}$/ };
    case 'numeric':
      return { type: 'numeric', fits: DECIMAL };
    case 'real':
    case 'double precision':
      return { type: 'float8', fits: DECIMAL };
    case 'uuid':
      return { type: 'uuid', fits: /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i };
    default:
      return { type: 'text' };
  }
}

function arrayText(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}
