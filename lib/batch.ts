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
import { KnownSensors, sameBytes } from './known-sensors';
import { joinParts, type Part, type SensorReadings } from './sensor-readings';
import type { ReadingPlan, TimeField } from './source/plan';
import type { RowSink } from './source/rows';
import { hasForm } from './source/time-column';
import { TimestampWriter, type TimestampFormat } from './timestamp';
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

  /** Complete timestamps in the batch being built, and the run behind them that may still grow. */
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
  #tied: SensorReadings[] = [];

  /** How the readings of the timestamp last seen begin; undefined where it is not one of a calendar. */
  #prefix: Buffer | undefined;
  #prefixRaw: Buffer = EMPTY;
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
    const prefix = this.#prefix;
    if (!prefix) {
      this.#runCounts.withoutTimestamp++;
      return;
    }
    let known = this.#sensors.columns;
    if (sensor) {
      const sensorStart = starts[sensor.field] ?? -1;
      if (sensorStart < 0) {
        this.#runCounts.withoutSensor++;
        return;
      }
      known = this.#sensors.at(bytes, sensorStart, ends[sensor.field] ?? -1);
    }
    for (let index = 0; index < values.length; index++) {
      const readings = known[index];
      const value = values[index];
      if (readings && value) this.#reading(readings, value, prefix, bytes, starts, ends);
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
    sensor: SensorReadings,
    { field, kind, padded }: ReadingPlan['values'][number],
    prefix: Buffer,
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
    if (sensor.beginReading(this.#run)) this.#tied.push(sensor);
    const before = sensor.length;
    sensor.append(prefix);
    if (!sensor.appendValue(kind, padded, bytes, start, ends[field] ?? -1)) this.#runCounts.notFinite++;
    if (this.#extras.length > 0) this.#appendExtras(sensor, bytes, starts, ends);
    sensor.endReading();
    if (this.#doubled) this.#runCounts.doubledHour++;
    this.#runReadings++;
    this.#runBytes += sensor.length - before;
  }

  #appendExtras(sensor: SensorReadings, bytes: Buffer, starts: Int32Array, ends: Int32Array): void {
    for (const { key, of } of this.#extras) {
      sensor.append(key);
      sensor.appendValue(of.kind, of.padded, bytes, starts[of.field] ?? -1, ends[of.field] ?? -1);
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
    if (!this.#tracked) this.#setPrefix(mark, doubled);
    return true;
  }

  #ownTimestamp(source: Buffer, start: number, end: number): void {
    if (start >= 0 && sameBytes(this.#prefixRaw, source, start, end)) return;
    this.#prefixRaw = Buffer.from(source.subarray(Math.max(start, 0), end));
    this.#prefix = undefined;
    if (start < 0) return;
    const json = this.#timestamps.jsonIfTime(this.#prefixRaw.toString('latin1'));
    if (json !== undefined) this.#setPrefix(json, this.#timestamps.doubled);
  }

  #setPrefix(timestampJson: string, doubled: boolean): void {
    this.#prefix = Buffer.from(`{"timestamp":${timestampJson},"value":`);
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
    for (const sensor of this.#tied) sensor.orderTies();
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
      ? this.#orders.edge(formatInstant(this.#settings.window.end))
      : this.#orders.edgeOf(native);
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
      sensors: parts.map(({ sensor }) => sensor.name),
      counts: this.#closedCounts,
      resumeAt,
    });
    this.#closedCounts = new ReadingCounts();
  }

  /** Makes a batch of everything before the run that begins at `runNative`, or of everything. */
  #cut(runNative: string | undefined): void {
    const end = this.#edgeAt(runNative);
    const parts: Part[] = [];
    for (const sensor of this.#sensors.inOrder()) {
      const inRun = runNative !== undefined && sensor.run === this.#run;
      const length = inRun ? sensor.runStart : sensor.length;
      if (length > 0) parts.push({ sensor, start: 0, end: length });
    }
    this.#push(parts, { start: this.#start, end }, this.#closedReadings, runNative);
    this.#complete = runNative === undefined;
    for (const { sensor, end: cutAt } of parts) sensor.dropTo(cutAt);
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
    for (const sensor of this.#sensors.inOrder()) {
      if (sensor.length === 0) continue;
      let start = 0;
      for (const entryEnd of sensor.entryEnds()) {
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
    for (const sensor of this.#sensors.inOrder()) sensor.dropTo(sensor.length);
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
