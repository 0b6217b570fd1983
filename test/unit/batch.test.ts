import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BatchBuilder, type Batch, type BatchSettings } from '../../lib/batch';
import { CellRows } from '../../lib/source/cells';
import type { ValueKind } from '../../lib/source/columns';
import { writeNumber } from '../../lib/value';
import { longPlan } from '../support/reading-plan';

/** A row as the database holds it; `second` orders it, the micros make its timestamp. */
interface Row {
  readonly second: number;
  readonly sensor: string;
  readonly value: string | null;
}

const START = Date.parse('2026-01-01T00:00:00Z') / 1000;
const settings = (overrides: Partial<BatchSettings> = {}): BatchSettings => ({
  window: { start: START, end: START + 3600 },
  timeZone: 'UTC',
  timestampFormat: 'iso',
  readingsPerBatch: 10_000,
  nullValues: 'null',
  maxBytes: 5_000_000,
  ...overrides,
});

const stamp = (second: number): string => new Date((START + second) * 1000).toISOString().slice(0, 19);
const native = (second: number): string => `${stamp(second).replace('T', ' ')}.25+00`;
const posted = (second: number): string => `${stamp(second)}.25Z`;

const push = (builder: BatchBuilder, rows: readonly Row[]): void => {
  const cells = new CellRows(builder, 3);
  for (const { second, sensor, value } of rows) cells.row([native(second), sensor, value]);
};

/** Takes what is ready after every so many rows. */
function build(
  rows: readonly Row[],
  kind: ValueKind,
  chunkSizes: readonly number[],
  overrides?: Partial<BatchSettings>,
  from?: string,
): Batch[] {
  const builder = new BatchBuilder(settings(overrides), longPlan(kind), from);
  const batches: Batch[] = [];
  let at = 0;
  for (let chunk = 0; at < rows.length; chunk++) {
    const size = chunkSizes[chunk % chunkSizes.length] ?? rows.length;
    push(builder, rows.slice(at, at + size));
    at += size;
    batches.push(...builder.take());
  }
  return [...batches, ...builder.end()];
}

/** What is to be posted of some rows, said as simply as possible. */
function reference(rows: readonly Row[], json: (value: string) => string): string {
  const bySensor = new Map<string, { second: number; entry: string }[]>();
  for (const { second, sensor, value } of rows) {
    const entry = `{"timestamp":"${posted(second)}","value":${value === null ? 'null' : json(value)}}`;
    bySensor.set(sensor, [...(bySensor.get(sensor) ?? []), { second, entry }]);
  }
  const bytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
  const sensors = [...bySensor].sort(([a], [b]) => bytes(a, b));
  const lists = sensors.map(([sensor, readings]) => {
    const ordered = readings.sort((a, b) => a.second - b.second || bytes(`${a.entry},`, `${b.entry},`));
    return `${JSON.stringify(sensor)}:[${ordered.map(({ entry }) => entry).join(',')}]`;
  });
  return `"data":{${lists.join(',')}}}`;
}

const bodiesOf = (batches: readonly Batch[]): string[] => batches.map(({ body }) => body.toString());
const dataOf = (batch: Batch): string => batch.body.toString().slice(batch.body.indexOf('"data":'));
const sensors = fc.oneof(
  fc.constantFrom(
    'K101.DE_BRG_X_VIB',
    '__proto__',
    'constructor',
    '17',
    'a\tb',
    'back\\slash',
    'quote"',
    'Ölk/ühler:1',
    ' x ',
  ),
  fc
    .string({ unit: 'binary', minLength: 1, maxLength: 8 })
    .filter((text) => !text.includes('\0') && !/\p{Surrogate}/u.test(text)),
);
const rowsOf = (value: fc.Arbitrary<string>): fc.Arbitrary<Row[]> =>
  fc
    .array(fc.record({ second: fc.nat(40), sensor: sensors, value: fc.option(value, { freq: 9 }) }), {
      maxLength: 80,
    })
    .map((rows) => rows.sort((a, b) => a.second - b.second));
const chunks = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 });

