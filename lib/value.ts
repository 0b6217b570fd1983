/**
 * Values from a database's text to JSON, exactly: numbers keep their digits, what a double cannot hold becomes
 * a string, what JSON cannot carry becomes null and is counted. NULL never becomes 0.
 */
import { decimalOf, sameNumberText } from './decimal';
import { TmError } from './errors';
import { TEXT_MARK } from './source/columns';

const ZERO = 48;
const NINE = 57;
const MINUS = 45;
const PLUS = 43;
const POINT = 46;
const UPPER_E = 69;
const LOWER_E = 101;
const NOT_FINITE = /^[+-]?(nan|inf(inity)?)$/i;
const NUMBER = /^([+-]?)(\d*)(?:\.(\d*))?(e[+-]?\d+)?$/i;

/**
 * Writes the bytes `source[start, end)` into `target` at `at`.
 * @returns where it ended; -1: it is not a number as JSON writes it
 */
export function writeNumber(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
  // What lies behind it in the buffer is not its own.
  if (start >= end) return -1;
  const first = source[start] ?? 0;
  const lead = first === MINUS ? (source[start + 1] ?? 0) : first;
  // Some databases write .5 or 007.
  if (lead < ZERO || lead > NINE || (lead === ZERO && isDigit(source[start + (first === MINUS ? 2 : 1)]))) {
    return -1;
  }
  let to = at;
  let point = false;
  let exponent = false;
  for (let from = start; from < end; from++) {
    const byte = source[from] ?? 0;
    if (byte < ZERO || byte > NINE) {
      if (byte === POINT) {
        if (point || exponent || !isDigit(source[from - 1])) return -1;
        point = true;
      } else if (byte === UPPER_E || byte === LOWER_E) {
        if (exponent || !isDigit(source[from - 1])) return -1;
        exponent = true;
      } else if (byte === MINUS || byte === PLUS) {
        const before = source[from - 1];
        if (from === start ? byte === PLUS : before !== UPPER_E && before !== LOWER_E) return -1;
      } else {
        return -1;
      }
    }
    target[to++] = byte;
  }
  return isDigit(source[end - 1]) ? to : -1;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

/** A number however a database writes it; NaN and infinities are null. @throws TmError where it is none */
export function numberJson(text: string): string {
  if (NOT_FINITE.test(text)) return 'null';
  const json = plainNumber(text.trim());
  if (json !== undefined) return json;
  throw new TmError(
    'TM_QUERY_COLUMNS',
    `The value column gave ${JSON.stringify(text.slice(0, 40))} where its type promised a number. Its type may have changed; the window is read again.`,
  );
}

/** An integer or exact decimal: as it is where a double holds it, else as a string with every digit. */
export function exactNumberJson(text: string): string {
  const json = numberJson(text);
  return json === 'null' || fitsDouble(json) ? json : JSON.stringify(json);
}

/** A number where the text reads as one, else the text: of columns that hold doubles, integers and text at once. */
export function mixedJson(text: string): string {
  if (NOT_FINITE.test(text)) return 'null';
  const json = plainNumber(text);
  if (json === undefined) return JSON.stringify(text);
  return /^-?\d+$/.test(json) ? exactNumberJson(json) : json;
}

/** Of a column that holds numbers and texts: a text is marked, whatever it reads as. */
export function markedJson(text: string): string {
  return text.startsWith(TEXT_MARK) ? JSON.stringify(text.slice(TEXT_MARK.length)) : mixedJson(text);
}

/** As JSON writes it: without a plus, without leading zeros, with a digit on each side of the point. */
function plainNumber(text: string): string | undefined {
  const match = NUMBER.exec(text);
  if (!match) return undefined;
  const [, sign = '', whole = '', fraction = '', exponent = ''] = match;
  if (whole === '' && fraction === '') return undefined;
  const digits = whole.replace(/^0+(?=\d)/, '') || '0';
  return `${sign === '-' ? '-' : ''}${digits}${fraction === '' ? '' : `.${fraction}`}${exponent}`;
}

/** Whether reading the number as a double and printing it again gives the same number. */
function fitsDouble(text: string): boolean {
  const number = Number(text);
  if (!Number.isFinite(number)) return false;
  if (Number.isInteger(number) && Math.abs(number) > Number.MAX_SAFE_INTEGER) return false;
  const exact = decimalOf(text);
  const printed = decimalOf(String(number));
  if (!exact || !printed) return false;
  return exact.digits.length <= 15 || sameNumberText(exact) === sameNumberText(printed);
}

/** Whether the bytes can stand between quotes in JSON as they are. */
export function isPlainText(source: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = source[at] ?? 0;
    if (byte < 32 || byte === 34 || byte === 92) return false;
  }
  return true;
}
