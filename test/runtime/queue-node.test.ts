/** tm-queue in a real Node-RED, with a real broker. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { parseDatabaseUrl, addressId } from '../../lib/database-url';
import { TmError } from '../../lib/errors';
import { queueName } from '../../lib/queue/queue';
import { transfers } from '../../lib/transfer';
import { formatWindow } from '../../lib/window';
import { BROKERS, brokerMissing, brokerUrl, ownBroker } from '../support/brokers';
import {
  collect,
  deploy,
  inject,
  messageWhere,
  nextMessage,
  redeploy,
  useNodeRed,
  type FlowMessage,
  type FlowNode,
} from '../support/flow';
import { usePlant, type Plant } from '../support/plant';
import { removeQueue } from '../support/remove-queue';
import { until } from '../support/until';
import type { Reply } from '../../scripts/start/cloud';

const START = '2026-01-01T00:00:00Z';
const endsAt = (end: string) => (message: FlowMessage) =>
  (message.payload as { end_time?: string }).end_time === end;
const codeIs = (code: string) => (message: FlowMessage) => (message.error as { code?: string }).code === code;

/** The schedule's line with the queue in it. */
function flowWithQueue(
  plant: Plant,
  queue: string,
  overrides: Readonly<Record<string, object>> = {},
): FlowNode[] {
  const nodes: FlowNode[] = [
    ...plant.flow({
      'bookmark-next': { inFlight: '4', longestMinutes: '2', wires: [['queue-1']] },
    }),
    { id: 'queue-1', type: 'tm-queue', config: 'cfg-1', queue, inFlight: '2', wires: [['fetch-1', 'taken']] },
    { id: 'taken', type: 'helper' },
  ];
  return nodes.map((node) => ({ ...node, ...overrides[node.id] }));
}

const withBroker = (plant: Plant, url: string) => ({
  'cfg-1': { ...plant.credentials['cfg-1'], brokerUrl: url },
});

