/**
 * What tm-post takes, as batches: a body as bytes, a body as an object (a user's transformation), or plain
 * readings (a user's own source), which are grouped by sensor here.
 */
import type { Batch } from './batch';
import { TmError } from './errors';
import { TimestampWriter, type TimestampFormat } from './timestamp';
import { exactNumberJson } from './value';
import { parseInstant, quote } from './window';

/** A body that is posted as it is: what a tm-fetch batch is once it has travelled in a message. */
export interface PostBody extends Pick<Batch, 'body' | 'readings' | 'start_time' | 'end_time'> {
  readonly sensors: readonly string[];
}

export interface PayloadSettings {
  readonly timestampFormat: TimestampFormat;
  readonly timeZone: string;
}

/**
 * @param payload a Buffer or text of JSON, an object {start_time, end_time, data}, or an array of
 *   {sensor | sensor_id, timestamp, value}
 * @throws TmError TM_MESSAGE_INVALID that quotes what is wrong and says where
 */
export function postBody(payload: unknown, settings: PayloadSettings): PostBody {
  if (Array.isArray(payload)) return bodyOfReadings(payload, settings);
  if (Buffer.isBuffer(payload) || typeof payload === 'string') {
    return bodyOfObject(
      parseJson(payload.toString()),
      Buffer.isBuffer(payload) ? payload : Buffer.from(payload),
    );
  }
  return bodyOfObject(payload);
}

/** @param body its bytes, where it came as bytes: they are posted as they are */
function bodyOfObject(payload: unknown, body?: Buffer): PostBody {
  if (typeof payload !== 'object' || payload === null) {
    throw invalid(`the payload is ${quote(payload)}`);
  }
  const { start_time: start, end_time: end, data }: Record<string, unknown> = { ...payload };
  if (typeof start !== 'string' || typeof end !== 'string') {
    throw invalid(`start_time is ${quote(start)} and end_time is ${quote(end)}`);
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw invalid(`data is ${quote(data)}`);
  let readings = 0;
  const sensors: string[] = [];
  for (const [sensor, list] of Object.entries(data)) {
    if (!Array.isArray(list))
      throw invalid(`data[${quote(sensor)}] is ${quote(list)}, not a list of readings`);
    readings += list.length;
    if (list.length > 0) sensors.push(sensor);
  }
  return { start_time: start, end_time: end, body: body ?? serialise(payload), readings, sensors };
}

function serialise(payload: object): Buffer {
  try {
    return Buffer.from(
      JSON.stringify(payload, (_key, value: unknown) =>
        typeof value === 'bigint'
          ? Number.isSafeInteger(Number(value))
            ? Number(value)
            : String(value)
          : value,
      ),
    );
  } catch (cause) {
    throw new TmError('TM_MESSAGE_INVALID', 'The payload cannot be written as JSON: it refers to itself.', {
      cause,
    });
  }
}

interface PlainReading {
  readonly sensor: string;
  /** Its timestamp as it came, and in seconds: what readings are ordered by. */
  readonly native: string;
  readonly seconds: number;
  readonly json: string;
}

function bodyOfReadings(list: readonly unknown[], settings: PayloadSettings): PostBody {
  if (list.length === 0) throw invalid('the payload is an empty array');
  const writer = new TimestampWriter(settings.timestampFormat, 'naive', settings.timeZone);
  const readings = list.map((item, index) => plainReading(item, index, writer, settings.timeZone));
  readings.sort((a, b) => a.seconds - b.seconds || compare(a.native, b.native));
  const bySensor = new Map<string, string[]>();
  for (const { sensor, json } of readings) {
    const group = bySensor.get(sensor);
    if (group) group.push(json);
    else bySensor.set(sensor, [json]);
  }
  const sensors = [...bySensor.keys()].sort(compare);
  const data = sensors.map(
    (sensor) => `${JSON.stringify(sensor)}:[${bySensor.get(sensor)?.join(',') ?? ''}]`,
  );
  const first = writer.edgeOf(readings[0]?.native ?? '');
  const behind = writer.edgeBehind(readings.at(-1)?.native ?? '');
  const body = Buffer.from(`{"start_time":"${first}","end_time":"${behind}","data":{${data.join(',')}}}`);
  return { start_time: first, end_time: behind, body, readings: readings.length, sensors };
}

function plainReading(item: unknown, index: number, writer: TimestampWriter, timeZone: string): PlainReading {
  const fields: Record<string, unknown> = typeof item === 'object' && item !== null ? { ...item } : {};
  const sensor = fields.sensor ?? fields.sensor_id;
  if ((typeof sensor !== 'string' && typeof sensor !== 'number') || sensor === '') {
    throw invalid(`payload[${index}] is ${quote(item)}: its sensor must be a text`);
  }
  const seconds = parseReadingTime(fields.timestamp, index, timeZone);
  const native =
    typeof fields.timestamp === 'string' ? fields.timestamp.trim() : new Date(seconds * 1000).toISOString();
  return {
    sensor: String(sensor),
    native,
    seconds,
    json: `{"timestamp":${writer.json(native)},"value":${valueJson(fields.value, index)}}`,
  };
}

function parseReadingTime(timestamp: unknown, index: number, timeZone: string): number {
  try {
    return parseInstant(timestamp, `payload[${index}].timestamp`, timeZone);
  } catch (cause) {
    throw new TmError('TM_MESSAGE_INVALID', cause instanceof Error ? cause.message : String(cause), {
      cause,
    });
  }
}

/** As a database's values are posted; NULL stays null, and what JSON cannot carry becomes null. */
function valueJson(value: unknown, index: number): string {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? JSON.stringify(value) : 'null';
    case 'boolean':
      return value ? '1' : '0';
    case 'string':
      return JSON.stringify(value);
    case 'bigint':
      return exactNumberJson(String(value));
    default:
      if (value === null) return 'null';
      throw invalid(
        `payload[${index}].value is ${quote(value)}: it must be a number, a text, true, false or null`,
      );
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(`the payload is no JSON: ${quote(text)}`);
  }
}

function invalid(what: string): TmError {
  return new TmError(
    'TM_MESSAGE_INVALID',
    `tm-post cannot post this: ${what}. Send a batch of tm-fetch, an object {start_time, end_time, data}, or an array of {sensor, timestamp, value}.`,
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
