/** Examples as they are imported: nothing but environment variables is set, and readings arrive. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';
import { testDirectory } from '../support/directory';
import { nodeRedPath } from '../support/node-red';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';

describe('The example', function () {
  this.timeout(60_000);
  const plant = usePlant();
  const directory = testDirectory();
  let nodeRed: NodeRed | undefined;
  afterEach(async () => {
    await nodeRed?.stop();
    nodeRed = undefined;
  });

  const deployed = async (example: string): Promise<void> => {
    const { databaseUrl, endpointKey } = plant.credentials['cfg-1'];
    nodeRed = await startNodeRed({
      folder: nodeRedPath(),
      userDirectory: join(directory.path, example),
      flow: JSON.parse(await readFile(resolve('examples', `${example}.json`), 'utf8')) as Flow,
      env: {
        DATABASE_URL: databaseUrl,
        POST_DATA_ENDPOINT: plant.cloud.url,
        POST_DATA_API_KEY: endpointKey,
        FETCH_DATA_INTERVAL: '1',
        BATCH_SIZE: '30',
      },
    });
  };

  for (const [example, expected] of [
    ['transform', 3 * 600],
    ['custom-sql', 600],
    ['own-source', 2],
  ] as const) {
    it(`${example} delivers as it is`, async () => {
      await plant.history(START, 600);
      await plant.client.query(
        "update sensor_data set sensor_id = 'K101.DE_BRG_X_VIB' where sensor_id like '%_1'",
      );
      await deployed(example);
      await until(() => plant.cloud.readings().length >= expected);
      assert.doesNotMatch(nodeRed?.log ?? '', /TM_|\[error\]/);
    });
  }
});
