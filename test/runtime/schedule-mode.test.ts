import assert from 'node:assert/strict';
import { parseInstant } from '../../lib/window';
import type { Reply } from '../../scripts/start/cloud';
import {
  collect,
  deploy,
  inject,
  messageWhere,
  redeploy,
  useNodeRed,
  type FlowMessage,
} from '../support/flow';
import { usePlant } from '../support/plant';

const start = '2026-01-01T00:00:00Z';
const endsAt = (end: string) => (message: FlowMessage) =>
  (message.payload as { end_time: string }).end_time === end;
const codeIs = (code: string) => (message: FlowMessage) => (message.error as { code?: string }).code === code;
const instant = (text: string) => parseInstant(text, 'test', 'UTC');

describe('Schedule mode', () => {
  useNodeRed();
  let respond: (() => Reply | undefined) | undefined;
  beforeEach(() => {
    respond = undefined;
  });
  const plant = usePlant({ respond: () => respond?.() });

  it('delivers every row of the table once, window after window, from one message', async () => {
    await plant.history(start, 7200);
    await deploy(
      plant.flow({ 'bookmark-next': { longestMinutes: '10' }, 'fetch-1': { readingsPerBatch: '500' } }),
      plant.credentials,
    );
    const errors = collect('errors');
    const receipts = collect('committed');
    const done = messageWhere('committed', endsAt('2026-01-01T02:00:00Z'));
    inject('bookmark-next');
    const { payload } = await done;
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().duplicates, 0);
    assert.deepEqual(errors, []);
    // Empty windows follow: the bookmark goes on to the present.
    const withReadings = receipts.filter((receipt) => (receipt.payload as { readings: number }).readings > 0);
    assert.equal(withReadings.length, 12);
    const { duration_ms, bytes, ...receipt } = payload as Record<string, number>;
    assert.deepEqual(receipt, {
      start_time: '2026-01-01T01:50:00Z',
      end_time: '2026-01-01T02:00:00Z',
      readings: 1800,
      sensors: 3,
      batches: 4,
    });
    assert(Number(bytes) > 0 && Number(duration_ms) >= 0);
  });

  it('keeps several windows in flight and loses nothing', async () => {
    await plant.history(start, 3600);
    await deploy(plant.flow({ 'bookmark-next': { longestMinutes: '2', inFlight: '8' } }), plant.credentials);
    const done = messageWhere('committed', endsAt('2026-01-01T01:30:00Z'));
    inject('bookmark-next');
    await done;
    await plant.assertAllArrived();
    assert.equal(plant.cloud.received().duplicates, 0);
  });

  it('delivers rows that are written while it runs, and moves over windows without rows', async () => {
    await plant.history(start, 600);
    await deploy(plant.flow({ 'bookmark-next': { longestMinutes: '10' } }), plant.credentials);
    const first = messageWhere('committed', endsAt('2026-01-01T00:10:00Z'));
    const later = messageWhere('committed', endsAt('2026-01-01T12:10:00Z'));
    inject('bookmark-next');
    await first;
    const posts = plant.cloud.exchanges.length;
    await plant.history('2026-01-01T12:00:00Z', 600);
    await later;
    await plant.assertAllArrived();
    assert(plant.cloud.exchanges.length > posts);
    for (const { posted } of plant.cloud.exchanges)
      assert((posted?.readings.length ?? 0) > 0, 'nothing is posted for an empty window');
  });

  it('catches up after a downtime of 50 windows, from one message', async () => {
    await plant.history(start, 60);
    const flow = plant.flow({ 'bookmark-next': { longestMinutes: '1', start: 'date', startDate: start } });
    await deploy(flow, plant.credentials);
    const first = messageWhere('committed', endsAt('2026-01-01T00:01:00Z'));
    inject('bookmark-next');
    await first;
    await redeploy([], {});
    await plant.history('2026-01-01T00:01:00Z', 50 * 60);
    await redeploy(flow, plant.credentials);
    const done = messageWhere('committed', endsAt('2026-01-01T00:51:00Z'));
    inject('bookmark-next');
    await done;
    await plant.assertAllArrived();
  });

  describe('never moves the bookmark past a window that was not accepted', () => {
    it('while the endpoint is down, and goes on by itself when it is back', async () => {
      await plant.history(start, 600);
      respond = () => ({ status: 503 });
      await deploy(
        plant.flow({ 'bookmark-next': { longestMinutes: '10' }, 'post-1': { attempts: '2' } }),
        plant.credentials,
      );
      const failed = messageWhere('errors', codeIs('TM_ENDPOINT_UNAVAILABLE'));
      const done = messageWhere('committed', endsAt('2026-01-01T00:10:00Z'));
      inject('bookmark-next');
      const { error } = await failed;
      assert.match((error as Error).message, /503/);
      assert.equal(await plant.position(), instant(start));
      respond = undefined;
      await done;
      await plant.assertAllArrived();
    });

    it('while the key is wrong', async () => {
      await plant.history(start, 600);
      const credentials = { 'cfg-1': { ...plant.credentials['cfg-1'], endpointKey: 'a-wrong-key' } };
      await deploy(
        plant.flow({ 'bookmark-next': { longestMinutes: '10' }, 'post-1': { attempts: '1' } }),
        credentials,
      );
      const failed = messageWhere('errors', codeIs('TM_ENDPOINT_HOLD'));
      inject('bookmark-next');
      const { error } = await failed;
      assert.match((error as Error).message, /401/);
      assert(!JSON.stringify(error).includes('a-wrong-key'));
      assert.equal(await plant.position(), instant(start));
      assert.equal(plant.cloud.readings().length, 0);
    });

    it('while the table is gone, and goes on by itself when it is back', async () => {
      await plant.history(start, 600);
      await deploy(
        plant.flow({ 'bookmark-next': { longestMinutes: '10', start: 'date', startDate: start } }),
        plant.credentials,
      );
      await plant.client.query('alter table sensor_data rename to gone');
      const failed = messageWhere('errors', codeIs('TM_QUERY_FAILED'));
      const done = messageWhere('committed', endsAt('2026-01-01T00:10:00Z'));
      inject('bookmark-next');
      const { error } = await failed;
      assert.match((error as Error).message, /"sensor_data" does not exist/);
      assert.equal(await plant.position(), instant(start));
      await plant.client.query('alter table gone rename to sensor_data');
      await done;
      await plant.assertAllArrived();
    });

    it('while the cloud refuses readings for good, unless they are to be set aside', async () => {
      await plant.history(start, 60, 1);
      respond = () => ({ status: 422, body: '{"detail":"no such sensor"}' });
      const flow = (refused: string) =>
        plant.flow({ 'bookmark-next': { longestMinutes: '1' }, 'post-1': { refused } });
      await deploy(flow('hold'), plant.credentials);
      const failed = messageWhere('errors', codeIs('TM_READINGS_REFUSED'));
      inject('bookmark-next');
      const { error } = await failed;
      assert.match((error as Error).message, /no such sensor/);
      assert.equal(await plant.position(), instant(start));

      await redeploy(flow('setAside'), plant.credentials);
      const aside = messageWhere('refused', () => true);
      const done = messageWhere('committed', endsAt('2026-01-01T00:01:00Z'));
      inject('bookmark-next');
      const { payload, statusCode } = await aside;
      assert.equal(statusCode, 422);
      assert('data' in (payload as object));
      await done;
    });

    it('where no wire leads to a commit, and says so', async () => {
      await plant.history(start, 60, 1);
      await deploy(plant.flow({ 'post-1': { wires: [[], []] } }), plant.credentials);
      const said = messageWhere('errors', codeIs('TM_NOT_COMMITTED'));
      inject('bookmark-next');
      const { error } = await said;
      assert.match(
        (error as Error).message,
        /posted but not committed: wire tm-post to a tm-bookmark \(commit\)/,
      );
      assert.equal(await plant.position(), instant(start));
    });
  });

  it('refuses a second tm-bookmark on the same bookmark, and says so', async () => {
    await plant.history(start, 60);
    const flow = plant.flow();
    const copy = { ...flow[1], id: 'bookmark-copy', type: 'tm-bookmark' };
    await deploy([...flow, copy], plant.credentials);
    const done = messageWhere('committed', () => true);
    inject('bookmark-next');
    await done;
    const refused = messageWhere('errors', codeIs('TM_BOOKMARK_IN_USE'));
    inject('bookmark-copy');
    assert.match(((await refused).error as Error).message, /"plant"/);
  });

  it('sends again what is behind a bookmark that was set back by hand', async () => {
    await plant.history(start, 600, 1);
    const flow = [
      ...plant.flow({ 'bookmark-next': { longestMinutes: '5' } }),
      { id: 'bookmark-set', type: 'tm-bookmark', config: 'cfg-1', action: 'set', bookmark: 'plant' },
    ];
    await deploy(flow, plant.credentials);
    const done = messageWhere('committed', endsAt('2026-01-01T00:30:00Z'));
    inject('bookmark-next');
    await done;
    const again = messageWhere('committed', endsAt('2026-01-01T00:10:00Z'));
    inject('bookmark-set', { payload: '2026-01-01T00:05:00Z' });
    await again;
    const { duplicates, repeats } = plant.cloud.received();
    assert(duplicates > 0 || repeats > 0);
  });
});
