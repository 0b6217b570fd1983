/** The request API over HTTP, as the cloud's engineer asks it: http in, tm-request and http response of the example. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';
import { testDirectory } from '../support/directory';
import { nodeRedPath } from '../support/node-red';
import { usePlant } from '../support/plant';
import { patientFetch, until } from '../support/until';

const START = '2026-01-01T00:00:00Z';
const RANGE = { start_time: START, end_time: '2026-01-01T00:30:00Z' };

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

describe('The request API over HTTP', function () {
  this.timeout(120_000);
  let release: () => void = () => undefined;
  let held: Promise<void> | undefined;
  const plant = usePlant({
    respond: async () => {
      await held;
      return undefined;
    },
  });
  const directory = testDirectory();
  let nodeRed: NodeRed | undefined;

  beforeEach(async () => {
    const nodes = JSON.parse(await readFile(resolve('examples/request-mode.json'), 'utf8')) as Flow;
    const { databaseUrl, endpointKey, requestKey } = plant.credentials['cfg-1'];
    nodeRed = await startNodeRed({
      folder: nodeRedPath(),
      userDirectory: join(directory.path, 'node-red'),
      flow: nodes.map((node) => (node.type === 'tm-request' ? { ...node, queueLimit: '2' } : node)),
      env: {
        DATABASE_URL: databaseUrl,
        POST_DATA_ENDPOINT: plant.cloud.url,
        POST_DATA_API_KEY: endpointKey,
        API_KEY: requestKey,
        BATCH_SIZE: '10',
      },
    });
  });
  afterEach(async () => {
    release();
    held = undefined;
    await nodeRed?.stop();
  });

  const holdPosts = (): void => {
    held = new Promise((resolve) => {
      release = resolve;
    });
  };
  const ask = async (
    method: string,
    path: string,
    {
      key = 'test-request-key',
      body,
      type = 'application/json',
    }: { key?: string; body?: string; type?: string } = {},
  ): Promise<Answer> => {
    const response = await fetch(`${nodeRed?.url ?? ''}${path}`, {
      method,
      headers: {
        ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': type }),
      },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    const json = response.headers.get('content-type')?.includes('json');
    return { status: response.status, headers: response.headers, body: json ? JSON.parse(text) : text };
  };
  const raise = async (prefix = ''): Promise<string> => {
    const { status, body } = await ask('POST', `${prefix}raise-request`, { body: JSON.stringify(RANGE) });
    assert.equal(status, 200);
    const { task_id: id, ...rest } = body as { task_id: string };
    assert.deepEqual(rest, { status: 'task submitted' });
    return id;
  };
  const report = async (
    id: string,
    prefix = '',
  ): Promise<{ state: string; current: number; total: number }> =>
    (await (await patientFetch(`${nodeRed?.url ?? ''}${prefix}tasks/${id}`)).json()) as never;

  for (const prefix of ['', 'api/v1/']) {
    it(`a range asked for at /${prefix}raise-request is delivered, and reported on`, async () => {
      await plant.history(START, 1800, 2);
      const id = await raise(prefix);
      await until(async () => (await report(id, prefix)).state === 'SUCCESS');
      const { result, ...progress } = (await report(id, prefix)) as unknown as {
        result: Readonly<Record<string, unknown>>;
      };
      assert.deepEqual(progress, {
        ...{ state: 'SUCCESS', current: 3, total: 3, status: 'all 3 windows delivered' },
      });
      const { duration_ms: duration, bytes, ...rest } = result;
      assert.deepEqual(rest, { ...RANGE, readings: 3600, batches: 3 });
      assert(typeof duration === 'number' && typeof bytes === 'number' && bytes > 100_000);
      await plant.assertAllArrived();
      const { status, body } = await ask('GET', `${prefix}tasks`);
      assert.equal(status, 200);
      assert.deepEqual(
        (body as { task_id: string }[]).map((task) => task.task_id),
        [id],
      );
    });
  }

  it('progress counts windows; a cancelled task posts no more, and the next one begins', async () => {
    await plant.history(START, 1800, 1);
    holdPosts();
    const id = await raise();
    await until(() => plant.cloud.exchanges.length === 1);
    const { state, current, total } = await report(id);
    assert.deepEqual({ state, current, total }, { state: 'STARTED', current: 0, total: 3 });
    const { status, body } = await ask('DELETE', `api/v1/tasks/${id}`);
    assert.equal(status, 200);
    assert.deepEqual(body, { task_id: id, state: 'REVOKED', status: 'task cancelled' });
    release();
    held = undefined;
    const next = await raise();
    await until(async () => (await report(next)).state === 'SUCCESS');
    assert.equal((await report(id)).state, 'REVOKED');
    const ends = plant.cloud.exchanges.map((exchange) => exchange.headers['idempotency-key']);
    assert.equal(ends.length, 4, 'one of the cancelled task, three of the next');
    assert.equal((await ask('DELETE', `tasks/${next}`)).status, 409);
  });

  it('each wrong request has its answer, and none makes a task', async () => {
    const body = JSON.stringify(RANGE);
    const backwards = JSON.stringify({ start_time: RANGE.end_time, end_time: START });
    const loc = (answer: Answer): unknown =>
      (answer.body as { detail: { loc: unknown }[] }).detail.map((each) => each.loc);
    for (const prefix of ['', 'api/v1/']) {
      for (const key of ['', 'wrong']) {
        for (const [method, path] of [
          ['POST', 'raise-request'],
          ['GET', 'tasks'],
          ['DELETE', 'tasks/some-id'],
        ] as const) {
          const answer = await ask(method, prefix + path, { key, ...(method === 'POST' && { body }) });
          assert.equal(answer.status, 403, `${method} ${path}`);
          assert.deepEqual(Object.keys(answer.body as object), ['detail']);
        }
      }
      const post = (given: string, type?: string): Promise<Answer> =>
        ask('POST', `${prefix}raise-request`, { body: given, ...(type !== undefined && { type }) });
      for (const [answer, expected] of [
        [
          await post('{}'),
          [
            ['body', 'start_time'],
            ['body', 'end_time'],
          ],
        ],
        [await post(backwards), [['body', 'end_time']]],
        [await post('{"start_time": "2026'), [['body']]],
        [await post('[]'), [['body']]],
        [await post(body, 'text/plain'), [['body']]],
        [await post('start_time=2026-01-01', 'application/x-www-form-urlencoded'), [['body']]],
      ] as const) {
        assert.equal(answer.status, 422);
        assert.deepEqual(loc(answer), expected);
      }
      assert.equal((await ask('GET', `${prefix}tasks/some-id`)).status, 404);
      assert.equal((await ask('DELETE', `${prefix}tasks/some-id`)).status, 404);
    }
    assert.deepEqual((await ask('GET', 'tasks')).body, []);
  });

  it('over the queue limit: 429 and when to ask again', async () => {
    holdPosts();
    await plant.history(START, 1800, 1);
    await raise();
    await raise();
    const { status, headers } = await ask('POST', 'raise-request', { body: JSON.stringify(RANGE) });
    assert.equal(status, 429);
    assert.equal(headers.get('retry-after'), '60');
  });
});
