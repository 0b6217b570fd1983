/** What only PostgreSQL has; what every engine does is in test/contract. */
import assert from 'node:assert/strict';
import { Client } from 'pg';
import { parseDatabaseUrl } from '../../lib/database-url';
import { openSource } from '../../lib/source/open';
import type { ReadingsQuery } from '../../lib/source/source';
import { parseWindow } from '../../lib/window';
import { testDatabase } from '../support/test-database';
import { until } from '../support/until';

const DAY = parseWindow({ start_time: '2026-01-01T00:00:00Z', end_time: '2026-01-02T00:00:00Z' });

describe('Readings out of PostgreSQL', () => {
  const database = testDatabase();
  let client: Client;
  before(async () => {
    client = new Client(database.url);
    // The database is dropped with whoever is still connected.
    client.on('error', () => undefined);
    await client.connect();
  });
  after(() => client.end());

  /** How many rows a window has. */
  async function rowsOf(query: ReadingsQuery, window = DAY): Promise<number> {
    const source = openSource({
      address: parseDatabaseUrl(database.url),
      timeZone: 'Asia/Kolkata',
      statementTimeoutSeconds: 30,
      poolSize: 2,
    });
    let rows = 0;
    try {
      await source.read(query, window, {
        signal: new AbortController().signal,
        drain: () => undefined,
        sink: () => ({
          row: () => {
            rows++;
          },
        }),
      });
    } finally {
      await source.close();
    }
    return rows;
  }

  describe('by SQL of the user', () => {
    beforeEach(() =>
      client.query(`drop table if exists readings; create table readings (sensor text, ts timestamptz, value float8);
        insert into readings values ('a', '2026-01-01T00:00:00Z', 1), ('a', '2026-01-02T00:00:00Z', 2)`),
    );

    it('may be a function, whose arguments have types of their own', async () => {
      await client.query(`create or replace function raw_tags(tags text, lower timestamptz, upper timestamptz)
        returns table (tag text, at timestamptz, v float8)
        language sql as 'select sensor, ts, value from readings where ts between lower and upper'`);
      const sql = `SELECT tag AS sensor_id, v AS value, at AS timestamp FROM raw_tags('a,:start_time', :start_time, :end_time);`;
      assert.equal(await rowsOf({ from: 'sql', sql }), 1);
    });

    it('may use its parameters for columns of several types, more than once', async () => {
      const sql = `SELECT sensor, ts AS timestamp, value FROM readings WHERE ts >= :start_time AND ts < :end_time
        AND ts AT TIME ZONE 'UTC' >= :start_time AND :end_time > ts - interval '1 h'`;
      assert.equal(await rowsOf({ from: 'sql', sql }), 1);
    });

    it('that writes behind the back of a SELECT is refused', async () => {
      await client.query(
        `create or replace function wipe() returns boolean language plpgsql as 'begin delete from readings; return true; end'`,
      );
      const sql =
        'SELECT sensor, ts AS timestamp, value FROM readings WHERE ts >= :start_time AND ts < :end_time AND wipe()';
      await assert.rejects(rowsOf({ from: 'sql', sql }), { code: 'TM_QUERY_FAILED', message: /read-only/ });
      assert.equal((await client.query('select 1 from readings')).rows.length, 2);
    });
  });

  describe('are found by the index', () => {
    const instant = `timestamptz '2025-12-01Z' + n * interval '1 min'`;
    const cases: readonly (readonly [type: string, value: string, collation?: string])[] = [
      ['timestamptz', instant],
      ['timestamp', `(${instant}) at time zone 'Asia/Kolkata'`],
      ['bigint', `(extract(epoch from ${instant}) * 1000)::bigint`],
      ['integer', `extract(epoch from ${instant})::int`],
      ['double precision', `extract(epoch from ${instant})`],
      ['numeric', `extract(epoch from ${instant})`],
      ['text', `to_char((${instant}) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`, 'collate "C"'],
    ];
    const scans = async (index: string): Promise<number> => {
      const { rows } = await client.query<{ scans: string }>(
        'select idx_scan as scans from pg_stat_user_indexes where indexrelname = $1',
        [index],
      );
      return Number(rows[0]?.scans);
    };
    for (const [type, value, collation = ''] of cases) {
      it(`on a column of ${type}`, async () => {
        await client.query(`drop table if exists readings; create table readings (sensor varchar(20), ts ${type} ${collation}, value float8);
          insert into readings select 's' || n % 100, ${value}, n from generate_series(0, 99999) n;
          create index by_time on readings (ts); analyze readings`);
        const query = {
          from: 'table',
          table: 'readings',
          sensorColumn: 'sensor',
          timestampColumn: 'ts',
          valueColumn: 'value',
        } as const;
        // Its unit or form is found out by the index, too.
        assert.equal(await rowsOf(query), 1440);
        await until(async () => (await scans('by_time')) >= (type.startsWith('timestamp') ? 1 : 2));
        await client.query('drop index by_time; create index by_sensor on readings (sensor, ts)');
        assert.equal(await rowsOf({ ...query, sensors: ['s7', 's8', 'none'] }), 28);
        await until(async () => (await scans('by_sensor')) >= 1);
      });
    }
  });
});
