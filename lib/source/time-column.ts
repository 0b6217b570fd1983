/**
 * The columns that windows are cut along: their edges as values to compare with, and what numbers and texts in
 * them mean, found out from the newest of them.
 */
import { TmError } from '../errors';
import { formatInstant, parseInstant, quote, type EpochSeconds } from '../window';
import { toLocalBound } from '../zone';
import { isNumeric, type ColumnInfo, type EpochDigits, type TimeColumn, type TimeTextForm } from './columns';
import type { EpochUnit } from './query';
import type { Bound } from './sql-text';

const UNIT_DIGITS: Readonly<Record<EpochUnit, EpochDigits>> = { s: 0, ms: 3, us: 6, ns: 9 };

/** The least number of today that can only be of this unit: 1973 in it, and the year 5138 in the coarser one. */
const LEAST_OF: readonly (readonly [least: number, digits: EpochDigits])[] = [
  [1e17, 9],
  [1e14, 6],
  [1e11, 3],
];

const ISO = /^\d{4}-\d{2}-\d{2}(?:([T ])\d{2}:\d{2}(:\d{2}(?:\.\d+)?)?\s?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/;

/** Whether the newest value must be seen before it is known what the column holds. */
export function needsNewest(column: ColumnInfo, unit: EpochUnit | undefined): boolean {
  return column.kind === 'text' || column.kind === 'mixed' || (isNumeric(column) && unit === undefined);
}

/**
 * @param newest the greatest value; undefined where it is not needed
 * @throws TmError TM_QUERY_COLUMNS where the column cannot be one of time
 */
export function timeColumn(
  column: ColumnInfo,
  unit: EpochUnit | undefined,
  newest: string | undefined,
): TimeColumn {
  if (column.kind === 'instant' || column.kind === 'naive') return { kind: column.kind };
  if (column.kind === 'boolean') throw notTime(column, undefined);
  if (isNumeric(column) || (column.kind === 'mixed' && isFinite(Number(newest)))) {
    return { kind: 'epoch', digits: unit === undefined ? epochDigits(Number(newest)) : UNIT_DIGITS[unit] };
  }
  const form = textForm(newest ?? '');
  if (!form) throw notTime(column, newest);
  return { kind: 'text', ...form };
}

/** The unit that a number of today would be of. */
export function epochDigits(newest: number): EpochDigits {
  return LEAST_OF.find(([least]) => Math.abs(newest) >= least)?.[1] ?? 0;
}

function textForm(text: string): TimeTextForm | undefined {
  const match = ISO.exec(text);
  if (!match) return undefined;
  const [, separator, seconds, offset = ''] = match;
  if (separator === undefined) return { separator: '', precision: 'day', offset: '' };
  return {
    separator: separator === 'T' ? 'T' : ' ',
    precision: seconds === undefined ? 'minute' : 'second',
    offset,
  };
}

export function isTimeText(text: string): boolean {
  return textForm(text) !== undefined;
}

/**
 * @returns whether it is a time at all
 * @throws TmError TM_QUERY_COLUMNS where a text is of another form than those that it was compared with
 */
export function hasForm(native: string, time: TimeColumn): boolean {
  if (time.kind !== 'text') return true;
  const form = textForm(native);
  if (!form && !isReadable(native)) return false;
  if (
    form?.separator === time.separator &&
    form.precision === time.precision &&
    form.offset === time.offset
  ) {
    return true;
  }
  throw new TmError(
    'TM_QUERY_COLUMNS',
    `The timestamp column holds texts of different forms, ${quote(native)} among them, which cannot be put in order of time. Make them all alike, or read them through SQL of your own that casts them.`,
  );
}

/** Whether anybody would read a time in it, in whatever form: it lies among the others, and must not be passed over. */
function isReadable(text: string): boolean {
  const usual = text
    .trim()
    .replace(/(\d),(\d+)/, '$1.$2')
    .replace(/\s*(UTC|GMT)$/, 'Z');
  return isTimeText(usual) || !Number.isNaN(Date.parse(usual));
}

/** The bound that a window's edge is in a column: values at or after it are those of instants at or after it. */
export function edgeBound(
  edge: EpochSeconds,
  time: TimeColumn,
  timeZone: string,
  column: ColumnInfo | undefined,
): Bound {
  switch (time.kind) {
    case 'instant':
      return { as: 'instant', value: formatInstant(edge), column };
    case 'naive':
      return { as: 'naive', value: localText(toLocalBound(edge, timeZone), ' '), column };
    case 'epoch':
      return { as: 'number', value: epochText(edge, time.digits), column };
    case 'text':
      return { as: 'text', value: edgeText(edge, time, timeZone), column };
  }
}

/**
 * The bound that native text, as it was read, is in its column.
 * @param native of a row whose place in the order is meant
 */
export function nativeBound(native: string, time: TimeColumn, column: ColumnInfo): Bound {
  switch (time.kind) {
    case 'instant':
    case 'naive':
      return { as: time.kind, value: native, column };
    case 'epoch':
      return { as: 'number', value: native, column };
    case 'text':
      // As its rows are ordered: by the part before the offset, which all have in common.
      return { as: 'text', value: native.slice(0, native.length - time.offset.length).trimEnd(), column };
  }
}

/** The instant of native text in seconds, with its fraction as far as a double has it. */
export function instantOf(native: string, time: TimeColumn, timeZone: string): number {
  if (time.kind === 'epoch') return Number(native) / 10 ** time.digits;
  return parseInstant(native, 'the timestamp', time.kind === 'instant' ? 'UTC' : timeZone);
}

/**
 * Only the beginning of the text, up to its whole seconds: what follows (a fraction, an offset) makes it longer,
 * and so greater, than the bound.
 */
function edgeText(edge: EpochSeconds, form: TimeTextForm, timeZone: string): string {
  const local = form.offset === '' ? toLocalBound(edge, timeZone) : edge + offsetSeconds(form.offset);
  switch (form.precision) {
    case 'second':
      return localText(local, form.separator);
    case 'minute':
      return localText(Math.ceil(local / 60) * 60, form.separator).slice(0, 16);
    case 'day':
      return localText(Math.ceil(local / 86_400) * 86_400, ' ').slice(0, 10);
  }
}

function localText(local: number, separator: string): string {
  return formatInstant(local).replace('T', separator).replace('Z', '');
}

/** Whole seconds in a unit of so many digits more. */
export function epochText(edge: EpochSeconds, digits: EpochDigits): string {
  return edge === 0 ? '0' : `${edge}${'0'.repeat(digits)}`;
}

function offsetSeconds(offset: string): number {
  if (offset === 'Z') return 0;
  const digits = offset.slice(1).replace(':', '').padEnd(4, '0');
  const seconds = Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2)) * 60;
  return offset.startsWith('-') ? -seconds : seconds;
}

