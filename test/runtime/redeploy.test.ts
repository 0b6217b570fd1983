import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import {
  collect,
  deploy,
  inject,
  logged,
  messageWhere,
  redeploy,
  undeploy,
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

/** Files, pipes and sockets that are open, where the system tells. */
async function openFiles(): Promise<number | undefined> {
  const descriptors = await readdir('/proc/self/fd').catch(() => undefined);
  return descriptors?.length;
}

const ROUNDS = Number(process.env.TEST_REDEPLOYS ?? 100);

describe('A redeploy in the middle of a window', () => {
  useNodeRed();
  const plant = usePlant();

  const connections = async (): Promise<number> => {
    const { rows } = await plant.client.query<{ count: string }>(
      "select count(*) from pg_stat_activity where application_name = 'turbomechanica-data-connector' and datname = current_database()",
    );
    return Number(rows[0]?.count);
  };

  it(`loses nothing, reports no error, and leaves no connection, timer, listener or file behind, ${ROUNDS} times in a row`, async function () {
    this.timeout(180_000);
    await plant.history(start, 3600, 10);
    const flow = plant.flow({
      'bookmark-next': { longestMinutes: '30' },
      'fetch-1': { readingsPerBatch: '300' },
    });
    const errors: FlowMessage[] = [];
    // What Node-RED itself keeps from its first flow on is not counted.
    await deploy([], {});
    const before = held();
    const filesBefore = await openFiles();
    const warnings: Error[] = [];
    const warned = (warning: Error): void => {
      warnings.push(warning);
    };
    process.on('warning', warned);
    await redeploy(flow, plant.credentials);
    for (let round = 0; round < ROUNDS; round++) {
      const caught = collect('errors');
      const posts = plant.cloud.exchanges.length;
      inject('bookmark-next');
      await until(() => plant.cloud.exchanges.length >= posts + 1);
      await redeploy(flow, plant.credentials);
      errors.push(...caught);
    }
    await redeploy([], {});
    // The servers learn a little later that their clients have gone.
    await until(async () => (await connections()) === 0);
    await until(async () => (await plant.cloud.connections()) === 0);
    process.off('warning', warned);
    assert.deepEqual(held(), before);
    assert.equal(await openFiles(), filesBefore);
    // Of Node.js: too many listeners on one emitter or signal.
    assert.deepEqual(warnings, []);

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

describe('A stop in the middle of what is not sent again by itself', () => {
  useNodeRed();
  const plant = usePlant({ respond: () => ({ end: 'hang' }) });
  const saidOf = (id: string): string[] => logged(id).filter((text) => text.includes('not sent again'));
  const readings = [{ sensor: 'K101', timestamp: start, value: 1 }];
  const window = { start_time: start, end_time: '2026-01-01T00:10:00Z' };

  it('ends each message of an own source with an error, waiting ones too', async () => {
    await deploy(plant.flow({ 'post-1': { inFlight: '1' } }), plant.credentials);
    inject('post-1', { payload: readings });
    inject('post-1', { payload: readings });
    await until(() => plant.cloud.exchanges.length >= 1);
    await undeploy();
    assert.equal(saidOf('post-1').length, 2);
    assert.match(saidOf('post-1')[0] ?? '', /stopped before this message was posted.*send it again\.$/);
  });

  it('ends a window built by hand with one error, where it is being posted', async () => {
    await plant.history(start, 600, 1);
    await deploy(plant.flow(), plant.credentials);
    inject('fetch-1', { payload: window });
    await until(() => plant.cloud.exchanges.length >= 1);
    await undeploy();
    const said = [...saidOf('fetch-1'), ...saidOf('post-1')];
    assert.equal(said.length, 1, said.join('\n'));
    assert.match(
      said[0] ?? '',
      /before the window 2026-01-01T00:00:00Z.* was posted.*send it to tm-fetch again/,
    );
  });

  it('ends a window built by hand with one error, where it is being read', async () => {
    await plant.history(start, 600, 1);
    await deploy(
      plant.flow({ 'fetch-1': { readingsPerBatch: '100', wires: [['committed']] } }),
      plant.credentials,
    );
    const batch = messageWhere('committed', () => true);
    inject('fetch-1', { payload: window });
    // Nothing answers for it: the reader waits for room.
    await batch;
    await undeploy();
    const said = saidOf('fetch-1');
    assert.equal(said.length, 1, said.join('\n'));
    assert.match(said[0] ?? '', /before the window 2026-01-01T00:00:00Z.* was read/);
  });
});

describe('What is not sent again by itself', () => {
  useNodeRed();
  const plant = usePlant({ respond: () => ({ status: 503 }) });

  it('an own source: its message comes to Catch as it was, and the error says what to do', async () => {
    await deploy(plant.flow({ 'post-1': { attempts: '1' } }), plant.credentials);
    const failed = messageWhere('errors', ({ error }) => error !== undefined);
    const payload = [{ sensor: 'K101', timestamp: start, value: 1 }];
    inject('post-1', { payload });
    const message = await failed;
    assert.deepEqual(message.payload, payload);
    assert.match((message.error as Error).message, /not sent again by itself: send the message again/);
  });
});
