/**
 * The request API stands whatever comes: more than 10,000 malformed requests through Node-RED's own http in nodes
 * leave the process up, make no task, and are each answered with 4xx, without a stack trace or a secret.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { startNodeRed, type Flow, type NodeRed } from '../../scripts/start/node-red';
import { testDirectory } from '../support/directory';
import { nodeRedPath } from '../support/node-red';

const SEED = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const KEY = 'key-of-the-request-api/7f3a+Zw==';
const RUNS = 110;
const REQUESTS_PER_RUN = 100;
const CONNECTIONS = 8;
const GOOD_RANGE = { start_time: '2026-01-31T12:00:00Z', end_time: '2026-01-31T12:03:00Z' };

interface Malformed {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

const prefix = fc.constantFrom('', '/api/v1');
/** What a header may hold at all. */
const headerText = fc.string({
  unit: fc.oneof(
    fc.constantFrom('"', ';', ',', '=', '/', '\t'),
    fc
      .integer({ min: 32, max: 255 })
      .filter((code) => code !== 127)
      .map((code) => String.fromCharCode(code)),
  ),
  maxLength: 60,
});
const keyed = { authorization: `Bearer ${KEY}` };
const wrongKey: fc.Arbitrary<Record<string, string>> = fc.oneof(
  fc.constant({}),
  headerText.map((authorization) => ({ authorization })),
  fc
    .constantFrom(KEY.slice(1), `${KEY} `.repeat(2), `${KEY}\u00e9`, KEY.toUpperCase(), 'Bearer', '')
    .map((key) => ({
      authorization: `Bearer ${key}`,
    })),
  fc
    .constantFrom(KEY, `Basic ${KEY}`, `Bearer: ${KEY}`, `Token ${KEY}`)
    .map((authorization) => ({ authorization })),
);
const json = { 'content-type': 'application/json' };

/** JSON that is not a range. */
const notRange: fc.Arbitrary<string> = fc.oneof(
  fc.json(),
  fc
    .record({
      start_time: fc.oneof(fc.jsonValue(), fc.constantFrom('2026-01-31', '9'.repeat(50))),
      end_time: fc.oneof(
        // Numbers are times.
        fc.jsonValue().filter((value) => typeof value === 'object' || typeof value === 'boolean'),
        fc.constantFrom('1e400', '2026-13-01T00:00:00Z', '', "2026-01-31'; DROP TABLE sensor_data; --"),
      ),
    })
    .map((range) => JSON.stringify(range)),
  fc.constant(JSON.stringify({ start_time: GOOD_RANGE.end_time, end_time: GOOD_RANGE.start_time })),
  fc.constant(`{"__proto__":${JSON.stringify(GOOD_RANGE)}}`),
  fc.constant('['.repeat(20_000)),
);
const brokenJson: fc.Arbitrary<string | Buffer> = fc.oneof(
  fc.nat({ max: 70 }).map((length) => JSON.stringify(GOOD_RANGE).slice(0, length)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.concat([Buffer.from([0xff]), bytes])),
  fc.constant(gzipSync(JSON.stringify(GOOD_RANGE))),
  fc.constant(' '.repeat(65_537)),
  fc.constant(JSON.stringify({ ...GOOD_RANGE, more: 'x'.repeat(70_000) })),
);
const otherType = fc
  .oneof(
    headerText,
    fc.constantFrom('text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'),
  )
  .filter((type) => !/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type.trim()) && type.trim() !== '');
/** A task's id that is none, percent signs that are no encoding included. */
const noTask = fc
  .oneof(
    fc.uuid(),
    fc.constantFrom(
      '%',
      '%ff',
      '%00',
      '__proto__',
      'constructor',
      '%2e%2e%2fbookmarks',
      "'%20OR%201=1",
      'a'.repeat(5_000),
    ),
    fc.string({
      unit: fc.constantFrom(...Array.from('%./\\;:@&=+$,abc0129-_~')),
      minLength: 1,
      maxLength: 30,
    }),
  )
  // A path that leads elsewhere is not the API's to answer.
  .filter((id) => !id.split(/[/\\]/).some((part) => /^\.*$/.test(part)));

const malformed: fc.Arbitrary<Malformed> = fc.oneof(
  fc.record({
    method: fc.constant('POST'),
    path: prefix.map((before) => `${before}/raise-request`),
    headers: wrongKey.map((headers) => ({ ...json, ...headers })),
    body: fc.constant(JSON.stringify(GOOD_RANGE)),
  }),
  fc.record({
    method: fc.constant('POST'),
    path: prefix.map((before) => `${before}/raise-request`),
    headers: fc.constant({ ...json, ...keyed }),
    body: fc.oneof(notRange, brokenJson),
  }),
  fc.record({
    method: fc.constant('POST'),
    path: prefix.map((before) => `${before}/raise-request`),
    headers: otherType.map((type) => ({ ...keyed, 'content-type': type })),
    body: fc.oneof(notRange, brokenJson, fc.constant(JSON.stringify(GOOD_RANGE))),
  }),
  fc.record({
    method: fc.constantFrom('GET', 'DELETE', 'HEAD'),
    path: fc.tuple(prefix, noTask).map(([before, id]) => `${before}/tasks/${id}`),
    headers: fc.oneof(fc.constant(keyed), wrongKey),
  }),
  fc.record({
    method: fc.constantFrom('GET', 'HEAD'),
    path: fc
      .tuple(prefix, fc.constantFrom('', '?callback=alert(1)', '?key=x', '//'))
      .map(([before, query]) => `${before}/tasks${query}`),
    headers: wrongKey,
  }),
  fc.record({
    method: fc.constantFrom('PUT', 'PATCH', 'POST', 'PROPFIND', 'TRACE', 'LOCK'),
    path: fc
      .tuple(prefix, fc.constantFrom('tasks', 'tasks/x', 'raise-request/x'))
      .map((parts) => parts.join('/')),
    headers: fc.oneof(fc.constant({ ...json, ...keyed }), wrongKey),
    body: notRange,
  }),
);

