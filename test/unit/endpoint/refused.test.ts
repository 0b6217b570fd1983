import assert from 'node:assert/strict';
import { searchBudget } from '../../../lib/endpoint/delivery';
import type { PostedBody } from '../../../scripts/start/cloud-body';
import {
  batchOf,
  never,
  Opened,
  regularBatch,
  SOURCE,
  timeText,
  type SomeReading,
} from '../../support/endpoint';

const options = { source: SOURCE, attempts: 3, signal: never };

/** `count` readings a second of one sensor, some of them bad. */
function batchWithBad(count: number, bad: readonly number[]) {
  const readings: SomeReading[] = [];
  for (let at = 0; at < count; at++)
    readings.push({ sensor: 'K101.VIB', at, value: bad.includes(at) ? 'Bad' : at });
  return batchOf(readings, 0, count);
}

const holdsBad = (posted: PostedBody | undefined): boolean =>
  !!posted?.readings.some(({ value }) => value === 'Bad');

describe('400 and 422: bisected to the readings that are refused', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  async function refusing(status = 422) {
    return opened.cloud({
      respond: ({ posted }) => (holdsBad(posted) ? { status, body: 'value is not a number' } : undefined),
    });
  }

  for (const status of [400, 422]) {
    it(`${status}: all but the refused reading arrive, with its time and the answer`, async () => {
      const cloud = await refusing(status);
      const batch = batchWithBad(1000, [617]);
      const delivery = await opened.endpoint(cloud.url).deliver(batch, options);
      assert.equal(delivery.readings, 999);
      assert.equal(delivery.refused.length, 1);
      const [refused] = delivery.refused;
      assert.deepEqual(JSON.parse(refused?.body.toString() ?? ''), {
        start_time: refused?.start_time,
        end_time: refused?.end_time,
        data: { 'K101.VIB': [{ timestamp: timeText(617), value: 'Bad' }] },
      });
      assert.deepEqual([refused?.status, refused?.answer], [status, 'value is not a number']);
      assert.deepEqual([refused?.start_time, refused?.end_time], [timeText(617), timeText(618)]);
      assert.equal(cloud.readings().length, 999);
      assert.equal(cloud.received().duplicates, 0);
      assert.ok(cloud.exchanges.length <= 1 + 2 * 10, `${cloud.exchanges.length} posts`);
    });
  }

  it('several refused readings are each found, and come in order of time', async () => {
    const cloud = await refusing();
    const delivery = await opened.endpoint(cloud.url).deliver(batchWithBad(256, [200, 3, 4]), options);
    assert.equal(delivery.readings, 253);
    assert.deepEqual(
      delivery.refused.map(({ start_time, readings }) => [start_time, readings]),
      [3, 4, 200].map((at) => [timeText(at), 1]),
    );
  });

  it('at most 64 posts are spent on the search; what is left then is refused as it stands', async () => {
    const cloud = await refusing();
    const bad = Array.from({ length: 100 }, (_, index) => index * 10 + 5);
    const delivery = await opened.endpoint(cloud.url).deliver(batchWithBad(1000, bad), options);
    assert.equal(cloud.exchanges.length, 1 + 64);
    const refused = delivery.refused.reduce((sum, { readings }) => sum + readings, 0);
    assert.equal(delivery.readings + refused, 1000);
    // The largest refused part is divided first: none of what is left is a large part of the whole.
    for (const { readings } of delivery.refused) assert.ok(readings <= 64, `${readings} in one piece`);
    assert.equal(cloud.readings().length, delivery.readings);
    assert.equal(delivery.refused.flatMap(({ body }) => body.toString().match(/"Bad"/g) ?? []).length, 100);
  });

  it('every piece that is refused was refused by the endpoint itself', async () => {
    const cloud = await refusing();
    const bad = Array.from({ length: 60 }, (_, index) => index * 16);
    const delivery = await opened.endpoint(cloud.url).deliver(batchWithBad(1000, bad), options);
    const answered = new Set(
      cloud.exchanges.filter(({ status }) => status === 422).map(({ body }) => body.toString()),
    );
    for (const { body } of delivery.refused) assert.ok(answered.has(body.toString()));
  });

  it('the batches of a window may share what is spent', async () => {
    const cloud = await refusing();
    const endpoint = opened.endpoint(cloud.url);
    const search = { ...searchBudget(), left: 20 };
    await endpoint.deliver(batchWithBad(256, [9]), { ...options, search });
    assert.equal(search.left, 4);
    const delivery = await endpoint.deliver(batchWithBad(255, [9]), { ...options, search });
    assert.equal(search.left, 0);
    // Divided twice.
    const readings = delivery.refused[0]?.readings ?? 0;
    assert.ok(readings > 60 && readings < 68, String(readings));
  });

  it('what is spent does not end the dividing of a good batch that is too large', async () => {
    const cloud = await opened.cloud({
      respond: ({ posted, body }) =>
        body.length > 20_000 ? { status: 413 } : holdsBad(posted) ? { status: 422 } : undefined,
    });
    const endpoint = opened.endpoint(cloud.url);
    const search = searchBudget();
    const everyTenth = Array.from({ length: 100 }, (_, index) => index * 10);
    await endpoint.deliver(batchWithBad(1000, everyTenth), { ...options, search });
    assert.equal(search.left, 0);
    // Its halves are smaller than what is known to be too large, and yet are.
    const good = batchOf(
      Array.from({ length: 1000 }, (_, at) => ({ sensor: 'K', at, value: 1 })),
      0,
      1000,
    );
    const { readings, refused } = await endpoint.deliver(good, { ...options, search });
    assert.deepEqual([readings, refused], [1000, []]);
  });

  it('an endpoint that is unavailable in between is waited for', async () => {
    const cloud = await opened.cloud({
      respond: ({ index, posted }) =>
        index % 2 === 1 ? { status: 503 } : holdsBad(posted) ? { status: 422 } : undefined,
    });
    const endpoint = opened.endpoint(cloud.url, {}, { random: () => 0 });
    const delivery = await endpoint.deliver(batchWithBad(64, [40]), options);
    assert.deepEqual([delivery.readings, delivery.refused[0]?.readings], [63, 1]);
  });

  it('pieces that are too large too are divided on', async () => {
    const cloud = await opened.cloud({
      respond: ({ posted, body }) =>
        body.length > 2000 ? { status: 413 } : holdsBad(posted) ? { status: 422 } : undefined,
    });
    const delivery = await opened.endpoint(cloud.url).deliver(batchWithBad(200, [7, 150]), options);
    assert.deepEqual(
      delivery.refused.map(({ start_time }) => start_time),
      [timeText(7), timeText(150)],
    );
    assert.equal(delivery.readings, 198);
  });

  it('sensors with names that are properties of every object survive', async () => {
    const cloud = await opened.cloud({
      respond: ({ posted }) =>
        posted?.readings.some(({ sensor }) => sensor === 'constructor') ? { status: 422 } : undefined,
    });
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
    const batch = batchOf(names.map((sensor) => ({ sensor, at: 1, value: 1 })));
    const delivery = await opened.endpoint(cloud.url).deliver(batch, options);
    assert.deepEqual(
      cloud
        .readings()
        .map(({ sensor }) => sensor)
        .sort(),
      ['__proto__', 'hasOwnProperty', 'toString'],
    );
    assert.match(delivery.refused[0]?.body.toString() ?? '', /"data":\{"constructor":\[/);
  });

  describe('sent again', () => {
    const postedAgain = async (sentAgainBy: string | undefined, between?: 'forgotten') => {
      const cloud = await refusing();
      const endpoint = opened.endpoint(cloud.url);
      const deliverOnce = () =>
        endpoint.deliver(batchWithBad(100, [42]), { ...options, ...(sentAgainBy ? { sentAgainBy } : {}) });
      await deliverOnce();
      const before = cloud.exchanges.length;
      if (between) endpoint.forgetAccepted();
      const delivery = await deliverOnce();
      assert.deepEqual([delivery.readings, delivery.refused[0]?.readings], [99, 1]);
      const again = cloud.exchanges.slice(before);
      return new Set(again.flatMap(({ posted }) => posted?.readings.map(({ timestamp }) => timestamp) ?? []))
        .size;
    };

    it('held: only what is refused is posted', async () => {
      assert.equal(await postedAgain('bookmark'), 1);
    });

    it('by nobody in particular, for it was set aside: all readings are posted', async () => {
      assert.equal(await postedAgain(undefined), 100);
    });

    it('held, and then asked for on purpose: all readings are posted', async () => {
      assert.equal(await postedAgain('bookmark', 'forgotten'), 100);
    });

    it('held, delivered at last, and sent once more: all readings are posted', async () => {
      let mended = false;
      const cloud = await opened.cloud({
        respond: ({ posted }) => (!mended && holdsBad(posted) ? { status: 422 } : undefined),
      });
      const endpoint = opened.endpoint(cloud.url);
      const held = { ...options, sentAgainBy: 'bookmark' };
      const batch = batchWithBad(100, [42]);
      await endpoint.deliver(batch, held);
      mended = true;
      const before = cloud.exchanges.length;
      await endpoint.deliver(batch, held);
      await endpoint.deliver(batch, held);
      assert.deepEqual(
        cloud.exchanges.slice(before).map(({ posted }) => posted?.readings.length),
        [1, 100],
      );
    });
  });

  it('a body of a form of its own is refused as a whole', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 400, body: 'what is this?' }) });
    const batch = { ...regularBatch(1, 1), body: Buffer.from('{"data":7}') };
    const delivery = await opened.endpoint(cloud.url).deliver(batch, options);
    assert.equal(cloud.exchanges.length, 1);
    assert.deepEqual(delivery.refused, [{ ...batch, status: 400, answer: 'what is this?' }]);
  });
});
