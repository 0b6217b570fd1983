import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TmError } from '../../lib/errors';
import { RequestApi, type ApiAnswer, type ApiRequest } from '../../lib/request-api';
import { FileStore } from '../../lib/state/file-store';
import { testDirectory } from '../support/directory';
import { systemError, watchedFiles } from '../support/failing-files';
import { NOON, RequestTasks } from '../support/request-tasks';
import { until } from '../support/until';

const KEY = 'right key';
const HEADERS = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
const RANGE = { start_time: '2026-01-31T12:00:00Z', end_time: '2026-01-31T12:03:00Z' };
const UUID = /^[0-9a-f-]{36}$/;

describe('the request API', () => {
  const directory = testDirectory();
  let broken = false;
  let patience = 0;
  let world: RequestTasks;
  let api: RequestApi;

  const start = (settings: ConstructorParameters<typeof RequestTasks>[1] = {}, timeZone = 'UTC'): void => {
    const files = watchedFiles((step) => {
      if (broken && (step === 'writeFile' || step === 'readdir'))
        throw systemError('ENOSPC', 'no space left on device');
    });
    world = new RequestTasks(new FileStore(directory.path, files), settings);
    // A patient caller: nothing here is about how many requests there are.
    api = new RequestApi(world.tasks, KEY, timeZone, () => (patience += 1000));
  };
  const ask = (method: string, path: string, more: Partial<ApiRequest> = {}): Promise<ApiAnswer> =>
    api.handle({ method, path, headers: HEADERS, ...more });
  const raise = (body: unknown, headers: ApiRequest['headers'] = HEADERS): Promise<ApiAnswer> =>
    ask('POST', '/raise-request', { body, headers });
  const raised = async (): Promise<string> => {
    const { body } = await raise(RANGE);
    return (body as { task_id: string }).task_id;
  };
  const detail = ({ status, body }: ApiAnswer): unknown[] => {
    assert.equal(status, 422);
    return (body as { detail: { loc: unknown; type: unknown }[] }).detail.map(({ loc, type }) => [loc, type]);
  };

  beforeEach(() => {
    broken = false;
    start();
  });
  afterEach(() => world.tasks.close());

  for (const prefix of ['', '/api/v1', '/red/nodes/api/v1']) {
    it(`takes a request, reports on it and cancels it under "${prefix}/"`, async () => {
      const answer = await ask('POST', `${prefix}/raise-request`, { body: RANGE });
      assert.equal(answer.status, 200);
      const { task_id: id, ...rest } = answer.body as { task_id: string };
      assert.match(id, UUID);
      assert.deepEqual(rest, { status: 'task submitted' });
      await world.nth(0);
      assert.deepEqual((await ask('GET', `${prefix}/tasks/${id}`)).body, {
        ...{ state: 'STARTED', current: 0, total: 3, status: '0 of 3 windows delivered' },
      });
      assert.deepEqual(await ask('DELETE', `${prefix}/tasks/${id}/`), {
        status: 200,
        headers: { 'Cache-Control': 'no-store' },
        body: { task_id: id, state: 'REVOKED', status: 'task cancelled' },
      });
      assert.deepEqual((await ask('GET', `${prefix}/tasks/${id}`)).body, {
        ...{ state: 'REVOKED', current: 0, total: 3, status: 'cancelled; 0 of 3 windows had been delivered' },
      });
    });
  }

  it('reports each state in numbers and words', async () => {
    const [id, waiting] = [await raised(), await raised()];
    const report = async (task = id): Promise<unknown> => (await ask('GET', `/tasks/${task}`)).body;
    (await world.nth(0)).deliver();
    (await world.nth(1)).fail(new TmError('TM_ENDPOINT_UNAVAILABLE', 'The endpoint answered 503.'));
    await until(() => world.pauses.length);
    assert.deepEqual(await report(), {
      ...{ state: 'RETRY', current: 1, total: 3 },
      status: 'The endpoint answered 503. Tried again at 2026-01-31T12:00:10.000Z.',
    });
    assert.deepEqual(await report(waiting), {
      ...{ state: 'PENDING', current: 0, total: 3, status: 'waiting for its turn' },
    });
    await world.passPause();
    world.now += 12_345;
    await world.finish(id);
    assert.deepEqual(await report(), {
      ...{ state: 'SUCCESS', current: 3, total: 3, status: 'all 3 windows delivered' },
      result: { ...RANGE, readings: 30, batches: 9, bytes: 3000, duration_ms: 12_345 },
    });
  });

  it('reports a failure with its reason', async () => {
    const id = await raised();
    for (let n = 0; n < 6; n++) {
      (await world.nth(n)).fail(new TmError('TM_QUERY_FAILED', 'There is no such table.'));
      if (n < 5) await world.passPause();
    }
    await until(async () => (await world.view(id)).finished);
    assert.deepEqual((await ask('GET', `/tasks/${id}`)).body, {
      ...{ state: 'FAILURE', current: 0, total: 3, status: 'There is no such table.' },
    });
  });

  it('lists tasks, newest first', async () => {
    const [first, second] = [await raised(), await raised()];
    await world.finish(first);
    await world.finish(second);
    const { status, body } = await ask('GET', '/api/v1/tasks');
    assert.equal(status, 200);
    const task = {
      ...{ state: 'SUCCESS', current: 3, total: 3, status: 'all 3 windows delivered', ...RANGE },
      created: '2026-01-31T12:00:00.000Z',
    };
    assert.deepEqual(body, [
      { task_id: second, ...task },
      { task_id: first, ...task },
    ]);
  });

  it('a finished task cannot be cancelled', async () => {
    const id = await raised();
    await world.finish(id);
    const { status, body } = await ask('DELETE', `/tasks/${id}`);
    assert.equal(status, 409);
    assert.deepEqual(body, { detail: 'The task has finished already: SUCCESS.' });
  });

  for (const [what, headers] of Object.entries<ApiRequest['headers']>({
    'no key': {},
    'another scheme': { authorization: `Basic ${KEY}` },
    'an empty key': { authorization: 'Bearer ' },
    'a wrong key': { authorization: 'Bearer wrong' },
    'the beginning of the key': { authorization: 'Bearer right' },
    'more than the key': { authorization: `Bearer ${KEY}x` },
    'two keys': { authorization: [`Bearer ${KEY}`, `Bearer ${KEY}`] },
  })) {
    it(`${what}: 403 for what needs a key, and nothing happens`, async () => {
      const id = await raised();
      await world.nth(0);
      for (const [method, path] of [
        ['POST', '/raise-request'],
        ['GET', '/tasks'],
        ['DELETE', `/tasks/${id}`],
      ] as const) {
        const { status, body } = await ask(method, path, { headers, body: RANGE });
        assert.equal(status, 403);
        assert.deepEqual(Object.keys(body as object), ['detail']);
        assert.doesNotMatch(JSON.stringify(body), /right/);
      }
      const { status } = await ask('GET', `/tasks/${id}`, { headers });
      assert.equal(status, 200);
      assert.deepEqual(
        (await world.tasks.list()).map((task) => task.state),
        ['STARTED'],
      );
    });
  }

  it('an empty key that was configured lets nobody in', async () => {
    api = new RequestApi(world.tasks, '', 'UTC');
    assert.equal((await raise(RANGE, { authorization: 'Bearer ' })).status, 403);
    assert.equal((await raise(RANGE, { authorization: 'Bearer' })).status, 403);
  });

  it('the scheme may be written in any case', async () => {
    assert.equal((await raise(RANGE, { authorization: `bearer  ${KEY}` })).status, 200);
  });

  for (const [method, path, status, allow] of [
    ['GET', '/raise-request', 405, 'POST'],
    ['PUT', '/api/v1/raise-request', 405, 'POST'],
    ['POST', '/tasks', 405, 'GET'],
    ['PATCH', '/tasks/some-id', 405, 'GET, DELETE'],
    ['OPTIONS', '/tasks/some-id', 405, 'GET, DELETE'],
    ['GET', '/', 404],
    ['GET', '', 404],
    ['GET', '/taskss', 404],
    ['GET', '/task/some-id', 404],
    ['GET', '/tasks/some-id', 404],
    ['GET', '/tasks/some-id/result', 404],
    ['GET', '/tasks/..%2Fbookmarks', 404],
    ['GET', '/tasks/__proto__', 404],
    ['DELETE', '/tasks/some-id', 404],
    ['constructor', '/tasks', 405, 'GET'],
  ] as const) {
    it(`${method} ${path}: ${status}`, async () => {
      const answer = await ask(method, path);
      assert.equal(answer.status, status);
      assert.equal(answer.headers.Allow, allow);
      assert.equal(typeof (answer.body as { detail: unknown }).detail, 'string');
    });
  }

  it('HEAD asks what GET asks', async () => {
    assert.equal((await ask('HEAD', `/tasks/${await raised()}`)).status, 200);
  });

  for (const [what, body] of [
    ['parsed', RANGE],
    ['text', JSON.stringify(RANGE)],
    ['bytes', Buffer.from(JSON.stringify(RANGE))],
    ['with fields that nobody knows', { ...RANGE, sensors: ['a'], start: 1 }],
    ['of times without an offset', { start_time: '2026-01-31T12:00:00', end_time: '2026-01-31 12:03' }],
    [
      'of times with offsets',
      { start_time: '2026-01-31T17:30:00+05:30', end_time: '2026-01-31T07:03:00-05:00' },
    ],
    [
      'of fractions, rounded outwards',
      { start_time: '2026-01-31T12:00:00.9Z', end_time: '2026-01-31T12:02:59.1Z' },
    ],
    ['of seconds since 1970', { start_time: NOON, end_time: NOON + 180 }],
    ['of milliseconds since 1970', { start_time: NOON * 1000, end_time: (NOON + 180) * 1000 }],
  ] as const) {
    it(`takes a body ${what}`, async () => {
      const { status, body: answer } = await raise(body);
      assert.equal(status, 200);
      const task = await world.view((answer as { task_id: string }).task_id);
      assert.deepEqual(task.range, { start: NOON, end: NOON + 180 });
    });
  }

  it('takes times without an offset as those of the configured zone', async () => {
    await world.tasks.close();
    start({}, 'Asia/Kolkata');
    const { body } = await raise({ start_time: '2026-01-31T17:30:00', end_time: '2026-01-31T12:03:00Z' });
    const task = await world.view((body as { task_id: string }).task_id);
    assert.deepEqual(task.range, { start: NOON, end: NOON + 180 });
  });

  for (const type of [
    'application/json; charset=utf-8',
    'Application/JSON',
    'application/problem+json',
    undefined,
  ]) {
    it(`takes the content type ${type}`, async () => {
      assert.equal((await raise(JSON.stringify(RANGE), { ...HEADERS, 'content-type': type })).status, 200);
    });
  }

  for (const [what, body, expected] of [
    ['nothing', undefined, [[['body'], 'object_type']]],
    ['empty text', '', [[['body'], 'missing']]],
    ['half an object', '{"start_time": "2026', [[['body'], 'json_invalid']]],
    ['bytes that are no text', Buffer.from([0x22, 0xff, 0x22]), [[['body'], 'json_invalid']]],
    ['an array', [RANGE], [[['body'], 'object_type']]],
    ['text in JSON', '"2026-01-31"', [[['body'], 'object_type']]],
    ['null', 'null', [[['body'], 'object_type']]],
    [
      'no fields',
      {},
      [
        [['body', 'start_time'], 'missing'],
        [['body', 'end_time'], 'missing'],
      ],
    ],
    ['no end_time', { start_time: RANGE.start_time }, [[['body', 'end_time'], 'missing']]],
    ['a null', { ...RANGE, start_time: null }, [[['body', 'start_time'], 'datetime_parsing']]],
    ['words', { ...RANGE, start_time: 'yesterday' }, [[['body', 'start_time'], 'datetime_parsing']]],
    [
      'a day that does not exist',
      { ...RANGE, end_time: '2026-02-30' },
      [[['body', 'end_time'], 'datetime_parsing']],
    ],
    ['a list', { ...RANGE, end_time: ['2026-01-31'] }, [[['body', 'end_time'], 'datetime_parsing']]],
    ['a boolean', { ...RANGE, end_time: true }, [[['body', 'end_time'], 'datetime_parsing']]],
    ['a year of five digits', { ...RANGE, end_time: 8e15 }, [[['body', 'end_time'], 'datetime_parsing']]],
    [
      'an end before the start',
      { start_time: RANGE.end_time, end_time: RANGE.start_time },
      [[['body', 'end_time'], 'value_error']],
    ],
    [
      'an end at the start',
      { ...RANGE, end_time: RANGE.start_time },
      [[['body', 'end_time'], 'value_error']],
    ],
    [
      'an end within the second before the start',
      { start_time: '2026-01-31T12:00:00.5Z', end_time: '2026-01-31T12:00:00.2Z' },
      [[['body', 'end_time'], 'value_error']],
    ],
    [
      'fields of a prototype',
      JSON.parse(`{"__proto__": ${JSON.stringify(RANGE)}}`),
      [
        [['body', 'start_time'], 'missing'],
        [['body', 'end_time'], 'missing'],
      ],
    ],
  ] as const) {
    it(`${what}: 422 that names the field`, async () => {
      assert.deepEqual(detail(await raise(body)), expected);
      assert.deepEqual(await world.tasks.list(), []);
    });
  }

  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonx',
    'multipart/form-data',
  ]) {
    it(`a body of ${type}: 422`, async () => {
      const answer = await raise(RANGE, { ...HEADERS, 'content-type': type });
      assert.deepEqual(detail(answer), [[['body'], 'content_type']]);
    });
  }

  for (const [what, body, length] of [
    ['as it came', ' '.repeat(65_537), undefined],
    ['parsed already', RANGE, '65537'],
    ['parsed, and sent without a length', { ...RANGE, more: 'x'.repeat(65_537) }, undefined],
    ['parsed, and sent compressed', { ...RANGE, more: 'x'.repeat(65_537) }, '900'],
  ] as const) {
    it(`a body of more than 64 KB, ${what}: 413`, async () => {
      assert.equal((await raise(body, { ...HEADERS, 'content-length': length })).status, 413);
    });
  }

  it('over the queue limit: 429 and when to ask again', async () => {
    await world.tasks.close();
    start({ queueLimit: 1 });
    assert.equal((await raise(RANGE)).status, 200);
    const { status, headers, body } = await raise(RANGE);
    assert.equal(status, 429);
    assert.equal(headers['Retry-After'], '60');
    assert.match(
      (body as { detail: string }).detail,
      /^1 tasks are waiting or running, and no more than 1 may/,
    );
  });

  it('state that cannot be written: 503 without a word about files, and the problem for the node', async () => {
    await world.tasks.list();
    broken = true;
    const { status, headers, body, problem } = await raise(RANGE);
    assert.equal(status, 503);
    assert.equal(headers['Retry-After'], '30');
    assert.equal(JSON.stringify(body).includes(directory.path), false);
    assert.equal(problem?.code, 'TM_STATE_WRITE');
    broken = false;
    assert.equal((await raise(RANGE)).status, 200);
  });

  it('answers whatever is asked with 4xx, and goes on', async () => {
    const segment = fc.oneof(
      fc.constantFrom('raise-request', 'tasks', 'api', 'v1', '..', '', '__proto__', 'constructor'),
      fc.string({ unit: 'binary', maxLength: 8 }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.constantFrom('GET', 'POST', 'DELETE', 'HEAD'), fc.string({ maxLength: 8 })),
        fc.array(segment, { maxLength: 4 }),
        fc.dictionary(
          fc.constantFrom('authorization', 'content-type', 'content-length'),
          fc.string({ unit: 'binary' }),
        ),
        fc.boolean(),
        fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }),
        async (method, segments, headers, keyed, body) => {
          const answer = await api.handle({
            ...{ method, path: segments.join('/'), body },
            headers: keyed ? { ...headers, authorization: HEADERS.authorization } : headers,
          });
          const listed = keyed && Array.isArray(answer.body);
          assert.ok(listed || (answer.status >= 400 && answer.status < 500), String(answer.status));
          JSON.stringify(answer.body);
        },
      ),
      { numRuns: 1000 },
    );
    assert.equal((await raise(RANGE)).status, 200);
  });
});
