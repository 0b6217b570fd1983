import assert from 'node:assert/strict';
import { parseInstant } from '../../lib/window';
import {
  collect,
  deploy,
  inject,
  messageWhere,
  useNodeRed,
  type FlowMessage,
  type FlowNode,
} from '../support/flow';
import { usePlant } from '../support/plant';

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

  it('two tm-fetch on one bookmark, of which one is refused at deploy: it does not move', async () => {
    await plant.history(start, 600, 1);
    const flow = plant.flow({ 'bookmark-next': { ...nextTenMinutes, wires: [['fetch-1', 'fetch-2']] } });
    const fetch = flow.find(({ id }) => id === 'fetch-1');
    await deploy(
      [...flow, { ...fetch, id: 'fetch-2', type: 'tm-fetch', table: '${NOT_SET}' }],
      plant.credentials,
    );
    const refused = messageWhere(
      'errors',
      ({ error, tm }) => tm !== undefined && (error as { code: string }).code === 'TM_ENV_UNSET',
    );
    inject('bookmark-next');
    await refused;
    const again = messageWhere('errors', ({ tm }) => tm !== undefined);
    await again;
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
