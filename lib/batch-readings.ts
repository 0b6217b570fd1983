/**
 * The readings of the batch that is being built. They are kept as they come, one behind the other: of each what
 * is its own, the bytes behind `"value":`. Put in order of sensors only when the body is written, so that a reading
 * costs the same whether its batch has ten sensors or ten thousand.
 */
import { grownBytes, grownNumbers } from './grown';
import type { PostedSensors } from './posted-sensors';
import type { ValueKind } from './source/columns';
import { exactNumberJson, isPlainText, markedJson, mixedJson, numberJson, writeNumber } from './value';
import { countAsYoung } from './young-memory';

const COMMA = 44;
const QUOTE = 34;
const BLANK = 32;
const CLOSE_LIST = 93; // ]
const CLOSE_OBJECT = 125; // }
const NULL = Buffer.from('null');
/** Behind each reading. */
const ENTRY_END = Buffer.from('},');
/** Longer ranges are copied by the runtime. */
const SHORT = 32;

/** Of each reading: its sensor, its run, what it begins with, and where its bytes begin. */
const FIELDS = 4;
const SENSOR = 0;
const RUN = 1;
const HEAD = 2;
const START = 3;

export class BatchReadings {
  /** How many there are. */
  count = 0;

  #bytes: Buffer = Buffer.allocUnsafeSlow(64 * 1024);
  #length = 0;
  /** With the start of the one that comes next. */
  #entries = new Int32Array(FIELDS * 4096);
  /** Up to `"value":`; the last one is that of the readings that come. */
  #heads: Buffer[] = [];
  #headUsed = true;

