/**
 * The sensors of a read by their bytes in the database: what each is posted as is decided when it is first seen.
 * All in a few long arrays, for a plant has more sensors than a processor's cache has room for objects.
 */
import { grownBytes, grownNumbers } from './grown';
import { PostedSensors } from './posted-sensors';
import type { ReadingPlan } from './source/plan';
import { refuseSameName } from './source/sensors';

const NONE = -1;

export class KnownSensors {
  readonly posted = new PostedSensors();

  readonly #plan: ReadingPlan;
  /** Known sensors are numbered as they are first seen, too; where rows name none, there is one that owns all values. */
  readonly #known = new Map<string, number>();
  /** What each is called in the database, one behind the other, and where each begins. */
  #raw: Buffer = Buffer.allocUnsafeSlow(4096);
  #rawStarts = new Int32Array(256);
  /** The one that followed each last time: tables repeat their order, so it is tried first. */
  #next = new Int32Array(256);
  /** Of each, for each value of a row: what it is posted as. */
  #owners = new Int32Array(256);
  /** What is called so in the database, by the number it is posted under. */
  readonly #origins: string[] = [];
  #last = NONE;
  #first = NONE;

  constructor(plan: ReadingPlan) {
    this.#plan = plan;
    if (!plan.sensor) this.#add('', Buffer.alloc(0));
  }

  /** A new timestamp: its sensors are expected in the order of the last one's. */
  rewind(): void {
    this.#last = NONE;
  }

  /** @returns the sensor's number among those that are known */
  at(source: Buffer, start: number, end: number): number {
    const expected = this.#last === NONE ? this.#first : (this.#next[this.#last] ?? NONE);
    if (expected !== NONE && this.#is(expected, source, start, end)) {
      this.#last = expected;
      return expected;
    }
    const key = source.toString('latin1', start, end);
    const known = this.#known.get(key) ?? this.#add(key, source.subarray(start, end));
    if (this.#last === NONE) this.#first = known;
    else this.#next[this.#last] = known;
    this.#last = known;
    return known;
  }

  /** @returns the number that a known sensor's value is posted under; -1 where it is not wanted */
  ownerOf(known: number, value: number): number {
    return this.#owners[known * this.#plan.values.length + value] ?? NONE;
  }

  #is(known: number, source: Buffer, start: number, end: number): boolean {
    const raw = this.#raw;
    const rawStart = this.#rawStarts[known] ?? 0;
    const length = (this.#rawStarts[known + 1] ?? 0) - rawStart;
    if (end - start !== length) return false;
    for (let at = length - 1; at >= 0; at--) if (raw[rawStart + at] !== source[start + at]) return false;
    return true;
  }

  #add(key: string, raw: Buffer): number {
    const { sensor, values } = this.#plan;
    const text = raw.toString('utf8');
    const name = sensor?.padded ? text.replace(/ +$/, '') : text;
    const owners = values.map((value) =>
      sensor ? this.#postedAs(name, value.name) : this.#postedAs(value.name, ''),
    );
    const known = this.#known.size;
    this.#known.set(key, known);
    const start = this.#rawStarts[known] ?? 0;
    this.#raw = grownBytes(this.#raw, start + raw.length);
    raw.copy(this.#raw, start);
    this.#rawStarts = grownNumbers(this.#rawStarts, known + 2);
    this.#rawStarts[known + 1] = start + raw.length;
    this.#next = grownNumbers(this.#next, known + 1);
    this.#next[known] = NONE;
    this.#owners = grownNumbers(this.#owners, (known + 1) * values.length);
    this.#owners.set(owners, known * values.length);
    return known;
  }

  #postedAs(sensor: string, suffix: string): number {
    const name = this.#plan.names.posted(sensor, suffix);
    if (name === undefined) return NONE;
    const origin = `${sensor}${suffix}`;
    const other = this.posted.numberOf(name);
    if (other !== undefined) refuseSameName(name, this.#origins[other] ?? '', origin);
    this.#origins.push(origin);
    return this.posted.add(name);
  }
}

export function sameBytes(known: Buffer, source: Buffer, start: number, end: number): boolean {
  const { length } = known;
  if (end - start !== length) return false;
  for (let at = length - 1; at >= 0; at--) {
    if (known[at] !== source[start + at]) return false;
  }
  return true;
}
