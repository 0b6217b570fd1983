/** Batches of every shape of table against the simplest thing that could make them: objects and JSON.stringify. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BatchBuilder } from '../../lib/batch';
import { CellRows } from '../../lib/source/cells';
import type { ColumnInfo, ColumnKind } from '../../lib/source/columns';
import { planOf, rolesOf, selectedColumns } from '../../lib/source/plan';
import type { ReadingsQuery } from '../../lib/source/source';

const START = Date.parse('2026-01-01T00:00:00Z') / 1000;
const WINDOW = { start: START, end: START + 3600 };

/** A row as a table has it, whatever columns are read of it. */
interface Row {
  readonly order: number;
  readonly late: number | null;
  readonly tag: string | null;
  readonly x: number | null;
  readonly y: string | null;
  readonly flag: boolean | null;
  readonly unit: string | null;
}

const column = (name: string, kind: ColumnKind, padded = false): ColumnInfo => ({
  name,
  type: kind,
  kind,
  ...(padded ? { padded } : {}),
});
const COLUMNS = {
  ts: column('ts', 'naive'),
  inserted: column('inserted', 'naive'),
  tag: column('tag', 'text', true),
  x: column('x', 'number'),
  y: column('y', 'text'),
  flag: column('flag', 'boolean'),
  unit: column('unit', 'text', true),
} as const;
type Name = keyof typeof COLUMNS;

const iso = (second: number): string => new Date((START + second) * 1000).toISOString().slice(0, 19);
const width = 20;

/** A cell as the database's text. */
function cell(row: Row, name: Name, tracked: boolean): string | null {
  switch (name) {
    case 'ts':
      if (!tracked) return iso(row.order).replace('T', ' ');
      return row.late === null ? null : iso(row.late).replace('T', ' ');
    case 'inserted':
      return iso(row.order).replace('T', ' ');
    case 'x':
      return row.x === null ? null : String(row.x);
    case 'flag':
      return row.flag === null ? null : row.flag ? 't' : 'f';
    case 'tag':
      return row.tag?.padEnd(width) ?? null;
    case 'unit':
      return row.unit?.padEnd(width) ?? null;
    case 'y':
      return row.y;
  }
}

interface Model {
  readonly query: ReadingsQuery;
  readonly tracked: boolean;
  readonly skip: boolean;
  readonly readingsPerBatch: number;
}

function build({ query, tracked, skip, readingsPerBatch }: Model, rows: readonly Row[]): string[] {
  const roles = rolesOf(query, askedColumns(query));
  const times = { timestamp: { kind: 'naive' }, order: { kind: 'naive' } } as const;
  const builder = new BatchBuilder(
    {
      window: WINDOW,
      timeZone: 'UTC',
      timestampFormat: 'iso',
      readingsPerBatch,
      nullValues: skip ? 'skip' : 'null',
      maxBytes: 1e9,
    },
    planOf(query, roles, times),
  );
  const names = selectedColumns(roles).map(({ name }) => name as Name);
  const cells = new CellRows(builder, names.length);
  for (const row of rows) cells.row(names.map((name) => cell(row, name, tracked)));
  return builder.end().map(({ body }) => body.toString());
}

function askedColumns(query: ReadingsQuery): ColumnInfo[] {
  assert(query.from === 'table');
  const values =
    query.shape === 'wide'
      ? query.valueColumns
      : [
          query.sensorColumn,
          ...(typeof query.valueColumn === 'string' ? [query.valueColumn] : query.valueColumn),
        ];
  const asked = [
    query.timestampColumn,
    ...values,
    ...(query.trackBy === undefined ? [] : [query.trackBy]),
    ...(query.extras ?? []).map(({ column: name }) => name),
  ];
  return [...new Set(asked)].map((name) => COLUMNS[name as Name]);
}

/** What is to be posted, said as simply as possible. */
function reference({ query, tracked, skip, readingsPerBatch }: Model, rows: readonly Row[]): string[] {
  assert(query.from === 'table');
  const values: Name[] =
    query.shape === 'wide'
      ? (query.valueColumns as Name[])
      : ((typeof query.valueColumn === 'string' ? [query.valueColumn] : query.valueColumn) as Name[]);
  const json = (row: Row, name: Name): unknown => {
    if (name === 'flag') return row.flag === null ? null : Number(row.flag);
    return name === 'x' || name === 'y' || name === 'unit' ? row[name] : null;
  };
  const readings = rows.flatMap((row) => {
    const at = tracked ? row.late : row.order;
    if (at === null) return [];
    return values.flatMap((name) => {
      const base = query.shape === 'wide' ? `${query.prefix}${name}` : row.tag;
      if (base === null) return [];
      const value = json(row, name);
      if (value === null && (query.shape === 'wide' || skip)) return [];
      const suffix = query.shape !== 'wide' && values.length > 1 ? `.${name}` : '';
      if ((query.exclude ?? []).includes(base)) return [];
      const rename = new Map(query.rename);
      const sensor = rename.get(`${base}${suffix}`) ?? `${rename.get(base) ?? base}${suffix}`;
      const extras = Object.fromEntries(
        (query.extras ?? []).map(({ column: of, name: as }) => [as, json(row, of as Name)]),
      );
      return [
        { order: row.order, sensor, json: JSON.stringify({ timestamp: `${iso(at)}Z`, value, ...extras }) },
      ];
    });
  });
  const bodies: string[] = [];
  let batch: typeof readings = [];
  let start = 0;
  const cut = (end: number): void => {
    bodies.push(bodyOf(batch, start, end));
    batch = [];
    start = end;
  };
  for (const order of [...new Set(readings.map((reading) => reading.order))]) {
    const run = readings.filter((reading) => reading.order === order);
    if (batch.length > 0 && batch.length + run.length > readingsPerBatch) cut(order);
    batch.push(...run);
  }
  cut(3600);
  return bodies;
}

