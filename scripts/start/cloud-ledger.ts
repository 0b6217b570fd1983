/**
 * What has arrived at the stand-in for the cloud. Counts, the plot's points and the latest keys are bounded;
 * every single reading is kept only where a test asks for it.
 */
import { createHash } from 'node:crypto';
import { millisecondsOf, type PostedBody, type PostedReading, type PostedValue } from './cloud-body';
import { dropOldest, SeenTimestamps } from './cloud-seen';

/** The plots show the last ten minutes in steps of two seconds. */
export const PLOT_MS = 600_000;
const STEP_MS = 2_000;
const PLOTTED_SENSORS = 300;
const RECENT_KEYS = 10_000;

/** Everything posted under one Idempotency-Key. */
export interface KeyRecord {
  posts: number;
  accepted: number;
  /** SHA-256 of each different body: more than one breaks the promise that repeats are byte-identical. */
  readonly bodies: Set<string>;
}

/** `[milliseconds, least, greatest, last]` of one step. */
export type PlotPoint = [time: number, least: number, greatest: number, last: number];

export interface SensorRecord {
  readonly sensor: string;
  count: number;
  lastTimestamp: string | number;
  lastValue: PostedValue;
  lastMs: number;
  readonly points: Map<number, PlotPoint>;
  readonly seen: SeenTimestamps;
}

export class Ledger {
  readonly sensors = new Map<string, SensorRecord>();
  readonly keys = new Map<string, KeyRecord>();
  readonly readings: PostedReading[] = [];
  count = 0;
  /** Readings whose sensor and timestamp had arrived before, under another key. */
  duplicates = 0;
  /** Posts of a body that had been accepted before under the same key: they change nothing. */
  repeats = 0;
  /** Keys that came with two different bodies. */
  conflicts = 0;
  newestMs = 0;
  /** The latest end of a batch, as it was posted. */
  latestEnd = '';
  #latestEndMs = 0;

  constructor(readonly keep: 'counts' | 'readings') {}

  /** Whatever the answer will be: a body came under this key. */
  noteKey(key: string, body: Buffer): { record: KeyRecord; conflict: boolean } {
    const record = this.keys.get(key) ?? { posts: 0, accepted: 0, bodies: new Set<string>() };
    this.keys.delete(key);
    this.keys.set(key, record);
    if (this.keep === 'counts') dropOldest(this.keys, RECENT_KEYS);
    record.posts++;
    record.bodies.add(createHash('sha256').update(body).digest('hex'));
    const conflict = record.bodies.size > 1;
    if (conflict) this.conflicts++;
    return { record, conflict };
  }

  /** @returns false where the key says that it is a repeat of what was accepted before */
  accept(body: PostedBody, key: KeyRecord | undefined): boolean {
    if (key && key.accepted++ > 0) {
      this.repeats++;
      return false;
    }
    const endMs = millisecondsOf(body.end_time);
    if (endMs >= this.#latestEndMs) {
      this.#latestEndMs = endMs;
      this.latestEnd = body.end_time;
    }
    for (const reading of body.readings) this.#add(reading);
    return true;
  }

  #add(reading: PostedReading): void {
    const { sensor, timestamp, value } = reading;
    this.count++;
    if (this.keep === 'readings') this.readings.push(reading);
    const record = this.sensors.get(sensor) ?? this.#newSensor(sensor);
    record.count++;
    const plotted = this.keep === 'readings' || this.sensors.size <= PLOTTED_SENSORS;
    if (plotted && record.seen.add(timestamp)) this.duplicates++;
    const ms = millisecondsOf(timestamp);
    this.newestMs = Math.max(this.newestMs, ms);
    if (ms >= record.lastMs) {
      record.lastMs = ms;
      record.lastTimestamp = timestamp;
      record.lastValue = value;
    }
    if (plotted && typeof value === 'number' && ms > this.newestMs - PLOT_MS) plot(record, ms, value);
  }

  #newSensor(sensor: string): SensorRecord {
    const record: SensorRecord = {
      sensor,
      count: 0,
      lastTimestamp: '',
      lastValue: null,
      lastMs: -Infinity,
      points: new Map(),
      seen: new SeenTimestamps(this.keep),
    };
    this.sensors.set(sensor, record);
    return record;
  }

  /** The plot of a sensor, oldest point first. */
  pointsOf(record: SensorRecord): PlotPoint[] {
    const from = this.newestMs - PLOT_MS;
    for (const [step, [time]] of record.points) if (time < from) record.points.delete(step);
    return [...record.points.values()].sort(([a], [b]) => a - b);
  }
}

function plot(record: SensorRecord, ms: number, value: number): void {
  const step = Math.floor(ms / STEP_MS);
  const point = record.points.get(step);
  if (point) {
    point[1] = Math.min(point[1], value);
    point[2] = Math.max(point[2], value);
    point[3] = value;
    return;
  }
  record.points.set(step, [step * STEP_MS, value, value, value]);
  dropOldest(record.points, (2 * PLOT_MS) / STEP_MS);
}
