import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import {
  collect,
  deploy,
  inject,
  messageWhere,
  redeploy,
  useNodeRed,
  type FlowMessage,
} from '../support/flow';
import { nodeRedMain } from '../support/node-red';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

/** Node-RED's own, which outlive every flow. */
const { events: nodeRedEvents } = createRequire(nodeRedMain())('@node-red/util') as { events: EventEmitter };
const start = '2026-01-01T00:00:00Z';
const endsAt = (end: string) => (message: FlowMessage) =>
  (message.payload as { end_time: string }).end_time === end;

/** Timers and sockets that keep a process alive, and listeners to what outlives a flow, by kind. */
function held(): Record<string, number> {
  const counts: Record<string, number> = { Timeout: 0, Immediate: 0, TCPSocketWrap: 0 };
  for (const kind of process.getActiveResourcesInfo())
    if (kind in counts) counts[kind] = (counts[kind] ?? 0) + 1;
  for (const [name, emitter] of Object.entries({ process, events: nodeRedEvents })) {
    for (const event of emitter.eventNames())
      counts[`${name} ${String(event)}`] = emitter.listenerCount(event);
  }
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
    const errors: FlowMessage[] = [];
    // What Node-RED itself keeps from its first flow on is not counted.
    await deploy([], {});
    const before = held();
    await redeploy(flow, plant.credentials);
    for (let round = 0; round < 5; round++) {
      const caught = collect('errors');
      const posts = plant.cloud.exchanges.length;
      inject('bookmark-next');
      await until(() => plant.cloud.exchanges.length >= posts + 3);
      await redeploy(flow, plant.credentials);
      errors.push(...caught);
    }
    await redeploy([], {});
    // The servers learn a little later that their clients have gone.
    await until(async () => (await connections()) === 0);
    await until(async () => (await plant.cloud.connections()) === 0);
    assert.deepEqual(held(), before);

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