function notTime(column: ColumnInfo, newest: string | undefined): TmError {
  const such = newest === undefined ? '' : `; it holds ${quote(newest)}`;
  return new TmError(
    'TM_QUERY_COLUMNS',
    `The timestamp column ${JSON.stringify(column.name)} is ${column.type}${such}. It must be a timestamp, a date, a number of seconds or milliseconds since 1970, or ISO 8601 in text. Choose another column, or cast it in SQL of your own.`,
  );
}

/** @returns that a column holds times of several types, of which only one would be found in windows */
export function severalTypes({ name }: ColumnInfo, text: string, number: string): TmError {
  return new TmError(
    'TM_QUERY_COLUMNS',
    `The timestamp column ${JSON.stringify(name)} holds both texts and numbers, ${quote(text)} and ${number} among them, which cannot be put in order of time. Make them all alike, or read them through SQL of your own that casts them.`,
  );
}

/** @returns that a column holds numbers as texts, which are not in their order */
export function numberAsText({ name }: ColumnInfo, digits: string): TmError {
  return new TmError(
    'TM_QUERY_COLUMNS',
    `The timestamp column ${JSON.stringify(name)} holds a number as a text, ${quote(digits)}, which windows do not find. Store it as a number, or read the table through SQL of your own: CAST(${JSON.stringify(name)} AS INTEGER) AS timestamp.`,
  );
}

/** @returns that numbers of a column are of times in several units, of which only one can be read */
export function severalUnits({ name }: ColumnInfo, one: string, other: string): TmError {
  return new TmError(
    'TM_QUERY_COLUMNS',
    `The timestamp column ${JSON.stringify(name)} holds numbers of several units, ${one} and ${other} among them. Say in epochUnit which of them its times are in; the others are not read.`,
  );
}
