/** What the editor shows of a database before anything is deployed. */
import assert from 'node:assert/strict';
import { preview, type PreviewRequest } from '../../lib/preview';
import type { WideQuery } from '../../lib/source/source';
import { longQuery, shortest, timeAt, type Harness } from './harness';

export function previews(harness: Harness): void {
  const { types, quote, execute } = harness.fixture;
  const stamp = (iso: string): string => harness.time.write(timeAt(iso, 'UTC'));
  const look = (request: Partial<PreviewRequest> = {}) =>
    preview(harness.open(), { timeZone: 'UTC', signal: new AbortController().signal, ...request });

  it('shows tables, columns, what they look like, and the newest 100 readings', async () => {
    const rows = Array.from({ length: 120 }, (_, index) => [
      `s${index % 2}`,
      stamp(new Date(Date.UTC(2026, 0, 1, 0, 0, index)).toISOString().slice(0, 19) + 'Z'),
      String(index),
      '192',
      stamp('2026-01-02T00:00:00Z'),
    ]);
    await harness.table(
      {
        tag: types.varchar(20),
        time: harness.time.type,
        val: types.double,
        quality: types.integer,
        inserted_at: harness.time.type,
      },
      rows,
    );
    const query = longQuery({ sensorColumn: 'tag', timestampColumn: 'time', valueColumn: 'val' });
    const { tables, table, readings = [] } = await look({ query });
    assert(tables.some((name) => name.endsWith('readings')));
    assert(table);
    assert.deepEqual(
      table.columns.map(({ name }) => name),
      ['tag', 'time', 'val', 'quality', 'inserted_at'],
    );
    assert.deepEqual(table.mapping, {
      shape: 'long',
      timestampColumn: 'time',
      sensorColumn: 'tag',
      valueColumn: 'val',
      qualityColumn: 'quality',
      trackBy: 'inserted_at',
    });
    assert.equal(readings.length, 100);
    const [newest] = readings;
    assert(newest);
    assert.deepEqual(
      { ...newest, timestamp: shortest(newest.timestamp) },
      { sensor: 's1', timestamp: '2026-01-01T00:01:59Z', value: 119 },
    );
    assert.match(table.warning ?? '', /No index begins with "time".*CREATE INDEX/);
    // Asked for and made, it is found.
    await execute(/CREATE INDEX.*/.exec(table.warning ?? '')?.[0] ?? '');
    const after = await look({ query });
    assert.equal(after.table?.warning, undefined);
    assert.equal(after.table?.index, 'readings_time');
    const tracked = await look({ query: { ...query, trackBy: 'inserted_at' } });
    assert.match(tracked.table?.warning ?? '', /"inserted_at"/);
  });

  it('shows a hundred readings of a wide table, and those of sensors that are wanted behind rows of others', async () => {
    const columns = Array.from({ length: 30 }, (_, index) => `c${index}`);
    await harness.table(
      { ts: harness.time.type, ...Object.fromEntries(columns.map((name) => [name, types.integer])) },
      Array.from({ length: 10 }, (_, row) => [
        stamp(`2026-01-01T00:00:0${row}Z`),
        ...columns.map(() => `${row}`),
      ]),
    );
    const wide: WideQuery = {
      from: 'table',
      shape: 'wide',
      table: 'readings',
      timestampColumn: 'ts',
      valueColumns: columns,
      prefix: '',
    };
    const { readings = [] } = await look({ query: wide });
    assert.equal(readings.length, 100);
    assert.deepEqual(
      [9, 8, 7, 6].map((value) => readings.filter((reading) => reading.value === value).length),
      [30, 30, 30, 10],
    );
    await harness.readings([
      ['wanted', '2026-01-01T00:00:00Z', '1'],
      ...Array.from(
        { length: 150 },
        (_, row) => ['other', `2026-01-01T00:${10 + (row % 50)}:00Z`, '2'] as const,
      ),
    ]);
    const exclude = longQuery({ exclude: ['other'] });
    const found = (await look({ query: exclude })).readings ?? [];
    assert.deepEqual(
      found.map(({ sensor, value }) => [sensor, value]),
      [['wanted', 1]],
    );
  });

  it('tells a wide table, and has nothing to say of a view’s indexes', async () => {
    await harness.table({ logged_at: harness.time.type, speed: types.double, flow: types.integer });
    await execute(`DROP VIEW IF EXISTS ${quote('live')}`);
    await execute(`CREATE VIEW ${quote('live')} AS SELECT * FROM ${quote('readings')}`);
    const { table, readings } = await look({ table: 'live' });
    assert(table);
    assert.deepEqual(table.mapping, { shape: 'wide', timestampColumn: 'logged_at' });
    assert.equal(table.warning, undefined);
    assert.equal(readings, undefined);
    assert.match((await look({ table: 'readings' })).table?.warning ?? '', /"logged_at"/);
    await execute(`DROP VIEW ${quote('live')}`);
  });
}
