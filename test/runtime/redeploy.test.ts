import assert from 'node:assert/strict';
import {
  collect,
  deploy,
  inject,
  messageWhere,
  redeploy,
  useNodeRed,
  type FlowMessage,
} from '../support/flow';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const start = '2026-01-01T00:00:00Z';
const endsAt = (end: string) => (message: FlowMessage) =>
  (message.payload as { end_time: string }).end_time === end;

/** Timers, sockets and the like that keep a process alive, by kind. */
function handles(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

describe('A redeploy in the middle of a window', () => {
  useNodeRed();
  const plant = usePlant();

  const connections = async (): Promise<number> => {
    const { rows } = await plant.client.query<{ count: string }>(
      "select count(*) from pg_stat_activity where application_name = 'turbomechanica-data-connector' and datname = current_database()",
    );
    return Number(rows[0]?.count);
  };

  it('loses nothing, reports no error, and leaves no connection, timer or listener behind', async () => {
    await plant.history(start, 3600, 10);
    const flow = plant.flow({
      'bookmark-next': { longestMinutes: '30' },
      'fetch-1': { readingsPerBatch: '300' },
    });
    const before = handles();
    const errors: FlowMessage[] = [];
    await deploy(flow, plant.credentials);
    for (let round = 0; round < 5; round++) {
      const caught = collect('errors');
      const posts = plant.cloud.exchanges.length;
      inject('bookmark-next');
      await until(() => plant.cloud.exchanges.length >= posts + 3);
      await redeploy(flow, plant.credentials);
      errors.push(...caught);
    }
    await redeploy([], {});
    await until(async () => (await connections()) === 0);
    const after = handles();
    assert.equal(after.Timeout ?? 0, before.Timeout ?? 0, JSON.stringify({ before, after }));

    await redeploy(flow, plant.credentials);
    const done = messageWhere('committed', endsAt('2026-01-01T01:00:00Z'));
    inject('bookmark-next');
    await done;
    assert.deepEqual(errors, []);
    const { conflicts } = plant.cloud.received();
    assert.equal(conflicts, 0, 'what repeats, repeats byte for byte under the same key');
    await plant.assertAllArrived();
  });
});
