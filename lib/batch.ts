/**
 * Readings, one after another in order of time, to the JSON bodies that are posted:
 * `{"start_time":…,"end_time":…,"data":{"<sensor>":[{"timestamp":…,"value":…},…]}}`.
 *
 * The hot loop of the connector. No object per reading and no number parsed to be printed again: each sensor
 * has a byte buffer that its readings are appended to, and a batch is those buffers joined.
 *
 * The same rows give the same bodies, whatever order the database gives equal timestamps in: sensors stand in
 * order of their names, and readings of one sensor and timestamp in order of their bytes.
 */
import type { ReadingColumns, ReadingSink, ValueKind } from './source/columns';
import { TimestampWriter, type TimestampFormat } from './timestamp';
import { exactNumberJson, isPlainText, notFinite, writeNumber } from './value';
import { formatInstant, type Window, type WindowText } from './window';

/** A part of a window, ready to post. */
export interface Batch extends WindowText {
  readonly body: Buffer;
  readonly readings: number;
  readonly sensors: readonly string[];
  readonly counts: ReadingCounts;
  /**
   * The native timestamp that the next batch begins with, where a read can be taken up again; undefined after
   * a window's last batch and between the pieces of one timestamp.
   */
  readonly resumeAt: string | undefined;
}

export interface BatchSettings {
  readonly window: Window;
  readonly timeZone: string;
  readonly timestampFormat: TimestampFormat;
  readonly readingsPerBatch: number;
  readonly nullValues: 'null' | 'skip';
  /** A batch is cut before its readings are larger (bytes of JSON, less the sensors' names). */
  readonly maxBytes: number;
}

/** Readings that were not posted as they stood in the table. */
export class ReadingCounts {
  /** NULL values: posted as null or skipped, by the setting. */
  nullValues = 0;
  /** NaN and infinite values: posted as null, for JSON has none. */
  notFinite = 0;
  /** NULL sensors: they name nothing that could be posted. */
  withoutSensor = 0;

  get none(): boolean {
    return this.nullValues + this.notFinite + this.withoutSensor === 0;
  }

  add(other: ReadingCounts): void {
    this.nullValues += other.nullValues;
    this.notFinite += other.notFinite;
    this.withoutSensor += other.withoutSensor;
  }
}

const NULL = Buffer.from('null');
const ENTRY_END = 125; // }
const COMMA = 44;
const QUOTE = 34;

/** The readings of one sensor in the batch being built, each ending in a comma. */
class SensorBuffer {
  bytes = Buffer.allocUnsafe(512);
  length = 0;
  readings = 0;
  /** The run (readings of one timestamp) last appended to, and where it begins. */
  run = -1;
  runStart = 0;
  runReadings = 0;
  /** Where each reading of the run begins, kept only where a sensor has several at one timestamp. */
  ties: number[] | undefined;
  /** The sensor that followed this one last time: tables repeat their order, so it is tried first. */
  next: SensorBuffer | undefined;

  readonly key: Buffer;

  constructor(
    readonly name: string,
    readonly raw: Buffer,
  ) {
    this.key = Buffer.from(`${JSON.stringify(name)}:[`);
  }

  reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + more));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}

export class BatchBuilder implements ReadingSink {
  readonly #settings: BatchSettings;
  readonly #timestamps: TimestampWriter;
  readonly #valueKind: ValueKind;

  readonly #sensors = new Map<string, SensorBuffer>();
  #sorted: SensorBuffer[] | undefined;
  #last: SensorBuffer | undefined;
  #first: SensorBuffer | undefined;

  /** Complete timestamps in the batch being built, and the run behind them that may still grow. */
  #closedReadings = 0;
  #closedBytes = 0;
  #closedCounts = new ReadingCounts();
  #runReadings = 0;
  #runBytes = 0;
  #runCounts = new ReadingCounts();
  #run = 0;
  #runRaw = Buffer.alloc(0);
  #runNative = '';
  #runPrefix = Buffer.alloc(0);
  #tied: SensorBuffer[] = [];

  /** Start of the batch being built, in the format of edges. */
  #start: string;
  #ready: Batch[] = [];
  /** A batch has been made that reaches to the window's end. */
  #complete = false;

