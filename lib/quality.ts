/**
 * Which qualities of readings are accepted: decided here for every engine, for what databases take for equal differs
 * by their collations, types and doubles. Numbers are compared as numbers, to the last digit, and texts as they are.
 */
import { decimalOf, sameNumberText } from './decimal';
import { TEXT_MARK, type ValueKind } from './source/columns';

/** In a list of accepted qualities: rows without one. */
export const NO_QUALITY = 'NULL';

/** Few qualities are different ones; where they are not, no more of them are remembered. */
const MOST_REMEMBERED = 1000;

export class AcceptedQuality {
  readonly #texts: ReadonlySet<string>;
  readonly #numbers: ReadonlySet<string>;
  readonly #absent: boolean;
  readonly #kind: ValueKind;
  readonly #padded: boolean;
  readonly #known = new Map<string, boolean>();

  constructor(accepted: readonly string[], { kind, padded }: { kind: ValueKind; padded: boolean }) {
    this.#texts = new Set(accepted);
    this.#numbers = new Set(accepted.map(numberText).filter((number) => number !== undefined));
    this.#absent = accepted.includes(NO_QUALITY);
    this.#kind = kind;
    this.#padded = padded;
  }

  /** @param start of the quality's text in `bytes`; -1 is NULL */
  accepts(bytes: Buffer, start: number, end: number): boolean {
    if (start < 0) return this.#absent;
    const key = bytes.toString('latin1', start, end);
    let accepted = this.#known.get(key);
    if (accepted === undefined) {
      accepted = this.#isAccepted(bytes.toString('utf8', start, end));
      if (this.#known.size < MOST_REMEMBERED) this.#known.set(key, accepted);
    }
    return accepted;
  }

  #isAccepted(text: string): boolean {
    switch (this.#kind) {
      case 'text':
        return this.#texts.has(this.#padded ? text.replace(/ +$/, '') : text);
      case 'boolean':
        return this.#isTruth(text === 't' || text === 'true' || text === '1');
      case 'marked':
        if (text.startsWith(TEXT_MARK)) return this.#texts.has(text.slice(TEXT_MARK.length));
        break;
      case 'number':
      case 'integer':
      case 'decimal':
      case 'mixed':
        break;
    }
    const number = numberText(text);
    return number === undefined ? this.#texts.has(text) : this.#numbers.has(number);
  }

  #isTruth(truth: boolean): boolean {
    const words = truth ? ['true', 't', '1'] : ['false', 'f', '0'];
    return [...this.#texts].some((text) => words.includes(text.toLowerCase()));
  }
}

function numberText(text: string): string | undefined {
  const number = decimalOf(text.trim());
  return number && sameNumberText(number);
}
