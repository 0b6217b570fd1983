import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { Reply } from '../../../scripts/start/cloud';
import { batchOf, InstantClock, ManualClock, never, Opened, SOURCE } from '../../support/endpoint';

const batch = batchOf([{ sensor: 'K101.SPEED', at: 1, value: 1 }]);

describe('attempts', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  it('an endpoint that stays unavailable: TM_ENDPOINT_UNAVAILABLE with its status and words', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 503, body: 'maintenance until noon' }) });
    const clock = new InstantClock();
    const endpoint = opened.endpoint(`${cloud.url}?code=sesame`, {}, { clock, random: () => 1 });
    const window = { source: SOURCE, attempts: 10, signal: never, sentAgainBy: 'bookmark' };
    await assert.rejects(endpoint.deliver(batch, window), {
      name: 'TmError',
      code: 'TM_ENDPOINT_UNAVAILABLE',
      message: `The endpoint ${cloud.url} was not available for 2026-01-31T12:00:00Z to 2026-01-31T12:01:00Z, in 10 attempts: 503: maintenance until noon. It is tried again later; nothing is lost meanwhile.`,
    });
    assert.equal(cloud.exchanges.length, 10);
    assert.deepEqual(
      clock.sleeps,
      [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000),
    );
  });

  it('an endpoint that is not there: TM_ENDPOINT_UNAVAILABLE with the reason', async () => {
    const cloud = await opened.cloud();
    const endpoint = opened.endpoint(cloud.url, {}, { clock: new InstantClock() });
    await cloud.close();
    await assert.rejects(endpoint.deliver(batch, { source: SOURCE, attempts: 3, signal: never }), {
      code: 'TM_ENDPOINT_UNAVAILABLE',
      message: /in 3 attempts: connect ECONNREFUSED 127\.0\.0\.1:\d+\./,
    });
  });

  for (const status of [503, 401]) {
    it(`${status} for what nobody sends again: says so, and what to do`, async () => {
      const cloud = await opened.cloud({ respond: () => ({ status, body: 'no' }) });
      const endpoint = opened.endpoint(cloud.url, {}, { clock: new InstantClock() });
      const toSendAgain = 'send the message again';
      await assert.rejects(
        endpoint.deliver(batch, { source: SOURCE, attempts: 3, signal: never, toSendAgain }),
        (error: Error) => {
          assert.match(error.message, /\. It is not sent again by itself: send the message again\.$/);
          assert.doesNotMatch(error.message, /lost|later/);
          return true;
        },
      );
    });
  }

  const advice: [number, RegExp][] = [
    [401, /401: nope\. Check the endpoint key/],
    [403, /403: nope\. Check the endpoint key/],
    [404, /404: nope\. Check the address of the endpoint/],
    [407, /407: nope\. Check the user and password of the proxy/],
  ];
  for (const [status, message] of advice) {
    it(`${status}: waits at length, then TM_ENDPOINT_HOLD and what to check`, async () => {
      const cloud = await opened.cloud({ respond: () => ({ status, body: 'nope' }) });
      const clock = new InstantClock();
      const endpoint = opened.endpoint(cloud.url, {}, { clock, random: () => 0 });
      await assert.rejects(endpoint.deliver(batch, { source: SOURCE, attempts: 10, signal: never }), {
        code: 'TM_ENDPOINT_HOLD',
        message,
      });
      assert.equal(cloud.exchanges.length, 10);
      // The shortest that can be drawn.
      assert.deepEqual(
        clock.sleeps,
        [0.5, 1, 2, 4, 8, 16, 30, 30, 30].map((seconds) => seconds * 1000),
      );
    });
  }

  it('a key that is mended meanwhile: the batch goes through, nothing is lost', async () => {
    const cloud = await opened.cloud({ respond: ({ index }) => (index < 3 ? { status: 401 } : undefined) });
    const endpoint = opened.endpoint(cloud.url, {}, { clock: new InstantClock() });
    const delivery = await endpoint.deliver(batch, { source: SOURCE, attempts: 10, signal: never });
    assert.deepEqual(delivery, { readings: 1, bytes: batch.body.length, posts: 1, refused: [] });
  });

  it('batches that wait give up with the probes that they waited for, not one after another', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 503 }) });
    const endpoint = opened.endpoint(cloud.url, {}, { clock: new InstantClock(), random: () => 0.5 });
    const deliveries = Array.from({ length: 6 }, (_, at) =>
      endpoint.deliver(batchOf([{ sensor: 'K101.SPEED', at, value: 1 }]), {
        source: SOURCE,
        attempts: 4,
        signal: never,
      }),
    );
    for (const result of await Promise.allSettled(deliveries)) {
      assert.equal(result.status, 'rejected');
      assert.match(String(result.reason), /in 4 attempts: 503/);
    }
    // Six at once, then three probes; a few more where an answer comes while others wait already.
    assert.ok(cloud.exchanges.length <= 6 + 6, `${cloud.exchanges.length} posts`);
  });

  it('a batch that only ever waited quotes the answer to the probe', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 503, body: 'not yet' }) });
    const clock = new ManualClock();
    const endpoint = opened.endpoint(cloud.url, {}, { clock, random: () => 0.5 });
    const stopped = new AbortController();
    const probing = endpoint.deliver(batch, { source: SOURCE, attempts: 9, signal: stopped.signal });
    await clock.sleeping();
    const waiting = endpoint.deliver(batch, { source: SOURCE, attempts: 1, signal: never });
    clock.advance(500);
    await assert.rejects(waiting, /in 1 attempt: 503: not yet/);
    assert.equal(cloud.exchanges.length, 2);
    stopped.abort(new Error('redeployed'));
    await assert.rejects(probing, /redeployed/);
  });

  it('quotes the answer to this batch, not one to another', async () => {
    const [slow, other] = [1, 2].map((at) => batchOf([{ sensor: 'K101.SPEED', at, value: 1 }]));
    assert.ok(slow && other);
    let answer: (reply: Reply) => void = () => undefined;
    const arrivals = new EventEmitter();
    const cloud = await opened.cloud({
      respond: ({ body }) => {
        if (!body.equals(slow.body)) return { status: 503, body: 'to the other' };
        arrivals.emit('slow');
        return new Promise<Reply>((resolve) => {
          answer = resolve;
        });
      },
    });
    const endpoint = opened.endpoint(cloud.url);
    const options = { source: SOURCE, attempts: 1, signal: never };
    const arrived = once(arrivals, 'slow');
    const delivery = assert.rejects(endpoint.deliver(slow, options), /500: to this one/);
    await arrived;
    await assert.rejects(endpoint.deliver(other, options), /503: to the other/);
    answer({ status: 500, body: 'to this one' });
    await delivery;
  });

  it('one attempt means one', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 500 }) });
    const endpoint = opened.endpoint(cloud.url);
    await assert.rejects(endpoint.deliver(batch, { source: SOURCE, attempts: 1, signal: never }));
    assert.equal(cloud.exchanges.length, 1);
  });
});
