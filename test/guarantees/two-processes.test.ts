/** Two processes on one bookmark: one gives out its windows, the other says who does, and takes over from it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Reply } from '../../scripts/start/cloud';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';
import { testDirectory } from '../support/directory';
import { nodeRedPath } from '../support/node-red';
import { usePlant } from '../support/plant';
import { testDatabase } from '../support/test-database';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const HOURS = 24;

describe('Two processes on one bookmark', function () {
  this.timeout(180_000);
  let reply: Reply | undefined;
  const plant = usePlant({ respond: () => reply });
  const state = testDatabase();
  const directory = testDirectory();
  const running: NodeRed[] = [];
  afterEach(() => Promise.all(running.splice(0).map((nodeRed) => nodeRed.stop())));

  const start = async (name: string, place: Record<string, unknown>, stateUrl?: string): Promise<NodeRed> => {
    const nodes = JSON.parse(await readFile(resolve('examples/schedule-mode.json'), 'utf8')) as Flow;
    const { databaseUrl, endpointKey } = plant.credentials['cfg-1'];
    const nodeRed = await startNodeRed({
      folder: nodeRedPath(),
      userDirectory: join(directory.path, name),
      flow: nodes.map((node) =>
        node.type === 'tm-config'
          ? { ...node, ...place, credentials: { ...(node.credentials as object), stateUrl } }
          : node,
      ),
      env: {
        DATABASE_URL: databaseUrl,
        POST_DATA_ENDPOINT: plant.cloud.url,
        POST_DATA_API_KEY: endpointKey,
        FETCH_DATA_INTERVAL: '1',
        BATCH_SIZE: '10',
      },
    });
    running.push(nodeRed);
    return nodeRed;
  };

  for (const [what, placeOf, stateUrl] of [
    ['in files', () => ({ stateDirectory: join(directory.path, 'state') }), () => undefined],
    ['in a database', () => ({ state: 'database' }), () => state.url],
  ] as const) {
    it(`with state ${what}: the second is refused and says who it is; killed, the first is followed by it`, async () => {
      await plant.history(START, HOURS * 3600, 1);
      const first = await start('first', placeOf(), stateUrl());
      await until(() => plant.cloud.exchanges.length >= 5);
      // So that much is left for the second.
      reply = { status: 503 };
      const second = await start('second', placeOf(), stateUrl());
      await until(() => second.log.includes('TM_BOOKMARK_IN_USE'));
      assert.match(second.log, new RegExp(`in use: process ${first.process.pid} on `));
      await first.kill();
      reply = undefined;
      await until(() => plant.cloud.readings().length >= HOURS * 3600);
      await plant.assertAllArrived();
      assert.equal(plant.cloud.received().conflicts, 0);
      await until(() => second.log.includes('2026-01-01T23:50:00Z to 2026-01-02T00:00:00Z: 600 readings'));
    });
  }
});