  /** @param from the native timestamp at which a read of this window is taken up again */
  constructor(settings: BatchSettings, columns: ReadingColumns, from?: string) {
    this.#settings = settings;
    this.#timestamps = new TimestampWriter(settings.timestampFormat, columns.timestamp, settings.timeZone);
    this.#valueKind = columns.value;
    this.#start =
      from === undefined
        ? this.#timestamps.edge(formatInstant(settings.window.start))
        : this.#timestamps.edgeOf(from);
  }

  add(
    source: Buffer,
    timestampStart: number,
    timestampEnd: number,
    sensorStart: number,
    sensorEnd: number,
    valueStart: number,
    valueEnd: number,
  ): void {
    if (!sameBytes(this.#runRaw, source, timestampStart, timestampEnd)) {
      this.#nextRun(source, timestampStart, timestampEnd);
    }
    if (sensorStart < 0) {
      this.#runCounts.withoutSensor++;
      return;
    }
    if (valueStart < 0) {
      this.#runCounts.nullValues++;
      if (this.#settings.nullValues === 'skip') return;
    }
    const sensor = this.#sensorAt(source, sensorStart, sensorEnd);
    if (sensor.run === this.#run) {
      this.#noteTie(sensor);
    } else {
      sensor.run = this.#run;
      sensor.runStart = sensor.length;
      sensor.runReadings = 0;
    }
    const before = sensor.length;
    const prefix = this.#runPrefix;
    sensor.reserve(prefix.length + (valueStart < 0 ? 0 : valueEnd - valueStart) + 8);
    sensor.bytes.set(prefix, before);
    sensor.length = before + prefix.length;
    if (valueStart < 0) append(sensor, NULL);
    else this.#appendValue(sensor, source, valueStart, valueEnd);
    sensor.bytes[sensor.length++] = ENTRY_END;
    sensor.bytes[sensor.length++] = COMMA;
    sensor.readings++;
    sensor.runReadings++;
    this.#runReadings++;
    this.#runBytes += sensor.length - before;
  }

  /** The native timestamp of the last row; of several that are posted as one, the first. Undefined before any row. */
  get newest(): string | undefined {
    return this.#runNative === '' ? undefined : this.#runNative;
  }

  /** The batches that are complete; each is given once. */
  take(): Batch[] {
    if (this.#ready.length === 0) return this.#ready;
    const ready = this.#ready;
    this.#ready = [];
    return ready;
  }

  /** No more rows: the rest of the window. An empty window is one batch without readings. */
  end(): Batch[] {
    this.#closeRun(undefined);
    if (!this.#complete) this.#cut(undefined);
    return this.take();
  }

  #nextRun(source: Buffer, start: number, end: number): void {
    const raw = Buffer.from(source.subarray(start, end));
    const native = raw.toString('latin1');
    const prefix = Buffer.from(`{"timestamp":${this.#timestamps.json(native)},"value":`);
    this.#runRaw = raw;
    this.#last = undefined;
    // Where stamps are posted less finely than they are stored, those that come out equal stay together.
    if (prefix.equals(this.#runPrefix)) return;
    this.#closeRun(native);
    this.#run++;
    this.#runNative = native;
    this.#runPrefix = prefix;
  }

  /**
   * The run's timestamp is complete: decides what of the batch being built goes out.
   * @param next the native timestamp behind it; undefined at the window's end
   */
  #closeRun(next: string | undefined): void {
    if (this.#runReadings === 0) {
      this.#closeCounts();
      return;
    }
    for (const sensor of this.#tied) orderTies(sensor);
    this.#tied = [];
    const { readingsPerBatch, maxBytes } = this.#settings;
    const tooMany = this.#closedReadings + this.#runReadings > readingsPerBatch;
    const tooLarge = this.#closedBytes + this.#runBytes > maxBytes;
    if (this.#closedReadings > 0 && (tooMany || tooLarge)) this.#cut(this.#runNative);
    this.#closedReadings += this.#runReadings;
    this.#closedBytes += this.#runBytes;
    this.#closeCounts();
    this.#runReadings = 0;
    this.#runBytes = 0;
    if (this.#closedBytes > maxBytes) this.#cutPieces(next);
  }

  #closeCounts(): void {
    if (this.#runCounts.none) return;
    this.#closedCounts.add(this.#runCounts);
    this.#runCounts = new ReadingCounts();
  }

  #edgeAt(native: string | undefined): string {
    return native === undefined
      ? this.#timestamps.edge(formatInstant(this.#settings.window.end))
      : this.#timestamps.edgeOf(native);
  }

  #push(
    parts: readonly Part[],
    span: { readonly start: string; readonly end: string },
    readings: number,
    resumeAt: string | undefined,
  ): void {
    this.#ready.push({
      start_time: span.start,
      end_time: span.end,
      body: joinParts(parts, span.start, span.end),
      readings,
      sensors: [...new Set(parts.map(({ sensor }) => sensor.name))],
      counts: this.#closedCounts,
      resumeAt,
    });
    this.#closedCounts = new ReadingCounts();
  }

  /** Makes a batch of everything before the run that begins at `runNative`, or of everything. */
  #cut(runNative: string | undefined): void {
    const end = this.#edgeAt(runNative);
    const parts: Part[] = [];
    for (const sensor of this.#inOrder()) {
      const inRun = runNative !== undefined && sensor.run === this.#run;
      const length = inRun ? sensor.runStart : sensor.length;
      if (length > 0) parts.push({ sensor, start: 0, end: length });
    }
    this.#push(parts, { start: this.#start, end }, this.#closedReadings, runNative);
    this.#complete = runNative === undefined;
    for (const { sensor, end: cutAt } of parts) {
      sensor.bytes.copyWithin(0, cutAt, sensor.length);
      sensor.length -= cutAt;
      sensor.runStart = 0;
      sensor.readings = sensor.length === 0 ? 0 : sensor.runReadings;
    }
    this.#start = end;
    this.#closedReadings = 0;
    this.#closedBytes = 0;
  }

  /**
   * One timestamp alone is over the limit: pieces by sensor, then by reading. They share what they cover, from
   * the batch before them to the next timestamp: together they are the one batch that they would have been.
   */
  #cutPieces(next: string | undefined): void {
    const { maxBytes } = this.#settings;
    const span = { start: this.#start, end: this.#edgeAt(next) };
    let parts: Part[] = [];
    let bytes = 0;
    let readings = 0;
    const flush = (resumeAt: string | undefined): void => {
      this.#push(parts, span, readings, resumeAt);
      parts = [];
      bytes = 0;
      readings = 0;
    };
    for (const sensor of this.#inOrder()) {
      if (sensor.length === 0) continue;
      let start = 0;
      for (const entryEnd of entryEnds(sensor, this.#runPrefix)) {
        if (bytes + (entryEnd - start) > maxBytes && readings > 0) flush(undefined);
        const last = parts[parts.length - 1];
        if (last?.sensor === sensor) last.end = entryEnd;
        else parts.push({ sensor, start, end: entryEnd });
        bytes += entryEnd - start;
        readings++;
        start = entryEnd;
      }
    }
    flush(next);
    this.#start = span.end;
    this.#complete = next === undefined;
    for (const sensor of this.#inOrder()) {
      sensor.length = 0;
      sensor.readings = 0;
      sensor.runStart = 0;
    }
    this.#closedReadings = 0;
    this.#closedBytes = 0;
  }

  #inOrder(): SensorBuffer[] {
    this.#sorted ??= [...this.#sensors.values()].sort((a, b) => Buffer.compare(a.raw, b.raw));
    return this.#sorted;
  }

  #sensorAt(source: Buffer, start: number, end: number): SensorBuffer {
    const expected = this.#last === undefined ? this.#first : this.#last.next;
    if (expected !== undefined && sameBytes(expected.raw, source, start, end)) {
      this.#last = expected;
      return expected;
    }
    const key = source.toString('latin1', start, end);
    let sensor = this.#sensors.get(key);
    if (sensor === undefined) {
      const raw = Buffer.from(source.subarray(start, end));
      sensor = new SensorBuffer(raw.toString('utf8'), raw);
      this.#sensors.set(key, sensor);
      this.#sorted = undefined;
    }
    if (this.#last === undefined) this.#first = sensor;
    else this.#last.next = sensor;
    this.#last = sensor;
    return sensor;
  }

  #noteTie(sensor: SensorBuffer): void {
    if (sensor.ties === undefined) {
      sensor.ties = [sensor.runStart];
      this.#tied.push(sensor);
    }
    sensor.ties.push(sensor.length);
  }

  #appendValue(sensor: SensorBuffer, source: Buffer, start: number, end: number): void {
    switch (this.#valueKind) {
      case 'number': {
        const to = writeNumber(source, start, end, sensor.bytes, sensor.length);
        if (to >= 0) sensor.length = to;
        else this.#appendNotFinite(sensor, source.toString('latin1', start, end));
        return;
      }
      case 'integer':
      case 'decimal':
        if (end - start <= 15) {
          const to = writeNumber(source, start, end, sensor.bytes, sensor.length);
          if (to >= 0) {
            sensor.length = to;
            return;
          }
        }
        this.#appendExact(sensor, source.toString('latin1', start, end));
        return;
      case 'boolean':
        // t, true, 1, or f, false, 0
        sensor.reserve(3);
        sensor.bytes[sensor.length++] = source[start] === 116 || source[start] === 49 ? 49 : 48;
        return;
      case 'text':
        appendText(sensor, source, start, end);
    }
  }

