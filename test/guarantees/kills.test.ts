/**
 * Killed at any moment, again and again, while the plant goes on writing: nothing is missing, what comes twice
 * is the same to the byte, and the bookmark is never ahead of what the cloud has taken.
 *
 * `TEST_KILLS` sets how often (`npm run test:kills`: 200 times), `TEST_SEED` repeats a run's moments.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Bookmark } from '../../lib/bookmark';
import { FileStore } from '../../lib/state/file-store';
import { formatInstant } from '../../lib/window';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';
import { testDirectory } from '../support/directory';
import { nodeRedPath } from '../support/node-red';
import { usePlant } from '../support/plant';
import { randomOf } from '../support/random';
import { until } from '../support/until';

const KILLS = Number(process.env.TEST_KILLS ?? 20);
const SEED = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const SENSORS = 2;
/** A plant's past that is more than what arrives between two kills, so that there is always a backlog. */
const SECONDS_PER_KILL = 3600;

describe(`A Node-RED that is killed ${KILLS} times (seed ${SEED})`, function () {
  this.timeout(KILLS * 20_000 + 120_000);
  const plant = usePlant();
  const directory = testDirectory();
  let nodeRed: NodeRed | undefined;
  afterEach(() => nodeRed?.stop());

  const start = async (): Promise<NodeRed> => {
    const nodes = JSON.parse(await readFile(resolve('examples/schedule-mode.json'), 'utf8')) as Flow;
    const { databaseUrl, endpointKey } = plant.credentials['cfg-1'];
    nodeRed = await startNodeRed({
      folder: nodeRedPath(),
      userDirectory: join(directory.path, 'node-red'),
      flow: nodes.map((node) =>
        node.type === 'tm-bookmark' && node.action === 'next'
          ? { ...node, inFlight: 3, settleSeconds: 1 }
          : node,
      ),
      env: {
        DATABASE_URL: databaseUrl,
        POST_DATA_ENDPOINT: plant.cloud.url,
        POST_DATA_API_KEY: endpointKey,
        FETCH_DATA_INTERVAL: '0.05',
        BATCH_SIZE: '10',
      },
    });
    return nodeRed;
  };

  /** As the next process will find it. */
  const positionOnDisk = async (): Promise<number | undefined> => {
    const store = new FileStore(join(directory.path, 'node-red', 'turbomechanica'));
    try {
      return (await Bookmark.open(store, 'schedule-mode')).position;
    } finally {
      await store.close();
    }
  };

  const assertNotAhead = async (): Promise<void> => {
    const position = await positionOnDisk();
    if (position === undefined) return;
    const { rows } = await plant.client.query<{ count: string }>(
      'select count(*) from sensor_data where timestamp < $1',
      [formatInstant(position)],
    );
    const arrived = plant.cloud
      .readings()
      .filter(({ timestamp }) => Date.parse(String(timestamp)) < position * 1000);
    assert.equal(arrived.length, Number(rows[0]?.count), `the bookmark is at ${formatInstant(position)}`);
  };

  it('delivers each reading, and what it repeats is the same to the byte', async () => {
    const random = randomOf(SEED);
    const seconds = KILLS * SECONDS_PER_KILL;
    await plant.history(formatInstant(Math.floor(Date.now() / 1000) - seconds), seconds, SENSORS);
    let written = 0;
    for (let kills = 0; kills < KILLS; kills++) {
      const { log } = await start();
      assert(!log.includes('TM_STATE_UNREADABLE'), 'whatever the last kill left, it can be read');
      const posts = plant.cloud.exchanges.length;
      // At a post, somewhere between two, or already while it starts.
      const after = Math.floor(random() * 6);
      await until(() => plant.cloud.exchanges.length >= posts + after);
      await setTimeout(random() * 30);
      await plant.client.query(
        `insert into sensor_data select 'K101.LIVE', now() + second * interval '1 ms', $1 from generate_series(1, 5) second`,
        [++written],
      );
      await nodeRed?.kill();
      await assertNotAhead();
    }
    await start();
    const { rows } = await plant.client.query<{ count: string }>('select count(*) from sensor_data');
    const expected = Number(rows[0]?.count);
    await until(() => plant.cloud.readings().length >= expected);
    const arrived = plant.cloud.readings();
    assert.equal(arrived.length, expected);
    const { conflicts } = plant.cloud.received();
    assert.equal(conflicts, 0, 'bodies under one key that differ');
    await assertNotAhead();
  });
});
