/** A power cut leaves a state file torn, empty or full of garbage: the previous good one is used, and it is said. */
import assert from 'node:assert/strict';
import { readFile, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { collect, deploy, inject, injectUntil, logged, undeploy, useNodeRed } from '../support/flow';
import { testDirectory } from '../support/directory';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const HOUR = 3600;

describe('A state file that a power cut has damaged', () => {
  useNodeRed();
  const plant = usePlant();
  const directory = testDirectory();
  const file = (): string => join(directory.path, 'bookmarks', 'plant.json');
  const flow = () => plant.flow({ 'cfg-1': { stateDirectory: directory.path } });

  const delivered = async (): Promise<void> => {
    await plant.history(START, HOUR);
    await deploy(flow(), plant.credentials);
    const committed = collect('committed');
    inject('bookmark-next');
    await until(() => committed.length >= 2);
  };

  for (const [what, damage] of [
    ['torn', async () => truncate(file(), Math.floor((await readFile(file())).length / 2))],
    ['empty', () => truncate(file(), 0)],
    ['garbage', () => writeFile(file(), Buffer.from([0, 255, 1, 254, 0, 7]))],
    ['gone', () => unlink(file())],
  ] as const) {
    it(`${what}: the previous good one is used, and it is said; each reading arrives, and repeats are the same`, async () => {
      await delivered();
      const posts = plant.cloud.exchanges.length;
      await undeploy();
      await damage();
      await deploy(flow(), plant.credentials);
      await injectUntil('bookmark-next', () => logged('cfg-1').length > 0);
      assert.match(logged('cfg-1').join(), /plant\.json cannot be used: it is .* previous good one is used/);
      await until(() => plant.cloud.readings().length >= HOUR * 3);
      await plant.assertAllArrived();
      assert.equal(plant.cloud.received().conflicts, 0);
      assert(plant.cloud.exchanges.length >= posts);
    });
  }

  it('both of them: nothing is begun afresh, the error names the file, and a backup mends it', async () => {
    await delivered();
    await undeploy();
    const whole = await readFile(`${file()}.previous`);
    for (const path of [file(), `${file()}.previous`]) await truncate(path, 9);
    await deploy(flow(), plant.credentials);
    const posts = plant.cloud.exchanges.length;
    const errors = collect('errors');
    let heartbeats = 0;
    await injectUntil('bookmark-next', () => ++heartbeats > 20 && errors.length > 0);
    assert.equal(errors.length, 1, 'said once, not with each heartbeat');
    assert.equal((errors[0]?.error as { code: string }).code, 'TM_STATE_UNREADABLE');
    assert.match((errors[0]?.error as { message: string }).message, /plant\.json/);
    assert.equal(plant.cloud.exchanges.length, posts, 'nothing is sent');
    await writeFile(file(), whole);
    await injectUntil('bookmark-next', () => plant.cloud.readings().length >= HOUR * 3);
    await plant.assertAllArrived();
  });
});