function bodyOf(
  readings: readonly { readonly order: number; readonly sensor: string; readonly json: string }[],
  start: number,
  end: number,
): string {
  const bytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
  const sensors = [...new Set(readings.map(({ sensor }) => sensor))].sort(bytes);
  const data = sensors.map((sensor) => {
    const list = readings
      .filter((reading) => reading.sensor === sensor)
      .sort((a, b) => a.order - b.order || bytes(a.json, b.json));
    return `${JSON.stringify(sensor)}:[${list.map((reading) => reading.json).join(',')}]`;
  });
  return `{"start_time":"${iso(start)}Z","end_time":"${iso(end)}Z","data":{${data.join(',')}}}`;
}

const texts = fc.oneof(
  fc.constantFrom('bar', '°C', '"', '\\', 'a\nb', '{"timestamp":', '},', ''),
  fc.string({ unit: 'grapheme', maxLength: 5 }).map((text) => text.replaceAll('\0', '').trimEnd()),
);
const rows = fc
  .array(
    fc.record({
      order: fc.nat(20),
      late: fc.option(fc.nat(90_000), { freq: 9 }),
      tag: fc.option(fc.constantFrom('a', 'b', '__proto__', 'Ö k', '17'), { freq: 9 }),
      x: fc.option(fc.oneof(fc.integer(), fc.constantFrom(0.5, 1e21, 1e-7, -2.25)), { freq: 5 }),
      y: fc.option(texts, { freq: 5 }),
      flag: fc.option(fc.boolean()),
      unit: fc.option(texts, { freq: 5 }),
    }),
    { maxLength: 60 },
  )
  .map((list) => list.sort((a, b) => a.order - b.order));

const extras = fc.subarray([
  { column: 'unit', name: 'unit' },
  { column: 'y', name: 'the "state"' },
  { column: 'flag', name: '__proto__x' },
  { column: 'x', name: 'again' },
]);
const long = fc.record({
  from: fc.constant('table' as const),
  table: fc.constant('t'),
  sensorColumn: fc.constant('tag'),
  timestampColumn: fc.constant('ts'),
  valueColumn: fc.oneof(fc.constantFrom('x', 'y', 'flag'), fc.subarray(['x', 'y', 'flag'], { minLength: 1 })),
  extras,
  exclude: fc.subarray(['a', '17']),
  rename: fc.subarray([['b', 'train 1/Ä'] as const, ['a.x', 'ax'] as const]),
});
const wide = fc.record({
  from: fc.constant('table' as const),
  shape: fc.constant('wide' as const),
  table: fc.constant('t'),
  timestampColumn: fc.constant('ts'),
  valueColumns: fc.subarray(['x', 'y', 'flag'], { minLength: 1 }),
  prefix: fc.constantFrom('', 'K101.'),
  extras,
  rename: fc.subarray([['K101.x', 'speed'] as const, ['y', 'state'] as const]),
});
const models = fc.record({
  query: fc.oneof(long, wide),
  tracked: fc.boolean(),
  skip: fc.boolean(),
  readingsPerBatch: fc.integer({ min: 1, max: 30 }),
});

describe('Batches of any shape of table', () => {
  it('hold what the reference makes of the same rows, byte for byte', () => {
    fc.assert(
      fc.property(models, rows, ({ query, tracked, ...rest }, list) => {
        const model: Model = {
          ...rest,
          tracked,
          query: tracked ? { ...query, trackBy: 'inserted' } : query,
        };
        const bodies = build(model, list);
        assert.deepEqual(bodies, reference(model, list));
        for (const body of bodies) JSON.parse(body);
      }),
      { numRuns: 500 },
    );
  });

  it('are the same whatever order the database gives equal timestamps in', () => {
    fc.assert(
      fc.property(models, rows, fc.infiniteStream(fc.nat()), ({ query, tracked, ...rest }, list, keys) => {
        const model: Model = { ...rest, tracked, query: tracked ? { ...query, trackBy: 'inserted' } : query };
        const shuffled = list
          .map((row) => ({ row, key: Number(keys.next().value) }))
          .sort((a, b) => a.row.order - b.row.order || a.key - b.key)
          .map(({ row }) => row);
        assert.deepEqual(build(model, shuffled), build(model, list));
      }),
    );
  });
});
