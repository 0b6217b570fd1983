import assert from 'node:assert/strict';
import { parseDatabaseUrl } from '../../lib/database-url';
import { MysqlEngine } from '../../lib/source/mysql';
import { mysqlDatabase, mysqlMissing } from '../support/mysql';
import { preview } from '../../lib/preview';
import type { ReadingsQuery } from '../../lib/source/source';
import { until } from '../support/until';
import { writeTime, type EngineFixture, type TestTime } from './fixture';
import { DAY, Harness, longQuery, valuesOf, windowOf } from './harness';
import { sourceContract } from './source-contract';

const title = 'A source on MySQL and MariaDB';
const suite = mysqlMissing === undefined ? describe : describe.skip;

suite(mysqlMissing === undefined ? title : `${title}: ${mysqlMissing}`, () => {
  const database = mysqlDatabase();
  const query = async (statement: string): Promise<unknown[]> => {
    const [rows] = await database.connection.query(statement);
    return rows as unknown[];
  };
  const ours = (): string =>
    `FROM information_schema.processlist WHERE db = '${database.name}' AND id <> CONNECTION_ID()`;
  const settings = () => ({
    address: parseDatabaseUrl(database.url),
    timeZone: 'UTC',
    statementTimeoutSeconds: 30,
    poolSize: 4,
  });
  const utc = (time: TestTime): string => writeTime.isoUtc(time).replace('T', ' ').replace('Z', '');
  const fixture: EngineFixture = {
    name: 'MySQL and MariaDB',
    types: {
      text: 'text',
      varchar: (length) => `varchar(${length})`,
      char: (length) => `char(${length})`,
      double: 'double',
      integer: 'int',
      bigint: 'bigint',
      instant: 'timestamp(6) NULL',
      naive: 'datetime(6)',
    },
    times: [
      { type: 'datetime(6)', kind: 'naive', digits: 6, write: writeTime.local },
      { type: 'datetime', kind: 'naive', digits: 0, write: writeTime.local },
      { type: 'timestamp(6) NULL', kind: 'instant', digits: 6, write: utc },
      { type: 'date', kind: 'date', digits: 0, write: writeTime.date },
      { type: 'int', title: 'seconds', kind: 'epoch', digits: 0, write: writeTime.epochSeconds },
      { type: 'bigint', title: 'milliseconds', kind: 'epoch', digits: 3, write: writeTime.epochMilliseconds },
      {
        type: 'bigint unsigned',
        title: 'microseconds',
        kind: 'epoch',
        digits: 6,
        write: writeTime.epochMicroseconds,
      },
      { type: 'double', title: 'seconds', kind: 'epoch', digits: 3, write: writeTime.epochSeconds },
      { type: 'decimal(20,7)', title: 'seconds', kind: 'epoch', digits: 7, write: writeTime.epochSeconds },
      { type: 'varchar(40)', title: 'ISO 8601 with Z', kind: 'text', digits: 7, write: writeTime.isoUtc },
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
      { type: 'double', literals: ['0.1', 'NULL', '1e300', '-2.5e-7'], posted: [0.1, null, 1e300, -2.5e-7] },
      {
        type: 'float',
        literals: ['0.1', '-2.5', '16777216', '1234567.9', '3.4e38'],
        posted: [0.1, -2.5, 16777216, 1234567.9, 3.4e38],
      },
      { type: 'float(9,3)', literals: ['12.34'], posted: [12.34] },
      { type: 'tinyint', literals: ['-7'], posted: [-7] },
      { type: 'tinyint(1)', literals: ['TRUE', 'FALSE'], posted: [1, 0] },
      { type: 'smallint', literals: ['-32768'], posted: [-32768] },
      { type: 'mediumint(6) zerofill', literals: ['42'], posted: [42] },
      { type: 'int', literals: ['2147483647'], posted: [2147483647] },
      {
        type: 'bigint',
        literals: ['9007199254740991', '9007199254740993', '-9223372036854775808'],
        posted: [9007199254740991, '9007199254740993', '-9223372036854775808'],
      },
      { type: 'bigint unsigned', literals: ['18446744073709551615'], posted: ['18446744073709551615'] },
      {
        type: 'decimal(25,19)',
        literals: ['12.34', '0.1234567890123456789'],
        posted: [12.34, '0.1234567890123456789'],
      },
      { type: 'bit(1)', literals: ["b'1'", "b'0'"], posted: [1, 0] },
      { type: 'bit(64)', literals: ["b'101'", '18446744073709551615'], posted: [5, '18446744073709551615'] },
      { type: 'year', literals: ['2026'], posted: [2026] },
      {
        type: 'text',
        literals: ["'Bad'", '\'tab\\there \\\\ "quoted" \\n\'', "'12.5'", "''", "'Größe 温度'"],
        posted: ['Bad', 'tab\there \\ "quoted" \n', '12.5', '', 'Größe 温度'],
      },
      { type: 'varchar(20)', literals: ["'I/O Timeout'"], posted: ['I/O Timeout'] },
      { type: 'varchar(20) CHARACTER SET latin1', literals: ["'Größe'"], posted: ['Größe'] },
      { type: 'char(12)', literals: ["'Bad'"], posted: ['Bad'] },
      { type: "enum('Good','Bad')", literals: ["'Bad'"], posted: ['Bad'] },
      { type: "set('a','b')", literals: ["'a,b'"], posted: ['a,b'] },
      { type: 'json', literals: ['\'{"a":1}\''], posted: ['{"a":1}'] },
      { type: 'blob', literals: ['0x00ff'], posted: ['\\x00ff'] },
      { type: 'binary(3)', literals: ['0x0102'], posted: ['\\x010200'] },
      { type: 'datetime(3)', literals: ["'2026-01-31 12:00:00.5'"], posted: ['2026-01-31 12:00:00.500'] },
      { type: 'timestamp NULL', literals: ["'2026-01-31 12:00:00'"], posted: ['2026-01-31 12:00:00+00:00'] },
      { type: 'date', literals: ["'2026-01-31'"], posted: ['2026-01-31'] },
      { type: 'time', literals: ["'-01:30:00'"], posted: ['-01:30:00'] },
    ],
    sensors: [
      { type: 'varchar(30)', text: 'K101' },
      { type: 'varchar(30)', text: 'K101/DE:BRG X.Ä' },
      { type: 'varchar(30) CHARACTER SET latin1', text: 'Größe K101' },
      { type: 'char(12)', text: 'K101' },
      { type: 'text', text: 'K101' },
      { type: "enum('K101','K102')", text: 'K101' },
      { type: 'int', text: '17' },
      { type: 'bigint', text: '9007199254740993' },
      { type: 'bigint unsigned', text: '18446744073709551615' },
      { type: 'decimal(60,30)', text: '123456789012345678901234567890.500000000000000000000000000000' },
      { type: 'float', text: '1234567.9' },
      { type: 'double', text: '1e300' },
      { type: 'datetime', text: '2026-01-31 12:00:00' },
      { type: 'bit(8)', text: '1', posted: '49' },
      { type: 'varchar(30) COLLATE utf8mb4_danish_ci', text: 'Aarhus K101' },
      { type: 'varchar(30) COLLATE utf8mb4_bin', text: 'K101 温度' },
      { type: 'varbinary(16)', text: 'K101', posted: '\\x4b313031' },
    ],
    settings,
    readOnly: () => new MysqlEngine(settings()),
    quote: (name) => `\`${name.replaceAll('`', '``')}\``,
    execute: async (statement) => {
      await query(statement);
    },
    literal: (text) => database.connection.escape(text),
    manyRows: (count) => {
      const digits = [1, 10, 100, 1000, 10_000, 100_000].map(
        (place) =>
          `(${Array.from({ length: 10 }, (_, digit) => `SELECT ${digit * place} d`).join(' UNION ALL ')}) d${place}`,
      );
      const number = [1, 10, 100, 1000, 10_000, 100_000].map((place) => `d${place}.d`).join(' + ');
      return `SELECT 'a', TIMESTAMP'2026-01-01 00:00:00' + INTERVAL n * 10000 MICROSECOND, n
        FROM (SELECT 1 + ${number} n FROM ${digits.join(', ')}) numbers WHERE n <= ${count}`;
    },
    slowSql:
      'SELECT sensor, ts AS `timestamp`, value + SLEEP(60) AS value FROM readings WHERE ts >= :start_time AND ts < :end_time',
    busy: async () => (await query(`SELECT 1 ${ours()} AND command <> 'Sleep'`)).length,
    cut: async () => {
      for (const { id } of (await query(`SELECT id ${ours()}`)) as { id: number }[]) {
        // It may have ended by itself.
        await query(`KILL ${id}`).catch(() => undefined);
      }
    },
    wrong: {
      unreachable: () => ({
        ...settings(),
        address: { ...settings().address, password: 'geheim-17', port: 1 },
      }),
      refused: () => ({
        ...settings(),
        address: { ...settings().address, user: 'nobody', password: 'geheim-17' },
      }),
    },
  };

  sourceContract(fixture);
  // After the suite has closed its sources.
  afterEach(() => until(async () => (await query(`SELECT 1 ${ours()}`)).length === 0));

  describe('in its own way', () => {
    const harness = new Harness(fixture);
    afterEach(() => harness.closeAll());

    it('zero dates are of no window, and are not the oldest', async () => {
      await query("SET sql_mode = ''");
      await harness.table({ sensor: 'varchar(20)', ts: 'datetime', value: 'int', seen: 'datetime' }, [
        ['a', '0000-00-00 00:00:00', '1', '2026-01-01 00:00:00'],
        ['a', '2026-01-01 00:00:01', '2', '0000-00-00 00:00:00'],
      ]);
      const source = harness.open();
      assert.deepEqual(valuesOf((await harness.posted(longQuery(), DAY, { source })).a), [2]);
      assert.equal(await source.oldest(longQuery()), DAY.start + 1);
      assert.deepEqual(
        await harness.posted(longQuery({ trackBy: 'seen' }), DAY, { source }),
        Object.create(null),
      );
      assert.equal(harness.counts?.withoutTimestamp, 1);
    });

    it('days that no month has end no window', async () => {
      await query("SET sql_mode = 'ALLOW_INVALID_DATES'");
      try {
        await harness.table({ sensor: 'varchar(20)', ts: 'datetime', value: 'int' }, [
          ['a', '2025-12-31 23:59:59', '1'],
          ['a', '2026-00-00 00:00:00', '2'],
          ['a', '2026-02-31 00:00:00', '3'],
          ['a', '2026-03-01 00:00:00', '4'],
        ]);
      } finally {
        await query('SET sql_mode = DEFAULT');
      }
      const window = windowOf('2025-12-31T00:00:00Z', '2026-03-02T00:00:00Z');
      assert.deepEqual(valuesOf((await harness.posted(longQuery(), window)).a), [1, 4]);
      assert.equal(harness.counts?.withoutTimestamp, 2);
    });

    it('floats have all of their digits, in the user’s own SQL too, and doubles theirs, whatever they are called', async () => {
      await harness.table(
        { sensor: 'varchar(20)', ts: 'datetime', value: 'float', float32: 'double', q: 'float' },
        [
          ['a', '2026-01-01 00:00:00', '1234567.9', '0.10000000149011612', '192'],
          ['b', '2026-01-01 00:00:00', '0.1', '1234567.875', '0.1'],
        ],
      );
      const values = async (given: ReadingsQuery): Promise<unknown[]> =>
        Object.values(await harness.posted(given)).flatMap(valuesOf);
      assert.deepEqual(await values(longQuery()), [1234567.9, 0.1]);
      assert.deepEqual(
        await values(longQuery({ valueColumn: 'float32' })),
        [0.10000000149011612, 1234567.875],
      );
      const where = 'FROM readings WHERE ts >= :start_time AND ts < :end_time';
      for (const [value, posted] of [
        ['value', [1234567.9, 0.1]],
        ['CAST(value AS float)', [1234567.9, 0.1]],
        ['float32', [0.10000000149011612, 1234567.875]],
        ['value * 1', [1234567.875, 0.10000000149011612]],
      ] as const) {
        const sql = `SELECT sensor, ts AS timestamp, ${value} AS value ${where}`;
        assert.deepEqual(await values({ from: 'sql', sql }), posted, value);
        const { readings = [] } = await preview(harness.open(), {
          query: { from: 'sql', sql },
          timeZone: 'UTC',
          signal: new AbortController().signal,
        });
        assert.deepEqual(readings.map((reading) => reading.value).sort(), posted.toSorted(), value);
      }
      assert.deepEqual(await values(longQuery({ quality: { column: 'q', accepted: ['0.1'] } })), [0.1]);
      const extra = await harness.posted(longQuery({ extras: [{ column: 'q', name: 'q' }] }));
      assert.equal(extra.b?.[0]?.q, 0.1);
    });

    it('the user’s own SQL may have texts with backslashes, and comments behind #', async () => {
      await harness.readings([['a', '2026-01-01T00:00:00Z', '1']]);
      const select = 'SELECT sensor, ts AS timestamp, value FROM readings';
      const between = 'ts >= :start_time AND ts < :end_time';
      for (const sql of [
        `${select} WHERE sensor <> 'it\\'s :start_time' AND ${between}`,
        `${select} # what's in a window\n WHERE ${between}`,
      ]) {
        assert.deepEqual(valuesOf((await harness.posted({ from: 'sql', sql })).a), [1], sql);
      }
    });

    it('the user’s own SQL may not write, not even in a function', async () => {
      await harness.readings([['a', '2026-01-01T00:00:00Z', '1']]);
      await query('CREATE TABLE written (a int)');
      await query(
        'CREATE FUNCTION writes() RETURNS int NOT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO written VALUES (1); RETURN 1; END',
      );
      const sql =
        'SELECT sensor, ts AS timestamp, value + writes() AS value FROM readings WHERE ts >= :start_time AND ts < :end_time';
      await assert.rejects(harness.posted({ from: 'sql', sql }), {
        code: 'TM_QUERY_FAILED',
        message: /read-only/,
      });
      assert.equal((await query('SELECT * FROM written')).length, 0);
    });

    it('a timestamp is the same instant whatever zone the server is in', async () => {
      const [zone] = (await query('SELECT @@global.time_zone AS name')) as { name: string }[];
      await harness.table({ sensor: 'varchar(20)', ts: 'timestamp(6) NULL', value: 'timestamp NULL' }, [
        ['a', '2026-01-01 06:00:00.000001', '2026-01-01 06:00:00'],
      ]);
      await query("SET GLOBAL time_zone = '-06:00'");
      try {
        const source = harness.open();
        assert.deepEqual((await harness.posted(longQuery(), DAY, { source })).a, [
          { timestamp: '2026-01-01T06:00:00.000001Z', value: '2026-01-01 06:00:00+00:00' },
        ]);
        assert(Math.abs((await source.clock()) - Date.now() / 1000) < 60);
      } finally {
        await query(`SET GLOBAL time_zone = '${zone?.name ?? 'SYSTEM'}'`);
      }
    });

    it('a query that is given up before its first row ends on the server too', async () => {
      await harness.readings([['a', '2026-01-01T00:00:00Z', '1']]);
      // Not one that sleeps, and looks whether anybody is still there.
      const sql = `SELECT sensor, ts AS timestamp, BENCHMARK(1e12, SHA2(sensor, 512)) AS value FROM readings
        WHERE ts >= :start_time AND ts < :end_time`;
      const controller = new AbortController();
      const source = harness.open({ statementTimeoutSeconds: 600 });
      const reading = source.read({ from: 'sql', sql }, DAY, {
        signal: controller.signal,
        drain: () => undefined,
        sink: () => ({ row: () => undefined }),
      });
      const ended = assert.rejects(reading, /given up/);
      await until(async () => (await query(`SELECT 1 ${ours()} AND info LIKE '%BENCHMARK%'`)).length > 0);
      controller.abort(new Error('given up'));
      await ended;
      await until(async () => (await fixture.busy()) === 0);
    });

    it('idle connections that the server ended are made anew', async () => {
      const source = harness.open();
      await Promise.all([source.clock(), source.clock(), source.clock()]);
      await fixture.cut?.();
      await until(() => source.clock().catch(() => undefined));
      // The goodbye to those that are gone is heard by nobody.
      await fixture.cut?.();
      await source.close();
    });

    it('a window is found by the index on its column of time', async () => {
      for (const type of ['datetime(6)', 'timestamp(6) NULL']) {
        await harness.table({ sensor: 'varchar(20)', ts: type, value: 'double' });
        await query(`INSERT INTO readings ${fixture.manyRows(10_000)}`);
        await query('CREATE INDEX by_time ON readings (ts)');
        await query('ANALYZE TABLE readings');
        await query('FLUSH STATUS');
        const source = harness.open();
        const counter = async (): Promise<number> => {
          const [row] = (await query("SHOW GLOBAL STATUS LIKE 'Handler_read_rnd_next'")) as {
            Value: string;
          }[];
          return Number(row?.Value);
        };
        const before = await counter();
        const window = { start: DAY.start + 10, end: DAY.start + 11 };
        assert.equal((await harness.posted(longQuery(), window, { source })).a?.length, 100, type);
        const scanned = (await counter()) - before;
        assert(scanned < 5000, `${type}: ${scanned} rows were scanned`);
      }
    });
  });
});
