/** Several Node-RED processes on one queue, as the example has them; one of them is killed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
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
import { randomOf } from '../support/random';
import { removeQueue } from '../support/remove-queue';
import { testDatabase } from '../support/test-database';
import { until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const SECONDS = 2 * 3600;
const SENSORS = 3;
const WINDOWS = 2_000;
const SEED = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const KILLS = 3;
const LATEST_KILL_MS = 1_500;

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
      let bookmark = await Bookmark.open(store, 'scale-out');
      // Windows of the time since may be under way; no other is.
      await until(async () => {
        bookmark = await Bookmark.open(store, 'scale-out');
        return (bookmark.position ?? 0) >= end;
      });
      assert(
        bookmark.issued.every((window) => window.start >= end),
        'a window that is over is still given out',
      );
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

    it(`deliver 2,000 windows though one or another is killed and the broker is restarted (seed ${SEED})`, async () => {
      const own = await OwnBroker.start(kind);
      broker = own.url;
      try {
        await plant.client.query(
          `insert into sensor_data
             select 'K101.TAG_1', $1::timestamptz + minute * interval '1 min', minute
               from generate_series(0, $2::int - 1) minute`,
          [START, WINDOWS],
        );
        const random = randomOf(SEED);
        const oneOf = (count: number): number => Math.floor(random() * count);
        const names = ['one', 'two', 'three'];
        const settings = { 'tm-bookmark': { inFlight: 64 }, 'tm-queue': { inFlight: 3 } };
        const minutes = { BATCH_SIZE: '1' };
        const running = await Promise.all(names.map((name) => start(name, settings, minutes)));
        const delivered = (): number => plant.cloud.readings().length;
        await until(() => delivered() > 0);
        const restartBrokerAt = oneOf(KILLS);
        for (let kill = 0; kill < KILLS; kill++) {
          // At any moment; starting it again takes seconds, in which the others go on.
          await setTimeout(random() * LATEST_KILL_MS);
          const index = oneOf(names.length);
          await running[index]?.kill();
          if (kill === restartBrokerAt) {
            await own.crash();
            await own.start();
          }
          running[index] = await start(names[index] ?? '', settings, minutes);
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

    it('know their alarms again after a restart, whatever the machine is called by then', async () => {
      await plant.history(START, 600, SENSORS);
      respond = async () => ({ status: 401 });
      const machine = await start('renamed', {});
      const store = DatabaseStore.connect(parseDatabaseUrl(state.url));
      let alarms: string[] = [];
      await until(async () => {
        alarms = await store.list('alarm');
        return alarms.length > 0;
      });
      const kept = await readFile(join(directory.path, 'renamed', '.config.runtime.json'), 'utf8');
      const { instanceId } = JSON.parse(kept) as { instanceId: string };
      assert(
        alarms.every((name) => name.endsWith(`@${instanceId}`)),
        alarms.join(', '),
      );
      // The one that is started over the same directory ends it.
      await machine.kill();
      respond = undefined;
      await start('renamed', {});
      await until(async () => (await store.list('alarm')).length === 0);
      await store.close();
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
