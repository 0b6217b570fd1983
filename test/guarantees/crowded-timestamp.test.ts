/** Ten thousand rows of one timestamp, over every limit of a batch: none is cut off, none is sent twice. */
import assert from 'node:assert/strict';
import { deploy, inject, messageWhere, useNodeRed } from '../support/flow';
import { usePlant } from '../support/plant';

const START = '2026-01-01T00:00:00Z';
const AT = '2026-01-01T00:00:30Z';

describe('Ten thousand readings of one timestamp', () => {
  useNodeRed();
  const plant = usePlant();
  beforeEach(async () => {
    await plant.history(START, 60);
    await plant.client.query(
      `insert into sensor_data select 'CROWD_' || n, '${AT}', n from generate_series(1, 10000) n order by md5(n::text)`,
    );
  });

  /** @returns how many readings each post had */
  const deliverWith = async (nodes: Readonly<Record<string, object>>): Promise<number[]> => {
    await deploy(
      plant.flow({ 'bookmark-next': { start: 'date', startDate: START, longestMinutes: '1' }, ...nodes }),
      plant.credentials,
    );
    const done = messageWhere('committed', () => true);
    inject('bookmark-next');
    await done;
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().duplicates, 0);
    return plant.cloud.exchanges.map(({ posted }) => posted?.readings.length ?? 0);
  };

  it('are one batch, over the limit of readings', async () => {
    const posts = await deliverWith({ 'fetch-1': { readingsPerBatch: '1000' } });
    assert(posts.includes(10_003), posts.join());
  });

  it('are divided where the endpoint takes no larger body', async () => {
    const posts = await deliverWith({ 'post-1': { largestBodyMB: '0.05' } });
    assert(Math.max(...posts) < 2000, posts.join());
  });

  it('are divided where they are larger than a batch may be', async () => {
    await plant.client.query(`alter table sensor_data alter column value type text using repeat('x', 1000)`);
    await deliverWith({});
    const bytes = plant.cloud.exchanges.map(({ body }) => body.length);
    assert(bytes.length > 2 && Math.max(...bytes) <= 5_000_000, bytes.join());
  });
});
