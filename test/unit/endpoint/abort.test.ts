import assert from 'node:assert/strict';
import { once, EventEmitter } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { ManualClock, never, Opened, regularBatch, SOURCE } from '../../support/endpoint';
import { until } from '../../support/until';
import type { CloudOptions } from '../../../scripts/start/cloud';

const batch = regularBatch(2, 60);
/** "At once", on a machine that is busy with other things. */
const AT_ONCE_MS = 500;

describe('aborting', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  async function atOnce<Result>(work: () => Promise<Result>): Promise<Result> {
    const startedAt = performance.now();
    const result = await work();
    const took = performance.now() - startedAt;
    assert.ok(took < AT_ONCE_MS, `it took ${took} ms`);
    return result;
  }

  /** @returns an endpoint whose cloud has a post and does not answer it as it should */
  async function stuck(
    end: 'hang' | 'trickle-headers' | 'trickle-body' | 'stall',
    options: Partial<CloudOptions> = {},
  ) {
    const arrivals = new EventEmitter();
    const cloud = await opened.cloud({
      ...options,
      respond: () => {
        arrivals.emit('post');
        return { end };
      },
    });
    return { cloud, endpoint: opened.endpoint(cloud.url), arrived: once(arrivals, 'post') };
  }

  for (const end of ['hang', 'trickle-headers', 'trickle-body', 'stall'] as const) {
    it(`a post whose answer does not come (${end}): ends at once with the signal's reason, and its connection`, async () => {
      const { cloud, endpoint, arrived } = await stuck(end);
      const stopped = new AbortController();
      const delivery = endpoint.deliver(batch, { source: SOURCE, attempts: 9, signal: stopped.signal });
      await arrived;
      stopped.abort(new Error('redeployed'));
      await atOnce(() => assert.rejects(delivery, { message: 'redeployed' }));
      await until(() => cloud.exchanges[0]?.socket.destroyed === true);
    });

    it(`close ends it too (${end}), as TM_CLOSED`, async () => {
      const { cloud, endpoint, arrived } = await stuck(end);
      const delivery = endpoint.deliver(batch, { source: SOURCE, attempts: 9, signal: never });
      await arrived;
      const rejected = assert.rejects(delivery, { code: 'TM_CLOSED' });
      await atOnce(() => Promise.all([endpoint.close(), rejected]));
      await until(async () => (await cloud.connections()) === 0);
    });
  }

  it('while it waits for the next attempt', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 503 }) });
    const clock = new ManualClock();
    const endpoint = opened.endpoint(cloud.url, {}, { clock });
    const stopped = new AbortController();
    const delivery = endpoint.deliver(batch, { source: SOURCE, attempts: 9, signal: stopped.signal });
    await clock.sleeping();
    stopped.abort(new Error('redeployed'));
    await atOnce(() => assert.rejects(delivery, { message: 'redeployed' }));
    assert.equal(clock.sleepers, 0);
  });

  it('while it waits for another one’s probe', async () => {
    const cloud = await opened.cloud({ respond: () => ({ status: 503 }) });
    const clock = new ManualClock();
    const endpoint = opened.endpoint(cloud.url, {}, { clock });
    const first = endpoint.deliver(batch, { source: SOURCE, attempts: 9, signal: never });
    await clock.sleeping();
    const stopped = new AbortController();
    const second = endpoint.deliver(batch, { source: SOURCE, attempts: 9, signal: stopped.signal });
    await new Promise(setImmediate);
    stopped.abort(new Error('redeployed'));
    await atOnce(() => assert.rejects(second, { message: 'redeployed' }));
    const rejected = assert.rejects(first, { code: 'TM_CLOSED' });
    await atOnce(() => Promise.all([endpoint.close(), rejected]));
  });

  it('before it began: nothing is posted', async () => {
    const cloud = await opened.cloud();
    const endpoint = opened.endpoint(cloud.url, { compression: 'gzip' });
    const aborted = AbortSignal.abort(new Error('redeployed'));
    await assert.rejects(
      endpoint.deliver(batch, { source: SOURCE, attempts: 9, signal: aborted }),
      /redeployed/,
    );
    await assert.rejects(endpoint.exchange(batch.body, 'k', aborted), /redeployed/);
    assert.equal(cloud.exchanges.length, 0);
  });

  it('after close nothing is posted', async () => {
    const cloud = await opened.cloud();
    const endpoint = opened.endpoint(cloud.url);
    await endpoint.exchange(batch.body, 'k', never);
    await endpoint.close();
    await assert.rejects(endpoint.exchange(batch.body, 'k', never), { code: 'TM_CLOSED' });
    await assert.rejects(endpoint.deliver(batch, { source: SOURCE, attempts: 9, signal: never }), {
      code: 'TM_CLOSED',
    });
    await endpoint.close();
    assert.equal(cloud.exchanges.length, 1);
  });

  it('close cuts kept connections and those that are still being made', async () => {
    const cloud = await opened.cloud();
    const kept = opened.endpoint(cloud.url);
    await kept.exchange(batch.body, 'k', never);
    assert.equal(await cloud.connections(), 1);
    await atOnce(() => kept.close());
    await until(async () => (await cloud.connections()) === 0);

    let open = 0;
    const accepted = new EventEmitter();
    const silent = createServer((socket) => {
      open++;
      accepted.emit('connection');
      socket.on('error', () => undefined).on('close', () => open--);
    });
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    opened.add(silent);
    const { port } = silent.address() as AddressInfo;
    const handshaking = opened.endpoint(`https://127.0.0.1:${port}/`);
    const connection = once(accepted, 'connection');
    const exchange = handshaking.exchange(batch.body, 'k', never);
    await connection;
    const rejected = assert.rejects(exchange, { code: 'TM_CLOSED' });
    await atOnce(() => Promise.all([handshaking.close(), rejected]));
    await until(() => open === 0);
  });

  it('a hundred posts at once leave no listener, and warn of none', async () => {
    const warnings: string[] = [];
    const warn = (warning: Error): unknown => warnings.push(warning.message);
    process.on('warning', warn);
    try {
      const cloud = await opened.cloud();
      const endpoint = opened.endpoint(cloud.url);
      const posts = Array.from({ length: 100 }, (_, at) =>
        endpoint.deliver(regularBatch(1, 1, at * 60), { source: SOURCE, attempts: 1, signal: never }),
      );
      await Promise.all(posts);
      await new Promise(setImmediate);
      assert.deepEqual(warnings, []);
    } finally {
      process.off('warning', warn);
    }
  });
});
