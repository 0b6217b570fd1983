/** What a database's columns are to the connector, whatever their engine calls them. */

/**
 * How the values of a column are written as JSON. `mixed`: a number where it reads as one, else text; `marked`: text
 * where {@link TEXT_MARK} stands before it, else a number.
 */
export type ValueKind = 'number' | 'integer' | 'decimal' | 'boolean' | 'text' | 'mixed' | 'marked';

/** What an engine puts before the texts of a column that holds numbers too. */
export const TEXT_MARK = '"';

/** A number that a double holds; an integer or exact decimal that it may not hold; text of any sort. */
export type ColumnKind = Exclude<ValueKind, 'marked'> | 'instant' | 'naive';

export interface ColumnInfo {
  readonly name: string;
  /** The database's own name of its type, for people. */
  readonly type: string;
  readonly kind: ColumnKind;
  /** Of a column that may hold anything: it was declared for numbers. */
  readonly numeric?: boolean;
  /** Of a column that may hold anything: as a value its texts are marked. */
  readonly marked?: boolean;
  /** Text of a fixed width, filled up with blanks that mean nothing. */
  readonly padded?: boolean;
}

/** What a timestamp column holds, as its engine gives it in text. */
export type TimeColumn =
  /** Points in time; the text says its offset, or is in UTC. */
  | { readonly kind: 'instant' }
  /** Wall-clock readings of the source's zone. */
  | { readonly kind: 'naive' }
  /** Numbers since 1970 in UTC: seconds, or finer by so many decimal digits. */
  | { readonly kind: 'epoch'; readonly digits: EpochDigits }
  /** ISO 8601 in text, all of one form. */
  | ({ readonly kind: 'text' } & TimeTextForm);

export type EpochDigits = 0 | 3 | 6 | 9;

/** Texts of one form compare as their times do, which is what lets a database select a window of them. */
export interface TimeTextForm {
  readonly separator: 'T' | ' ' | '';
  readonly precision: 'day' | 'minute' | 'second';
  /** Empty: the source's zone. */
  readonly offset: string;
}

export function isNumeric({ kind }: ColumnInfo): boolean {
  return kind === 'number' || kind === 'integer' || kind === 'decimal';
}

/** As {@link isNumeric}, or meant to be. */
export function looksNumeric(column: ColumnInfo): boolean {
  return isNumeric(column) || column.numeric === true;
}

/** How a column is posted as a value. Times among the values keep the database's text. */
export function valueKind({ kind, marked }: ColumnInfo): ValueKind {
  if (marked) return 'marked';
  return kind === 'instant' || kind === 'naive' ? 'text' : kind;
}
