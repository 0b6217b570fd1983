/** The readings of one sensor in a batch that is being built: bytes of JSON, each reading ending in a comma. */
import type { ValueKind } from './source/columns';
import { exactNumberJson, isPlainText, markedJson, mixedJson, numberJson, writeNumber } from './value';

const COMMA = 44;
const QUOTE = 34;
const BLANK = 32;
const ENTRY_END = 125; // }
const NULL = Buffer.from('null');
/** How every reading begins. It holds quotes, which values carry only escaped: it cannot be found inside one. */
const ENTRY_HEAD = Buffer.from('{"timestamp":');

export class SensorReadings {
  bytes = Buffer.allocUnsafe(512);
  length = 0;
  readings = 0;
  /** The run (readings of one timestamp) last appended to, and where it begins. */
  run = -1;
  runStart = 0;
  runReadings = 0;
  /** Where each reading of the run begins, kept only where a sensor has several at one timestamp. */
  ties: number[] | undefined;

  readonly key: Buffer;
  /** What readings are ordered by among sensors. */
  readonly order: Buffer;

  /** @param name as it is posted. @param origin as it is in the database */
  constructor(
    readonly name: string,
    readonly origin: string,
  ) {
    this.key = Buffer.from(`${JSON.stringify(name)}:[`);
    this.order = Buffer.from(name);
  }

  /** @returns whether it is the second reading of the run */
  beginReading(run: number): boolean {
    if (this.run !== run) {
      this.run = run;
      this.runStart = this.length;
      this.runReadings = 0;
      return false;
    }
    if (this.ties) {
      this.ties.push(this.length);
      return false;
    }
    this.ties = [this.runStart, this.length];
    return true;
  }

  endReading(): void {
    this.reserve(2);
    this.bytes[this.length++] = ENTRY_END;
    this.bytes[this.length++] = COMMA;
    this.readings++;
    this.runReadings++;
  }

  append(bytes: Buffer): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /**
   * @param start -1 is NULL
   * @returns false where the value is one that JSON cannot carry: it is null then
   */
  appendValue(kind: ValueKind, padded: boolean, source: Buffer, start: number, end: number): boolean {
    if (start < 0) {
      this.append(NULL);
      return true;
    }
    this.reserve(end - start + 2);
    switch (kind) {
      case 'number':
        return (
          this.#number(source, start, end) || this.#json(numberJson(source.toString('latin1', start, end)))
        );
      case 'integer':
      case 'decimal':
        return (
          (end - start <= 15 && this.#number(source, start, end)) ||
          this.#json(exactNumberJson(source.toString('latin1', start, end)))
        );
      case 'mixed':
        return (
          (end - start <= 15 && this.#number(source, start, end)) ||
          this.#json(mixedJson(source.toString('utf8', start, end)))
        );
      case 'marked':
        return (
          (end - start <= 15 && this.#number(source, start, end)) ||
          this.#json(markedJson(source.toString('utf8', start, end)))
        );
      case 'boolean':
        // t, true, 1, or f, false, 0
        this.bytes[this.length++] = source[start] === 116 || source[start] === 49 ? 49 : 48;
        return true;
      case 'text':
        this.#text(source, start, padded ? withoutBlanks(source, start, end) : end);
        return true;
    }
  }

  /** Readings of one timestamp in order of their bytes: the database gives them in any. */
  orderTies(): void {
    const starts = this.ties ?? [];
    this.ties = undefined;
    const entries = starts.map((start, index) =>
      Buffer.from(this.bytes.subarray(start, starts[index + 1] ?? this.length)),
    );
    entries.sort((a, b) => Buffer.compare(a, b));
    let at = this.runStart;
    for (const entry of entries) {
      this.bytes.set(entry, at);
      at += entry.length;
    }
  }

  /** Where each reading ends. */
  *entryEnds(): Generator<number> {
    let at = 0;
    for (let left = this.readings; left > 1; left--) {
      at = this.bytes.indexOf(ENTRY_HEAD, at + ENTRY_HEAD.length);
      yield at;
    }
    yield this.length;
  }

  /** Leaves what is behind `end`, which is at most the run. */
  dropTo(end: number): void {
    this.bytes.copyWithin(0, end, this.length);
    this.length -= end;
    this.runStart = 0;
    this.readings = this.length === 0 ? 0 : this.runReadings;
  }

  reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + more));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  #number(source: Buffer, start: number, end: number): boolean {
    const to = writeNumber(source, start, end, this.bytes, this.length);
    if (to < 0) return false;
    this.length = to;
    return true;
  }

  #json(json: string): boolean {
    this.append(Buffer.from(json));
    return json !== 'null';
  }

  #text(source: Buffer, start: number, end: number): void {
    if (!isPlainText(source, start, end)) {
      this.append(Buffer.from(JSON.stringify(source.toString('utf8', start, end))));
      return;
    }
    this.bytes[this.length++] = QUOTE;
    source.copy(this.bytes, this.length, start, end);
    this.length += end - start;
    this.bytes[this.length++] = QUOTE;
  }
}

/** A range of a sensor's bytes that goes into a body. */
export interface Part {
  readonly sensor: SensorReadings;
  readonly start: number;
  end: number;
}

/** `{"start_time":…,"end_time":…,"data":{…}}` */
export function joinParts(parts: readonly Part[], startTime: string, endTime: string): Buffer {
  const head = Buffer.from(`{"start_time":"${startTime}","end_time":"${endTime}","data":{`);
  let size = head.length + 2;
  for (const { sensor, start, end } of parts) size += sensor.key.length + (end - start) + 1;
  const body = Buffer.allocUnsafe(size);
  body.set(head, 0);
  let at = head.length;
  for (const { sensor, start, end } of parts) {
    body.set(sensor.key, at);
    at += sensor.key.length;
    sensor.bytes.copy(body, at, start, end);
    at += end - start;
    body[at - 1] = 93; // the last comma becomes ]
    body[at++] = COMMA;
  }
  if (parts.length === 0) at++;
  body[at - 1] = ENTRY_END; // the last comma becomes }
  body[at++] = ENTRY_END;
  return body.subarray(0, at);
}

function withoutBlanks(source: Buffer, start: number, end: number): number {
  let to = end;
  while (to > start && source[to - 1] === BLANK) to--;
  return to;
}
