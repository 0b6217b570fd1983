/**
 * Values bound into T-SQL, each as the type of the column that it is compared with: a datetime2 beside a datetime
 * is another time than it reads, text beside varchar keeps an index from serving, a double beside a decimal is
 * rounded.
 */
import { TmError } from '../errors';
import { baseType, scaleOf } from './mssql-types';
import type { ColumnInfo } from './columns';
import { textOf, type Bound, type Sql } from './sql-text';

export interface Parameter {
  readonly name: string;
  readonly type: ParameterType;
  /** Digits of a second, or characters at most; Infinity: as many as there are. */
  readonly size?: number;
  readonly value: string | number | Date;
}

export type ParameterType =
  | 'bigint'
  | 'float'
  | 'real'
  | 'date'
  | 'smalldatetime'
  | 'datetime'
  | 'datetime2'
  | 'datetimeoffset'
  | 'uniqueidentifier'
  | 'varchar'
  | 'nvarchar';

/** By the bits of a text, whatever a collation makes of letters, accents and blanks. */
export const BINARY_COLLATION = 'Latin1_General_BIN2';

/** What nvarchar(n) holds at most. */
const LONGEST_TEXT = 4000;

/** Characters of a name in a list that is a table: no key of an index can be longer. */
export const LONGEST_LISTED = 450;

/** Parameters that such a list has: of 2,100, there may be two lists and a few more. */
const MOST_CHUNKS = 1000;

/** A statement for the driver: text with @p1, @p2, … and their values. */
export function parameterised(statement: Sql): { text: string; parameters: Parameter[] } {
  const parameters: Parameter[] = [];
  const before: string[] = [];
  const text = textOf(statement, (bound, index) => {
    const name = `p${index + 1}`;
    if (typeof bound.value !== 'string') {
      const list = listed(bound.value, name);
      parameters.push(...list.parameters);
      before.push(list.declaration);
      return list.table;
    }
    const { as, ...parameter } = typed(bound, bound.value);
    parameters.push({ name, ...parameter });
    return as === undefined ? `@${name}` : `CONVERT(${as}, @${name})`;
  });
  return { text: before.join('') + text, parameters };
}

/**
 * More names than a statement takes parameters, many of them in each: every name takes as many characters as the
 * longest, filled up with blanks, which no comparison counts. Numbers from 0 on cut them apart, into a table with an
 * index.
 */
function listed(
  names: readonly string[],
  prefix: string,
): { table: string; declaration: string; parameters: Parameter[] } {
  const table = `@names_${prefix}`;
  const width = names.reduce((longest, { length }) => Math.max(longest, length), 1);
  // Text that is short enough is no large object, out of which each piece would have to be fetched.
  const inEach = Math.max(Math.floor(LONGEST_TEXT / width), Math.ceil(names.length / MOST_CHUNKS));
  const parameters = Array.from({ length: Math.ceil(names.length / inEach) }, (_, chunk) => ({
    name: `${prefix}_${chunk}`,
    type: 'nvarchar' as const,
    size: inEach * width > LONGEST_TEXT ? Infinity : LONGEST_TEXT,
    value: names
      .slice(chunk * inEach, (chunk + 1) * inEach)
      .map((name) => name.padEnd(width))
      .join(''),
  }));
  const chunks = parameters.map(({ name }) => `(@${name})`).join(', ');
  const places = Array.from(String(inEach - 1), (_, place) => place);
  const digits = places.map((place) => `(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)) AS d${place} (n)`);
  const index = places.map((place) => `d${place}.n * ${10 ** place}`).join(' + ');
  // By code units, as they are counted here. Behind the last name there are empty ones, which do no harm.
  const name = `SUBSTRING(chunks.names COLLATE ${BINARY_COLLATION}, (${index}) * ${width} + 1, ${width})`;
  return {
    table,
    parameters,
    declaration:
      `DECLARE ${table} TABLE (name nvarchar(${width}) COLLATE ${BINARY_COLLATION} PRIMARY KEY); ` +
      `INSERT INTO ${table} SELECT DISTINCT ${name} FROM (VALUES ${chunks}) AS chunks (names) ` +
      `CROSS JOIN ${digits.join(' CROSS JOIN ')} WHERE ${index} < ${inEach}; `,
  };
}

