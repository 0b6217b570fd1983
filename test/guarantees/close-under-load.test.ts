/**
 * A redeploy or a stop ends in time whatever hangs: a database that does not answer any more, an endpoint that
 * never answers or answers a byte at a time. Afterwards nothing is lost.
 */
import assert from 'node:assert/strict';
import type { Reply } from '../../scripts/start/cloud';
import { deploy, inject, logged, messageWhere, undeploy, useNodeRed } from '../support/flow';
import { usePlant } from '../support/plant';
import { TcpProxy } from '../support/tcp-proxy';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';

describe('A close', () => {
  useNodeRed();
  let respond: (() => Reply | undefined) | undefined;
  let proxy: TcpProxy | undefined;
  const plant = usePlant(
    { respond: () => respond?.() },
    { databaseUrl: (url) => proxy?.through(url) ?? url },
  );
  beforeEach(async () => {
    respond = undefined;
    proxy = await TcpProxy.start(plant.credentials['cfg-1'].databaseUrl);
    await plant.history(START, 3600, 10);
  });
  afterEach(async () => {
    await proxy?.close();
    proxy = undefined;
  });
  const flow = () =>
    plant.flow({
      'bookmark-next': { start: 'date', startDate: START, longestMinutes: '10', inFlight: '4' },
      'fetch-1': { readingsPerBatch: '500' },
      'post-1': { inFlight: '4' },
    });
  const closes = async (): Promise<void> => {
    const ids = flow().map(({ id }) => id);
    await undeploy();
    // A node does not wait longer for a close of its own that hangs: it says so, and lets it go on unseen.
    const overdue = ids.flatMap(logged).filter((text) => text.startsWith('Closing '));
    assert.deepEqual(overdue, []);
  };
  const deliversAll = async (): Promise<void> => {
    respond = undefined;
    await proxy?.restore();
    await deploy(flow(), plant.credentials);
    const done = messageWhere(
      'committed',
      ({ payload }) => (payload as { end_time: string }).end_time === '2026-01-01T01:00:00Z',
    );
    inject('bookmark-next');
    await done;
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().conflicts, 0);
  };

  it('ends while the database hangs in the middle of results', async () => {
    assert(proxy);
    await deploy(flow(), plant.credentials);
    inject('bookmark-next');
    await until(() => plant.cloud.exchanges.length >= 3);
    proxy.stopForwarding();
    await closes();
    await deliversAll();
  });

  it('ends while no connection to the database comes about', async () => {
    assert(proxy);
    const { connections } = proxy;
    proxy.stopForwarding();
    await deploy(flow(), plant.credentials);
    inject('bookmark-next');
    await until(() => (proxy?.connections ?? 0) > connections);
    await closes();
    await deliversAll();
  });

  for (const end of ['hang', 'trickle-headers', 'trickle-body', 'stall'] as const) {
    it(`ends while the endpoint answers with a ${end}`, async () => {
      respond = () => ({ end });
      await deploy(flow(), plant.credentials);
      inject('bookmark-next');
      await until(() => plant.cloud.exchanges.length >= 4);
      await closes();
      await deliversAll();
    });
  }

  it('ends while both hang', async () => {
    assert(proxy);
    respond = () => ({ end: 'hang' });
    await deploy(flow(), plant.credentials);
    inject('bookmark-next');
    await until(() => plant.cloud.exchanges.length >= 4);
    proxy.stopForwarding();
    await closes();
    await deliversAll();
  });
});
