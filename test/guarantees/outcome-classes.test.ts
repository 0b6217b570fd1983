/**
 * Every answer that an endpoint can give belongs to one class, which says what becomes of the readings. The table
 * in docs/ says the same as the code, and the code does the same over HTTP.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { TmError } from '../../lib/errors';
import { kindOf, type OutcomeKind } from '../../lib/endpoint/outcome';
import type { Reply } from '../../scripts/start/cloud';
import { InstantClock, never, Opened, regularBatch, SOURCE } from '../support/endpoint';

/** `2xx`, `408`, … of a row of the table that begins with the kind. */
function documented(): Map<OutcomeKind, string[]> {
  const folder = resolve('docs');
  const text = readdirSync(folder)
    .filter((file) => /^guarantees.*\.md$/.test(file))
    .map((file) => readFileSync(resolve(folder, file), 'utf8'))
    .join('\n');
  const rows = new Map<OutcomeKind, string[]>();
  for (const [, kind, answers] of text.matchAll(/^\| (accepted|retry|hold|split|refused) +\| ([^|]*)\|/gm))
    rows.set(kind as OutcomeKind, answers?.match(/\b[1-5](?:\d\d|xx)\b/g) ?? []);
  return rows;
}

const STATUSES = Array.from({ length: 400 }, (_, index) => 200 + index);
const batch = regularBatch(2, 30);
const options = { source: SOURCE, attempts: 3, signal: never };

describe('Each class of answers', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  it('is in the documented table, status by status', () => {
    const rows = documented();
    for (const status of STATUSES.filter((each) => each !== 409)) {
      const named = (text: string): OutcomeKind | undefined =>
        [...rows].find(([, answers]) => answers.includes(text))?.[0];
      const kind = named(String(status)) ?? named(`${String(status)[0] ?? ''}xx`);
      assert.equal(kind, kindOf(status), `${status}`);
    }
  });

  /** The first two posts are answered so, then as usual. */
  const answering = async (reply: Reply) => {
    const cloud = await opened.cloud({ respond: ({ index }) => (index < 2 ? reply : undefined) });
    const clock = new InstantClock();
    return { cloud, clock, endpoint: opened.endpoint(cloud.url, {}, { clock }) };
  };

  for (const status of [200, 201, 202, 204, 206]) {
    it(`${status}: accepted, with one post, whatever the body says`, async () => {
      const { cloud, endpoint } = await answering({
        status,
        accept: true,
        body: status === 204 ? '' : 'no JSON',
      });
      const delivery = await endpoint.deliver(batch, options);
      assert.deepEqual([delivery.readings, delivery.refused.length, cloud.exchanges.length], [60, 0, 1]);
      assert.equal(cloud.readings().length, 60);
    });
  }

  const again: [name: string, reply: Reply][] = [
    ...[408, 425, 429, 500, 502, 503, 504, 507, 529, 599].map((status): [string, Reply] => [
      String(status),
      { status },
    ]),
    ['a connection cut before the answer', { end: 'destroy' }],
    ['an answer cut in its middle', { end: 'cut' }],
    ['readings taken, and the answer lost', { end: 'destroy', accept: true }],
  ];
  for (const [name, reply] of again) {
    it(`${name}: again, with pauses, the same bytes under the same key`, async () => {
      const { cloud, clock, endpoint } = await answering(reply);
      assert.equal((await endpoint.deliver(batch, options)).readings, 60);
      assert.equal(cloud.exchanges.length, 3);
      assert.equal(clock.sleeps.length, 2);
      assert.equal(cloud.keys().size, 1);
      assert.deepEqual([cloud.received().conflicts, cloud.readings().length], [0, 60]);
    });
  }

  for (const status of [401, 402, 403, 404, 405, 407, 410, 415]) {
    it(`${status}: held, says what to do, and goes on when it is mended`, async () => {
      const { cloud, endpoint } = await answering({ status });
      await assert.rejects(endpoint.deliver(batch, { ...options, attempts: 2 }), (error) => {
        assert(error instanceof TmError);
        return error.code === 'TM_ENDPOINT_HOLD' && error.message.includes(String(status));
      });
      assert.equal(endpoint.state.state, 'hold');
      assert.equal((await endpoint.deliver(batch, options)).readings, 60);
      assert.equal(endpoint.state.state, 'ok');
      assert.deepEqual([cloud.keys().size, cloud.readings().length], [1, 60]);
    });
  }

  for (const status of [300, 301, 302, 303, 305]) {
    it(`${status}: a redirect is not followed, and holds`, async () => {
      const elsewhere = await opened.cloud();
      const { endpoint } = await answering({ status, headers: { location: elsewhere.url } });
      await assert.rejects(endpoint.deliver(batch, { ...options, attempts: 1 }), /redirects to/);
      assert.equal(elsewhere.exchanges.length, 0);
    });
  }

  it('413: split, and every reading arrives once', async () => {
    const { cloud, endpoint } = await answering({ status: 413 });
    const delivery = await endpoint.deliver(batch, options);
    assert.deepEqual([delivery.readings, delivery.refused.length], [60, 0]);
    assert.deepEqual([cloud.readings().length, cloud.received().duplicates], [60, 0]);
  });

  for (const status of [400, 406, 409, 411, 414, 416, 418, 421, 422, 423, 424, 428, 431, 451, 499]) {
    it(`${status}: the refused readings are found, the others arrive`, async () => {
      const cloud = await opened.cloud({
        respond: ({ posted }) =>
          posted?.readings.some(({ sensor, value }) => sensor === 'K102.VIB' && value === 2.13)
            ? { status, body: 'no' }
            : undefined,
      });
      const delivery = await opened.endpoint(cloud.url).deliver(batch, options);
      assert.deepEqual([delivery.readings, delivery.refused.map(({ readings }) => readings)], [59, [1]]);
      assert.equal(delivery.refused[0]?.status, status);
      assert.equal(cloud.readings().length, 59);
    });
  }

  it('409, where the setting says duplicate: accepted', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 409, body: 'I have it' }) });
    const delivery = await opened.endpoint(cloud.url, { conflict: 'accepted' }).deliver(batch, options);
    assert.deepEqual([delivery.readings, delivery.refused.length, cloud.exchanges.length], [60, 0, 1]);
  });
});
