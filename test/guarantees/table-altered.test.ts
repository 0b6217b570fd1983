/**
 * What an administrator does to the table in between: rights are taken away, the table is dropped, a column is
 * altered. Node-RED runs on, the bookmark waits, and delivery goes on by itself once it is mended.
 */
import assert from 'node:assert/strict';
import { deploy, inject, messageWhere, useNodeRed } from '../support/flow';
import { Moment, START, survives } from '../support/fault';
import { usePlant } from '../support/plant';
import { testDatabase } from '../support/test-database';
import type { LongQuery, Source } from '../../lib/source/source';
import { SENSOR_DATA, openSource, windowBodies, windowOf } from '../support/window-bodies';

describe('While windows are delivered', () => {
  useNodeRed();
  const database = testDatabase();
  const moment = new Moment();
  const reader = (url: string): string => {
    const asReader = new URL(url);
    asReader.username = database.name;
    asReader.password = 'reads';
    return asReader.href;
  };
  const plant = usePlant({ respond: moment.respond }, { database, databaseUrl: reader });
  before(() => database.command(`create role ${database.name} login password 'reads'`));
  beforeEach(() => plant.client.query(`grant select on sensor_data to ${database.name}`));
  after(() => database.command(`drop role ${database.name}`));
  const run = (sql: string) => () => plant.client.query(sql);

  it('the right to read the table is lost, and granted again', () =>
    survives(plant, moment, {
      strike: run(`revoke select on sensor_data from ${database.name}`),
      code: 'TM_DATABASE_REFUSED',
      mend: run(`grant select on sensor_data to ${database.name}`),
    }));

  it('the table is dropped, and restored', () =>
    survives(plant, moment, {
      strike: run('create table saved as select * from sensor_data; drop table sensor_data'),
      code: 'TM_QUERY_FAILED',
      mend: run(`create table sensor_data as select * from saved; drop table saved;
        grant select on sensor_data to ${database.name}`),
    }));

  it('a column is renamed, and gets its name back', () =>
    survives(plant, moment, {
      strike: run('alter table sensor_data rename column value to reading'),
      code: 'TM_QUERY_FAILED',
      mend: run('alter table sensor_data rename column reading to value'),
    }));

  it('the column of time becomes something else, and one of time again', () =>
    survives(plant, moment, {
      strike: run(
        'alter table sensor_data alter column timestamp type bytea using convert_to(timestamp::text, $$UTF8$$)',
      ),
      code: 'TM_QUERY_COLUMNS',
      mend: run(
        'alter table sensor_data alter column timestamp type timestamptz using convert_from(timestamp, $$UTF8$$)::timestamptz',
      ),
    }));

  it('the values become texts: no reading changes on its way', async () => {
    await plant.history(START, 1200, 1);
    const alter = `
      alter table sensor_data alter column value type text using value::text;
      update sensor_data set value = 'Bad' where timestamp >= '2026-01-01T00:10:00Z'`;
    moment.onPost = async ({ posted }) => {
      if (posted?.end_time === '2026-01-01T00:10:00Z') await plant.client.query(alter);
    };
    await deploy(
      plant.flow({ 'bookmark-next': { start: 'date', startDate: START, longestMinutes: '10' } }),
      plant.credentials,
    );
    const done = messageWhere(
      'committed',
      ({ payload }) => (payload as { end_time: string }).end_time === '2026-01-01T00:20:00Z',
    );
    inject('bookmark-next');
    await done;
    const values = plant.cloud.readings().map(({ value }) => value);
    assert.deepEqual(
      values.slice(0, 600),
      Array.from({ length: 600 }, (_, second) => second),
    );
    assert.deepEqual(new Set(values.slice(600)), new Set(['Bad']));
  });

  describe('the columns of a query are known, and then', () => {
    const query: LongQuery = { ...SENSOR_DATA, table: 'known', sensorColumn: 'tag', sensors: ['7.5', '8'] };
    let source: Source;
    beforeEach(async () => {
      source = openSource(plant.credentials['cfg-1'].databaseUrl);
      await plant.client.query('drop table if exists known');
    });
    afterEach(() => source.close());
    const table = (columns: string, rows: string): Promise<unknown> =>
      plant.client.query(`create table known (${columns}); insert into known values ${rows};
        grant select on known to ${database.name}`);
    const dataOf = async (start: string, end: string): Promise<unknown[]> =>
      (await windowBodies(source, query, windowOf(start, end))).map(
        (body) => (JSON.parse(body) as { data: unknown }).data,
      );

    it('another type gives its numbers another unit of time: they are found', async () => {
      await table('tag text, timestamp integer, value integer', `('8', 1767225601, 1)`);
      const reading = [{ timestamp: '2026-01-01T00:00:01Z', value: 1 }];
      assert.deepEqual(await dataOf(START, '2026-01-01T00:01:00Z'), [{ 8: reading }]);
      await plant.client.query(
        'alter table known alter column timestamp type double precision using timestamp * 1000.0',
      );
      assert.deepEqual(await dataOf(START, '2026-01-01T00:01:00Z'), [{ 8: reading }]);
    });

    it('sensors of another type have names that could be none before: they are found', async () => {
      await table('tag integer, timestamp timestamptz, value integer', `(8, '${START}', 1)`);
      const reading = [{ timestamp: START, value: 1 }];
      assert.deepEqual(await dataOf(START, '2026-01-01T00:01:00Z'), [{ 8: reading }]);
      await plant.client.query(
        'alter table known alter column tag type double precision; update known set tag = 7.5',
      );
      assert.deepEqual(await dataOf(START, '2026-01-01T00:01:00Z'), [{ '7.5': reading }]);
      await plant.client.query('alter table known alter column tag type text');
      assert.deepEqual(await dataOf(START, '2026-01-01T00:01:00Z'), [{ '7.5': reading }]);
    });

    it('texts of time have another form: the window stops, as often as it is read', async () => {
      await table('tag text, timestamp text, value integer', `('8', '2026-01-01T01:59:59+01:00', 1)`);
      assert.equal((await dataOf(START, '2026-01-01T01:00:00Z')).length, 1);
      await plant.client.query(`insert into known values ('8', '2026-01-01T03:00:00+02:00', 2)`);
      for (let attempt = 0; attempt < 3; attempt++) {
        await assert.rejects(dataOf('2026-01-01T02:00:00Z', '2026-01-01T03:00:00Z'), {
          code: 'TM_QUERY_COLUMNS',
        });
      }
    });
  });

  it('the values become texts in the middle of a window: it fails, and is read anew', async () => {
    await plant.history(START, 600, 1);
    // The second half is asked for by itself: by then the column is another.
    await plant.client.query(`
      create or replace function read_twice(lower timestamptz, upper timestamptz)
        returns table (sensor text, "timestamp" timestamptz, value float8) language plpgsql as $$
        begin
          if upper - lower > interval '5 min' then perform pg_sleep(3600); end if;
          return query select d.sensor_id, d.timestamp, d.value from sensor_data as d
            where d.timestamp >= lower and d.timestamp < upper;
        end $$`);
    const source = openSource(plant.credentials['cfg-1'].databaseUrl, { statementTimeoutSeconds: 0.25 });
    try {
      const sql = 'SELECT * FROM read_twice(:start_time, :end_time)';
      const window = windowOf(START, '2026-01-01T00:10:00Z');
      const read = source.read.bind(source);
      let reads = 0;
      source.read = async (query, part, options) => {
        if (++reads === 3) {
          await plant.client.query(`
            drop function read_twice;
            alter table sensor_data alter column value type text using value::text || ' bar';
            create function read_twice(lower timestamptz, upper timestamptz) returns table (sensor text, "timestamp" timestamptz, value text)
              language sql as 'select d.sensor_id, d.timestamp, d.value from sensor_data as d where d.timestamp >= lower and d.timestamp < upper'`);
        }
        return read(query, part, options);
      };
      const query = { from: 'sql', sql } as const;
      await assert.rejects(windowBodies(source, query, window), {
        code: 'TM_QUERY_FAILED',
        message: /was altered/,
      });
      source.read = read;
      const anew = await windowBodies(source, query, window);
      assert.deepEqual(anew, await windowBodies(source, SENSOR_DATA, window));
      assert.match(anew[0] ?? '', /"value":"0 bar"/);
    } finally {
      await plant.client.query('drop function read_twice');
      await source.close();
    }
  });
});
