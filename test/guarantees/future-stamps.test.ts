/** Stamps from the future, of a clock that is off: they do not drag the bookmark, and arrive when their time comes. */
import assert from 'node:assert/strict';
import { parseInstant } from '../../lib/window';
import { useDatabaseClock } from '../support/database-clock';
import { deploy, injectUntil, redeploy, useNodeRed } from '../support/flow';
import { usePlant } from '../support/plant';

const instant = (time: string): number => parseInstant(`2026-01-01T${time}Z`, 'test', 'UTC');

describe('A reading stamped in the future', () => {
  useNodeRed();
  const plant = usePlant();
  const clock = useDatabaseClock(plant);

  it('waits until its time has come, and holds nothing else up', async () => {
    await plant.history('2026-01-01T11:50:00Z', 570);
    await plant.client.query("insert into sensor_data values ('FAST CLOCK', '2026-01-01T12:45:00Z', 1)");
    await clock.set('2026-01-01T12:00:00Z');
    const flow = plant.flow({ 'bookmark-next': { intervalMinutes: '0.0167' } });
    await deploy(flow, plant.credentials);
    // The clock that jumps is the test's alone: only nodes that do not know what it was before believe it.
    const wait = async (time: string): Promise<void> => {
      await clock.set(time);
      await redeploy(flow, plant.credentials);
    };
    const deliveredTo = (time: string) =>
      injectUntil('bookmark-next', async () => (await plant.position()) === instant(time));
    await deliveredTo('11:59:30');
    assert.equal(plant.cloud.readings().length, 3 * 570);

    // What comes at the right time meanwhile is not behind the bookmark.
    await plant.history('2026-01-01T11:59:30Z', 600, 1);
    await wait('2026-01-01T12:10:00Z');
    await deliveredTo('12:09:30');
    assert.equal(plant.cloud.readings().length, 3 * 570 + 600);

    await wait('2026-01-01T12:45:31Z');
    await deliveredTo('12:45:01');
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().duplicates, 0);
  });
});
