/** SQL Server's types: what their columns are to the connector, and how each is selected as exact text. */
import type { ColumnInfo, ColumnKind } from './columns';
import { raw, sql, type Sql } from './sql-text';

interface MssqlType {
  readonly kind: ColumnKind;
  readonly padded?: boolean;
  /**
   * As text, for types that the driver would make less of: it reads decimals as doubles, times as JS Dates without
   * their last digits, and texts in whatever code page it takes the column's collation for. Unicode, which it
   * decodes eight times as fast. Undefined: the driver's own value is exact.
   */
  readonly text?: (expression: Sql, length: string) => Sql;
}

const converted =
  (to: string, style?: number) =>
  (expression: Sql): Sql =>
    style === undefined
      ? sql`CONVERT(${raw(to)}, ${expression})`
      : sql`CONVERT(${raw(to)}, ${expression}, ${raw(String(style))})`;

/** In the same length; a text of a code page may be longer in characters than nvarchar(n) can be. */
const unicode = (expression: Sql, length: string): Sql => {
  const fits = /^\d+$/.test(length) && Number(length) <= 4000;
  return sql`CONVERT(nvarchar(${raw(fits ? length : 'max')}), ${expression})`;
};

const LONG_TEXT = converted('nvarchar(max)');
const HEXADECIMAL = converted('nvarchar(max)', 1);
/** `2026-01-31 12:00:00.1234567`, with ` +05:30` behind it for instants: as many digits as the column has. */
const TIME_121 = converted('nvarchar(34)', 121);

const TYPES: Readonly<Record<string, MssqlType>> = {
  bit: { kind: 'boolean' },
  tinyint: { kind: 'number' },
  smallint: { kind: 'number' },
  int: { kind: 'number' },
  bigint: { kind: 'integer' },
  // No style of CONVERT before SQL Server 2016 gives a text that reads back as the same double; the driver does.
  real: { kind: 'number' },
  float: { kind: 'number' },
  decimal: { kind: 'decimal', text: converted('nvarchar(41)') },
  numeric: { kind: 'decimal', text: converted('nvarchar(41)') },
  money: { kind: 'decimal', text: money },
  smallmoney: { kind: 'decimal', text: money },
  char: { kind: 'text', padded: true, text: unicode },
  nchar: { kind: 'text', padded: true },
  varchar: { kind: 'text', text: unicode },
  nvarchar: { kind: 'text' },
  text: { kind: 'text', text: LONG_TEXT },
  ntext: { kind: 'text', text: LONG_TEXT },
  xml: { kind: 'text', text: LONG_TEXT },
  uniqueidentifier: { kind: 'text' },
  binary: { kind: 'text', text: HEXADECIMAL },
  varbinary: { kind: 'text', text: HEXADECIMAL },
  image: { kind: 'text', text: (image) => HEXADECIMAL(converted('varbinary(max)')(image)) },
  // A date is its midnight.
  date: { kind: 'naive', text: converted('nvarchar(10)', 23) },
  smalldatetime: { kind: 'naive', text: converted('nvarchar(19)', 120) },
  datetime: { kind: 'naive', text: TIME_121 },
  datetime2: { kind: 'naive', text: TIME_121 },
  datetimeoffset: { kind: 'instant', text: TIME_121 },
  time: { kind: 'text', text: converted('nvarchar(16)', 121) },
  sql_variant: { kind: 'mixed', text: variant },
};

/** Of geography, hierarchyid and other types of the .NET runtime: their own text. */
const OTHER: MssqlType = { kind: 'text', text: LONG_TEXT };

/** What the driver says of a result's column. */
export interface ResultColumn {
  readonly name: string;
  readonly type: unknown;
  /** In bytes. */
  readonly length?: number | undefined;
  readonly precision?: number | undefined;
  readonly scale?: number | undefined;
}

export function mssqlColumn(column: ResultColumn): ColumnInfo {
  const base = declaredType(column.type);
  const { kind, padded } = TYPES[base] ?? OTHER;
  return { name: column.name, type: `${base}${size(base, column)}`, kind, ...(padded ? { padded } : {}) };
}

/** `datetime2` of `datetime2(3)`. */
export function baseType({ type }: ColumnInfo): string {
  return type.replace(/\(.*/, '');
}

/** Of `datetime2(3)` and `decimal(18,3)`: 3. */
export function scaleOf({ type }: ColumnInfo): number {
  return Number(/(\d+)\)$/.exec(type)?.[1] ?? 0);
}

/** A column's value as the driver can give it without loss. */
export function exactText(expression: Sql, column: ColumnInfo): Sql {
  const { text } = typeOf(column);
  return text ? text(expression, /\((\w+)\)$/.exec(column.type)?.[1] ?? 'max') : expression;
}

/** Whether a result has the column's own type, and not that of {@link exactText}. */
export function isNative(column: ColumnInfo): boolean {
  return typeOf(column).text === undefined;
}

function typeOf(column: ColumnInfo): MssqlType {
  return TYPES[baseType(column)] ?? OTHER;
}

/** The driver's types are functions that bear the name of SQL Server's own. */
export function declaredType(type: unknown): string {
  const declared = typeof type === 'function' && 'declaration' in type ? type.declaration : undefined;
  if (typeof declared !== 'string') return 'of the .NET runtime';
  return declared === 'variant' ? 'sql_variant' : declared;
}

function size(base: string, { length = 0, precision, scale }: ResultColumn): string {
  switch (base) {
    case 'decimal':
    case 'numeric':
      return `(${precision ?? 38},${scale ?? 0})`;
    case 'datetime2':
    case 'datetimeoffset':
    case 'time':
      return `(${scale ?? 7})`;
    case 'nchar':
    case 'nvarchar':
      return length > 8000 ? '(max)' : `(${length / 2})`;
    case 'char':
    case 'varchar':
    case 'binary':
    case 'varbinary':
      return length > 8000 ? '(max)' : `(${length})`;
    default:
      return '';
  }
}

/** As the exact decimal that it is: a text of money itself has two digits, or commas. */
function money(expression: Sql): Sql {
  return converted('nvarchar(30)')(converted('decimal(19, 4)')(expression));
}

/** Each row is of a type of its own. Floats stay what they are, for no text of theirs is exact. */
function variant(expression: Sql): Sql {
  const texts: readonly (readonly [types: string, text: Sql])[] = [
    ['money smallmoney', money(expression)],
    ['datetime smalldatetime', TIME_121(converted('datetime')(expression))],
    ['datetime2', TIME_121(converted('datetime2')(expression))],
    ['datetimeoffset', TIME_121(converted('datetimeoffset')(expression))],
    ['date', converted('nvarchar(10)', 23)(converted('date')(expression))],
    ['binary varbinary', converted('nvarchar(4000)', 1)(converted('varbinary(8000)')(expression))],
  ];
  const asVariant = converted('sql_variant');
  const cases = texts.flatMap(([types, text]) =>
    types.split(' ').map((type) => sql`WHEN '${raw(type)}' THEN ${asVariant(text)} `),
  );
  const whens = cases.reduce((all, one) => sql`${all}${one}`, raw(''));
  const base = sql`CONVERT(nvarchar(30), SQL_VARIANT_PROPERTY(${expression}, 'BaseType'))`;
  const other = asVariant(converted('nvarchar(4000)')(expression));
  return sql`CASE ${base} WHEN 'float' THEN ${expression} WHEN 'real' THEN ${expression} ${whens}ELSE ${other} END`;
}
