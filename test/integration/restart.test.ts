import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';
import { testDirectory } from '../support/directory';
import { nodeRedPath } from '../support/node-red';
import { usePlant } from '../support/plant';
import { randomOf } from '../support/random';
import { patientFetch, until } from '../support/until';

const start = '2026-01-01T00:00:00Z';
const SEED = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

describe('A Node-RED that is killed and started again', function () {
  this.timeout(180_000);
  const plant = usePlant();
  const directory = testDirectory();
  let nodeRed: NodeRed | undefined;
  afterEach(() => nodeRed?.stop());

  const startExample = async (example: string): Promise<NodeRed> => {
    const flow = JSON.parse(await readFile(resolve(`examples/${example}.json`), 'utf8')) as Flow;
    const { databaseUrl, endpointKey, requestKey } = plant.credentials['cfg-1'];
    nodeRed = await startNodeRed({
      folder: nodeRedPath(),
      userDirectory: join(directory.path, 'node-red'),
      flow,
      env: {
        DATABASE_URL: databaseUrl,
        POST_DATA_ENDPOINT: plant.cloud.url,
        POST_DATA_API_KEY: endpointKey,
        API_KEY: requestKey,
        FETCH_DATA_INTERVAL: '1',
        BATCH_SIZE: '10',
      },
    });
    return nodeRed;
  };

  it(`finishes a task that was under way in request mode (seed ${SEED})`, async () => {
    const random = randomOf(SEED);
    await plant.history(start, 6 * 3600, 4);
    let { url } = await startExample('request-mode');
    const range = { start_time: '2026-01-01T00:30:00Z', end_time: '2026-01-01T05:30:00Z' };
    const asked = await fetch(`${url}raise-request`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer test-request-key' },
      body: JSON.stringify(range),
    });
    assert.equal(asked.status, 200);
    const { task_id, status } = (await asked.json()) as { task_id: string; status: string };
    assert.equal(status, 'task submitted');
    const task = async () =>
      (await (await patientFetch(`${url}tasks/${task_id}`)).json()) as {
        state: string;
        current: number;
        total: number;
        result?: { readings: number };
      };
    let reached = 0;
    for (let kills = 0; kills < 3; kills++) {
      const posts = plant.cloud.exchanges.length;
      const after = 1 + Math.floor(random() * 6);
      await until(() => plant.cloud.exchanges.length >= posts + after);
      await nodeRed?.kill();
      ({ url } = await startExample('request-mode'));
      const { current, total } = await task();
      assert(current >= reached, 'progress is not lost');
      assert.equal(total, 30);
      reached = current;
    }
    await until(async () => (await task()).state === 'SUCCESS');
    const { current, result } = await task();
    assert.equal(current, 30);
    assert.equal(result?.readings, 5 * 3600 * 4);
    await plant.client.query('delete from sensor_data where timestamp < $1 or timestamp >= $2', [
      range.start_time,
      range.end_time,
    ]);
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().conflicts, 0);
    const bookmarks = await readdir(join(directory.path, 'node-red', 'turbomechanica', 'bookmarks'));
    assert.deepEqual(bookmarks, [], 'a task moves no bookmark');
  });
});