for (const kind of BROKERS) {
  const missing = brokerMissing(kind);
  const suite = missing === undefined ? describe : describe.skip;
  suite(`A queue node with ${kind}${missing === undefined ? '' : ` (skipped: ${missing})`}`, function () {
    this.timeout(120_000);
    useNodeRed();
    let respond: (() => Reply | undefined | Promise<Reply | undefined>) | undefined;
    const plant = usePlant({ respond: () => respond?.() });
    let queue: string;
    let broker: string;
    beforeEach(async () => {
      respond = undefined;
      queue = `tm-test-${randomBytes(6).toString('hex')}`;
      broker = await brokerUrl(kind);
    });
    afterEach(async () => {
      const source = addressId(parseDatabaseUrl(plant.credentials['cfg-1'].databaseUrl));
      await removeQueue(kind, broker, queueName(queue, source));
    });

    it('delivers a backlog through the queue, and the bookmark is right', async () => {
      await plant.history(START, 3600);
      await deploy(flowWithQueue(plant, queue), withBroker(plant, broker));
      const errors = collect('errors');
      const done = messageWhere('committed', endsAt('2026-01-01T01:00:00Z'));
      const firstTaken = nextMessage('taken');
      inject('bookmark-next', { topic: 'heartbeat' });
      const taken = await firstTaken;
      assert.deepEqual(Object.keys(taken).sort(), ['_msgid', 'payload', 'tm']);
      assert.deepEqual(Object.keys(taken.tm as object).sort(), ['bookmark', 'transfer']);
      await done;
      await plant.assertAllArrived();
      assert.equal(plant.cloud.received().duplicates, 0);
      assert.deepEqual(errors, []);
      await until(async () => ((await plant.position()) ?? 0) > Date.parse('2026-01-01T01:00:00Z') / 1000);
    });

    it('takes up after a redeploy what was under way', async () => {
      await plant.history(START, 1200);
      let posts = 0;
      const release: (() => void)[] = [];
      respond = () => {
        posts++;
        return new Promise((resolve) => {
          release.push(() => {
            resolve(undefined);
          });
        });
      };
      const flow = flowWithQueue(plant, queue, { 'bookmark-next': { start: 'date', startDate: START } });
      await deploy(flow, withBroker(plant, broker));
      inject('bookmark-next');
      await until(() => posts >= 2);
      respond = undefined;
      await redeploy(flow, withBroker(plant, broker));
      for (const each of release) each();
      const done = messageWhere('committed', endsAt('2026-01-01T00:20:00Z'));
      inject('bookmark-next');
      await done;
      await until(() => plant.cloud.readings().length >= 1200 * 3);
      await plant.assertAllArrived();
      assert.equal(plant.cloud.received().conflicts, 0, 'what repeats, repeats byte for byte');
    });

    it('tries a window that failed again by itself', async () => {
      await plant.history(START, 120);
      respond = () => ({ status: 503 });
      await deploy(flowWithQueue(plant, queue, { 'post-1': { attempts: '1' } }), withBroker(plant, broker));
      const failed = messageWhere('errors', codeIs('TM_ENDPOINT_UNAVAILABLE'));
      const done = messageWhere('committed', endsAt('2026-01-01T00:02:00Z'));
      inject('bookmark-next');
      await failed;
      respond = undefined;
      await done;
      await plant.assertAllArrived();
    });

    it('takes windows that were built by hand, and delivers them without moving a bookmark', async () => {
      await plant.history(START, 120);
      await deploy(
        flowWithQueue(plant, queue, { 'post-1': { wires: [['committed'], ['refused']] } }),
        withBroker(plant, broker),
      );
      const receipt = messageWhere('committed', endsAt('2026-01-01T00:02:00Z'));
      inject('queue-1', { payload: { start_time: START, end_time: '2026-01-01T00:02:00Z' } });
      const { payload } = await receipt;
      assert.equal((payload as { readings: number }).readings, 360);
      await plant.assertAllArrived();
      const errors = messageWhere('errors', codeIs('TM_WINDOW_INVALID'));
      inject('queue-1', { payload: { start_time: START } });
      await errors;
    });

    it('puts no window in that is cancelled while the queue is being opened', async () => {
      await plant.history(START, 180);
      await deploy(
        flowWithQueue(plant, queue, { 'post-1': { wires: [['committed'], ['refused']] } }),
        withBroker(plant, broker),
      );
      const taken = collect('taken');
      const start = Date.parse(START) / 1000;
      const transfer = transfers.issue({ start, end: start + 60 }, { task: 'task-1' });
      inject('queue-1', {
        payload: formatWindow(transfer.window),
        tm: { transfer: transfer.id, task: 'task-1' },
      });
      transfer.fail(new TmError('TM_CANCELLED', 'as by DELETE /tasks/task-1'));
      // What is put after it comes out alone.
      const receipt = messageWhere('committed', endsAt('2026-01-01T00:03:00Z'));
      inject('queue-1', { payload: formatWindow({ start: start + 60, end: start + 180 }) });
      await receipt;
      assert.deepEqual(
        taken.map(({ payload }) => (payload as { end_time: string }).end_time),
        ['2026-01-01T00:03:00Z'],
      );
    });

    it('only puts windows in where it is to take none, and another takes them', async () => {
      await plant.history(START, 120);
      const flow = [
        ...flowWithQueue(plant, queue, { 'queue-1': { inFlight: '0', wires: [['taken']] } }),
        { id: 'queue-2', type: 'tm-queue', config: 'cfg-1', queue, inFlight: '1', wires: [['fetch-1']] },
      ];
      await deploy(flow, withBroker(plant, broker));
      const taken = collect('taken');
      const done = messageWhere('committed', endsAt('2026-01-01T00:02:00Z'));
      inject('bookmark-next');
      await done;
      await plant.assertAllArrived();
      assert.deepEqual(taken, []);
    });
  });

  const ownMissing = brokerMissing(kind, true);
  const ownSuite = ownMissing === undefined ? describe : describe.skip;
  ownSuite(
    `A queue node whose ${kind} goes away${ownMissing === undefined ? '' : ` (skipped: ${ownMissing})`}`,
    function () {
      this.timeout(240_000);
      useNodeRed();
      let respond: (() => Promise<Reply | undefined>) | undefined;
      const plant = usePlant({ respond: () => respond?.() });
      const broker = ownBroker(kind);

      it('says so once, goes on by itself when it is back, and loses nothing', async () => {
        await plant.history(START, 3600);
        let crashed: Promise<void> | undefined;
        respond = async () => {
          if (plant.cloud.exchanges.length >= 10) await (crashed ??= broker.crash());
          return undefined;
        };
        await deploy(flowWithQueue(plant, 'plant'), withBroker(plant, broker.url));
        const codes: unknown[] = [];
        const recovered = messageWhere('errors', (message) => {
          const { code } = message.error as { code?: string };
          codes.push(code);
          return code === 'TM_RECOVERED';
        });
        const done = messageWhere('committed', endsAt('2026-01-01T01:00:00Z'));
        inject('bookmark-next');
        await until(() => codes.includes('TM_BROKER_UNREACHABLE'));
        await broker.start();
        await recovered;
        await done;
        assert.deepEqual(codes, ['TM_BROKER_UNREACHABLE', 'TM_RECOVERED']);
        await until(() => plant.cloud.readings().length >= 3600 * 3);
        await plant.assertAllArrived();
        assert.equal(plant.cloud.received().conflicts, 0);
      });
    },
  );
}

describe('A queue node', () => {
  useNodeRed();
  const plant = usePlant();

  it('without a broker says at deploy what it needs', async () => {
    await deploy(flowWithQueue(plant, 'plant'), plant.credentials);
    const { error } = await messageWhere('errors', codeIs('TM_SETTING_INVALID'));
    assert.match((error as Error).message, /brokerUrl is empty\. Give the URL of the broker/);
  });
});
