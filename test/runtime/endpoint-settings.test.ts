/** What the form of tm-config says of the endpoint's answers is what becomes of them. */
import assert from 'node:assert/strict';
import type { Reply } from '../../scripts/start/cloud';
import { collect, deploy, inject, messageWhere, useNodeRed, type FlowMessage } from '../support/flow';
import { usePlant } from '../support/plant';

const START = '2026-01-01T00:00:00Z';
const committed = ({ payload }: FlowMessage): boolean =>
  (payload as { end_time: string }).end_time === '2026-01-01T00:01:00Z';

describe('Settings of the endpoint', () => {
  useNodeRed();
  let replies: Reply[] = [];
  const plant = usePlant({ respond: ({ index }) => replies[index] });

  const deliver = async (config: object): Promise<FlowMessage[]> => {
    await plant.history(START, 60);
    const nodes = plant.flow({ 'bookmark-next': { longestMinutes: '1' } });
    await deploy(
      nodes.map((node) => (node.type === 'tm-config' ? { ...node, ...config } : node)),
      plant.credentials,
    );
    const errors = collect('errors');
    const done = messageWhere('committed', committed);
    inject('bookmark-next');
    await done;
    return errors;
  };

  it('409 as a duplicate: the readings count as delivered', async () => {
    replies = [{ status: 409, body: 'I have it' }];
    assert.deepEqual(await deliver({ conflict: 'accepted' }), []);
    assert.equal(plant.cloud.exchanges.length, 1);
  });

  it('the longest Retry-After: an hour that is asked for is a second', async () => {
    replies = [{ status: 503, headers: { 'retry-after': '3600' } }];
    assert.deepEqual(await deliver({ longestRetryAfterSeconds: '1' }), []);
    await plant.assertAllArrived();
  });
});