describe('Malformed requests to the request API', function () {
  this.timeout(180_000);
  const directory = testDirectory();
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  let nodeRed: NodeRed | undefined;

  beforeEach(async () => {
    const flow = JSON.parse(await readFile(resolve('examples/request-mode.json'), 'utf8')) as Flow;
    nodeRed = await startNodeRed({
      folder: nodeRedPath(),
      userDirectory: join(directory.path, 'node-red'),
      flow,
      env: {
        NODE_OPTIONS: `--require ${resolve('test/support/hasty-clock.cjs')}`,
        DATABASE_URL: 'postgresql://plant:secret-of-the-database@127.0.0.1:1/plant',
        POST_DATA_ENDPOINT: 'http://127.0.0.1:1/',
        POST_DATA_API_KEY: 'secret-of-the-endpoint',
        API_KEY: KEY,
        BATCH_SIZE: '10',
      },
    });
  });
  afterEach(async () => {
    agent.destroy();
    await nodeRed?.stop();
  });

  const send = ({ method, path, headers, body }: Malformed): Promise<{ status: number; answer: string }> =>
    new Promise((settle, fail) => {
      const { hostname, port } = new URL(nodeRed?.url ?? '');
      const sent = request({ agent, host: hostname, port, method, path, headers }, (response) => {
        text(response).then((answer) => settle({ status: response.statusCode ?? 0, answer }), fail);
      });
      sent.on('error', fail);
      sent.end(body);
    });

  const assertRefused = (status: number, answer: string, what: () => string): void => {
    assert(status >= 400 && status < 500, `${status} to ${what()}: ${answer.slice(0, 500)}`);
    for (const secret of [KEY, 'secret-of-the', 'node_modules', /\bat .*\.js:\d+/, directory.path]) {
      const found = typeof secret === 'string' ? answer.includes(secret) : secret.test(answer);
      assert(!found, `${String(secret)} in the answer to ${what()}: ${answer.slice(0, 1000)}`);
    }
  };

  const assertUp = async (): Promise<void> => {
    assert(nodeRed?.running);
    const { status, answer } = await send({ method: 'GET', path: '/tasks', headers: keyed });
    assert.deepEqual([status, JSON.parse(answer)], [200, []]);
  };

  it(`${RUNS * REQUESTS_PER_RUN} of them: each 4xx, no task made, the process up (seed ${SEED})`, async () => {
    const statuses = new Map<number, number>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(malformed, { minLength: REQUESTS_PER_RUN, maxLength: REQUESTS_PER_RUN }),
        async (requests) => {
          await Promise.all(
            requests.map(async (each) => {
              const { status, answer } = await send(each);
              statuses.set(status, (statuses.get(status) ?? 0) + 1);
              assertRefused(status, answer, () => JSON.stringify(each).slice(0, 500));
            }),
          );
        },
      ),
      { seed: SEED, numRuns: RUNS, endOnFailure: true },
    );
    await assertUp();
    // They are answered for what is wrong with them, and not for their number.
    assert((statuses.get(429) ?? 0) < 100, JSON.stringify([...statuses]));
    for (const status of [400, 403, 404, 413, 422]) assert((statuses.get(status) ?? 0) > 50, `${status}`);
  });

  it(`bytes that are not HTTP: 400 or nothing, the process up (seed ${SEED})`, async () => {
    const { hostname, port } = new URL(nodeRed?.url ?? '');
    const heads = fc.constantFrom(
      '',
      'POST /raise-request HTTP/1.1\r\n',
      'GET /tasks HTTP/9.9\r\nHost: x\r\n',
    );
    const bytes = fc.tuple(heads, fc.uint8Array({ minLength: 1, maxLength: 300 }));
    await fc.assert(
      fc.asyncProperty(bytes, async ([head, more]) => {
        const socket = connect(Number(port), hostname);
        socket.on('error', () => undefined);
        socket.end(Buffer.concat([Buffer.from(head, 'latin1'), more, Buffer.from('\r\n\r\n')]));
        let answer = '';
        socket.setEncoding('latin1').on('data', (chunk: string) => (answer += chunk));
        await once(socket, 'close');
        const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 400);
        assertRefused(status, answer, () => `${head}${Buffer.from(more).toString('hex')}`);
      }),
      { seed: SEED, numRuns: 300, endOnFailure: true },
    );
    await assertUp();
  });
});
