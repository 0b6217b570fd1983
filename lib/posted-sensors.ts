/** The sensors of a read as they are posted. Each has a number: how many were seen before it. */
import { grownBytes, grownNumbers } from './grown';

export class PostedSensors {
  readonly names: string[] = [];
  /** How the list of each one's readings begins, one behind the other: `"<name>":[` */
  keys: Buffer = Buffer.allocUnsafeSlow(4096);
  /** Where each of them begins, and where the last one ends. */
  keyStarts = new Int32Array(256);

  readonly #numbers = new Map<string, number>();
  #sorted: Int32Array | undefined;

  get count(): number {
    return this.names.length;
  }

  /** @returns undefined where it has not been seen */
  numberOf(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  /** @returns its number */
  add(name: string): number {
    const number = this.names.push(name) - 1;
    this.#numbers.set(name, number);
    const key = `${JSON.stringify(name)}:[`;
    const start = this.keyStarts[number] ?? 0;
    const end = start + Buffer.byteLength(key);
    this.keys = grownBytes(this.keys, end);
    this.keys.write(key, start);
    this.keyStarts = grownNumbers(this.keyStarts, number + 2);
    this.keyStarts[number + 1] = end;
    this.#sorted = undefined;
    return number;
  }

  /** Their numbers, in order of the bytes of their names. */
  inOrder(): Int32Array {
    if (this.#sorted) return this.#sorted;
    // Bytes as characters: many times as fast to compare.
    const order = this.names.map((name) => Buffer.from(name).toString('latin1'));
    const orderOf = (number: number): string => order[number] ?? '';
    // As an array, whose sort is quick where most are in order already: tables often have them so.
    const numbers = [...order.keys()].sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
    this.#sorted = Int32Array.from(numbers);
    return this.#sorted;
  }
}
