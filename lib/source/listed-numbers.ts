/**
 * Names in a list as numbers to compare a column of numbers with. What the database leaves out cannot be had back, so
 * that it may leave out only what is none of the names: undefined, where it cannot tell that.
 */
import { decimalOf, plainText } from '../decimal';

const LEAST_BIGINT = -(2n ** 63n);
const MOST_BIGINT = 2n ** 63n - 1n;
/** Whole numbers up to it are exact in floats of single precision too. */
const MOST_EXACT = 2 ** 24;
const NOT_FINITE = /^[+-]?(nan|inf(inity)?)$/i;

/** Of 64 bits with a sign, as digits. */
export function listedIntegers(names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const number = decimalOf(name);
    if (!number || number.exponent < 0) return [];
    const text = plainText(number, { whole: 19, fraction: 0 });
    if (text === undefined) return [];
    const integer = BigInt(text);
    return integer >= LEAST_BIGINT && integer <= MOST_BIGINT ? [text] : [];
  });
}

/** @param most digits before and behind the point that the database takes */
export function listedDecimals(
  names: readonly string[],
  most: { readonly whole: number; readonly fraction: number },
): string[] | undefined {
  const numbers: string[] = [];
  for (const name of names) {
    const number = decimalOf(name);
    // A name that is no number is none in a column of numbers.
    if (!number && !NOT_FINITE.test(name)) continue;
    const text = number && plainText(number, most);
    if (text === undefined) return undefined;
    numbers.push(text);
  }
  return numbers;
}

/** Numbers that are the same in floats of any precision. */
export function listedFloats(names: readonly string[]): string[] | undefined {
  const numbers = listedDecimals(names, { whole: 30, fraction: 30 });
  return numbers?.every((text) => Number.isInteger(Number(text)) && Math.abs(Number(text)) <= MOST_EXACT)
    ? numbers
    : undefined;
}
