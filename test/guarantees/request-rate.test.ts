/** A caller who asks without end is told to wait, and takes nothing from the others. */
import assert from 'node:assert/strict';
import { RateLimit } from '../../lib/rate-limit';
import { RequestApi, type ApiAnswer } from '../../lib/request-api';
import { testDirectory } from '../support/directory';
import { RequestTasks } from '../support/request-tasks';

const KEY = 'right key';
const PER_MINUTE = 600;

describe('Requests without end', () => {
  const directory = testDirectory();
  let world: RequestTasks;
  let api: RequestApi;
  let now = 0;

  beforeEach(() => {
    world = new RequestTasks(directory.path);
    api = new RequestApi(world.tasks, KEY, 'UTC', () => now);
  });
  afterEach(() => world.tasks.close());

  const ask = (key: string, address: string): Promise<ApiAnswer> =>
    api.handle({ method: 'GET', path: '/tasks', address, headers: { authorization: `Bearer ${key}` } });
  const statuses = async (times: number, key: string, address = '10.0.0.1'): Promise<number[]> => {
    const seen = new Set<number>();
    for (let time = 0; time < times; time++) seen.add((await ask(key, address)).status);
    return [...seen];
  };

  it('with the key: 600 at once, then 429 with when to ask again, then 10 a second', async () => {
    assert.deepEqual(await statuses(PER_MINUTE, KEY), [200]);
    const { status, headers, body } = await ask(KEY, '10.0.0.1');
    assert.deepEqual([status, headers['Retry-After']], [429, '1']);
    assert.deepEqual(body, { detail: 'Too many requests. Ask again in 1 s.' });
    now += 1000;
    assert.deepEqual(await statuses(10, KEY), [200]);
    assert.deepEqual(await statuses(1, KEY), [429]);
    now += 3_600_000;
    assert.deepEqual(await statuses(PER_MINUTE, KEY), [200]);
    assert.deepEqual(await statuses(1, KEY), [429]);
  });

  it('from another address the key counts on: the limit is the key’s', async () => {
    await statuses(PER_MINUTE, KEY, '10.0.0.1');
    assert.deepEqual(await statuses(1, KEY, '10.0.0.2'), [429]);
  });

  it('with made-up keys: 429 for their address alone, and not for the key', async () => {
    for (let key = 0; key < PER_MINUTE; key++)
      assert.deepEqual(await statuses(1, `made-up ${key}`, '10.0.0.66'), [403]);
    assert.deepEqual(await statuses(1, 'one more', '10.0.0.66'), [429]);
    assert.deepEqual(await statuses(1, 'a wrong key', '10.0.0.7'), [403]);
    assert.deepEqual(await statuses(PER_MINUTE, KEY, '10.0.0.66'), [200]);
  });

  it('from ever new addresses: no more than a thousand are remembered', () => {
    const limit = new RateLimit({ burst: 1, perSecond: 1 }, () => 0);
    assert.equal(limit.refuse('first'), undefined);
    assert.equal(limit.refuse('first'), 1);
    for (let address = 0; address < 1000; address++) limit.refuse(`address ${address}`);
    assert.equal(limit.refuse('first'), undefined);
  });
});
