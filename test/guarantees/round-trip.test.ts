/**
 * What stands in the table is what is posted: names of sensors to the character, values to the last digit,
 * timestamps to the microsecond. Random rows through a real PostgreSQL, tm-fetch and tm-post to the posted body.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { collect, deploy, inject, useNodeRed, type FlowMessage } from '../support/flow';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const SEED = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const RUNS = 100;
const RANGE = { start_time: '2026-01-01T00:00:00Z', end_time: '2026-01-01T00:01:00Z' };

interface Row {
  readonly sensor: string;
  /** Behind the start of the range. */
  readonly microseconds: number;
  /** As the database takes it. */
  readonly value: string | null;
}

/** A text as PostgreSQL can hold it: any character but NUL. */
const text = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.string({ unit: 'grapheme', maxLength: 10 }),
    fc.string({
      unit: fc.constantFrom('"', '\\', "'", '\n', '\r', '\t', '\b', '\u001f', '\u007f', '/', '{', ']', ','),
      maxLength: 12,
    }),
  )
  .map((each) => each.replaceAll('\0', ''));
const sensor = fc.oneof(
  text,
  fc.constantFrom(
    ...[
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      'data',
      'timestamp',
      '',
      ' ',
      'a',
      'a ',
      ' a',
      'A',
    ],
    ...[
      '1',
      '01',
      '1.0',
      '-1',
      'null',
      'NaN',
      '0x10',
      '1e3',
      'K101.VIB:1/2',
      'Ä',
      'A\u0308',
      '😀',
      '\u2028',
      '\ufeff',
      'ﬀ',
    ],
    ...['\\N', '\\.', '\\t', '"', '\\"', "'", "''", '\\\\', '\u0080', '\u{10ffff}'],
  ),
);
const rowsOf = (value: fc.Arbitrary<string | null>): fc.Arbitrary<Row[]> =>
  fc.array(
    fc.record({
      sensor,
      microseconds: fc.oneof(
        fc.nat(59_999_999),
        fc.nat(59).map((second) => second * 1_000_000),
      ),
      value: fc.option(value, { freq: 10 }),
    }),
    { minLength: 1, maxLength: 60 },
  );

const digits = (most: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...Array.from('0123456789')), minLength: 1, maxLength: most });
const decimal = fc
  .tuple(fc.constantFrom('', '-'), digits(24), fc.option(digits(16), { nil: undefined }))
  .map(([sign, whole, fraction]) => `${sign}${whole}${fraction === undefined ? '' : `.${fraction}`}`);
const integer = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(2n ** 53n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n), 0n),
);
const float = fc.oneof(
  fc.double(),
  fc.constantFrom(NaN, Infinity, -Infinity, 5e-324, 1.7976931348623157e308, 0.1, 1 / 3, 1e21, 1e-7),
);

/** Sign, digits without zeros around them, and exponent: equal where the numbers are, to the last digit. */
function exactly(number: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d*))?(?:e([+-]?\d+))?$/i.exec(number) ?? assert.fail(`${number} is no number`);
  const all = `${whole}${fraction}`.replace(/^0+/, '');
  const significant = all.replace(/0+$/, '');
  if (significant === '') return '0';
  return `${sign}${significant}e${Number(exponent) - fraction.length + all.length - significant.length}`;
}

interface ColumnType {
  readonly type: string;
  readonly value: fc.Arbitrary<string>;
  /** @param posted as JSON.parse gives it */
  readonly matches: (posted: unknown, stored: string) => boolean;
}

const TYPES: readonly ColumnType[] = [
  {
    type: 'double precision',
    value: float.map(String),
    matches: (posted, stored) =>
      Number.isFinite(Number(stored)) ? posted === Number(stored) : posted === null,
  },
  {
    type: 'real',
    value: fc.oneof(fc.float(), fc.constantFrom(NaN, Infinity)).map(String),
    matches: (posted, stored) =>
      Number.isFinite(Number(stored)) ? Math.fround(Number(posted)) === Number(stored) : posted === null,
  },
  {
    type: 'bigint',
    value: integer.map(String),
    matches: (posted, stored) => posted === (Number.isSafeInteger(Number(stored)) ? Number(stored) : stored),
  },
  {
    type: 'numeric',
    value: fc.oneof(decimal, fc.constantFrom('NaN', '0.1', '123456789012345678901234567890.1234567890')),
    matches: (posted, stored) =>
      stored === 'NaN'
        ? posted === null
        : (typeof posted === 'number' || typeof posted === 'string') &&
          exactly(String(posted)) === exactly(stored),
  },
  {
    type: 'boolean',
    value: fc.constantFrom('true', 'false'),
    matches: (posted, stored) => posted === (stored === 'true' ? 1 : 0),
  },
  { type: 'text', value: text, matches: (posted, stored) => posted === stored },
  {
    type: 'varchar(40)',
    value: fc.constantFrom('Bad', 'I/O Timeout', '\\N', '', 'NaN', '"', '1.50', '{"a":1}'),
    matches: (posted, stored) => posted === stored,
  },
];

