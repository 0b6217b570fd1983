import assert from 'node:assert/strict';
import { Client, escapeIdentifier, escapeLiteral } from 'pg';
import { parameterised, postgresDialect } from '../../lib/source/postgres-dialect';
import { parseDatabaseUrl } from '../../lib/database-url';
import { PostgresEngine } from '../../lib/source/postgres';
import { testDatabase } from '../support/test-database';
import { until } from '../support/until';
import { writeTime, type EngineFixture } from './fixture';
import { DAY, Harness, windowStatement } from './harness';
import { sourceContract } from './source-contract';

describe('A source on PostgreSQL', () => {
  const database = testDatabase();
  let client: Client;
  before(async () => {
    client = new Client(database.url);
    // The database is dropped with whoever is still connected.
    client.on('error', () => undefined);
    await client.connect();
    await client.query(
      "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level1', deterministic = false)",
    );
  });
  after(() => client.end());

  const OURS = "application_name = 'turbomechanica-data-connector' AND datname = current_database()";
  const settings = () => ({
    address: parseDatabaseUrl(database.url),
    timeZone: 'UTC',
    statementTimeoutSeconds: 30,
    poolSize: 4,
  });
  const fixture: EngineFixture = {
    name: 'PostgreSQL',
    types: {
      text: 'text',
      varchar: (length) => `varchar(${length})`,
      char: (length) => `char(${length})`,
      double: 'double precision',
      integer: 'integer',
      bigint: 'bigint',
      instant: 'timestamptz',
      naive: 'timestamp',
    },
    times: [
      { type: 'timestamptz', kind: 'instant', digits: 6, write: writeTime.instant },
      { type: 'timestamp', kind: 'naive', digits: 6, write: writeTime.local },
      { type: 'date', kind: 'date', digits: 0, write: writeTime.date },
      { type: 'integer', title: 'seconds', kind: 'epoch', digits: 0, write: writeTime.epochSeconds },
      { type: 'bigint', title: 'milliseconds', kind: 'epoch', digits: 3, write: writeTime.epochMilliseconds },
      { type: 'bigint', title: 'microseconds', kind: 'epoch', digits: 6, write: writeTime.epochMicroseconds },
      { type: 'double precision', title: 'seconds', kind: 'epoch', digits: 3, write: writeTime.epochSeconds },
      { type: 'numeric(20,7)', title: 'seconds', kind: 'epoch', digits: 7, write: writeTime.epochSeconds },
      { type: 'text', title: 'ISO 8601 with Z', kind: 'text', digits: 7, write: writeTime.isoUtc },
      {
        type: 'varchar(40)',
        title: 'ISO 8601 with an offset',
        kind: 'text',
        digits: 7,
        write: writeTime.offset,
      },
      { type: 'text', title: 'ISO 8601 without an offset', kind: 'text', digits: 7, write: writeTime.local },
    ],
    values: [
      {
        type: 'double precision',
        literals: ['0.1', "'NaN'", "'-Infinity'", 'NULL', '1e300', "'-0'"],
        posted: [0.1, null, null, null, 1e300, -0],
      },
      { type: 'real', literals: ['0.1', '-2.5'], posted: [0.1, -2.5] },
      { type: 'smallint', literals: ['-7'], posted: [-7] },
      { type: 'integer', literals: ['2147483647'], posted: [2147483647] },
      {
        type: 'bigint',
        literals: ['9007199254740991', '9007199254740993', '-9223372036854775808'],
        posted: [9007199254740991, '9007199254740993', '-9223372036854775808'],
      },
      {
        type: 'numeric',
        literals: ['12.340', '0.1234567890123456789', "'NaN'"],
        posted: [12.34, '0.1234567890123456789', null],
      },
      { type: 'boolean', literals: ['true', 'false', 'NULL'], posted: [1, 0, null] },
      {
        type: 'text',
        literals: ["'Bad'", 'E\'tab\\there \\\\ "quoted" \\n\'', "'12.5'", "''"],
        posted: ['Bad', 'tab\there \\ "quoted" \n', '12.5', ''],
      },
      { type: 'varchar(20)', literals: ["'I/O Timeout'"], posted: ['I/O Timeout'] },
      { type: 'char(12)', literals: ["'Bad'"], posted: ['Bad'] },
      {
        type: 'uuid',
        literals: ["'6f1f2c9e-8b0e-4d1c-9d0a-3f5e8f0c1a2b'"],
        posted: ['6f1f2c9e-8b0e-4d1c-9d0a-3f5e8f0c1a2b'],
      },
      { type: 'timestamptz', literals: ["'2026-01-31 12:00+00'"], posted: ['2026-01-31 12:00:00+00'] },
      { type: 'json', literals: ['\'{"a":1}\''], posted: ['{"a":1}'] },
      { type: 'bytea', literals: ["'\\x00ff'"], posted: ['\\x00ff'] },
      { type: 'interval', literals: ["'90 minutes'"], posted: ['01:30:00'] },
    ],
    sensors: [
      { type: 'text', text: 'K101' },
      { type: 'varchar(30)', text: 'K101/DE:BRG X.Ä' },
      { type: 'char(12)', text: 'K101' },
      { type: 'integer', text: '17' },
      { type: 'bigint', text: '9007199254740993' },
      { type: 'bigint', text: '-9223372036854775808' },
      { type: 'numeric', text: '123456789012345678901234567890.5000' },
      { type: 'real', text: '0.1' },
      { type: 'real', text: '16777216', posted: '1.6777216e+07' },
      { type: 'double precision', text: '1e+300' },
      { type: 'boolean', text: 't' },
      { type: 'uuid', text: '6f1f2c9e-8b0e-4d1c-9d0a-3f5e8f0c1a2b' },
      { type: 'text COLLATE blind', text: 'K101/DE:BRG X.Ä' },
    ],
    settings,
    readOnly: () => new PostgresEngine(settings()),
    quote: escapeIdentifier,
    execute: async (statement) => {
      await client.query(statement);
    },
    literal: escapeLiteral,
    manyRows: (count) =>
      `SELECT 'a', timestamptz '2026-01-01T00:00:00Z' + n * interval '10 ms', n FROM generate_series(1, ${count}) n`,
    slowSql:
      'SELECT sensor, ts AS timestamp, value FROM readings, pg_sleep(60) WHERE ts >= :start_time AND ts < :end_time',
    busy: async () => {
      const { rows } = await client.query(
        `SELECT 1 FROM pg_stat_activity WHERE ${OURS} AND state = 'active'`,
      );
      return rows.length;
    },
    cut: async () => {
      await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${OURS}`);
    },
    wrong: {
      unreachable: () => ({
        ...settings(),
        address: { ...settings().address, password: 'geheim-17', port: 1 },
      }),
      // A server that trusts local connections asks for no password.
      refused: () =>
        (process.env.TEST_POSTGRES_URL ?? '').includes('@127.0.0.1:5432/')
          ? undefined
          : { ...settings(), address: { ...settings().address, user: 'nobody', password: 'geheim-17' } },
    },
  };

  sourceContract(fixture);
  it('windows of texts are found by the index that the preview asks for', async () => {
    const harness = new Harness(fixture);
    for (const type of ['text', 'varchar(40)']) {
      await harness.table({ sensor: 'text', ts: type, value: 'integer' });
      await client.query(
        `INSERT INTO readings SELECT 'a', to_char(timestamp '2026-01-01' + n * interval '1 s', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), n FROM generate_series(0, 20000) n`,
      );
      const source = harness.open();
      await client.query(source.createIndexSql('readings', { name: 'ts', kind: 'text' }) ?? '');
      await client.query('ANALYZE readings');
      const { columns } = await source.table('readings');
      const newest = '2026-01-01T05:33:20Z';
      const window = { start: DAY.start + 60, end: DAY.start + 70 };
      const { text, values } = parameterised(windowStatement(postgresDialect, columns, { newest, window }));
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${text}`, values);
      assert.match(rows.map((row) => row['QUERY PLAN']).join(), /Index.*readings_ts/, type);
      await harness.closeAll();
    }
  });
  // After the suite has closed its sources.
  afterEach(() =>
    until(async () => {
      const { rows } = await client.query(`SELECT 1 FROM pg_stat_activity WHERE ${OURS}`);
      return rows.length === 0;
    }),
  );
});
