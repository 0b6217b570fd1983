import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { testDirectory } from '../support/directory';
import { Headless } from '../support/headless';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

/** The steps of docs/from-python.md, on what the Python connector leaves behind. */
describe('From the Python connector', function () {
  this.timeout(120_000);
  const plant = usePlant();
  const directory = testDirectory();
  let headless: Headless;
  beforeEach(async () => {
    headless = await Headless.install(directory.path);
    // The plant's clock is naive and local, as the old models had it.
    await plant.client.query(`
      drop table if exists core_sensordata, bookmarks;
      create table core_sensordata (id serial primary key, sensor_id integer, value double precision, timestamp timestamp);
      create table bookmarks (id serial primary key, name varchar, timestamp timestamp);
      create index ix_bookmarks_name on bookmarks (name);
      insert into core_sensordata (sensor_id, value, timestamp)
        select sensor, minute, date_trunc('minute', now() at time zone 'Europe/Berlin') - minute * interval '1 min'
          from generate_series(1, 240) minute, generate_series(1, 2) sensor`);
  });
  afterEach(() => headless.stop('SIGKILL'));

  /** The old file as it was, and what the page says to add. */
  const writeEnv = (added: Readonly<Record<string, string>>): Promise<void> => {
    const { databaseUrl, endpointKey, requestKey } = plant.credentials['cfg-1'];
    return headless.writeEnv({
      ...{ CELERY_BROKER_URL: 'redis://localhost:6379/0', CELERY_RESULT_BACKEND: 'redis://localhost:6379/0' },
      ...{ API_KEY: requestKey, DATABASE_URL: databaseUrl.replace(/^\w+:/, 'postgresql+psycopg2:') },
      ...{ POST_DATA_ENDPOINT: plant.cloud.url, POST_DATA_API_KEY: endpointKey },
      ...{ FETCH_DATA_INTERVAL: '1', BATCH_SIZE: '30' },
      ...{ SENSOR_TABLE: 'core_sensordata', TIME_ZONE: 'Europe/Berlin', TIMESTAMP_FORMAT: 'naive' },
      ...added,
    });
  };
  /** Minutes of the table, local and naive, that a query of the old connector's would find since `minutes` ago. */
  const expectedSince = async (minutes: number): Promise<string[]> => {
    const { rows } = await plant.client.query<{ at: string }>(
      `select sensor_id || ' ' || to_char(timestamp, 'YYYY-MM-DD"T"HH24:MI:SS') as at from core_sensordata
         where timestamp >= (select max(timestamp) from core_sensordata) - ($1::int - 1) * interval '1 min'
           and timestamp < now() at time zone 'Europe/Berlin' - interval '2 min'`,
      [minutes],
    );
    return rows.map(({ at }) => at).sort();
  };
  const arrived = (): string[] =>
    plant.cloud.readings().map(({ sensor, timestamp }) => `${sensor} ${timestamp}`);

  it('goes on at the row of its table of bookmarks, and keeps it up', async () => {
    await plant.client.query(
      "insert into bookmarks (name, timestamp) select 'last_run', max(timestamp) - interval '89 min' from core_sensordata",
    );
    await writeEnv({
      STATE_DATABASE_URL: plant.credentials['cfg-1'].databaseUrl,
      BOOKMARK_TABLE: 'bookmarks',
      BOOKMARK: 'last_run',
    });
    await headless.start('schedule');
    const expected = await expectedSince(90);
    await until(() => expected.every((each) => arrived().includes(each)));
    assert.equal(arrived().filter((each) => each < (expected[0] ?? '') && each.startsWith('1 ')).length, 0);
    await until(async () => {
      const { rows } = await plant.client.query<{ names: string[]; minutes: number }>(
        "select array_agg(name) as names, extract(epoch from now() at time zone 'Europe/Berlin' - max(timestamp))::float8 / 60 as minutes from bookmarks",
      );
      assert.deepEqual(rows[0]?.names, ['last_run'], 'its row, not another');
      return rows[0].minutes < 3;
    });
  });

  it('goes on at the time that its config.yaml holds, copied as it stands', async () => {
    const { rows } = await plant.client.query<{ at: string }>(
      "select to_char(max(timestamp) - interval '59 min', 'YYYY-MM-DD HH24:MI:SS.US') as at from core_sensordata",
    );
    await writeFile(
      join(directory.path, 'config.yaml'),
      `tags_file: tags.yaml\nlast_run_time: ${rows[0]?.at ?? ''}\n`,
    );
    const config = await readFile(join(directory.path, 'config.yaml'), 'utf8');
    await writeEnv({ START_AT: /^last_run_time: (.+)$/m.exec(config)?.[1] ?? '' });
    await headless.start('schedule');
    const expected = await expectedSince(60);
    await until(() => expected.every((each) => arrived().includes(each)));
    assert.equal(arrived().filter((each) => each < (expected[0] ?? '') && each.startsWith('1 ')).length, 0);

    assert.equal(await headless.stop(), 0);
    const posts = plant.cloud.exchanges.length;
    await headless.start('schedule');
    await until(() => headless.linesWith(/caught up/).length > 0);
    const begun = plant.cloud.exchanges.slice(posts).map(({ posted }) => posted?.readings.length ?? 0);
    assert(
      begun.every((readings) => readings < 60),
      'START_AT is only where a bookmark begins',
    );
  });
});
