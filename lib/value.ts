/**
 * Values from a database's text to JSON, exactly: numbers keep their digits, what a double cannot hold becomes
 * a string, what JSON cannot carry becomes null and is counted. NULL never becomes 0.
 */
import { TmError } from './errors';

/** Writes the bytes `source[start, end)` into `target` at `at`. @returns where it ended; -1: it is not a number */
export function writeNumber(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
  let to = at;
  for (let from = start; from < end; from++) {
    const byte = source[from] ?? 0;
    // 0-9, then + - . E e; anything else (NaN, Infinity, text) ends the fast path
    if (byte < 48 || byte > 57) {
      if (byte !== 46 && byte !== 45 && byte !== 101 && byte !== 43 && byte !== 69) return -1;
    }
    target[to++] = byte;
  }
  return to > at ? to : -1;
}

const NOT_FINITE = /^[+-]?(nan|inf(inity)?)$/i;

/** What a number column holds that is not a plain number. @throws TmError where it is neither NaN nor infinite */
export function notFinite(text: string): 'null' {
  if (NOT_FINITE.test(text)) return 'null';
  throw new TmError(
    'TM_QUERY_COLUMNS',
    `The value column gave ${JSON.stringify(text.slice(0, 40))} where its type promised a number. Its type may have changed; the window is read again.`,
  );
}

/** An integer or exact decimal: as it is where a double holds it, else as a string with every digit. */
export function exactNumberJson(text: string): string {
  if (NOT_FINITE.test(text)) return 'null';
  return fitsDouble(text) ? text : JSON.stringify(text);
}

/** Whether reading the number as a double and printing it again gives the same number. */
function fitsDouble(text: string): boolean {
  const number = Number(text);
  if (!Number.isFinite(number)) return false;
  if (Number.isInteger(number) && Math.abs(number) > Number.MAX_SAFE_INTEGER) return false;
  const [digits, exponent] = significant(text);
  if (digits.length <= 15) return true;
  const [printed, printedExponent] = significant(String(number));
  return digits === printed && exponent === printedExponent;
}

/** Significant digits without leading and trailing zeros, and the power of ten of the last of them. */
function significant(text: string): [digits: string, exponent: number] {
  const [mantissa = '', power = '0'] = text.toLowerCase().replace(/^[+-]/, '').split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const all = `${whole}${fraction}`.replace(/^0+/, '');
  const digits = all.replace(/0+$/, '');
  return [digits, digits === '' ? 0 : Number(power) - fraction.length + (all.length - digits.length)];
}

/** Whether the bytes can stand between quotes in JSON as they are. */
export function isPlainText(source: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = source[at] ?? 0;
    if (byte < 32 || byte === 34 || byte === 92) return false;
  }
  return true;
}
