import assert from 'node:assert/strict';
import { parseInstant } from '../../lib/window';
import {
  collect,
  deploy,
  inject,
  messageWhere,
  nextMessage,
  useNodeRed,
  type FlowMessage,
  type FlowNode,
} from '../support/flow';
import type { Cloud } from '../../scripts/start/cloud';
import { KEY, Opened } from '../support/endpoint';
import { usePlant } from '../support/plant';
import { until } from '../support/until';

const start = '2026-01-01T00:00:00Z';
const endsAt = (end: string) => (message: FlowMessage) =>
  (message.payload as { end_time: string }).end_time === end;

describe('What users wire between and beside the nodes', () => {
  useNodeRed();
  const plant = usePlant();
  const nextTenMinutes = { longestMinutes: '10', start: 'date', startDate: start };

  it('a transformation between tm-fetch and tm-post', async () => {
    await plant.history(start, 600, 2);
    const transform: FlowNode = {
      id: 'transform',
      type: 'function',
      outputs: 1,
      func: `for (const readings of Object.values(msg.payload.data)) for (const reading of readings) reading.value *= 2;
             return msg;`,
      wires: [['post-1']],
    };
    const flow = plant.flow({
      'bookmark-next': nextTenMinutes,
      'fetch-1': { output: 'object', readingsPerBatch: '100', wires: [['transform']] },
    });
    await deploy([...flow, transform], plant.credentials);
    const done = messageWhere('committed', endsAt('2026-01-01T00:10:00Z'));
    inject('bookmark-next');
    await done;
    await plant.client.query('update sensor_data set value = value * 2');
    await plant.assertAllArrived();
  });

  it('a sink of their own instead of tm-post: the window is committed after its last batch', async () => {
    await plant.history(start, 600, 1);
    const flow = plant.flow({
      'bookmark-next': nextTenMinutes,
      'fetch-1': { readingsPerBatch: '100', wires: [['sink']] },
    });
    const sink: FlowNode = {
      id: 'sink',
      type: 'function',
      outputs: 1,
      func: 'return msg;',
      wires: [['bookmark-commit']],
    };
    await deploy([...flow, sink], plant.credentials);
    const batches = collect('sink');
    const done = messageWhere(
      'committed',
      (message) => (message.parts as { count?: number } | undefined)?.count === 6,
    );
    inject('bookmark-next');
    await done;
    assert(batches.length >= 6);
    assert.equal(plant.cloud.exchanges.length, 0);
    const position = (await plant.position()) ?? 0;
    assert(position >= parseInstant('2026-01-01T00:10:00Z', 'test', 'UTC'), `at ${position}`);
  });

  it('two tm-fetch on one bookmark: it moves when both are delivered', async () => {
    await plant.history(start, 600, 2);
    await plant.client.query(
      "drop table if exists more; create table more as select sensor_id || '_more' as sensor_id, timestamp, value from sensor_data",
    );
    const flow = plant.flow({ 'bookmark-next': { ...nextTenMinutes, wires: [['fetch-1', 'fetch-2']] } });
    const second: FlowNode = {
      id: 'fetch-2',
      type: 'tm-fetch',
      config: 'cfg-1',
      table: 'more',
      wires: [['post-1']],
    };
    await deploy([...flow, second], plant.credentials);
    const receipts = collect('committed');
    const done = messageWhere('committed', endsAt('2026-01-01T00:10:00Z'));
    inject('bookmark-next');
    const { payload } = await done;
    assert.equal((payload as { readings: number }).readings, 2400);
    assert.equal(receipts.filter(endsAt('2026-01-01T00:10:00Z')).length, 1);
    await plant.client.query('insert into sensor_data select * from more');
    await plant.assertAllArrived();
  });

  it('two tm-fetch on one bookmark, of which one is refused at deploy: it does not move, and that is told once', async () => {
    await plant.history(start, 600, 1);
    const flow = plant.flow({ 'bookmark-next': { ...nextTenMinutes, wires: [['fetch-1', 'fetch-2']] } });
    const fetch = flow.find(({ id }) => id === 'fetch-1');
    await deploy(
      [...flow, { ...fetch, id: 'fetch-2', type: 'tm-fetch', table: '${NOT_SET}' }],
      plant.credentials,
    );
    const errors = collect('errors');
    const windows = collect('fetch-2');
    inject('bookmark-next');
    // Sent again and again: it would be told at each.
    await until(() => windows.length >= 3);
    assert.deepEqual(
      errors.filter(({ tm }) => tm !== undefined),
      [],
    );
    assert.equal(await plant.position(), parseInstant(start, 'start', 'UTC'));
  });

  it('a window built by hand that is not over yet is not committed', async () => {
    const flow = plant.flow();
    const named = flow.map((node) => (node.id === 'bookmark-commit' ? { ...node, bookmark: 'plant' } : node));
    await deploy(named, plant.credentials);
    const refused = messageWhere('errors', () => true);
    inject('bookmark-commit', { payload: { start_time: start, end_time: '2999-01-01T00:00:00Z' } });
    const { error } = await refused;
    assert.match((error as { message: string }).message, /ends in the future/);
    assert.equal(await plant.position(), undefined);
  });

  describe('several nodes that answer for a batch', () => {
    const cloud2 = new Opened();
    let away = false;
    let second: Cloud;
    const credentials = () => ({
      ...plant.credentials,
      'cfg-2': { ...plant.credentials['cfg-1'], endpointKey: KEY },
    });
    beforeEach(async () => {
      away = true;
      second = await cloud2.cloud({ respond: () => (away ? { status: 503 } : undefined) });
    });
    afterEach(() => cloud2.close());

    /** A tm-post to the second cloud, which is away at first. */
    const withSecond = (
      overrides: Readonly<Record<string, object>>,
      post: Readonly<Record<string, unknown>> = {},
    ): FlowNode[] => {
      const nodes = plant.flow({ 'bookmark-next': nextTenMinutes, ...overrides });
      const config = nodes.find(({ id }) => id === 'cfg-1');
      return [
        ...nodes,
        { ...config, id: 'cfg-2', type: 'tm-config', endpoint: second.url },
        { id: 'post-2', type: 'tm-post', config: 'cfg-2', attempts: '3', wires: [[], []], ...post },
      ];
    };
    const inTable = async (): Promise<number> => {
      const { rows } = await plant.client.query<{ count: string }>('select count(*) from sensor_data');
      return Number(rows[0]?.count);
    };
    const receiptOfTheFirstWindow = () => messageWhere('committed', endsAt('2026-01-01T00:10:00Z'));

    for (const [what, wires] of [
      ['the first is wired to the commit', { 'post-1': {}, 'post-2': { wires: [[], []] } }],
      [
        'the second is wired to the commit',
        { 'post-1': { wires: [[], []] }, 'post-2': { wires: [['bookmark-commit'], []] } },
      ],
    ] as const) {
      it(`two tm-post: the bookmark moves when both clouds have all; ${what}`, async () => {
        await plant.history(start, 600, 2);
        const fetch = { readingsPerBatch: '100', wires: [['post-1', 'post-2']] };
        await deploy(
          withSecond({ 'fetch-1': fetch, 'post-1': wires['post-1'] }, wires['post-2']),
          credentials(),
        );
        const done = receiptOfTheFirstWindow();
        inject('bookmark-next');
        // Tried again: the first has long delivered all that it got.
        await until(() => second.exchanges.length >= 2 && plant.cloud.exchanges.length >= 1);
        assert.equal(await plant.position(), parseInstant(start, 'test', 'UTC'));
        away = false;
        const { payload } = await done;
        assert.equal((payload as { readings: number }).readings, 1200);
        assert.equal(second.readings().length, await inTable());
        await plant.assertAllArrived();
      });
    }

    it('a switch: each batch goes to one of two tm-post, and one receipt of each has the whole window', async () => {
      away = false;
      await plant.history(start, 600, 2);
      const route: FlowNode = {
        ...{ id: 'route', type: 'function', outputs: 2 },
        func: 'return msg.parts.index % 2 === 0 ? [msg, null] : [null, msg];',
        wires: [['post-1'], ['post-2']],
      };
      const fetch = { readingsPerBatch: '100', wires: [['route']] };
      const flow = withSecond({ 'fetch-1': fetch }, { wires: [['bookmark-commit'], []] });
      await deploy([...flow, route], credentials());
      const receipts = collect('committed');
      inject('bookmark-next');
      await until(() => receipts.filter(endsAt('2026-01-01T00:10:00Z')).length === 2);
      for (const { payload } of receipts.filter(endsAt('2026-01-01T00:10:00Z'))) {
        assert.equal((payload as { readings: number }).readings, 1200);
      }
      assert.ok(plant.cloud.readings().length > 0 && second.readings().length > 0);
      assert.equal(plant.cloud.readings().length + second.readings().length, await inTable());
    });

    it('a tm-post and a sink of their own: the bookmark moves when both have all', async () => {
      await plant.history(start, 600, 2);
      const sink: FlowNode = {
        ...{ id: 'sink', type: 'function', outputs: 1, func: 'return msg;' },
        wires: [['bookmark-commit']],
      };
      const fetch = { readingsPerBatch: '100', wires: [['sink', 'post-2']] };
      await deploy([...withSecond({ 'fetch-1': fetch }), sink], credentials());
      const batches = collect('sink');
      const done = messageWhere('committed', () => true);
      inject('bookmark-next');
      await until(() => second.exchanges.length >= 2 && batches.length >= 1);
      assert.equal(await plant.position(), parseInstant(start, 'test', 'UTC'));
      away = false;
      await done;
      assert.ok(((await plant.position()) ?? 0) > parseInstant(start, 'test', 'UTC'));
      assert.equal(second.readings().length, await inTable());
    });

    it('one straight at the commit counts no batch as delivered before the tm-post beside it has it', async () => {
      await plant.history(start, 600, 1);
      const fetch = { wires: [['bookmark-commit', 'post-2']] };
      await deploy(withSecond({ 'fetch-1': fetch }), credentials());
      const done = messageWhere('committed', () => true);
      inject('bookmark-next');
      await until(() => second.exchanges.length >= 2);
      assert.equal(await plant.position(), parseInstant(start, 'test', 'UTC'));
      away = false;
      await done;
      assert.equal(second.readings().length, await inTable());
    });

    it('a tm-post that gets a batch when its window is delivered posts it, or says that it could not', async () => {
      await plant.history(start, 600, 1);
      const fetch = { wires: [['post-1', 'later']] };
      const later: FlowNode = { id: 'later', type: 'helper' };
      await deploy(
        [...withSecond({ 'fetch-1': fetch }, { attempts: '1', config: 'cfg-2' }), later],
        credentials(),
      );
      const batch = messageWhere('later', () => true);
      const done = receiptOfTheFirstWindow();
      inject('bookmark-next');
      const held = await batch;
      await done;
      const failed = nextMessage('errors');
      inject('post-2', held);
      const { error, payload } = await failed;
      assert.equal((error as { code: string }).code, 'TM_ENDPOINT_UNAVAILABLE');
      assert.deepEqual(payload, held.payload);
      away = false;
      inject('post-2', held);
      await until(() => second.readings().length === 600);
    });
  });

  it('a window built by hand', async () => {
    await plant.history(start, 600, 1);
    await deploy(plant.flow({ 'post-1': { wires: [['committed'], []] } }), plant.credentials);
    const receipt = messageWhere('committed', () => true);
    inject('fetch-1', {
      payload: { start_time: '2026-01-01T00:00:00Z', end_time: '2026-01-01T00:05:00Z' },
      topic: 'kept',
    });
    const { payload, topic } = await receipt;
    assert.equal((payload as { readings: number }).readings, 300);
    assert.equal(topic, 'kept');
    assert.equal(plant.cloud.readings().length, 300);
  });

  it('readings of their own source straight into tm-post, split where they are too many for one body', async () => {
    await deploy(
      plant.flow({ 'post-1': { largestBodyMB: '0.002', wires: [['committed'], []] } }),
      plant.credentials,
    );
    const readings = Array.from({ length: 100 }, (_, second) => ({
      [second % 2 ? 'sensor' : 'sensor_id']: '__proto__',
      timestamp: new Date(Date.parse(start) + second * 1000).toISOString(),
      value: second === 7 ? null : second,
    }));
    const receipt = messageWhere('committed', () => true);
    inject('post-1', { payload: readings });
    const { payload } = await receipt;
    assert.equal((payload as { readings: number }).readings, 100);
    assert(plant.cloud.exchanges.length > 1);
    for (const { body } of plant.cloud.exchanges) assert(body.length <= 2000, `${body.length} bytes`);
    assert.deepEqual(
      plant.cloud.readings().map(({ value }) => value),
      readings.map(({ value }) => value),
    );
    assert(plant.cloud.readings().every(({ sensor }) => sensor === '__proto__'));
  });

  for (const [what, bookmark] of [
    ['named', 'plant'],
    ['without a name', ''],
  ] as const) {
    it(`the receipts of an own source pass a commit ${what} and move no bookmark`, async () => {
      await deploy(plant.flow({ 'bookmark-commit': { bookmark } }), plant.credentials);
      const errors = collect('errors');
      const receipt = messageWhere('committed', () => true);
      inject('post-1', { payload: [{ sensor: 'K101', timestamp: start, value: 1 }], topic: 'own' });
      const { payload, topic } = await receipt;
      assert.deepEqual([(payload as { readings: number }).readings, topic], [1, 'own']);
      assert.equal(await plant.position(), undefined);
      assert.deepEqual(errors, []);
    });
  }

  it('SQL of their own', async () => {
    await plant.history(start, 600, 2);
    const sql = `SELECT sensor_id AS sensor, value, timestamp FROM sensor_data -- all of ':start_time'
                 WHERE timestamp >= :start_time AND timestamp <= :end_time;`;
    await deploy(
      plant.flow({ 'bookmark-next': nextTenMinutes, 'fetch-1': { from: 'sql', sql } }),
      plant.credentials,
    );
    const done = messageWhere('committed', endsAt('2026-01-01T00:20:00Z'));
    inject('bookmark-next');
    await done;
    await plant.assertAllArrived();
  });
});
