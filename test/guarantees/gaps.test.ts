/** Hours without a row, and a table without any: the bookmark goes on, and what comes behind the gap arrives. */
import assert from 'node:assert/strict';
import { parseInstant } from '../../lib/window';
import { useDatabaseClock } from '../support/database-clock';
import { deploy, injectUntil, useNodeRed } from '../support/flow';
import { usePlant } from '../support/plant';

const instant = (time: string): number => parseInstant(time, 'test', 'UTC');
const SECOND_IN_MINUTES = '0.0167';

describe('Where there are no rows', () => {
  useNodeRed();
  const plant = usePlant();
  const clock = useDatabaseClock(plant);
  const deliveredTo = (time: string) =>
    injectUntil('bookmark-next', async () => (await plant.position()) === instant(time));

  it('a gap of ten hours is passed over without a post, and what is behind it arrives', async () => {
    await plant.history('2026-01-01T00:00:00Z', 600);
    await plant.history('2026-01-01T10:10:00Z', 600);
    await clock.set('2026-01-01T10:20:30Z');
    await deploy(plant.flow({ 'bookmark-next': { longestMinutes: '10' } }), plant.credentials);
    await deliveredTo('2026-01-01T10:20:00Z');
    await plant.assertAllArrived();
    assert.equal(plant.cloud.exchanges.length, 2);
  });

  for (const [start, beginning] of [
    ['oldest', 'the oldest reading'],
    ['now', 'the present'],
  ] as const) {
    it(`an empty table is no error, and its first rows arrive (begun with ${beginning})`, async () => {
      await clock.set('2026-01-01T12:00:00Z');
      await deploy(
        plant.flow({ 'bookmark-next': { start, intervalMinutes: SECOND_IN_MINUTES } }),
        plant.credentials,
      );
      await deliveredTo('2026-01-01T11:59:30Z');
      await plant.history('2026-01-01T12:00:00Z', 5);
      await clock.set('2026-01-01T12:00:35Z');
      await deliveredTo('2026-01-01T12:00:05Z');
      await plant.assertAllArrived();
    });
  }

  it('the last rows of a table do not wait for later ones', async () => {
    await plant.history('2026-01-01T12:00:00Z', 1);
    await clock.set('2026-01-01T12:00:31Z');
    await deploy(plant.flow({ 'bookmark-next': { intervalMinutes: SECOND_IN_MINUTES } }), plant.credentials);
    await deliveredTo('2026-01-01T12:00:01Z');
    await plant.assertAllArrived();
  });
});
