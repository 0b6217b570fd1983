/**
 * An Idempotency-Key names one body for ever: what was posted before a kill, a restart or a redeploy and is
 * posted again after it comes under the same key, byte for byte. The same flow, the same database, the same
 * endpoint; a Node-RED process that is killed by SIGKILL while its posts are accepted and not yet answered.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Exchange, Reply } from '../../scripts/start/cloud';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';
import { testDirectory } from '../support/directory';
import { nodeRedPath } from '../support/node-red';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const SENSORS = 3;
const SECONDS = 2 * 3600;
const KILLS = 3;

describe('An Idempotency-Key', function () {
  this.timeout(180_000);
  /** Accepted, and never answered: whoever posted does not know. */
  let unanswered = false;
  const plant = usePlant({
    respond: (): Reply | undefined => (unanswered ? { accept: true, end: 'hang' } : undefined),
  });
  const directory = testDirectory();
  let nodeRed: NodeRed | undefined;
  afterEach(() => nodeRed?.stop());

  const start = async (): Promise<NodeRed> => {
    const example = JSON.parse(await readFile(resolve('examples/schedule-mode.json'), 'utf8')) as Flow;
    const { databaseUrl, endpointKey } = plant.credentials['cfg-1'];
    nodeRed = await startNodeRed({
      folder: nodeRedPath(),
      userDirectory: join(directory.path, 'node-red'),
      flow: example,
      env: {
        DATABASE_URL: databaseUrl,
        POST_DATA_ENDPOINT: plant.cloud.url,
        POST_DATA_API_KEY: endpointKey,
        FETCH_DATA_INTERVAL: '1',
        BATCH_SIZE: '10',
      },
    });
    return nodeRed;
  };
  const posts = (): readonly Exchange[] => plant.cloud.exchanges;
  const morePosts = (before: number): Promise<void> => until(() => posts().length > before);

  /** As the editor's full deploy: every node is closed and made anew. */
  const redeploy = async ({ url }: NodeRed): Promise<void> => {
    const flows = (await (await fetch(`${url}flows`)).json()) as object[];
    const response = await fetch(`${url}flows`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'Node-RED-Deployment-Type': 'full' },
      body: JSON.stringify(flows),
    });
    assert.equal(response.status, 204);
  };

  it('names the same bytes before and after SIGKILL, restart and redeploy', async () => {
    await plant.history(START, SECONDS, SENSORS);
    /** How many posts each life of the process had made when it ended, accepted but not answered. */
    const interrupted: Exchange[] = [];
    for (let kills = 0; kills < KILLS; kills++) {
      const killed = await start();
      await morePosts(posts().length + 1);
      unanswered = true;
      const before = posts().length;
      await morePosts(before);
      await killed.kill();
      interrupted.push(...posts().slice(before));
      unanswered = false;
    }
    const restarted = await start();
    await morePosts(posts().length);
    unanswered = true;
    const before = posts().length;
    await morePosts(before);
    const cut = posts().slice(before);
    unanswered = false;
    await redeploy(restarted);
    interrupted.push(...cut);
    await until(() => plant.cloud.readings().length >= SECONDS * SENSORS);

    const bodies = new Map<string, Buffer>();
    const keys = new Map<string, string>();
    for (const { idempotencyKey = '', body, posted } of posts()) {
      assert.notEqual(idempotencyKey, '');
      const known = bodies.get(idempotencyKey) ?? body;
      assert(known.equals(body), `${idempotencyKey} came with two bodies`);
      bodies.set(idempotencyKey, known);
      const range = `${posted?.start_time ?? ''} to ${posted?.end_time ?? ''}`;
      assert.equal(keys.get(range) ?? idempotencyKey, idempotencyKey, `${range} came under two keys`);
      keys.set(range, idempotencyKey);
    }
    // Each that was cut off was sent again, by another process or by the redeployed nodes.
    for (const { idempotencyKey, index } of interrupted) {
      const again = posts().filter((post) => post.idempotencyKey === idempotencyKey && post.index > index);
      assert(again.length > 0, `${idempotencyKey ?? ''} was not posted again`);
    }
    assert(interrupted.length > KILLS);
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().conflicts, 0);
    assert.equal(plant.cloud.received().duplicates, 0);
  });
});
