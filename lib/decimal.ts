/** Numbers as databases write them, told apart by every digit: a double would take one for another. */

const NUMBER = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,5}))?$/i;

export interface Decimal {
  readonly negative: boolean;
  /** Without zeros at either end; empty: zero. */
  readonly digits: string;
  /** The power of ten of the last digit. */
  readonly exponent: number;
}

/** @returns undefined for what is no number, or has none of digits (NaN, infinities) */
export function decimalOf(text: string): Decimal | undefined {
  const match = NUMBER.exec(text);
  if (!match) return undefined;
  const [, sign = '', whole = '', fraction = '', power = '0'] = match;
  if (whole === '' && fraction === '') return undefined;
  const all = `${whole}${fraction}`.replace(/^0+/, '');
  const digits = all.replace(/0+$/, '');
  if (digits === '') return { negative: false, digits, exponent: 0 };
  return {
    negative: sign === '-',
    digits,
    exponent: Number(power) - fraction.length + (all.length - digits.length),
  };
}

/** The same text for the same number, such as `192e0` for 192, 192.0 and 1.92e2. */
export function sameNumberText({ negative, digits, exponent }: Decimal): string {
  return `${negative ? '-' : ''}${digits === '' ? '0' : digits}e${exponent}`;
}

/** Without an exponent; undefined where that takes more digits than so many before or behind the point. */
export function plainText(
  { negative, digits, exponent }: Decimal,
  most: { readonly whole: number; readonly fraction: number },
): string | undefined {
  const whole = digits.length + exponent;
  if (whole > most.whole || -exponent > most.fraction) return undefined;
  const sign = negative ? '-' : '';
  if (exponent >= 0) return `${sign}${digits}${'0'.repeat(exponent)}` || '0';
  const padded = digits.padStart(1 - exponent, '0');
  return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}
