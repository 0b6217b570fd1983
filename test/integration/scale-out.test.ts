/** Several Node-RED processes on one queue, as the example has them; one of them is killed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import { Bookmark } from '../../lib/bookmark';
import { addressId, parseDatabaseUrl } from '../../lib/database-url';
import { queueName } from '../../lib/queue/queue';
import { DatabaseStore } from '../../lib/state/database-store';
import { parseInstant } from '../../lib/window';
import type { Reply } from '../../scripts/start/cloud';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';
import { BROKERS, brokerMissing, brokerUrl, OwnBroker } from '../support/brokers';
import { testDirectory } from '../support/directory';
import { nodeRedPath } from '../support/node-red';
import { usePlant } from '../support/plant';
import { removeQueue } from '../support/queue-machines';
import { testDatabase } from '../support/test-database';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const SECONDS = 2 * 3600;
const SENSORS = 3;
const WINDOWS = 2_000;

for (const kind of BROKERS) {
  const missing = brokerMissing(kind);
  const suite = missing === undefined ? describe : describe.skip;
  suite(`Machines that share a ${kind}${missing === undefined ? '' : ` (skipped: ${missing})`}`, function () {
    this.timeout(240_000);
    let respond: (() => Promise<Reply | undefined> | undefined) | undefined;
    const plant = usePlant({ respond: () => respond?.() });
    const state = testDatabase();
    const directory = testDirectory();
    const queue = `tm-test-${randomBytes(6).toString('hex')}`;
    let machines: NodeRed[] = [];
    let broker: string;
    beforeEach(async () => {
      broker = await brokerUrl(kind);
      // A bookmark of the test before would have all of it delivered.
      const client = new Client(state.url);
      await client.connect();
      await client.query('drop table if exists tm_state');
      await client.end();
    });
    afterEach(async () => {
      respond = undefined;
      await Promise.all(machines.map((machine) => machine.stop()));
      machines = [];
      const source = addressId(parseDatabaseUrl(plant.credentials['cfg-1'].databaseUrl));
      await removeQueue(kind, broker, queueName(queue, source));
    });

    /** @param change of the example's nodes, by type */
    const start = async (
      name: string,
      change: Readonly<Record<string, object>>,
      env: Readonly<Record<string, string>> = {},
    ): Promise<NodeRed> => {
      const example = JSON.parse(await readFile(resolve('examples/scale-out.json'), 'utf8')) as Flow;
      const { databaseUrl, endpointKey } = plant.credentials['cfg-1'];
      const machine = await startNodeRed({
        folder: nodeRedPath(),
        userDirectory: join(directory.path, name),
        flow: example
          .map((node) => ({ ...node, ...change[String(node.type)] }))
          .map((node) => ('queue' in node ? { ...node, queue } : node)),
        env: {
          DATABASE_URL: databaseUrl,
          POST_DATA_ENDPOINT: plant.cloud.url,
          POST_DATA_API_KEY: endpointKey,
          FETCH_DATA_INTERVAL: '1',
          BATCH_SIZE: '2',
          BROKER_URL: broker,
          STATE_DATABASE_URL: state.url,
          ...env,
        },
      });
      machines.push(machine);
      return machine;
    };
    const bookmarkAt = async (end: number): Promise<void> => {
      const store = DatabaseStore.connect(parseDatabaseUrl(state.url));
      await until(async () => ((await Bookmark.open(store, 'scale-out')).position ?? 0) >= end);
      await store.close();
    };
    /** Nothing wakes its schedule: it delivers what others give out. */
    const worker = { inject: { once: false, repeat: '' } };

    it('deliver everything though one is killed with windows in its hands', async () => {
      await plant.history(START, SECONDS, SENSORS);
      const [killed, other] = await Promise.all([start('killed', worker), start('other', worker)]);
      // Both have all the windows that they take when the cloud begins to answer.
      const atOnce = 4;
      let posts = 0;
      let answer: () => void = () => undefined;
      const answered = new Promise<void>((go) => {
        answer = go;
      });
      respond = async () => {
        posts++;
        await answered;
        return undefined;
      };
      const giving = await start('giving', { 'tm-queue': { inFlight: 0 } });
      await until(() => posts >= atOnce);
      await killed.kill();
      answer();
      await until(() => plant.cloud.readings().length >= SECONDS * SENSORS);
      await plant.assertAllArrived();
      assert.equal(plant.cloud.received().conflicts, 0, 'what repeats, repeats byte for byte');
      await bookmarkAt(parseInstant(START, 'test', 'UTC') + SECONDS);
      const delivered = other.log.match(/\[tm-queue:share it\] 2026-01-01T.*readings/g) ?? [];
      assert(delivered.length >= SECONDS / 120 - atOnce / 2, `${delivered.length} windows`);
      assert(!giving.log.includes('[tm-queue:share it] 2026'), 'it delivers none itself');
    });

    it('deliver 2,000 windows though one after another is killed and the broker is restarted', async () => {
      const own = await OwnBroker.start(kind);
      broker = own.url;
      try {
        await plant.client.query(
          `insert into sensor_data
             select 'K101.TAG_1', $1::timestamptz + minute * interval '1 min', minute
               from generate_series(0, $2::int - 1) minute`,
          [START, WINDOWS],
        );
        const names = ['one', 'two', 'three'];
        const settings = { 'tm-bookmark': { inFlight: 16 }, 'tm-queue': { inFlight: 3 } };
        const minutes = { BATCH_SIZE: '1' };
        const running = await Promise.all(names.map((name) => start(name, settings, minutes)));
        const delivered = (): number => plant.cloud.readings().length;
        await until(() => delivered() >= WINDOWS / 4);
        // Each takes seconds to start again: with Redis the windows of one are locked for longer than that.
        for (const [index, name] of names.entries()) {
          await running[index]?.kill();
          if (index === 1) {
            await own.crash();
            await own.start();
          }
          await start(name, settings, minutes);
        }
        await until(() => delivered() >= WINDOWS);
        await plant.assertAllArrived();
        assert.equal(plant.cloud.received().conflicts, 0, 'what repeats, repeats byte for byte');
        await bookmarkAt(parseInstant(START, 'test', 'UTC') + WINDOWS * 60);
      } finally {
        await Promise.all(machines.map((machine) => machine.stop()));
        machines = [];
        broker = await brokerUrl(kind);
        await own.remove();
      }
    });

    it('go on though the one that gives the windows out is killed', async () => {
      await plant.history(START, SECONDS, SENSORS);
      let posts = 0;
      let answer: () => void = () => undefined;
      const answered = new Promise<void>((go) => {
        answer = go;
      });
      respond = async () => {
        posts++;
        await answered;
        return undefined;
      };
      // The same flow on both; the first has the bookmark's lease when the second comes.
      const giving = await start('first', {});
      await until(() => posts >= 2);
      await start('second', {});
      await until(() => posts >= 4);
      await giving.kill();
      answer();
      await until(() => plant.cloud.readings().length >= SECONDS * SENSORS);
      await plant.assertAllArrived();
      assert.equal(plant.cloud.received().conflicts, 0, 'what repeats, repeats byte for byte');
    });
  });
}
