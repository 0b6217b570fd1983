/** The sensors of a read by their bytes in the database: what each is posted as is decided when it is first seen. */
import { SensorReadings } from './sensor-readings';
import type { ReadingPlan } from './source/plan';
import { refuseSameName } from './source/sensors';

/** The readings of a row's values; undefined where they are not wanted. */
type Readings = readonly (SensorReadings | undefined)[];

interface KnownSensor {
  readonly raw: Buffer;
  readonly readings: Readings;
  /** The sensor that followed this one last time: tables repeat their order, so it is tried first. */
  next: KnownSensor | undefined;
}

export class KnownSensors {
  /** Where rows name no sensor: what their values are readings of. */
  readonly columns: Readings;

  readonly #plan: ReadingPlan;
  readonly #known = new Map<string, KnownSensor>();
  readonly #posted = new Map<string, SensorReadings>();
  #sorted: readonly SensorReadings[] | undefined;
  #last: KnownSensor | undefined;
  #first: KnownSensor | undefined;

  constructor(plan: ReadingPlan) {
    this.#plan = plan;
    this.columns = plan.sensor ? [] : plan.values.map(({ name }) => this.#readingsOf(name, ''));
  }

  /** A new timestamp: its sensors are expected in the order of the last one's. */
  rewind(): void {
    this.#last = undefined;
  }

  at(source: Buffer, start: number, end: number): Readings {
    const expected = this.#last === undefined ? this.#first : this.#last.next;
    if (expected !== undefined && sameBytes(expected.raw, source, start, end)) {
      this.#last = expected;
      return expected.readings;
    }
    const key = source.toString('latin1', start, end);
    let sensor = this.#known.get(key);
    if (sensor === undefined) {
      sensor = this.#firstSeen(Buffer.from(source.subarray(start, end)));
      this.#known.set(key, sensor);
    }
    if (this.#last === undefined) this.#first = sensor;
    else this.#last.next = sensor;
    this.#last = sensor;
    return sensor.readings;
  }

  /** In order of their names as they are posted. */
  inOrder(): readonly SensorReadings[] {
    this.#sorted ??= [...this.#posted.values()].sort((a, b) => Buffer.compare(a.order, b.order));
    return this.#sorted;
  }

  #firstSeen(raw: Buffer): KnownSensor {
    const { sensor, values } = this.#plan;
    const text = raw.toString('utf8');
    const name = sensor?.padded ? text.replace(/ +$/, '') : text;
    return { raw, readings: values.map((value) => this.#readingsOf(name, value.name)), next: undefined };
  }

  #readingsOf(sensor: string, suffix: string): SensorReadings | undefined {
    const name = this.#plan.names.posted(sensor, suffix);
    if (name === undefined) return undefined;
    const origin = `${sensor}${suffix}`;
    const other = this.#posted.get(name);
    if (other) refuseSameName(name, other.origin, origin);
    const readings = new SensorReadings(name, origin);
    this.#posted.set(name, readings);
    this.#sorted = undefined;
    return readings;
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
