/**
 * The hot loops alone, without database and network: bytes of PostgreSQL's rows to bodies.
 * `npm run bench -- micro [repeats] [sensors]`
 */
import { BatchBuilder } from '../lib/batch';
import { DataRowReader } from '../lib/source/data-row';
import type { RowSink } from '../lib/source/rows';
import { longPlan } from '../test/support/reading-plan';
import { report, spreadOf } from './support/figures';

const ROWS = 100_000;
const CHUNK_BYTES = 65_536;
const START = Date.parse('2026-01-01T00:00:00Z') / 1000;

export async function micro(repeats = 15, sensors = 500): Promise<void> {
  const seconds = Math.ceil(ROWS / sensors);
  const bytes = Buffer.concat([...dataRows(sensors, seconds)]);
  const rows = sensors * seconds;
  let bodies = 0;
  const settings = {
    window: { start: START, end: START + seconds },
    timeZone: 'UTC',
    timestampFormat: 'iso',
    readingsPerBatch: 10_000,
    nullValues: 'null',
    maxBytes: 5_000_000,
  } as const;
  const nothing: RowSink = { row: () => undefined };
  const ways: Readonly<Record<string, () => void>> = {
    'rows parsed in place': () => {
      readAll(bytes, nothing);
    },
    'rows parsed and built into bodies': () => {
      const builder = new BatchBuilder(settings, longPlan('number'));
      readAll(bytes, builder, () => (bodies += builder.take().length));
      bodies += builder.end().length;
    },
    'an object for each row, JSON.stringify': () => {
      const objects: { sensor: string; timestamp: string; value: number }[] = [];
      readAll(bytes, {
        row(source, starts, ends) {
          const text = (field: number): string => source.toString('utf8', starts[field], ends[field]);
          objects.push({ timestamp: text(0), sensor: text(1), value: Number(text(2)) });
        },
      });
      const data: Record<string, { timestamp: string; value: number }[]> = {};
      for (const { sensor, timestamp, value } of objects) (data[sensor] ??= []).push({ timestamp, value });
      bodies += Buffer.from(JSON.stringify({ data })).length > 0 ? 1 : 0;
    },
  };
  const times = new Map<string, number[]>(Object.keys(ways).map((way) => [way, []]));
  for (let repeat = -3; repeat < repeats; repeat++) {
    for (const [way, run] of Object.entries(ways)) {
      const begun = performance.now();
      run();
      if (repeat >= 0) times.get(way)?.push(performance.now() - begun);
    }
  }
  await report(
    'micro',
    {
      title: `The hot loops alone, ${rows.toLocaleString('en-US')} readings of ${sensors.toLocaleString('en-US')} sensors in memory`,
      columns: ['way', 'rows/s', 'least', 'most', 'MB/s in'],
      rows: [...times].map(([way, each]) => {
        const rate = spreadOf(each.map((ms) => (rows / ms) * 1000));
        return [way, rate.median, rate.min, rate.max, (rate.median * bytes.length) / rows / 1e6];
      }),
      notes: [`Median of ${repeats} interleaved runs; ${bodies} bodies in all.`],
    },
    {},
  );
}

/** As the chunks of a connection, less the rows that lie across two of them. */
function readAll(bytes: Buffer, sink: RowSink, afterChunk: () => void = () => undefined): void {
  const reader = new DataRowReader(sink, 3);
  for (let at = 0; at < bytes.length;) {
    at = reader.read(bytes.subarray(0, Math.min(bytes.length, at + CHUNK_BYTES)), at);
    afterChunk();
  }
}

function* dataRows(sensors: number, seconds: number): Generator<Buffer> {
  for (let second = 0; second < seconds; second++) {
    const timestamp = new Date((START + second) * 1000).toISOString().slice(0, 19).replace('T', ' ');
    for (let sensor = 0; sensor < sensors; sensor++) {
      const value = 50 + ((second * 7919 + sensor * 104_729) % 100_000) / 1000;
      yield dataRow([`${timestamp}+00`, `K101.VIB_${String(sensor).padStart(5, '0')}`, String(value)]);
    }
  }
}

function dataRow(fields: readonly string[]): Buffer {
  const parts = fields.flatMap((field) => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(field.length);
    return [length, Buffer.from(field)];
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(7);
  head.write('D');
  head.writeInt32BE(6 + body.length, 1);
  head.writeInt16BE(fields.length, 5);
  return Buffer.concat([head, body]);
}
