/** A full disk stops delivery with an error that says so; nothing is lost, and it goes on when there is space. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { collect, deploy, inject, useNodeRed } from '../support/flow';
import { testDirectory } from '../support/directory';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const HOURS = 3;
/** A disk of the test's own needs the right to mount one. */
const canMount = process.platform === 'linux' && process.getuid?.() === 0;
const why = canMount ? '' : ' (skipped: a small disk of its own can be mounted by root on Linux only)';

(canMount ? describe : describe.skip)(`A full disk under the state directory${why}`, () => {
  useNodeRed();
  let isFilling = false;
  const plant = usePlant({
    respond: async () => {
      // Before any window is accepted: however slow this test is, the disk is full when its commit is stored.
      if (isFilling) await fill();
      return undefined;
    },
  });
  const directory = testDirectory();
  const disk = (): string => join(directory.path, 'disk');
  const filler = (): string => join(disk(), 'filler');
  beforeEach(async () => {
    isFilling = false;
    await mkdir(disk());
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk()]);
  });
  afterEach(() => {
    execFileSync('umount', ['--lazy', disk()]);
  });

  /** Whatever the store itself sets free. */
  const fill = async (): Promise<void> => {
    while (isFilling) {
      try {
        await appendFile(filler(), Buffer.alloc(4096));
      } catch {
        return;
      }
    }
  };

  it('stops delivery with an error that names it, and costs no reading', async () => {
    await plant.history(START, HOURS * 3600);
    await deploy(plant.flow({ 'cfg-1': { stateDirectory: disk() } }), plant.credentials);
    const committed = collect('committed');
    const errors = collect('errors');
    inject('bookmark-next');
    await until(() => committed.length >= 1);
    isFilling = true;
    await until(async () => {
      await fill();
      return errors.length > 0;
    });
    const { code, message } = errors[0]?.error as { code: string; message: string };
    assert.equal(code, 'TM_STATE_WRITE');
    assert.match(message, /The disk is full: free some space; until then nothing moves on/);
    assert(plant.cloud.readings().length < HOURS * 3600 * 3, 'delivery has stopped');
    isFilling = false;
    await rm(filler());
    await until(() => plant.cloud.readings().length >= HOURS * 3600 * 3);
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().conflicts, 0);
  });
});