  /** How the next readings begin: `{"timestamp":…,"value":` */
  set head(head: Buffer) {
    if (this.#headUsed) this.#heads.push(head);
    else this.#heads[this.#heads.length - 1] = head;
    this.#headUsed = false;
  }

  /** @param sensor its number among those that are posted. @param run readings of one timestamp */
  begin(sensor: number, run: number): void {
    const at = this.count * FIELDS;
    // With room for the start of the one behind it.
    this.#entries = grownNumbers(this.#entries, at + 2 * FIELDS);
    const entries = this.#entries;
    entries[at + SENSOR] = sensor;
    entries[at + RUN] = run;
    entries[at + HEAD] = this.#heads.length - 1;
    entries[at + START] = this.#length;
    this.#headUsed = true;
  }

  /** @returns how many bytes of a body it takes */
  end(): number {
    const at = this.count * FIELDS;
    this.#entries[at + FIELDS + START] = this.#length;
    this.count++;
    const head = this.#heads[this.#entries[at + HEAD] ?? 0];
    return (head?.length ?? 0) + this.#length - (this.#entries[at + START] ?? 0) + ENTRY_END.length;
  }

  append(bytes: Buffer): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
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
    this.#reserve(end - start + 2);
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
        this.#bytes[this.#length++] = source[start] === 116 || source[start] === 49 ? 49 : 48;
        return true;
      case 'text':
        this.#text(source, start, padded ? withoutBlanks(source, start, end) : end);
        return true;
    }
  }

  /**
   * The first `count` readings, sensor by sensor in order of their names; of a sensor in order of time, and those of
   * one timestamp in order of their bytes, for the database gives them in any.
   */
  inOrder(sensors: PostedSensors, count: number): Int32Array {
    const entries = this.#entries;
    const places = new Int32Array(sensors.count);
    for (let reading = 0; reading < count; reading++) {
      const sensor = entries[reading * FIELDS + SENSOR] ?? 0;
      places[sensor] = (places[sensor] ?? 0) + 1;
    }
    let at = 0;
    for (const sensor of sensors.inOrder()) {
      const own = places[sensor] ?? 0;
      places[sensor] = at;
      at += own;
    }
    const order = new Int32Array(count);
    for (let reading = 0; reading < count; reading++) {
      const sensor = entries[reading * FIELDS + SENSOR] ?? 0;
      const place = places[sensor] ?? 0;
      order[place] = reading;
      places[sensor] = place + 1;
    }
    this.#orderTies(order);
    return order;
  }

  /** How many bytes of a body the reading takes. */
  bytesOf(reading: number): number {
    return this.#headOf(reading).length + this.#endOf(reading) - this.#startOf(reading) + ENTRY_END.length;
  }

  sensorOf(reading: number): number {
    return this.#entries[reading * FIELDS + SENSOR] ?? 0;
  }

  /**
   * `{"start_time":…,"end_time":…,"data":{…}}`
   * @param readings sensor by sensor
   */
  body(
    readings: Int32Array,
    sensors: PostedSensors,
    span: { readonly start: string; readonly end: string },
  ): Buffer {
    const { keys, keyStarts } = sensors;
    const bytes = this.#bytes;
    const entries = this.#entries;
    const heads = this.#heads;
    const opening = Buffer.from(`{"start_time":"${span.start}","end_time":"${span.end}","data":{`);
    const body = Buffer.allocUnsafe(opening.length + this.#sizeOf(readings, keyStarts) + 2);
    countAsYoung(body.length);
    body.set(opening, 0);
    let at = opening.length;
    let current = -1;
    for (const reading of readings) {
      const entry = reading * FIELDS;
      const sensor = entries[entry + SENSOR] ?? 0;
      if (sensor !== current) {
        if (current >= 0) {
          body[at - 1] = CLOSE_LIST; // where a comma stood
          body[at++] = COMMA;
        }
        at = copied(keys, keyStarts[sensor] ?? 0, keyStarts[sensor + 1] ?? 0, body, at);
        current = sensor;
      }
      const head = heads[entries[entry + HEAD] ?? 0] ?? NULL;
      body.set(head, at);
      at = copied(
        bytes,
        entries[entry + START] ?? 0,
        entries[entry + FIELDS + START] ?? 0,
        body,
        at + head.length,
      );
      body[at++] = CLOSE_OBJECT;
      body[at++] = COMMA;
    }
    if (current >= 0) body[at - 1] = CLOSE_LIST;
    body[at++] = CLOSE_OBJECT;
    body[at++] = CLOSE_OBJECT;
    return body.subarray(0, at);
  }

  /** Forgets the first `count` readings. */
  drop(count: number): void {
    const entries = this.#entries;
    const left = this.count - count;
    const from = left > 0 ? this.#startOf(count) : this.#length;
    // Heads stand in the order of the readings that have them.
    const heads = left > 0 ? (entries[count * FIELDS + HEAD] ?? 0) : this.#heads.length - 1;
    this.#heads.splice(0, heads);
    this.#bytes.copyWithin(0, from, this.#length);
    this.#length -= from;
    entries.copyWithin(0, count * FIELDS, (this.count + 1) * FIELDS);
    this.count = left;
    for (let at = 0; at < left * FIELDS; at += FIELDS) {
      entries[at + HEAD] = (entries[at + HEAD] ?? 0) - heads;
      entries[at + START] = (entries[at + START] ?? 0) - from;
    }
    entries[left * FIELDS + START] = this.#length;
  }

  #startOf(reading: number): number {
    return this.#entries[reading * FIELDS + START] ?? 0;
  }

  #endOf(reading: number): number {
    return this.#entries[reading * FIELDS + FIELDS + START] ?? 0;
  }

  #headOf(reading: number): Buffer {
    return this.#heads[this.#entries[reading * FIELDS + HEAD] ?? 0] ?? NULL;
  }

  #sizeOf(readings: Int32Array, keyStarts: Int32Array): number {
    let size = 0;
    let current = -1;
    for (const reading of readings) {
      const sensor = this.sensorOf(reading);
      if (sensor !== current) size += (keyStarts[sensor + 1] ?? 0) - (keyStarts[sensor] ?? 0) + 1;
      current = sensor;
      size += this.bytesOf(reading);
    }
    return size;
  }

  #orderTies(order: Int32Array): void {
    const entries = this.#entries;
    const isTied = (a: number, b: number): boolean =>
      entries[a * FIELDS + RUN] === entries[b * FIELDS + RUN] && this.sensorOf(a) === this.sensorOf(b);
    for (let first = 0; first + 1 < order.length; first++) {
      const reading = order[first] ?? 0;
      let behind = first + 1;
      while (behind < order.length && isTied(reading, order[behind] ?? 0)) behind++;
      if (behind === first + 1) continue;
      const written = (tied: number): Buffer => {
        const own = this.#bytes.subarray(this.#startOf(tied), this.#endOf(tied));
        return Buffer.concat([this.#headOf(tied), own, ENTRY_END]);
      };
      const tied = [...order.subarray(first, behind)].map((each) => ({ each, as: written(each) }));
      tied.sort((a, b) => Buffer.compare(a.as, b.as));
      order.set(
        tied.map(({ each }) => each),
        first,
      );
      first = behind - 1;
    }
  }

  #reserve(more: number): void {
    this.#bytes = grownBytes(this.#bytes, this.#length + more);
  }

  #number(source: Buffer, start: number, end: number): boolean {
    const to = writeNumber(source, start, end, this.#bytes, this.#length);
    if (to < 0) return false;
    this.#length = to;
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
    this.#bytes[this.#length++] = QUOTE;
    source.copy(this.#bytes, this.#length, start, end);
    this.#length += end - start;
    this.#bytes[this.#length++] = QUOTE;
  }
}

/** @returns where the copy ends */
function copied(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
  if (end - start > SHORT) {
    target.set(source.subarray(start, end), at);
    return at + end - start;
  }
  let to = at;
  for (let from = start; from < end; from++) target[to++] = source[from] ?? 0;
  return to;
}

function withoutBlanks(source: Buffer, start: number, end: number): number {
  let to = end;
  while (to > start && source[to - 1] === BLANK) to--;
  return to;
}
