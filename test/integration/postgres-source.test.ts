import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { Client } from 'pg';
import { BatchBuilder } from '../../lib/batch';
import { parseDatabaseUrl } from '../../lib/database-url';
import { readBatches } from '../../lib/reading';
import type { EngineSettings } from '../../lib/source/engine-settings';
import { openSource } from '../../lib/source/open';
import type { LongQuery, ReadingsQuery, Source } from '../../lib/source/source';
import { parseWindow, type Window } from '../../lib/window';
import { testDatabase } from '../support/test-database';
import { until } from '../support/until';

type Posted = Record<string, { timestamp: string; value: unknown }[]>;

const window = (start: string, end: string): Window => parseWindow({ start_time: start, end_time: end });
const day = window('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z');

describe('Readings out of a real PostgreSQL', () => {
  const database = testDatabase();
  const sources: Source[] = [];
  let client: Client;

  before(async () => {
    client = new Client(database.url);
    // The database is dropped with whoever is still connected.
    client.on('error', () => undefined);
    await client.connect();
  });
  after(() => client.end());
  afterEach(async () => {
    await Promise.all(sources.splice(0).map((source) => source.close()));
    await until(async () => (await activity()).length === 0);
  });

  const open = (overrides: Partial<EngineSettings> = {}): Source => {
    const source = openSource({
      address: parseDatabaseUrl(database.url),
      timeZone: 'UTC',
      statementTimeoutSeconds: 30,
      poolSize: 4,
      ...overrides,
    });
    sources.push(source);
    return source;
  };
  const activity = async (): Promise<{ pid: number; state: string }[]> => {
    const { rows } = await client.query<{ pid: number; state: string }>(
      "select pid, state from pg_stat_activity where application_name = 'turbomechanica-data-connector' and datname = current_database()",
    );
    return rows;
  };
  const table = (overrides: Partial<LongQuery> = {}): LongQuery => ({
    from: 'table',
    table: 'readings',
    sensorColumn: 'sensor',
    timestampColumn: 'ts',
    valueColumn: 'value',
    sensors: [],
    ...overrides,
  });
  /** Everything that a window posts, put together again. */
  const posted = async (
    source: Source,
    query: ReadingsQuery,
    range = day,
    timeZone = 'UTC',
  ): Promise<Posted> => {
    // A sensor may be called __proto__.
    const all = Object.create(null) as Posted;
    const settings = {
      window: range,
      timeZone,
      timestampFormat: 'iso',
      readingsPerBatch: 1000,
      nullValues: 'null',
      maxBytes: 5_000_000,
    } as const;
    const consumer = {
      room: () => Promise.resolve(),
      send: ({ body }: { body: Buffer }) => {
        for (const [sensor, list] of Object.entries((JSON.parse(body.toString()) as { data: Posted }).data)) {
          all[sensor] = [...(all[sensor] ?? []), ...list];
        }
      },
    };
    await readBatches(source, query, settings, consumer, new AbortController().signal);
    return all;
  };
  const values = async (type: string, literals: readonly string[]): Promise<unknown[]> => {
    await client.query(
      `drop table if exists readings; create table readings (sensor text, ts timestamptz, value ${type})`,
    );
    for (const [index, literal] of literals.entries()) {
      await client.query(
        `insert into readings values ('a', '2026-01-01T00:00:0${index}Z', (${literal})::${type})`,
      );
    }
    return ((await posted(open(), table())).a ?? []).map(({ value }) => value);
  };

  describe('values', () => {
    const cases: [type: string, literals: string[], json: unknown[]][] = [
      ['double precision', ['0.1', "'NaN'", "'-Infinity'", 'null', '1e300'], [0.1, null, null, null, 1e300]],
      ['real', ['0.1', '-2.5'], [0.1, -2.5]],
      ['smallint', ['-7'], [-7]],
      ['integer', ['2147483647'], [2147483647]],
      [
        'bigint',
        ['9007199254740991', '9007199254740993', '-9223372036854775808'],
        [9007199254740991, '9007199254740993', '-9223372036854775808'],
      ],
      ['numeric', ['12.340', '0.1234567890123456789', "'NaN'"], [12.34, '0.1234567890123456789', null]],
      ['boolean', ['true', 'false', 'null'], [1, 0, null]],
      [
        'text',
        ["'Bad'", 'E\'tab\\there \\\\ "quoted" \\n\'', "'12.5'", "''"],
        ['Bad', 'tab\there \\ "quoted" \n', '12.5', ''],
      ],
      ['varchar(20)', ["'I/O Timeout'"], ['I/O Timeout']],
    ];
    for (const [type, literals, json] of cases) {
      it(`of ${type}`, async () => {
        assert.deepEqual(await values(type, literals), json);
      });
    }
  });

  describe('sensors', () => {
    const cases: [type: string, literal: string, name: string][] = [
      ['text', "'__proto__'", '__proto__'],
      ['varchar(30)', "'K101/DE:BRG X.Ä'", 'K101/DE:BRG X.Ä'],
      ['char(12)', "'K101'", 'K101'],
      ['integer', '17', '17'],
      ['bigint', '9007199254740993', '9007199254740993'],
      ['uuid', "'6f1f2c9e-8b0e-4d1c-9d0a-3f5e8f0c1a2b'", '6f1f2c9e-8b0e-4d1c-9d0a-3f5e8f0c1a2b'],
    ];
    for (const [type, literal, name] of cases) {
      it(`of ${type}, all and from a list`, async () => {
        await client.query(`drop table if exists readings; create table readings (sensor ${type}, ts timestamptz, value float8);
          insert into readings values (${literal}, '2026-01-01T00:00:00Z', 1)`);
        const source = open();
        assert.deepEqual(Object.keys(await posted(source, table())), [name]);
        assert.deepEqual(Object.keys(await posted(source, table({ sensors: [name] }))), [name]);
        if (type === 'text')
          assert.deepEqual(Object.keys(await posted(source, table({ sensors: ["o'ther"] }))), []);
      });
    }
  });

  describe('timestamps', () => {
    it('keep their microseconds, and edges belong to the window that begins with them', async () => {
      await client.query(`drop table if exists readings; create table readings (sensor text, ts timestamptz, value float8);
        insert into readings values ('a', '2026-01-01T00:00:00Z', 1), ('a', '2026-01-01T11:59:59.999999Z', 2),
          ('a', '2026-01-01T12:00:00Z', 3), ('a', '2026-01-02T00:00:00Z', 4)`);
      const source = open();
      const morning = await posted(source, table(), window('2026-01-01T00:00:00Z', '2026-01-01T12:00:00Z'));
      const evening = await posted(source, table(), window('2026-01-01T12:00:00Z', '2026-01-02T00:00:00Z'));
      assert.deepEqual(morning.a, [
        { timestamp: '2026-01-01T00:00:00Z', value: 1 },
        { timestamp: '2026-01-01T11:59:59.999999Z', value: 2 },
      ]);
      assert.deepEqual(evening.a, [{ timestamp: '2026-01-01T12:00:00Z', value: 3 }]);
    });

    it('without an offset are of the zone that is set, each in one window, the hour that comes twice too', async () => {
      await client.query(`drop table if exists readings; create table readings (sensor text, ts timestamp, value int);
        insert into readings select 'a', timestamp '2026-10-25 00:00' + n * interval '10 min', n from generate_series(0, 40) n`);
      const source = open({ timeZone: 'Europe/Berlin' });
      const seen: unknown[] = [];
      for (let minutes = 0; minutes < 12 * 60; minutes += 30) {
        const at = (offset: number) =>
          new Date(Date.parse('2026-10-24T20:00:00Z') + (minutes + offset) * 60_000).toISOString();
        const part = await posted(source, table(), window(at(0), at(30)), 'Europe/Berlin');
        for (const { timestamp, value } of part.a ?? []) {
          assert(
            timestamp >= at(0).slice(0, 19) && timestamp < at(30).slice(0, 19),
            `${timestamp} in ${at(0)}`,
          );
          seen.push(value);
        }
      }
      assert.deepEqual(
        seen,
        Array.from({ length: 41 }, (_, n) => n),
      );
    });

    it('of date columns are midnight', async () => {
      await client.query(`drop table if exists readings; create table readings (sensor text, ts date, value float8);
        insert into readings values ('a', '2026-01-01', 1), ('a', '2026-01-02', 2)`);
      assert.deepEqual((await posted(open(), table())).a, [{ timestamp: '2026-01-01T00:00:00Z', value: 1 }]);
    });
  });

  describe('SQL of the user', () => {
    beforeEach(() =>
      client.query(`drop table if exists readings; create table readings (sensor text, ts timestamptz, value float8);
        insert into readings values ('a', '2026-01-01T00:00:00Z', 1), ('a', '2026-01-02T00:00:00Z', 2);
        create or replace function raw_tags(tags text, lower timestamptz, upper timestamptz) returns table (tag text, at timestamptz, v float8)
          language sql as 'select sensor, ts, value from readings where ts between lower and upper'`),
    );

    it('may be a function, with aliases, and inclusive bounds do not send a row twice', async () => {
      const sql =
        "SELECT tag AS sensor_id, v AS value, at AS timestamp FROM raw_tags('a,:start_time', :start_time, :end_time);";
      const source = open();
      assert.deepEqual((await posted(source, { from: 'sql', sql })).a?.length, 1);
      const next = window('2026-01-02T00:00:00Z', '2026-01-03T00:00:00Z');
      assert.deepEqual((await posted(source, { from: 'sql', sql }, next)).a?.length, 1);
    });

    it('that writes is refused', async () => {
      await client.query(
        `create or replace function wipe() returns boolean language plpgsql as 'begin delete from readings; return true; end'`,
      );
      const sql =
        'SELECT sensor, ts AS timestamp, value FROM readings WHERE ts >= :start_time AND ts < :end_time AND wipe()';
      await assert.rejects(posted(open(), { from: 'sql', sql }), {
        code: 'TM_QUERY_FAILED',
        message: /read-only/,
      });
      const { rows } = await client.query('select 1 from readings');
      assert.equal(rows.length, 2);
    });

    it('without the columns that are needed is refused', async () => {
      const sql = 'SELECT ts FROM readings WHERE ts >= :start_time AND ts < :end_time';
      await assert.rejects(posted(open(), { from: 'sql', sql }), {
        code: 'TM_QUERY_COLUMNS',
        message: /returns ts/,
      });
    });
  });

  it('takes names as they are, however hostile', async () => {
    await client.query(`create schema if not exists "o""dd.schema"; drop table if exists "o""dd.schema"."t;--";
      create table "o""dd.schema"."t;--" ("sen'sor" text, "time :start_time" timestamptz, "va""lue" float8);
      insert into "o""dd.schema"."t;--" values ('''; drop table readings; --', '2026-01-01T00:00:00Z', 1)`);
    const query = table({
      table: '"o""dd.schema"."t;--"',
      sensorColumn: "sen'sor",
      timestampColumn: 'time :start_time',
      valueColumn: 'va"lue',
      sensors: ["'; drop table readings; --", '\\', '$$'],
    });
    assert.deepEqual(Object.keys(await posted(open(), query)), ["'; drop table readings; --"]);
  });

  describe('what goes wrong', () => {
    const fill = (rows: number) =>
      client.query(`drop table if exists readings; create table readings (sensor text, ts timestamptz, value float8);
        insert into readings select 'a', timestamptz '2026-01-01' + n * interval '10 ms', n from generate_series(1, ${rows}) n`);
    const read = (source: Source, signal: AbortSignal, drain: () => Promise<void> | undefined) =>
      source.read(table(), day, {
        signal,
        drain,
        sink: (plan) =>
          new BatchBuilder(
            {
              window: day,
              timeZone: 'UTC',
              timestampFormat: 'iso',
              readingsPerBatch: 100,
              nullValues: 'null',
              maxBytes: 1e9,
            },
            plan,
          ),
      });

    it('a wrong password and a server that is away have their codes, and no secret is said', async () => {
      const role = database.name;
      await client.query(`create role ${role} login password 'right'`);
      const address = { ...parseDatabaseUrl(database.url), user: role, password: 'geheim-17' };
      const { TEST_POSTGRES_URL = '' } = process.env;
      const cases: [object, string][] = [[{ port: 1 }, 'TM_DATABASE_UNREACHABLE']];
      // A server that trusts local connections asks for no password.
      if (!TEST_POSTGRES_URL.includes('@127.0.0.1:5432/')) cases.push([{}, 'TM_DATABASE_REFUSED']);
      for (const [wrong, code] of cases) {
        await assert.rejects(
          open({ address: { ...address, ...wrong } }).clock(),
          (error: Error & { code?: string }) => {
            assert.equal(error.code, code);
            assert.doesNotMatch(inspect(error, { depth: 9 }), /geheim/);
            return true;
          },
        );
      }
      await client.query(`drop role ${role}`);
    });

    it('a missing table is said, and works once it is there', async () => {
      await client.query('drop table if exists readings');
      const source = open();
      await assert.rejects(posted(source, table()), {
        code: 'TM_QUERY_FAILED',
        message: /"readings" does not exist/,
      });
      await fill(3);
      assert.equal((await posted(source, table())).a?.length, 3);
    });

    it('a query that takes too long is ended by the database', async () => {
      await fill(1);
      const sql =
        'SELECT sensor, ts AS timestamp, value FROM readings, pg_sleep(60) WHERE ts >= :start_time AND ts < :end_time';
      const second = window('2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z');
      await assert.rejects(posted(open({ statementTimeoutSeconds: 1 }), { from: 'sql', sql }, second), {
        code: 'TM_QUERY_TIMEOUT',
      });
    });

    it('a connection that is cut in the middle of a result is not its end', async () => {
      await fill(300_000);
      const source = open();
      let cut = false;
      const reading = read(source, new AbortController().signal, async () => {
        if (cut) return;
        cut = true;
        const [backend] = (await activity()).filter(({ state }) => state === 'active');
        await client.query('select pg_terminate_backend($1)', [backend?.pid]);
      });
      await assert.rejects(reading, { code: 'TM_DATABASE_UNREACHABLE' });
      assert(cut);
      assert.equal((await posted(source, table())).a?.length, 300_000);
    });

    it('a read that is given up is cancelled on the server', async () => {
      await fill(300_000);
      const source = open();
      const controller = new AbortController();
      const reading = read(source, controller.signal, () => {
        controller.abort(new Error('given up'));
        return undefined;
      });
      await assert.rejects(reading, /given up/);
      await until(async () => (await activity()).every(({ state }) => state !== 'active'));
      assert(Number.isFinite(await source.clock()));
    });

    it('closing ends reads under way', async () => {
      await fill(300_000);
      const source = open();
      const reading = read(source, new AbortController().signal, () => new Promise(() => undefined));
      const ended = assert.rejects(reading, { code: 'TM_CLOSED' });
      await until(async () => (await activity()).some(({ state }) => state === 'active'));
      await source.close();
      await ended;
    });

    it('a pool of one serves reads and clock in turn', async () => {
      await fill(1000);
      const source = open({ poolSize: 1 });
      const [first, clock, second] = await Promise.all([
        posted(source, table()),
        source.clock(),
        posted(source, table()),
      ]);
      assert.equal(first.a?.length, 1000);
      assert.equal(second.a?.length, 1000);
      assert(Math.abs(clock - Date.now() / 1000) < 60);
    });
  });

  it('finds the oldest reading, and none in an empty table', async () => {
    await client.query(
      `drop table if exists readings; create table readings (sensor text, ts timestamptz, value float8)`,
    );
    const source = open();
    assert.equal(await source.oldest(table()), undefined);
    await client.query(`insert into readings values ('a', '2026-01-01T00:00:00.9Z', 1)`);
    assert.equal(await source.oldest(table()), day.start);
  });
});
