/**
 * The same window read again gives the same bytes, and so the same keys, in whatever order the table's rows lie by
 * then and whichever way the database finds them.
 */
import assert from 'node:assert/strict';
import type { Source } from '../../lib/source/source';
import { usePlant } from '../support/plant';
import { openSource, SENSOR_DATA, windowBodies, windowOf } from '../support/window-bodies';

const START = '2026-01-01T00:00:00Z';

describe('The same window read again gives the same bytes', () => {
  const plant = usePlant();
  const window = windowOf(START, '2026-01-01T01:00:00Z');
  let source: Source;
  let first: string[];
  const read = (from = source) => windowBodies(from, SENSOR_DATA, window, { readingsPerBatch: 700 });
  /** The order that the rows lie in. */
  const order = async (): Promise<string | undefined> => {
    const { rows } = await plant.client.query<{ order: string }>(
      "select md5(string_agg(sensor_id || ' ' || timestamp || ' ' || value, ',')) as order from sensor_data",
    );
    return rows[0]?.order;
  };

  beforeEach(async () => {
    await plant.client.query('alter table sensor_data set (autovacuum_enabled = off)');
    await plant.history(START, 3600, 5);
    // Several readings of one sensor at one time have no order of their own.
    await plant.client.query(
      `insert into sensor_data
         select 'K101.TAG_2', '${START}'::timestamptz + n / 10 * interval '1 min', n % 7 from generate_series(0, 599) n`,
    );
    source = openSource(plant.credentials['cfg-1'].databaseUrl);
    first = await read();
    assert(first.length > 20);
  });
  afterEach(() => source.close());

  const rewrites: [how: string, statements: string[]][] = [
    [
      'a part of the rows was written anew',
      [
        "update sensor_data set value = value where sensor_id like '%2' or extract(second from timestamp) < 20",
      ],
    ],
    [
      'the space of deleted rows was used again',
      [
        "create table apart as select * from sensor_data where sensor_id in ('K101.TAG_2', 'K101.TAG_4')",
        "delete from sensor_data where sensor_id in ('K101.TAG_2', 'K101.TAG_4')",
        'vacuum sensor_data',
        'insert into sensor_data select * from apart order by random()',
        'drop table apart',
      ],
    ],
    [
      'the table was clustered by another index',
      ['create index by_value on sensor_data (value desc, sensor_id)', 'cluster sensor_data using by_value'],
    ],
  ];
  for (const [how, statements] of rewrites) {
    it(`though ${how}`, async () => {
      const before = await order();
      for (const statement of statements) await plant.client.query(statement);
      assert.notEqual(await order(), before);
      assert.deepEqual(await read(), first);
    });
  }

  it('though there is no index any more', async () => {
    await plant.client.query('drop index sensor_data_timestamp_idx');
    assert.deepEqual(await read(), first);
  });

  it('though several processes of the database read it at once', async () => {
    const database = new URL(plant.credentials['cfg-1'].databaseUrl).pathname.slice(1);
    const settings = {
      max_parallel_workers_per_gather: '4',
      parallel_setup_cost: '0',
      parallel_tuple_cost: '0',
      min_parallel_table_scan_size: '0',
      enable_indexscan: 'off',
      enable_bitmapscan: 'off',
    };
    for (const [name, value] of Object.entries(settings)) {
      await plant.client.query(`alter database "${database}" set ${name} = ${value}`);
    }
    const parallel = openSource(plant.credentials['cfg-1'].databaseUrl);
    try {
      assert.deepEqual(await read(parallel), first);
    } finally {
      await parallel.close();
      await plant.client.query(`alter database "${database}" reset all`);
    }
  });
});