  #appendNotFinite(sensor: SensorBuffer, text: string): void {
    append(sensor, Buffer.from(notFinite(text)));
    this.#runCounts.notFinite++;
  }

  #appendExact(sensor: SensorBuffer, text: string): void {
    const json = exactNumberJson(text);
    if (json === 'null') this.#runCounts.notFinite++;
    append(sensor, Buffer.from(json));
  }
}

interface Part {
  readonly sensor: SensorBuffer;
  readonly start: number;
  end: number;
}

function joinParts(parts: readonly Part[], startTime: string, endTime: string): Buffer {
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
  body[at - 1] = 125; // the last comma becomes }
  body[at++] = 125;
  return body.subarray(0, at);
}

/** Readings of one sensor and one timestamp in order of their bytes: the database gives them in any. */
function orderTies(sensor: SensorBuffer): void {
  const starts = sensor.ties ?? [];
  sensor.ties = undefined;
  const entries = starts.map((start, index) =>
    Buffer.from(sensor.bytes.subarray(start, starts[index + 1] ?? sensor.length)),
  );
  entries.sort((a, b) => Buffer.compare(a, b));
  let at = sensor.runStart;
  for (const entry of entries) {
    sensor.bytes.set(entry, at);
    at += entry.length;
  }
}

/** Where each reading of a sensor ends, in a buffer whose readings share one prefix (one timestamp). */
function* entryEnds(sensor: SensorBuffer, prefix: Buffer): Generator<number> {
  let at = 0;
  for (let left = sensor.readings; left > 1; left--) {
    // The prefix holds quotes, which values carry only escaped: it cannot be found inside one.
    at = sensor.bytes.indexOf(prefix, at + prefix.length);
    yield at;
  }
  yield sensor.length;
}

function append(sensor: SensorBuffer, bytes: Buffer): void {
  sensor.reserve(bytes.length + 2);
  sensor.bytes.set(bytes, sensor.length);
  sensor.length += bytes.length;
}

function appendText(sensor: SensorBuffer, source: Buffer, start: number, end: number): void {
  if (!isPlainText(source, start, end)) {
    append(sensor, Buffer.from(JSON.stringify(source.toString('utf8', start, end))));
    return;
  }
  sensor.reserve(end - start + 4);
  sensor.bytes[sensor.length++] = QUOTE;
  source.copy(sensor.bytes, sensor.length, start, end);
  sensor.length += end - start;
  sensor.bytes[sensor.length++] = QUOTE;
}

function sameBytes(known: Buffer, source: Buffer, start: number, end: number): boolean {
  const { length } = known;
  if (end - start !== length) return false;
  for (let at = length - 1; at >= 0; at--) {
    if (known[at] !== source[start + at]) return false;
  }
  return true;
}
