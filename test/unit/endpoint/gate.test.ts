import assert from 'node:assert/strict';
import { once, EventEmitter } from 'node:events';
import type { EndpointState } from '../../../lib/endpoint/endpoint';
import type { Reply } from '../../../scripts/start/cloud';
import { batchOf, InstantClock, ManualClock, never, Opened, SOURCE } from '../../support/endpoint';

const batchAt = (at: number) => batchOf([{ sensor: 'K101.SPEED', at, value: at }]);

describe('one gate for all that is posted to an endpoint', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  it('lets one probe out at a time while the endpoint fails, and all when it is back', async () => {
    let down = true;
    const arrivals = new EventEmitter();
    const cloud = await opened.cloud({
      respond: () => {
        arrivals.emit('post');
        return down ? { status: 503 } : undefined;
      },
    });
    const clock = new ManualClock();
    const endpoint = opened.endpoint(cloud.url, {}, { clock, random: () => 0.5 });
    const deliveries = Array.from({ length: 8 }, (_, at) =>
      endpoint.deliver(batchAt(at), { source: SOURCE, attempts: 100, signal: never }),
    );
    // The first volley: nothing was known of the endpoint yet.
    while (cloud.exchanges.length < 8) await once(arrivals, 'post');
    const waits: number[] = [];
    for (let probe = 1; probe <= 5; probe++) {
      waits.push(await clock.sleeping());
      assert.equal(clock.sleepers, 1, 'one waits for its turn to probe, the others wait for its result');
      const answered = once(arrivals, 'post');
      clock.advance(waits.at(-1) ?? 0);
      await answered;
      await clock.sleeping();
      assert.equal(cloud.exchanges.length, 8 + probe);
    }
    assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000]);
    down = false;
    clock.advance(await clock.sleeping());
    const delivered = await Promise.all(deliveries);
    assert.equal(
      delivered.reduce((sum, { readings }) => sum + readings, 0),
      8,
    );
    assert.equal(cloud.exchanges.length, 8 + 5 + 8);
    assert.equal(clock.sleepers, 0);
  });

  it('a new batch waits too', async () => {
    const replies: (Reply | undefined)[] = [{ status: 503 }];
    const cloud = await opened.cloud({ respond: () => replies.shift() });
    const clock = new ManualClock();
    const endpoint = opened.endpoint(cloud.url, {}, { clock, random: () => 0.5 });
    const options = { source: SOURCE, attempts: 5, signal: never };
    const first = endpoint.deliver(batchAt(1), options);
    await clock.sleeping();
    const second = endpoint.deliver(batchAt(2), options);
    await new Promise(setImmediate);
    assert.equal(cloud.exchanges.length, 1);
    clock.advance(500);
    await Promise.all([first, second]);
    assert.equal(cloud.exchanges.length, 3);
  });

  it('a probe that is broken off leaves its place to the next', async () => {
    const arrivals = new EventEmitter();
    const cloud = await opened.cloud({
      respond: ({ index }) => {
        arrivals.emit('post');
        return index === 0 ? { status: 503 } : index === 1 ? { end: 'hang' } : undefined;
      },
    });
    const clock = new ManualClock();
    const endpoint = opened.endpoint(cloud.url, {}, { clock, random: () => 0.5 });
    const stopped = new AbortController();
    const first = endpoint.deliver(batchAt(1), { source: SOURCE, attempts: 5, signal: stopped.signal });
    await clock.sleeping();
    const second = endpoint.deliver(batchAt(2), { source: SOURCE, attempts: 5, signal: never });
    const probing = once(arrivals, 'post');
    clock.advance(500);
    await probing;
    stopped.abort(new Error('redeployed'));
    await assert.rejects(first, /redeployed/);
    assert.equal((await second).readings, 1);
  });

  it('one that waits for its turn and is broken off leaves its place to the next', async () => {
    const cloud = await opened.cloud({ respond: ({ index }) => (index === 0 ? { status: 503 } : undefined) });
    const clock = new ManualClock();
    const endpoint = opened.endpoint(cloud.url, {}, { clock, random: () => 0.5 });
    const stopped = new AbortController();
    const first = endpoint.deliver(batchAt(1), { source: SOURCE, attempts: 5, signal: stopped.signal });
    await clock.sleeping();
    const second = endpoint.deliver(batchAt(2), { source: SOURCE, attempts: 5, signal: never });
    await new Promise(setImmediate);
    stopped.abort(new Error('redeployed'));
    await assert.rejects(first, /redeployed/);
    assert.equal(await clock.sleeping(), 500);
    clock.advance(500);
    assert.equal((await second).readings, 1);
  });

  it('a batch that the endpoint chokes on backs off alone; the others go through', async () => {
    const poison = batchAt(13);
    const cloud = await opened.cloud({
      respond: ({ body }) => (body.equals(poison.body) ? { status: 500, body: 'oops' } : undefined),
    });
    const clock = new InstantClock();
    const endpoint = opened.endpoint(cloud.url, {}, { clock, random: () => 1 });
    const options = { source: SOURCE, attempts: 6, signal: never };
    const choking = endpoint.deliver(poison, options);
    choking.catch(() => undefined);
    for (let at = 20; at < 40; at++) assert.equal((await endpoint.deliver(batchAt(at), options)).readings, 1);
    await assert.rejects(choking, { code: 'TM_ENDPOINT_UNAVAILABLE', message: /500: oops/ });
    assert.equal(cloud.exchanges.filter(({ body }) => body.equals(poison.body)).length, 6);
    assert.ok(
      clock.sleeps.some((ms) => ms >= 8000),
      `it backed off for longer and longer: ${clock.sleeps.join(', ')}`,
    );
  });

  it('tells each change of state once, to each batch under way and to whoever watches', async () => {
    const statuses = [503, 503, 502, 503, 401, 401];
    const cloud = await opened.cloud({
      respond: ({ index }) => (index < statuses.length ? { status: statuses[index] ?? 0 } : undefined),
    });
    const endpoint = opened.endpoint(cloud.url, {}, { clock: new InstantClock(), random: () => 0.5 });
    const watched: EndpointState[] = [];
    const unwatch = endpoint.watch((state) => watched.push(state));
    const told: EndpointState[] = [];
    const onState = (state: EndpointState): unknown => told.push(state);
    const options = { source: SOURCE, attempts: 10, signal: never, onState };
    assert.deepEqual(endpoint.state, { state: 'ok', reason: '' });
    await endpoint.deliver(batchAt(1), options);
    const expected = [
      { state: 'waiting', reason: 'endpoint 503' },
      { state: 'waiting', reason: 'endpoint 502' },
      { state: 'waiting', reason: 'endpoint 503' },
      { state: 'hold', reason: 'endpoint 401' },
      { state: 'ok', reason: '' },
    ];
    assert.deepEqual(told, expected);
    assert.deepEqual(watched, expected);
    await endpoint.deliver(batchAt(2), options);
    assert.equal(told.length, expected.length, 'what goes well is not told');
    statuses.push(...Array<number>(cloud.exchanges.length - statuses.length).fill(200), 503);
    await endpoint.deliver(batchAt(3), { ...options, onState: () => undefined });
    assert.equal(watched.length, expected.length + 2);
    assert.equal(told.length, expected.length, 'a batch that is done is told nothing more');
    unwatch();
  });

  it('a batch that comes while the endpoint fails is told so at once', async () => {
    const cloud = await opened.cloud({ respond: ({ index }) => (index < 2 ? { status: 503 } : undefined) });
    const endpoint = opened.endpoint(cloud.url, {}, { clock: new InstantClock(), random: () => 0.5 });
    const options = { source: SOURCE, attempts: 2, signal: never };
    await assert.rejects(endpoint.deliver(batchAt(1), options));
    const told: string[] = [];
    await endpoint.deliver(batchAt(1), { ...options, onState: ({ state }) => told.push(state) });
    assert.deepEqual(told, ['waiting', 'ok']);
  });
});
