import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { PostedReading } from '../../scripts/start/cloud-body';
import { collect, deploy, inject, useNodeRed } from '../support/flow';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const SENSORS = 12;
const HISTORY_SECONDS = 2 * 24 * 3600;
/** Longer than the database takes from the stamp of a live row to its commit. */
const SETTLE_SECONDS = 5;

/** What tells one set of rows from another without keeping two million of them; all exact in a double. */
interface Sums {
  readings: number;
  values: number;
  squares: number;
}

describe('Two days of history, and a plant that goes on writing', function () {
  this.timeout(300_000);
  useNodeRed();
  const arrived = new Map<string, Sums>();
  const add = ({ sensor, value }: PostedReading): void => {
    const sums = arrived.get(sensor) ?? { readings: 0, values: 0, squares: 0 };
    assert(typeof value === 'number');
    sums.readings++;
    sums.values += value;
    sums.squares += value * value;
    arrived.set(sensor, sums);
  };
  const plant = usePlant({
    keep: 'counts',
    respond: ({ posted }) => {
      for (const reading of posted?.readings ?? []) add(reading);
      return undefined;
    },
  });

  it('each row of the table arrives once, and after catching up the windows follow the clock', async () => {
    const from = new Date((Math.floor(Date.now() / 1000) - HISTORY_SECONDS) * 1000).toISOString();
    await plant.history(from, HISTORY_SECONDS, SENSORS);
    // Each row's value is its number, so that sums tell which rows came.
    let number = HISTORY_SECONDS;
    const writing = new AbortController();
    const write = async (): Promise<void> => {
      while (!writing.signal.aborted) {
        await plant.client.query(
          `insert into sensor_data
             select 'K101.TAG_' || sensor, clock_timestamp(), $1 from generate_series(1, $2::int) sensor`,
          [number++, SENSORS],
        );
        await delay(50);
      }
    };
    const written = write();
    await deploy(
      plant.flow({ 'bookmark-next': { intervalMinutes: '0.05', settleSeconds: String(SETTLE_SECONDS) } }),
      plant.credentials,
    );
    const errors = collect('errors');
    const receipts = collect('committed');
    const heartbeat = setInterval(() => {
      inject('bookmark-next');
    }, 1000);
    const edges = (): { start: number; end: number }[] =>
      receipts.map(({ payload }) => {
        const { start_time: start, end_time: end } = payload as { start_time: string; end_time: string };
        return { start: Date.parse(start), end: Date.parse(end) };
      });
    try {
      await until(() => receipts.length >= 96 + 4);
      writing.abort();
      await written;
      const { rows } = await plant.client.query<{ newest: Date }>(
        'select max(timestamp) as newest from sensor_data',
      );
      const newest = rows[0]?.newest.getTime() ?? Infinity;
      await until(() => (edges().at(-1)?.end ?? 0) > newest);
    } finally {
      clearInterval(heartbeat);
      writing.abort();
      await written;
    }

    const { rows } = await plant.client.query<Sums & { sensor: string }>(`
      select sensor_id as sensor, count(*)::float8 as readings, sum(value) as values, sum(value * value) as squares
        from sensor_data group by sensor_id`);
    const inTable = new Map(rows.map(({ sensor, ...sums }) => [sensor, sums]));
    assert.equal(inTable.size, SENSORS);
    assert.deepEqual(arrived, inTable);
    const { duplicates, repeats, conflicts } = plant.cloud.received();
    assert.deepEqual({ duplicates, repeats, conflicts }, { duplicates: 0, repeats: 0, conflicts: 0 });
    assert.deepEqual(errors, []);
    for (const [index, { start }] of edges().entries())
      assert.equal(start, edges()[index - 1]?.end ?? start, 'windows follow each other without a gap');
  });
});