function timestampOf(microseconds: number): string {
  const second = String(Math.floor(microseconds / 1_000_000)).padStart(2, '0');
  const fraction = String(microseconds % 1_000_000)
    .padStart(6, '0')
    .replace(/0+$/, '');
  return `2026-01-01T00:00:${second}${fraction === '' ? '' : `.${fraction}`}Z`;
}

describe('Readings arrive as they are', function () {
  this.timeout(120_000);
  useNodeRed();
  const plant = usePlant();
  /** Receipts and errors. */
  let arrived: FlowMessage[] = [];

  const deployOver = async (sensorType: string, valueType: string): Promise<void> => {
    await plant.client.query(`
      drop table sensor_data;
      create table sensor_data (sensor_id ${sensorType}, timestamp timestamptz, value ${valueType})`);
    const errors = { 'catch-all': { wires: [['committed']] } };
    await deploy(plant.flow({ 'fetch-1': { readingsPerBatch: '25' }, ...errors }), plant.credentials);
    arrived = collect('committed');
  };

  /** Stores the rows, and has them read and posted. @returns what was posted */
  const roundTrip = async (rows: readonly Row[], valueType: string) => {
    await plant.client.query('truncate sensor_data');
    await plant.client.query(
      `insert into sensor_data
         select sensor, $4::timestamptz + microseconds * interval '1 microsecond', value::${valueType}
           from unnest($1::text[], $2::bigint[], $3::text[]) as rows (sensor, microseconds, value)`,
      [
        rows.map((row) => row.sensor),
        rows.map((row) => row.microseconds),
        rows.map((row) => row.value),
        RANGE.start_time,
      ],
    );
    const before = plant.cloud.exchanges.length;
    arrived.length = 0;
    inject('fetch-1', { payload: RANGE });
    await until(() => arrived.length > 0);
    assert.equal(arrived[0]?.error, undefined);
    const exchanges = plant.cloud.exchanges.slice(before);
    assert(exchanges.every(({ status }) => status === 200));
    return exchanges.flatMap(({ posted }) => posted?.readings ?? []);
  };

  for (const { type, value, matches } of TYPES) {
    it(`values of type ${type}, under sensors of any name (seed ${SEED})`, async () => {
      await deployOver('text', type);
      await fc.assert(
        fc.asyncProperty(rowsOf(value), async (rows) => {
          const posted = await roundTrip(rows, type);
          assert.equal(posted.length, rows.length);
          const left = [...rows];
          for (const reading of posted) {
            const place = left.findIndex(
              (row) =>
                row.sensor === reading.sensor &&
                timestampOf(row.microseconds) === reading.timestamp &&
                (row.value === null ? reading.value === null : matches(reading.value, row.value)),
            );
            assert(place >= 0, `${JSON.stringify(reading)} is not in the table`);
            left.splice(place, 1);
          }
          assert.deepEqual(left, []);
        }),
        { seed: SEED, numRuns: RUNS, endOnFailure: true },
      );
    });
  }

  it(`sensors in a CHAR column come without its padding (seed ${SEED})`, async () => {
    await deployOver('char(12)', 'double precision');
    const names = fc.constantFrom('K101', 'K101 a', '__proto__', '1', 'Ä', 'exactly12chr', '"');
    const rows = fc.array(
      fc.record({ sensor: names, microseconds: fc.nat(59_999_999), value: fc.constant('1.5') }),
      {
        minLength: 1,
        maxLength: 20,
      },
    );
    await fc.assert(
      fc.asyncProperty(rows, async (given) => {
        const posted = await roundTrip(given, 'double precision');
        assert.deepEqual(
          posted.map((reading) => `${reading.sensor} ${reading.timestamp}`).sort(),
          given.map((row) => `${row.sensor} ${timestampOf(row.microseconds)}`).sort(),
        );
      }),
      { seed: SEED, numRuns: 10, endOnFailure: true },
    );
  });
});
