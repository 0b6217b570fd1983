/**
 * An endpoint that holds (401, 403, 404 …) or stays away is said once, with since when and what to do, and once
 * more when it takes readings again, also where a redeploy mended it.
 */
import assert from 'node:assert/strict';
import os from 'node:os';
import sinon from 'sinon';
import type { AlarmNotice } from '../../lib/alarm';
import { parseDatabaseUrl } from '../../lib/database-url';
import { DatabaseStore } from '../../lib/state/database-store';
import type { Reply } from '../../scripts/start/cloud';
import {
  collect,
  deploy,
  inject,
  messageWhere,
  redeploy,
  undeploy,
  useNodeRed,
  type FlowMessage,
} from '../support/flow';
import { usePlant } from '../support/plant';
import { testDatabase } from '../support/test-database';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const noticeOf = ({ payload }: FlowMessage): AlarmNotice => payload as AlarmNotice;
const codeOf = ({ error }: FlowMessage): string => (error as { code: string }).code;
const committed = ({ payload }: FlowMessage): boolean =>
  (payload as { end_time: string }).end_time === '2026-01-01T00:10:00Z';

describe('An endpoint that takes nothing', () => {
  useNodeRed();
  let reply: Reply | undefined;
  const plant = usePlant({ respond: () => reply });
  const state = testDatabase();
  beforeEach(() => {
    reply = undefined;
  });
  afterEach(() => {
    sinon.restore();
  });

  const flow = () =>
    plant.flow({
      'bookmark-next': { longestMinutes: '10' },
      'post-1': { attempts: '1' },
    });

  for (const [status, advice] of [
    [401, /Check the endpoint key/],
    [403, /Check the endpoint key/],
    [404, /Check the address/],
  ] as const) {
    it(`${status}: one alarm with what to do, one message when it is over, nothing lost`, async () => {
      await plant.history(START, 600);
      reply = { status, body: 'no' };
      await deploy(flow(), plant.credentials);
      const errors = collect('errors');
      const done = messageWhere('committed', committed);
      inject('bookmark-next');
      // The window has been given up, and sent again, more than once by then.
      await until(() => plant.cloud.exchanges.length >= 3);
      assert.deepEqual(errors.map(codeOf), ['TM_ENDPOINT_HOLD']);
      const [raised] = errors.map(noticeOf);
      assert.deepEqual([raised?.alarm, raised?.state], ['TM_ENDPOINT_HOLD', 'raised']);
      assert.match(raised?.message ?? '', advice);
      assert.match(
        raised?.message ?? '',
        /No window is lost meanwhile; a message that belongs to none is .* told\. Since \d{4}-.*Z\.$/,
      );
      assert.equal(await plant.position(), Date.parse(START) / 1000);
      reply = undefined;
      await done;
      await until(() => errors.length === 2);
      assert.equal(errors.map(codeOf)[1], 'TM_RECOVERED');
      const recovered = errors.map(noticeOf)[1];
      assert.equal(recovered?.since, raised?.since);
      assert.match(
        recovered?.message ?? '',
        /takes readings again\. It was TM_ENDPOINT_HOLD from .* to .*\.$/,
      );
      await plant.assertAllArrived();
    });
  }

  it('503 for as long as the attempts last: one alarm too, and one message when it is over', async () => {
    await plant.history(START, 600);
    reply = { status: 503 };
    await deploy(flow(), plant.credentials);
    const errors = collect('errors');
    const done = messageWhere('committed', committed);
    inject('bookmark-next');
    await until(() => plant.cloud.exchanges.length >= 3);
    assert.deepEqual(errors.map(codeOf), ['TM_ENDPOINT_UNAVAILABLE']);
    reply = undefined;
    await done;
    await until(() => errors.length === 2);
    assert.deepEqual(errors.map(codeOf), ['TM_ENDPOINT_UNAVAILABLE', 'TM_RECOVERED']);
  });

  it('mended by a redeploy with the right key: its end is said by the nodes that come after', async () => {
    await plant.history(START, 600);
    const wrong = { 'cfg-1': { ...plant.credentials['cfg-1'], endpointKey: 'a-wrong-key' } };
    await deploy(flow(), wrong);
    const raised = messageWhere('errors', (message) => codeOf(message) === 'TM_ENDPOINT_HOLD');
    inject('bookmark-next');
    const { since } = noticeOf(await raised);
    await redeploy(flow(), plant.credentials);
    const errors = collect('errors');
    const done = messageWhere('committed', committed);
    inject('bookmark-next');
    await done;
    await until(() => errors.length > 0);
    assert.deepEqual(errors.map(codeOf), ['TM_RECOVERED']);
    assert.equal(errors.map(noticeOf)[0]?.since, since);
  });

  it('to one of several machines, is over when it takes readings of that one', async () => {
    await plant.history(START, 600);
    const config = { 'cfg-1': { state: 'database' } };
    const shared = (key: string) => ({
      'cfg-1': { ...plant.credentials['cfg-1'], endpointKey: key, stateUrl: state.url },
    });
    const nodes = flow().map((node) => ({ ...node, ...config[node.id as 'cfg-1'] }));
    // Another machine, with another key.
    const other = sinon.stub(os, 'hostname').returns('plant-8');
    await deploy(nodes, shared('a-wrong-key'));
    const raised = messageWhere('errors', (message) => codeOf(message) === 'TM_ENDPOINT_HOLD');
    inject('bookmark-next');
    await raised;
    other.restore();
    await redeploy(nodes, shared(plant.credentials['cfg-1'].endpointKey));
    const errors = collect('errors');
    const done = messageWhere('committed', committed);
    inject('bookmark-next');
    await done;
    // Whatever is to be said and stored has been when it is closed.
    await undeploy();
    assert.deepEqual(errors.map(codeOf), []);
    const store = DatabaseStore.connect(parseDatabaseUrl(state.url));
    const stored = await store.list('alarm');
    await store.close();
    assert.deepEqual(stored, ['post-1@plant-8']);
  });

  it('readings sent by hand, which nobody sends again, end in an error of their own', async () => {
    reply = { status: 401 };
    await deploy(flow(), plant.credentials);
    const failed = messageWhere('errors', ({ topic }) => topic === 'mine');
    inject('post-1', { topic: 'mine', payload: [{ sensor: 'K101', timestamp: START, value: 1 }] });
    assert.equal(codeOf(await failed), 'TM_ENDPOINT_HOLD');
  });
});