const doubles = fc.double().map((number) => {
  if (Number.isNaN(number)) return 'NaN';
  return Number.isFinite(number)
    ? String(Object.is(number, -0) ? '-0' : number)
    : number > 0
      ? 'Infinity'
      : '-Infinity';
});
const finite = (text: string): string => (/^(NaN|-?Infinity)$/.test(text) ? 'null' : text);
const kinds: Record<ValueKind, { values: fc.Arbitrary<string>; json: (value: string) => string }> = {
  number: { values: doubles, json: finite },
  integer: {
    values: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    json: (text) => (Number.isSafeInteger(Number(text)) ? text : `"${text}"`),
  },
  decimal: {
    values: fc
      .tuple(fc.bigInt({ min: -(10n ** 14n), max: 10n ** 14n }), fc.nat(999))
      .map(([whole, part]) => `${whole}.${String(part).padStart(3, '0')}`),
    json: (text) => (sameAsDouble(text) ? text : `"${text}"`),
  },
  boolean: { values: fc.constantFrom('t', 'f'), json: (text) => (text === 't' ? '1' : '0') },
  marked: {
    values: fc.oneof(
      doubles,
      fc
        .string({ unit: 'binary' })
        .filter((text) => !/\p{Surrogate}/u.test(text))
        .map((text) => `"${text}`),
      fc.constantFrom('"7', '"Infinity', '"', '""', '\\x00ff'),
    ),
    json: (text) => {
      if (text.startsWith('"')) return JSON.stringify(text.slice(1));
      return text.startsWith('\\') ? JSON.stringify(text) : kinds.mixed.json(text);
    },
  },
  mixed: {
    values: fc.oneof(
      doubles,
      fc.constantFrom(
        'Bad',
        'I/O Timeout',
        '',
        ' 1',
        '1 ',
        '0x10',
        '1e',
        '-',
        '.',
        '1-2',
        '1.2.3',
        '1e5e5',
        '2026-01-31',
      ),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    ),
    json: (text) => {
      if (/^(NaN|-?Infinity)$/.test(text)) return 'null';
      if (/^-?\d+$/.test(text)) return Number.isSafeInteger(Number(text)) ? text : `"${text}"`;
      return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? text : JSON.stringify(text);
    },
  },
  text: {
    values: fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
    json: (text) => JSON.stringify(text),
  },
};

/** Whether a decimal with three places is what its nearest double prints as. */
function sameAsDouble(text: string): boolean {
  const [whole = '', part = ''] = String(Number(text)).split('.');
  return part.length <= 3 && BigInt(`${whole}${part.padEnd(3, '0')}`) === BigInt(text.replace('.', ''));
}

