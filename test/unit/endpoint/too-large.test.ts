import assert from 'node:assert/strict';
import { splitBatch } from '../../../lib/endpoint/split';
import type { Exchange } from '../../../scripts/start/cloud';
import {
  batchOf,
  InstantClock,
  ManualClock,
  never,
  Opened,
  regularBatch,
  SOURCE,
} from '../../support/endpoint';

const options = { source: SOURCE, attempts: 3, signal: never };

describe('413: divided until it fits', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  const statuses = (exchanges: readonly Exchange[]): (number | undefined)[] =>
    exchanges.map(({ status }) => status);

  it('every reading arrives, by halves, each in one post', async () => {
    const cloud = await opened.cloud({ largestBodyBytes: 3000 });
    const endpoint = opened.endpoint(cloud.url);
    const batch = regularBatch(4, 60);
    const delivery = await endpoint.deliver(batch, options);
    assert.equal(delivery.readings, 240);
    assert.deepEqual(delivery.refused, []);
    assert.equal(cloud.readings().length, 240);
    assert.equal(cloud.received().duplicates, 0);
    const accepted = cloud.exchanges.filter(({ status }) => status === 200);
    assert.equal(delivery.posts, accepted.length);
    assert.deepEqual(
      accepted.map(({ body }) => body.toString()),
      splitBatch(batch, 3000).map(({ body }) => body.toString()),
    );
    assert.equal(
      delivery.bytes,
      accepted.reduce((sum, { body }) => sum + body.length, 0),
    );
  });

  it('what was learned is kept: the next batch is divided before it is posted', async () => {
    const cloud = await opened.cloud({ largestBodyBytes: 3000 });
    const endpoint = opened.endpoint(cloud.url);
    await endpoint.deliver(regularBatch(4, 60), options);
    const before = cloud.exchanges.length;
    await endpoint.deliver(regularBatch(4, 60, 3600), options);
    const next = statuses(cloud.exchanges.slice(before));
    assert.ok(next.length >= 4);
    assert.ok(
      next.every((status) => status === 200),
      next.join(', '),
    );
  });

  it('batches of all sizes are answered with 413 ever more rarely', async () => {
    const cloud = await opened.cloud({ largestBodyBytes: 3000 });
    const endpoint = opened.endpoint(cloud.url);
    for (let seconds = 60; seconds > 20; seconds--) await endpoint.deliver(regularBatch(4, seconds), options);
    const before = cloud.exchanges.length;
    for (let seconds = 60; seconds > 20; seconds--)
      await endpoint.deliver(regularBatch(4, seconds, 3600), options);
    assert.ok(statuses(cloud.exchanges.slice(0, before)).includes(413));
    assert.ok(!statuses(cloud.exchanges.slice(before)).includes(413));
  });

  it('a restart that forgets it posts the same pieces under the same keys', async () => {
    const cloud = await opened.cloud({ largestBodyBytes: 3000 });
    const knowing = opened.endpoint(cloud.url);
    // Learns from batches of many sizes, as they come in a plant.
    for (const seconds of [60, 47, 33, 21, 59, 40, 26])
      await knowing.deliver(regularBatch(4, seconds), options);
    const keys = cloud.keys().size;
    for (const seconds of [26, 40, 59, 21, 33, 47, 60]) {
      await opened.endpoint(cloud.url).deliver(regularBatch(4, seconds), options);
    }
    const accepted = new Set(
      cloud.exchanges.filter(({ status }) => status === 200).map((each) => each.idempotencyKey),
    );
    assert.equal(accepted.size, cloud.keys().size);
    assert.equal(cloud.keys().size, keys, 'no piece came under a key that was new');
  });

  it('good readings between many that are too large by themselves arrive', async () => {
    const cloud = await opened.cloud({ largestBodyBytes: 3000 });
    const readings = Array.from({ length: 400 }, (_, at) => ({
      ...{ sensor: 'a', at },
      value: at % 2 === 0 ? 'x'.repeat(4000) : at,
    }));
    const delivery = await opened.endpoint(cloud.url).deliver(batchOf(readings, 0, 400), options);
    assert.deepEqual([delivery.readings, delivery.refused.length], [200, 200]);
  });

  it('bodies over the configured size are divided unasked', async () => {
    const cloud = await opened.cloud();
    const endpoint = opened.endpoint(cloud.url);
    const delivery = await endpoint.deliver(regularBatch(4, 60), { ...options, largestBodyBytes: 3000 });
    assert.equal(delivery.readings, 240);
    assert.ok(cloud.exchanges.every(({ status, body }) => status === 200 && body.length <= 3000));
  });

  it('a single reading that is too large is refused; the others arrive', async () => {
    const cloud = await opened.cloud({ largestBodyBytes: 3000 });
    const large = 'x'.repeat(4000);
    const batch = batchOf([
      { sensor: 'a', at: 1, value: 1 },
      { sensor: 'a', at: 2, value: large },
      { sensor: 'b', at: 2, value: 2 },
      { sensor: 'b', at: 3, value: 3 },
    ]);
    const delivery = await opened.endpoint(cloud.url).deliver(batch, options);
    assert.equal(delivery.readings, 3);
    const [refused, ...others] = delivery.refused;
    assert.deepEqual(others, []);
    assert.deepEqual([refused?.readings, refused?.status], [1, 413]);
    assert.match(refused?.answer ?? '', /more than the 3000 bytes/);
    assert.deepEqual(JSON.parse(refused?.body.toString() ?? ''), {
      start_time: refused?.start_time,
      end_time: refused?.end_time,
      data: { a: [{ timestamp: '2026-01-31T12:00:02Z', value: large }] },
    });
  });

  it('an endpoint that says so of everything is not asked about each reading', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 413, body: 'too large' }) });
    const batch = regularBatch(10, 60);
    const delivery = await opened.endpoint(cloud.url).deliver(batch, options);
    assert.equal(
      delivery.refused.reduce((sum, { readings }) => sum + readings, 0),
      600,
    );
    assert.ok(cloud.exchanges.length < 150, `${cloud.exchanges.length} posts`);
  });

  describe('sizes are tried again', () => {
    it('after a spell in which everything is too large, batches are whole again within minutes', async () => {
      let spell = true;
      const cloud = await opened.cloud({ respond: () => (spell ? { status: 413 } : undefined) });
      const clock = new ManualClock();
      const endpoint = opened.endpoint(cloud.url, {}, { clock });
      await endpoint.deliver(regularBatch(4, 60), options);
      spell = false;
      const posts: number[] = [];
      for (let minute = 1; minute <= 4; minute++) {
        clock.advance(60_000);
        const before = cloud.exchanges.length;
        const { readings } = await endpoint.deliver(regularBatch(4, 60, 60 * minute), options);
        assert.equal(readings, 240);
        posts.push(cloud.exchanges.length - before);
      }
      assert.equal(posts.at(-1), 1, posts.join(', '));
    });

    it('costs a limit that stays at most one more 413 a minute, and changes no piece', async () => {
      const cloud = await opened.cloud({ largestBodyBytes: 3000 });
      const clock = new ManualClock();
      const endpoint = opened.endpoint(cloud.url, {}, { clock });
      const batches = [60, 47, 33, 21, 59, 40, 26].map((seconds) => regularBatch(4, seconds));
      for (let round = 0; round < 20; round++) {
        for (const batch of batches) await endpoint.deliver(batch, options);
      }
      const keys = cloud.keys().size;
      for (let minute = 1; minute <= 10; minute++) {
        clock.advance(60_000);
        const before = cloud.exchanges.length;
        for (let round = 0; round < 3; round++) {
          for (const batch of batches) await endpoint.deliver(batch, options);
        }
        const refused = statuses(cloud.exchanges.slice(before)).filter((status) => status === 413);
        assert.ok(refused.length <= 1, `${refused.length} in minute ${minute}`);
      }
      assert.ok(cloud.keys().size - keys <= batches.length, 'only what was tried has keys of its own');
    });

    it('a single reading that is too large, sent again and again, does not keep the others small', async () => {
      let limit = 1000;
      const cloud = await opened.cloud({
        respond: ({ body }) => (body.length > limit ? { status: 413 } : undefined),
      });
      const clock = new ManualClock();
      const endpoint = opened.endpoint(cloud.url, {}, { clock });
      const large = batchOf([{ sensor: 'a', at: 1, value: 'x'.repeat(100_000) }]);
      const deliverBoth = async () => {
        const { refused } = await endpoint.deliver(large, options);
        assert.equal(refused.length, 1);
        await endpoint.deliver(regularBatch(4, 60), options);
      };
      await deliverBoth();
      limit = 50_000;
      for (let seconds = 0; seconds < 180; seconds += 30) {
        clock.advance(30_000);
        await deliverBoth();
      }
      const before = cloud.exchanges.length;
      await deliverBoth();
      assert.deepEqual(statuses(cloud.exchanges.slice(before)), [413, 200]);
    });
  });

  it('answered before the body was read to its end', async () => {
    const cloud = await opened.cloud({
      respondEarly: ({ 'content-length': length }) =>
        Number(length) > 100_000 ? { status: 413, body: 'too large' } : undefined,
    });
    const delivery = await opened
      .endpoint(cloud.url, {}, { clock: new InstantClock() })
      .deliver(regularBatch(40, 60), { ...options, attempts: 20 });
    assert.equal(delivery.readings, 2400);
    assert.equal(cloud.readings().length, 2400);
  });
});
