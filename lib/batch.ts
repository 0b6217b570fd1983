/**
 * Readings, one after another in order of time, to the JSON bodies that are posted:
 * `{"start_time":…,"end_time":…,"data":{"<sensor>":[{"timestamp":…,"value":…},…]}}`.
 *
 * The hot loop of the connector. No object per reading and no number parsed to be printed again: what a reading
 * has of its own is kept as bytes, and a batch is those bytes in order of sensors.
 *
 * The same rows give the same bodies, whatever order the database gives equal timestamps in: sensors stand in
 * order of their names, and readings of one sensor and timestamp in order of their bytes.
 */
import { BatchReadings } from './batch-readings';
import { grownNumbers } from './grown';
import { KnownSensors, sameBytes } from './known-sensors';
import type { ReadingPlan, TimeField } from './source/plan';
import type { RowSink } from './source/rows';
import { hasForm } from './source/time-column';
import { TimestampWriter, type TimestampFormat } from './timestamp';
import { formatInstant, type Window, type WindowText } from './window';

/** A part of a window, ready to post. */
export interface Batch extends WindowText {
  readonly body: Buffer;
  readonly readings: number;
  /** Those of its sensors that no batch before it had readings of. */
  readonly newSensors: readonly string[];
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
  /** NULL timestamps, or none of a calendar, in rows found by another column: they stand nowhere in time. */
  withoutTimestamp = 0;
  /** Wall-clock stamps of an hour that occurs twice: posted as of its first pass. */
  doubledHour = 0;

  get none(): boolean {
    const { nullValues, notFinite, withoutSensor, withoutTimestamp, doubledHour } = this;
    return nullValues + notFinite + withoutSensor + withoutTimestamp + doubledHour === 0;
  }

  add(other: ReadingCounts): void {
    this.nullValues += other.nullValues;
    this.notFinite += other.notFinite;
    this.withoutSensor += other.withoutSensor;
    this.withoutTimestamp += other.withoutTimestamp;
    this.doubledHour += other.doubledHour;
  }
}

const EMPTY = Buffer.alloc(0);

export class BatchBuilder implements RowSink {
  readonly #settings: BatchSettings;
  readonly #plan: ReadingPlan;
  /** What comes behind the value of each reading: a name as JSON, and whose it is. */
  readonly #extras: readonly { readonly key: Buffer; readonly of: ReadingPlan['extras'][number] }[];
  readonly #orders: TimestampWriter;
  readonly #timestamps: TimestampWriter;
  /** Rows are ordered by another column than their timestamp. */
  readonly #tracked: boolean;
  readonly #sensors: KnownSensors;

  /** Complete timestamps in the batch being built, and the run (readings of one timestamp) behind them that may still grow. */
  readonly #readings = new BatchReadings();
  #closedReadings = 0;
  #closedBytes = 0;
  #closedCounts = new ReadingCounts();
  #runReadings = 0;
  #runBytes = 0;
  #runCounts = new ReadingCounts();
  #run = 0;
  #runRaw: Buffer = EMPTY;
  /** Whether what stands there is a time. */
  #timely = true;
  #runNative = '';
  #runMark = '';
  /** By the number that a sensor is posted under: 1 where a batch has had readings of it. */
  #told = new Int32Array(64);

  /** The timestamp last seen is one of a calendar. */
  #dated = false;
  #timestampRaw: Buffer = EMPTY;
  #doubled = false;

  /** Start of the batch being built, in the format of edges. */
  #start: string;
  #ready: Batch[] = [];
  /** A batch has been made that reaches to the window's end. */
  #complete = false;

  /** @param from the native timestamp at which a read of this window is taken up again */
  constructor(settings: BatchSettings, plan: ReadingPlan, from?: string) {
    this.#settings = settings;
    this.#plan = plan;
    this.#extras = plan.extras.map((of) => ({ key: Buffer.from(`,${JSON.stringify(of.name)}:`), of }));
    this.#tracked = plan.timestamp !== plan.order;
    this.#orders = writerOf(settings, plan.order);
    this.#timestamps = this.#tracked ? writerOf(settings, plan.timestamp) : this.#orders;
    this.#sensors = new KnownSensors(plan);
    this.#start =
      from === undefined
        ? this.#orders.edge(formatInstant(settings.window.start))
        : this.#orders.edgeOf(from);
  }

