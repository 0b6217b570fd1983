/** The request API on two machines with one state database: the example in two Node-RED processes. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';
import { testDirectory } from '../support/directory';
import { nodeRedPath } from '../support/node-red';
import { usePlant } from '../support/plant';
import { testDatabase } from '../support/test-database';
import { patientFetch, until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const WINDOWS = 6;
const RANGE = { start_time: START, end_time: '2026-01-01T01:00:00Z' };

describe('The request API on two machines', function () {
  this.timeout(120_000);
  let release: () => void = () => undefined;
  let held: Promise<void> | undefined;
  /** Posts from this one on wait until they are released. */
  let holdFrom = 0;
  const plant = usePlant({
    respond: async () => {
      if (plant.cloud.exchanges.length >= holdFrom) await held;
      return undefined;
    },
  });
  const state = testDatabase();
  const directory = testDirectory();
  let machines: NodeRed[] = [];
  let a: NodeRed;
  let b: NodeRed;

  const start = async (name: string): Promise<NodeRed> => {
    const example = JSON.parse(await readFile(resolve('examples/request-mode.json'), 'utf8')) as Flow;
    const { databaseUrl, endpointKey, requestKey } = plant.credentials['cfg-1'];
    return startNodeRed({
      folder: nodeRedPath(),
      userDirectory: join(directory.path, name),
      flow: example.map((node) =>
        node.type === 'tm-config'
          ? {
              ...node,
              state: 'database',
              credentials: { ...(node.credentials as object), stateUrl: state.url },
            }
          : node,
      ),
      env: {
        DATABASE_URL: databaseUrl,
        POST_DATA_ENDPOINT: plant.cloud.url,
        POST_DATA_API_KEY: endpointKey,
        API_KEY: requestKey,
        BATCH_SIZE: '10',
      },
    });
  };
  beforeEach(async () => {
    const client = new Client(state.url);
    await client.connect();
    await client.query('drop table if exists tm_state');
    await client.end();
    held = new Promise((go) => {
      release = go;
    });
    await plant.history(START, WINDOWS * 600, 1);
    machines = [a, b] = await Promise.all([start('a'), start('b')]);
  });
  afterEach(async () => {
    release();
    await Promise.all(machines.map((machine) => machine.stop()));
  });

  const ask = async (machine: NodeRed, method: string, path: string, body?: object): Promise<unknown> => {
    const response = await fetch(`${machine.url}${path}`, {
      method,
      headers: { authorization: 'Bearer test-request-key', 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    assert.equal(response.status, 200);
    return response.json();
  };
  const raise = async (machine: NodeRed): Promise<string> =>
    ((await ask(machine, 'POST', 'raise-request', RANGE)) as { task_id: string }).task_id;
  const report = async (
    machine: NodeRed,
    id: string,
  ): Promise<{ state: string; current: number; total: number }> =>
    (await (await patientFetch(`${machine.url}tasks/${id}`)).json()) as never;

  const standsBehind = (waiting: NodeRed, working: NodeRed): boolean =>
    waiting.log.includes(`Tasks: standby, process ${working.process.pid} `);
  /** Who carries out what was asked for, and the other one: whoever saw it first, not always whoever was asked. */
  const shares = async (): Promise<[working: NodeRed, waiting: NodeRed]> => {
    await until(() => standsBehind(a, b) || standsBehind(b, a));
    return standsBehind(b, a) ? [a, b] : [b, a];
  };

  const lastStatus = (machine: NodeRed): string => machine.log.slice(machine.log.lastIndexOf('Tasks: '));

  it('a task that one has taken is seen and cancelled on the other, and the next one begins', async () => {
    holdFrom = 2;
    const id = await raise(a);
    const [working, waiting] = await shares();
    await until(() => plant.cloud.exchanges.length === 2);
    await until(async () => (await report(waiting, id)).current === 1);
    const { state: shown, total } = await report(waiting, id);
    assert.deepEqual({ shown, total }, { shown: 'STARTED', total: WINDOWS });
    const next = await raise(waiting);
    const tasks = (await ask(waiting, 'GET', 'tasks')) as { task_id: string }[];
    assert.deepEqual(
      tasks.map((task) => task.task_id),
      [next, id],
    );
    assert.deepEqual(await ask(waiting, 'DELETE', `tasks/${id}`), {
      ...{ task_id: id, state: 'REVOKED', status: 'task cancelled' },
    });
    assert.equal((await report(working, id)).state, 'REVOKED');
    // It has noticed by itself, with its post still unanswered: the next one is begun, and where the other has
    // begun it, this one says that it only waits.
    await until(() => plant.cloud.exchanges.length === 3);
    await until(() => standsBehind(working, waiting) || lastStatus(waiting).includes('standby'));
    release();
    await until(async () => (await report(working, next)).state === 'SUCCESS');
    const { state: stays, current } = await report(working, id);
    assert.deepEqual({ stays, current }, { stays: 'REVOKED', current: 1 });
    await plant.assertAllArrived();
    assert.equal(plant.cloud.exchanges.length, 2 + WINDOWS, 'nothing of the cancelled one follows');
    assert.equal(plant.cloud.received().conflicts, 0);
  });

  it('a task of one that is killed is finished by the other, from its first window not delivered', async () => {
    holdFrom = 3;
    const id = await raise(a);
    const [working, waiting] = await shares();
    await until(() => plant.cloud.exchanges.length === 3);
    await working.kill();
    release();
    await until(async () => (await report(waiting, id)).state === 'SUCCESS');
    await plant.assertAllArrived();
    assert.equal(plant.cloud.exchanges.length, WINDOWS + 1, 'only the window under way is posted again');
    assert.equal(plant.cloud.received().conflicts, 0, 'what repeats, repeats byte for byte');
  });
});