interface Typed extends Omit<Parameter, 'name'> {
  /** What the text of an exact number is converted to. */
  readonly as?: string;
}

function typed({ as, column }: Bound, text: string): Typed {
  switch (as) {
    case 'instant':
    case 'naive':
      return time(text, as, column);
    case 'number':
      return number(text, column);
    default:
      return ofText(text, column);
  }
}

function time(text: string, as: 'instant' | 'naive', column: ColumnInfo | undefined): Typed {
  // In the user's own SQL edges are whole seconds, and whatever is there converts from these types by itself.
  const base = column ? baseType(column) : as === 'instant' ? 'datetimeoffset' : 'datetime2';
  const scale = column ? scaleOf(column) : 0;
  const value = new ExactTime(text);
  switch (base) {
    case 'datetimeoffset':
      return { type: 'datetimeoffset', size: scale, value };
    case 'datetime2':
      return { type: 'datetime2', size: scale, value };
    case 'datetime':
      return { type: 'datetime', value };
    // Rows of whole minutes, or days, at or after an edge are those at or after the next of them.
    case 'smalldatetime':
      return { type: 'smalldatetime', value: value.upTo(60_000) };
    case 'date':
      return { type: 'date', value: value.upTo(86_400_000) };
    default:
      return { type: 'datetime2', size: 7, value };
  }
}

function number(text: string, column: ColumnInfo | undefined): Typed {
  const base = column ? baseType(column) : 'bigint';
  switch (base) {
    case 'float':
      return { type: 'float', value: Number(text) };
    case 'real':
      return { type: 'real', value: Number(text) };
    case 'decimal':
    case 'numeric':
    case 'money':
    case 'smallmoney':
      // The driver would make a double of it.
      return { type: 'varchar', size: 41, value: text, as: 'decimal(38, 18)' };
    default:
      return { type: 'bigint', value: text };
  }
}

function ofText(text: string, column: ColumnInfo | undefined): Typed {
  const base = column && baseType(column);
  if (base === 'uniqueidentifier') return { type: 'uniqueidentifier', value: text };
  // Text of a code page only where it is the same in all of them: what the database's own code page lacks would
  // be sent as question marks, and its rows would not be found.
  const type = isCodePage(column) && isAscii(text) ? 'varchar' : 'nvarchar';
  return { type, size: roomy(text.length), value: text };
}

/** Few different lengths: each is a plan of its own in the server's cache. */
function roomy(length: number): number {
  return [100, 1000, LONGEST_TEXT].find((most) => length <= most) ?? Infinity;
}

export function isCodePage(column: ColumnInfo | undefined): boolean {
  const base = column && baseType(column);
  return base === 'varchar' || base === 'char';
}

export function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

const TIME = /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}:\d{2})(?:\.(\d{1,7}))?)?\s?(Z|[+-]\d{2}:\d{2})?$/;

/**
 * A time as the driver takes it, with the digits that a Date lacks beside it, in fractions of a second. Wall clocks
 * are read as if they were of UTC, and instants are sent as of UTC: the zone of this machine is in none of them.
 */
class ExactTime extends Date {
  readonly nanosecondDelta: number;

  constructor(text: string) {
    const match = TIME.exec(text);
    if (!match) throw new TmError('TM_QUERY_COLUMNS', `${JSON.stringify(text.slice(0, 40))} is not a time.`);
    const [, date = '', clock = '00:00:00', fraction = '', offset = 'Z'] = match;
    const digits = fraction.padEnd(7, '0');
    super(Date.parse(`${date}T${clock}.${digits.slice(0, 3)}${offset}`));
    this.nanosecondDelta = Number(digits.slice(3)) / 1e7;
  }

  /** The driver puts it beside an instant. */
  override getTimezoneOffset(): number {
    return 0;
  }

  upTo(milliseconds: number): Date {
    return new Date(Math.ceil(this.getTime() / milliseconds) * milliseconds);
  }
}