  row(bytes: Buffer, starts: Int32Array, ends: Int32Array): void {
    const { order, timestamp, sensor, values, quality } = this.#plan;
    if (quality && !quality.accepted.accepts(bytes, starts[quality.field] ?? -1, ends[quality.field] ?? -1)) {
      return;
    }
    const start = starts[order.field] ?? -1;
    const end = ends[order.field] ?? -1;
    if (!sameBytes(this.#runRaw, bytes, start, end)) this.#timely = this.#nextRun(bytes, start, end);
    if (!this.#timely) {
      this.#runCounts.withoutTimestamp++;
      return;
    }
    if (this.#tracked) this.#ownTimestamp(bytes, starts[timestamp.field] ?? -1, ends[timestamp.field] ?? -1);
    if (!this.#dated) {
      this.#runCounts.withoutTimestamp++;
      return;
    }
    let known = 0;
    if (sensor) {
      const sensorStart = starts[sensor.field] ?? -1;
      if (sensorStart < 0) {
        this.#runCounts.withoutSensor++;
        return;
      }
      known = this.#sensors.at(bytes, sensorStart, ends[sensor.field] ?? -1);
    }
    for (let index = 0; index < values.length; index++) {
      const owner = this.#sensors.ownerOf(known, index);
      const value = values[index];
      if (owner >= 0 && value) this.#reading(owner, value, bytes, starts, ends);
    }
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

  #reading(
    sensor: number,
    { field, kind, padded }: ReadingPlan['values'][number],
    bytes: Buffer,
    starts: Int32Array,
    ends: Int32Array,
  ): void {
    const start = starts[field] ?? -1;
    if (start < 0) {
      // Of a row of many sensors, no reading of this one.
      if (!this.#plan.sensor) return;
      this.#runCounts.nullValues++;
      if (this.#settings.nullValues === 'skip') return;
    }
    const readings = this.#readings;
    readings.begin(sensor, this.#run);
    if (!readings.appendValue(kind, padded, bytes, start, ends[field] ?? -1)) this.#runCounts.notFinite++;
    if (this.#extras.length > 0) this.#appendExtras(bytes, starts, ends);
    this.#runBytes += readings.end();
    if (this.#doubled) this.#runCounts.doubledHour++;
    this.#runReadings++;
  }

  #appendExtras(bytes: Buffer, starts: Int32Array, ends: Int32Array): void {
    for (const { key, of } of this.#extras) {
      this.#readings.append(key);
      this.#readings.appendValue(of.kind, of.padded, bytes, starts[of.field] ?? -1, ends[of.field] ?? -1);
    }
  }

  /** @returns whether it is a time: a database may hold others, which sort among them and must not end a window */
  #nextRun(source: Buffer, start: number, end: number): boolean {
    const raw = Buffer.from(source.subarray(start, end));
    const native = raw.toString('latin1');
    this.#runRaw = raw;
    if (!hasForm(native, this.#plan.order.time)) return false;
    const mark = this.#tracked ? this.#orders.edgeIfTime(native) : this.#orders.jsonIfTime(native);
    if (mark === undefined) return false;
    const { doubled } = this.#orders;
    this.#sensors.rewind();
    // Where stamps are posted less finely than they are stored, those that come out equal stay together.
    if (mark === this.#runMark) return true;
    this.#closeRun(native);
    this.#run++;
    this.#runNative = native;
    this.#runMark = mark;
    if (!this.#tracked) this.#setTimestamp(mark, doubled);
    return true;
  }

  #ownTimestamp(source: Buffer, start: number, end: number): void {
    if (start >= 0 && sameBytes(this.#timestampRaw, source, start, end)) return;
    this.#timestampRaw = Buffer.from(source.subarray(Math.max(start, 0), end));
    this.#dated = false;
    if (start < 0) return;
    const json = this.#timestamps.jsonIfTime(this.#timestampRaw.toString('latin1'));
    if (json !== undefined) this.#setTimestamp(json, this.#timestamps.doubled);
  }

  #setTimestamp(json: string, doubled: boolean): void {
    this.#readings.head = Buffer.from(`{"timestamp":${json},"value":`);
    this.#dated = true;
    this.#doubled = doubled;
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
      ? this.#orders.edge(formatInstant(this.#settings.window.end))
      : this.#orders.edgeOf(native);
  }

  #push(
    readings: Int32Array,
    span: { readonly start: string; readonly end: string },
    resumeAt: string | undefined,
  ): void {
    this.#ready.push({
      start_time: span.start,
      end_time: span.end,
      body: this.#readings.body(readings, this.#sensors.posted, span),
      readings: readings.length,
      newSensors: this.#newSensors(readings),
      counts: this.#closedCounts,
      resumeAt,
    });
    this.#closedCounts = new ReadingCounts();
  }

  #newSensors(readings: Int32Array): string[] {
    const { names } = this.#sensors.posted;
    this.#told = grownNumbers(this.#told, names.length);
    const untold: string[] = [];
    for (const reading of readings) {
      const sensor = this.#readings.sensorOf(reading);
      if (this.#told[sensor] === 1) continue;
      this.#told[sensor] = 1;
      untold.push(names[sensor] ?? '');
    }
    return untold;
  }

  /** Makes a batch of everything before the run that begins at `runNative`, or of everything. */
  #cut(runNative: string | undefined): void {
    const end = this.#edgeAt(runNative);
    const readings = this.#readings.inOrder(this.#sensors.posted, this.#closedReadings);
    this.#push(readings, { start: this.#start, end }, runNative);
    this.#complete = runNative === undefined;
    this.#start = end;
    this.#dropClosed();
  }

  /**
   * One timestamp alone is over the limit: pieces by sensor, then by reading. They share what they cover, from
   * the batch before them to the next timestamp: together they are the one batch that they would have been.
   */
  #cutPieces(next: string | undefined): void {
    const { maxBytes } = this.#settings;
    const span = { start: this.#start, end: this.#edgeAt(next) };
    const readings = this.#readings.inOrder(this.#sensors.posted, this.#closedReadings);
    let bytes = 0;
    let from = 0;
    readings.forEach((reading, index) => {
      const more = this.#readings.bytesOf(reading);
      if (bytes + more > maxBytes && index > from) {
        this.#push(readings.subarray(from, index), span, undefined);
        from = index;
        bytes = 0;
      }
      bytes += more;
    });
    this.#push(readings.subarray(from), span, next);
    this.#start = span.end;
    this.#complete = next === undefined;
    this.#dropClosed();
  }

  #dropClosed(): void {
    this.#readings.drop(this.#closedReadings);
    this.#closedReadings = 0;
    this.#closedBytes = 0;
  }
}

function writerOf({ timestampFormat, timeZone }: BatchSettings, { time }: TimeField): TimestampWriter {
  return new TimestampWriter(
    timestampFormat,
    time.kind,
    timeZone,
    time.kind === 'epoch' ? time.digits : undefined,
  );
}