describe('Batches of readings', () => {
  for (const [kind, { values, json }] of Object.entries(kinds)) {
    it(`hold ${kind} values byte for byte as the reference writes them`, () => {
      fc.assert(
        fc.property(rowsOf(values), chunks, (rows, sizes) => {
          const [batch, ...more] = build(rows, kind as ValueKind, sizes);
          assert(batch);
          assert.equal(more.length, 0);
          assert.equal(dataOf(batch), reference(rows, json));
          assert.equal(batch.readings, rows.length);
          JSON.parse(batch.body.toString());
        }),
      );
    });
  }

  it('hold an empty text as one, whatever digits stand around it in the buffer', () => {
    for (const around of ['1234', '-123', '0.12'])
      assert.equal(writeNumber(Buffer.from(around), 2, 2, Buffer.alloc(8), 0), -1);
  });

  it('are the same whatever order the database gives equal timestamps in', () => {
    fc.assert(
      fc.property(rowsOf(doubles), chunks, fc.infiniteStream(fc.nat()), (rows, sizes, keys) => {
        const shuffled = rows
          .map((row) => ({ row, key: Number(keys.next().value) }))
          .sort((a, b) => a.row.second - b.row.second || a.key - b.key)
          .map(({ row }) => row);
        const limits = { readingsPerBatch: 7 };
        const bodies = (list: readonly Row[]): string[] =>
          build(list, 'number', sizes, limits).map(({ body }) => body.toString());
        assert.deepEqual(bodies(shuffled), bodies(rows));
      }),
    );
  });

  it('tile the window in order, keep equal timestamps together, and hold no more than they may', () => {
    fc.assert(
      fc.property(
        rowsOf(doubles),
        chunks,
        fc.integer({ min: 1, max: 20 }),
        (rows, sizes, readingsPerBatch) => {
          const batches = build(rows, 'number', sizes, { readingsPerBatch });
          assert.equal(batches[0]?.start_time, '2026-01-01T00:00:00Z');
          assert.equal(batches.at(-1)?.end_time, '2026-01-01T01:00:00Z');
          let from = 0;
          for (const [index, batch] of batches.entries()) {
            if (index > 0) assert.equal(batch.start_time, batches[index - 1]?.end_time);
            const part = rows.slice(from, from + batch.readings);
            from += batch.readings;
            assert.equal(dataOf(batch), reference(part, finite));
            const seconds = new Set(part.map(({ second }) => second));
            assert(batch.readings <= readingsPerBatch || seconds.size === 1);
            assert(
              !rows.slice(from).some(({ second }) => seconds.has(second)),
              'a timestamp is in two batches',
            );
          }
          assert.equal(from, rows.length);
        },
      ),
    );
  });

  it('can be taken up again where any of them ended', () => {
    fc.assert(
      fc.property(
        rowsOf(doubles),
        chunks,
        fc.integer({ min: 1, max: 10 }),
        (rows, sizes, readingsPerBatch) => {
          const batches = build(rows, 'number', sizes, { readingsPerBatch });
          for (const [index, { resumeAt }] of batches.entries()) {
            if (resumeAt === undefined) continue;
            const rest = rows.filter(({ second }) => native(second) >= resumeAt);
            const builder = new BatchBuilder(settings({ readingsPerBatch }), longPlan('number'), resumeAt);
            push(builder, rest);
            const again = builder.end().map(({ body }) => body.toString());
            assert.deepEqual(
              again,
              batches.slice(index + 1).map(({ body }) => body.toString()),
            );
          }
        },
      ),
    );
  });

  it('hold each reading once and tile the window whatever the limits, and whatever the values look like', () => {
    const values = fc.oneof(
      fc.constantFrom(`{"timestamp":"${posted(0)}","value":`, `${posted(0)}","value":"`, '},{', ']', '\\N'),
      fc.string({ maxLength: 20 }),
    );
    const crowded = fc
      .array(fc.record({ second: fc.nat(3), sensor: fc.constantFrom('a', 'b', 'ü'), value: values }), {
        maxLength: 60,
      })
      .map((rows) => rows.sort((a, b) => a.second - b.second));
    const limits = fc.record({
      readingsPerBatch: fc.integer({ min: 1, max: 20 }),
      maxBytes: fc.integer({ min: 1, max: 1500 }),
    });
    const lines = (data: Record<string, { timestamp: string; value: string }[]>): string[] =>
      Object.entries(data).flatMap(([sensor, list]) =>
        list.map(({ timestamp, value }) => `${sensor} ${timestamp} ${value}`),
      );
    fc.assert(
      fc.property(crowded, limits, chunks, (rows, limit, sizes) => {
        const batches = build(rows, 'text', sizes, limit);
        const bodies = batches.map(
          ({ body }) => JSON.parse(body.toString()) as { data: Parameters<typeof lines>[0] },
        );
        assert.deepEqual(
          bodies.flatMap(({ data }) => lines(data)).sort(),
          rows.map(({ second, sensor, value }) => `${sensor} ${posted(second)} ${value}`).sort(),
        );
        let end = '2026-01-01T00:00:00Z';
        for (const [index, batch] of batches.entries()) {
          assert.equal(batch.readings, lines(bodies[index]?.data ?? {}).length);
          const told = batches.slice(0, index).flatMap(({ newSensors }) => newSensors);
          assert.deepEqual(
            batch.newSensors,
            Object.keys(bodies[index]?.data ?? {}).filter((sensor) => !told.includes(sensor)),
          );
          const before = batches[index - 1];
          // Of a timestamp in pieces each covers the same.
          if (before?.end_time === batch.end_time) assert.equal(batch.start_time, before.start_time);
          else assert.equal(batch.start_time, end);
          end = batch.end_time;
          const { resumeAt } = batch;
          if (resumeAt === undefined) continue;
          const rest = rows.filter(({ second }) => native(second) >= resumeAt);
          const again = build(rest, 'text', [1000], limit, resumeAt);
          assert.deepEqual(bodiesOf(again), bodiesOf(batches.slice(index + 1)));
        }
        assert.equal(end, '2026-01-01T01:00:00Z');
      }),
    );
  });

  describe('of one timestamp that alone is over the largest body', () => {
    const crowd = Array.from({ length: 300 }, (_, index) => ({
      second: 5,
      sensor: `tag ${index % 7}`,
      value: String(index),
    }));
    const early = { second: 1, sensor: 'tag 0', value: '1' };
    const late = { second: 9, sensor: 'tag 0', value: '9' };
    const limits = { maxBytes: 2000 };
    const spans = (batches: readonly Batch[]): string[] =>
      batches.map(({ start_time, end_time }) => `${start_time.slice(14, -1)} ${end_time.slice(14, -1)}`);

    it('are cut by sensor and reading, the same way each time, and cover the same time', () => {
      const batches = build([early, ...crowd, late], 'number', [999], limits);
      assert(batches.length > 5);
      for (const { body } of batches) assert(body.length <= 2200, `${body.length} bytes`);
      assert.equal(
        batches.reduce((sum, { readings }) => sum + readings, 0),
        302,
      );
      const [before, ...pieces] = spans(batches);
      assert.equal(before, '00:00 00:05.25');
      assert.equal(pieces.pop(), '00:09.25 00:00');
      assert.deepEqual([...new Set(pieces)], ['00:05.25 00:09.25']);
      const reversed = build([early, ...crowd.toReversed(), late], 'number', [77], limits);
      assert.deepEqual(bodiesOf(reversed), bodiesOf(batches));
    });

    it('hold each reading once', () => {
      const parts = build(crowd, 'number', [999], limits).map(
        ({ body }) => JSON.parse(body.toString()) as { data: Record<string, { value: number }[]> },
      );
      const values = parts.flatMap(({ data }) => Object.values(data).flat()).map(({ value }) => value);
      assert.deepEqual(
        values.sort((a, b) => a - b),
        crowd.map((_, index) => index),
      );
    });

    it('reach to the end of the window where nothing is behind them', () => {
      assert.deepEqual(
        [...new Set(spans(build([early, ...crowd], 'number', [999], limits)))],
        ['00:00 00:05.25', '00:05.25 00:00'],
      );
      const skipping = { ...limits, nullValues: 'skip' } as const;
      const withNull = build([...crowd, { ...late, value: null }], 'number', [999], skipping);
      assert.equal(withNull.at(-1)?.end_time, '2026-01-01T01:00:00Z');
    });

    it('are taken up again behind the last of them only', () => {
      const all = [early, ...crowd, late];
      const batches = build(all, 'number', [999], limits);
      assert.deepEqual(
        batches.map(({ resumeAt }) => resumeAt).filter((at) => at !== undefined),
        [native(5), native(9)],
      );
      for (const [index, { resumeAt }] of batches.entries()) {
        if (resumeAt === undefined) continue;
        const rest = build(
          all.filter(({ second }) => native(second) >= resumeAt),
          'number',
          [50],
          limits,
          resumeAt,
        );
        assert.deepEqual(bodiesOf(rest), bodiesOf(batches.slice(index + 1)));
      }
    });
  });

  it('skip NULL where that is wanted, and count what was not posted as it stood', () => {
    const rows = [null, 'NaN', '1.5', '-Infinity', '2', null].map((value, second) => ({
      second,
      sensor: 'a',
      value,
    }));
    const batches = build(rows, 'number', [7], { nullValues: 'skip', readingsPerBatch: 2 });
    assert.deepEqual(
      batches.map(({ readings, counts: { nullValues, notFinite } }) => [readings, nullValues, notFinite]),
      [
        [2, 1, 1],
        [2, 1, 1],
      ],
    );
  });

  it('have no readings without a sensor, and count them', () => {
    const builder = new BatchBuilder(settings(), longPlan('number'));
    const cells = new CellRows(builder, 3);
    cells.row([native(1), null, '1']);
    cells.row([native(1), '', '2']);
    cells.row([native(2), null, null]);
    const [batch] = builder.end();
    assert(batch);
    assert.equal(dataOf(batch), reference([{ second: 1, sensor: '', value: '2' }], finite));
    assert.equal(batch.counts.withoutSensor, 2);
    assert.equal(batch.counts.nullValues, 0);
  });

  it('an empty window is one batch without readings', () => {
    const [batch, ...more] = build([], 'number', [1]);
    assert.equal(more.length, 0);
    assert.equal(
      batch?.body.toString(),
      '{"start_time":"2026-01-01T00:00:00Z","end_time":"2026-01-01T01:00:00Z","data":{}}',
    );
  });
});
