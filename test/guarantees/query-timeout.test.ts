/** A query that takes longer than the statement timeout: the window is halved until it fits, and arrives. */
import assert from 'node:assert/strict';
import type { Source } from '../../lib/source/source';
import type { Window } from '../../lib/window';
import { deploy, inject, logged, messageWhere, useNodeRed } from '../support/flow';
import { usePlant } from '../support/plant';
import { SENSOR_DATA, openSource, windowBodies, windowOf } from '../support/window-bodies';

const START = '2026-01-01T00:00:00Z';
/** The most minutes that the database manages within any statement timeout. */
const FITS_MINUTES = 10;
const SLOW_SQL = `SELECT sensor_id, timestamp, value FROM slow_readings(:start_time, :end_time)`;

describe('A query that times out', () => {
  useNodeRed();
  const plant = usePlant();
  beforeEach(async () => {
    await plant.client.query(`
      create or replace function slow_readings(lower timestamptz, upper timestamptz) returns table (sensor_id text, "timestamp" timestamptz, value float8)
        language plpgsql as $$
        begin
          if upper - lower > interval '${FITS_MINUTES} min' then perform pg_sleep(3600); end if;
          return query select * from sensor_data as d where d.timestamp >= lower and d.timestamp < upper;
        end $$`);
    await plant.history(START, 3600);
  });

  describe('reads its window in parts', () => {
    let source: Source;
    let parts: number[];
    beforeEach(() => {
      source = openSource(plant.credentials['cfg-1'].databaseUrl, { statementTimeoutSeconds: 0.25 });
      parts = [];
      const read = source.read.bind(source);
      source.read = (query, window: Window, options) => {
        parts.push((window.end - window.start) / 60);
        return read(query, window, options);
      };
    });
    afterEach(() => source.close());

    it('of which the batches are byte for byte those of the whole', async () => {
      const window = windowOf(START, '2026-01-01T00:50:00Z');
      for (const readingsPerBatch of [100, 100_000]) {
        const whole = await windowBodies(source, SENSOR_DATA, window, { readingsPerBatch });
        const query = { from: 'sql', sql: SLOW_SQL } as const;
        parts = [];
        assert.deepEqual(await windowBodies(source, query, window, { readingsPerBatch }), whole);
        assert.deepEqual(parts.slice(0, 4), [50, 25, 12.5, 6.25]);
      }
    });

    it('and the next window is not tried as a whole again', async () => {
      const query = { from: 'sql', sql: SLOW_SQL } as const;
      await windowBodies(source, query, windowOf(START, '2026-01-01T00:30:00Z'));
      parts = [];
      await windowBodies(source, query, windowOf('2026-01-01T00:30:00Z', '2026-01-01T01:00:00Z'));
      assert(Math.max(...parts) < 30, parts.join());
    });
  });

  it('delivers every reading, and says once that it reads in parts', async () => {
    await deploy(
      plant.flow({
        'cfg-1': { statementTimeoutSeconds: '1' },
        'bookmark-next': { start: 'date', startDate: START, longestMinutes: '30' },
        'fetch-1': { from: 'sql', sql: SLOW_SQL },
      }),
      plant.credentials,
    );
    const done = messageWhere('committed', ({ payload }) => (payload as { readings: number }).readings === 0);
    inject('bookmark-next');
    await done;
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().duplicates, 0);
    const said = logged('fetch-1').filter((text) => text.includes('statement timeout'));
    assert.equal(said.length, 1, said.join('\n'));
    assert.match(said[0] ?? '', /parts of 450 s/);
  });
});
