import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { KEY, Opened, regularBatch } from '../../support/endpoint';

const START = '2026-01-31T12:00:00Z';
const END = '2026-01-31T12:01:00Z';
const AT = '2026-01-31T12:00:01Z';
const bodyOf = (data: unknown, start = START, end = END): string =>
  JSON.stringify({ start_time: start, end_time: end, data });

describe('the stand-in for the cloud', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  async function post(url: string, body: string | Buffer, headers: Record<string, string> = {}) {
    const response = await fetch(url, {
      method: 'POST',
      body: new Uint8Array(Buffer.from(body)),
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers },
    });
    return { status: response.status, text: await response.text() };
  }

  it('takes a body, plain or gzip, in each timestamp format', async () => {
    const cloud = await opened.cloud();
    const { body } = regularBatch(2, 60);
    assert.equal((await post(cloud.url, body)).status, 200);
    const gzipped = { 'content-encoding': 'gzip' };
    assert.equal(
      (await post(cloud.url, gzipSync(bodyOf({ a: [{ timestamp: AT, value: null }] })), gzipped)).status,
      200,
    );
    const naive = bodyOf(
      { a: [{ timestamp: AT.slice(0, -1), value: 'Bad' }] },
      START.slice(0, -1),
      END.slice(0, -1),
    );
    assert.equal((await post(cloud.url, naive)).status, 200);
    assert.equal(
      (await post(cloud.url, bodyOf({ a: [{ timestamp: Date.parse(AT), value: 1 }] }))).status,
      200,
    );
    assert.equal((await post(cloud.url, bodyOf({}))).status, 200);
    assert.equal(cloud.received().readings, 123);
    assert.equal(cloud.received().sensorCount, 3);
  });

  const refused: [name: string, body: string, status: number, reason: RegExp][] = [
    ['no JSON', '{"start_time"', 400, /not JSON/],
    ['no object', '[]', 422, /not an object/],
    ['no data', `{"start_time":"${START}","end_time":"${END}"}`, 422, /no data/],
    [
      'a field too many',
      `{"start_time":"${START}","end_time":"${END}","data":{},"more":1}`,
      422,
      /a field .*more/,
    ],
    ['an edge that is no time', bodyOf({}, 'noon'), 422, /start_time is not an ISO/],
    ['edges the wrong way round', bodyOf({}, END, START), 422, /start_time is after/],
    [
      'a reading before',
      bodyOf({ a: [{ timestamp: '2026-01-31T11:59:59.999999Z', value: 1 }] }),
      422,
      /before start_time/,
    ],
    [
      'a reading at the end',
      bodyOf({ a: [{ timestamp: '2026-01-31T12:01:00.000Z', value: 1 }] }),
      422,
      /not before end_time/,
    ],
    [
      'a naive reading under edges in UTC',
      bodyOf({ a: [{ timestamp: AT.slice(0, -1), value: 1 }] }),
      422,
      /differ in their zone/,
    ],
    [
      'a value of true',
      bodyOf({ a: [{ timestamp: AT, value: true }] }),
      422,
      /neither number, text nor null/,
    ],
    ['a reading without value', bodyOf({ a: [{ timestamp: AT }] }), 422, /no value/],
    ['an empty list', bodyOf({ a: [] }), 422, /empty list/],
    [
      'a sensor twice',
      `{"start_time":"${START}","end_time":"${END}","data":{"a":[{"timestamp":"${AT}","value":1}],"a":[{"timestamp":"${AT}","value":2}]}}`,
      422,
      /a sensor is there twice/,
    ],
  ];
  for (const [name, body, status, reason] of refused) {
    it(`refuses ${name}`, async () => {
      const cloud = await opened.cloud();
      const answer = await post(cloud.url, body);
      assert.equal(answer.status, status);
      assert.match(answer.text, reason);
      assert.equal(cloud.received().readings, 0);
    });
  }

  it('refuses other keys, types, encodings, methods and sizes', async () => {
    const cloud = await opened.cloud({ largestBodyBytes: 1000 });
    const body = bodyOf({});
    assert.equal((await post(cloud.url, body, { authorization: 'Bearer other' })).status, 401);
    assert.equal((await post(cloud.url, body, { 'content-type': 'text/plain' })).status, 415);
    assert.equal((await post(cloud.url, body, { 'content-encoding': 'br' })).status, 415);
    assert.equal((await post(cloud.url, body, { 'content-encoding': 'gzip' })).status, 400);
    assert.equal((await post(cloud.url, ' '.repeat(1001))).status, 413);
    assert.equal(
      (await post(cloud.url, gzipSync(' '.repeat(100_000)), { 'content-encoding': 'gzip' })).status,
      413,
    );
    assert.equal((await fetch(cloud.url)).status, 405);
    assert.equal((await fetch(`${cloud.pageUrl}elsewhere`)).status, 404);
  });

  it('counts repeats of a key once, duplicates under other keys twice, and tells a key with two bodies', async () => {
    const cloud = await opened.cloud();
    const { body } = regularBatch(1, 10);
    for (const key of ['one', 'one', 'two'])
      assert.equal((await post(cloud.url, body, { 'idempotency-key': key })).status, 200);
    const { readings, repeats, duplicates, conflicts } = cloud.received();
    assert.deepEqual(
      { readings, repeats, duplicates, conflicts },
      { readings: 20, repeats: 1, duplicates: 10, conflicts: 0 },
    );
    const other = await post(cloud.url, regularBatch(1, 11).body, { 'idempotency-key': 'one' });
    assert.deepEqual([other.status, cloud.received().conflicts], [422, 1]);
    assert.deepEqual(
      [...cloud.keys()].map(([key, { posts, bodies }]) => [key, posts, bodies.size]),
      [
        ['two', 1, 1],
        ['one', 3, 2],
      ],
    );
  });

  it('keeps to bounds where it only counts', async () => {
    const cloud = await opened.cloud({ keep: 'counts' });
    for (let batch = 0; batch < 120; batch++) {
      const { body } = regularBatch(2, 60, batch * 60);
      await post(cloud.url, body, { 'idempotency-key': String(batch) });
    }
    const received = cloud.received();
    assert.equal(received.readings, 120 * 120);
    assert.equal(cloud.exchanges.length, 100);
    assert.ok(cloud.exchanges.every(({ body, posted }) => body.length === 0 && !posted));
    for (const { count, points, lastTimestamp, lastValue } of received.sensors) {
      assert.equal(count, 7200);
      assert.ok(points.length >= 300 && points.length <= 301, `${points.length} points of ten minutes`);
      assert.equal(lastTimestamp, '2026-01-31T13:59:59Z');
      assert.equal(typeof lastValue, 'number');
    }
    assert.equal(received.duplicates, 0);
    // An hour that lies further back than what was counted last, as a task asks for it.
    for (let batch = 0; batch < 60; batch++) await post(cloud.url, regularBatch(2, 60, batch * 60).body);
    assert.equal(cloud.received().duplicates, 60 * 120);
    assert.throws(() => cloud.readings(), /keep/);
  });

  it('knows a timestamp again by what it says, to the last digit', async () => {
    const cloud = await opened.cloud({ keep: 'counts' });
    const timestamps = [AT, '2026-01-31T12:00:01.000Z', '2026-01-31T12:00:01.0001Z', Date.parse(AT) + 1];
    for (const [index, timestamp] of timestamps.entries()) {
      const { status } = await post(cloud.url, bodyOf({ a: [{ timestamp, value: 1 }] }));
      assert.equal(status, 200);
      assert.equal(cloud.received().duplicates, index === 0 ? 0 : 1, String(timestamp));
    }
  });

  it('shows what arrived on a page that runs nothing of what a sensor is called', async () => {
    const cloud = await opened.cloud();
    const name = '<img src=x onerror=alert(1)>';
    await post(
      cloud.url,
      bodyOf({ [name]: [{ timestamp: AT, value: 1 }], ['__proto__']: [{ timestamp: AT, value: 2 }] }),
    );
    const page = await fetch(cloud.pageUrl);
    const html = await page.text();
    assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    assert.doesNotMatch(html, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|https?:\/\//);
    assert.ok(!html.includes(name));
    const answer = await fetch(`${cloud.pageUrl}api/received`);
    const { sensors } = (await answer.json()) as { sensors: { sensor: string }[] };
    assert.deepEqual(
      sensors.map(({ sensor }) => sensor),
      [name, '__proto__'],
    );
  });

  it('a busy port is an error that says so', async () => {
    const { origin } = await opened.cloud();
    await assert.rejects(opened.cloud({ port: Number(new URL(origin).port) }), { code: 'EADDRINUSE' });
  });
});
