import assert from 'node:assert/strict';
import fc from 'fast-check';
import { idempotencyKey } from '../../../lib/endpoint/idempotency';
import { InstantClock, never, Opened, regularBatch, SOURCE } from '../../support/endpoint';

describe('Idempotency-Key', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  it('is the same for the same source and bytes, today and in a year', () => {
    const body = Buffer.from('{"start_time":"2026-01-31T12:00:00Z"}');
    // SHA-256 of `5:plant` and the body, by another tool.
    assert.equal(idempotencyKey('plant', body), 'sA8LQs8iwM3b49ITayi814UCGuWwGtHYEDhzyd-e4eQ');
    assert.equal(idempotencyKey('plant', Buffer.from(body)), idempotencyKey('plant', body));
  });

  it('differs where the source or a byte differs, however the two are divided', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.string(),
        fc.string(),
        (source, body, otherSource, otherBody) => {
          fc.pre(source !== otherSource || body !== otherBody);
          const key = idempotencyKey(source, Buffer.from(body));
          assert.notEqual(key, idempotencyKey(otherSource, Buffer.from(otherBody)));
          assert.match(key, /^[\w-]{43}$/);
        },
      ),
    );
    assert.notEqual(idempotencyKey('ab', Buffer.from('c')), idempotencyKey('a', Buffer.from('bc')));
  });

  it('is the same in every attempt, and the bytes under it are', async () => {
    const cloud = await opened.cloud({
      respond: ({ index }) =>
        [{ status: 503 }, { status: 429 }, { accept: true, end: 'destroy' as const }][index],
    });
    const endpoint = opened.endpoint(cloud.url, { compression: 'gzip' }, { clock: new InstantClock() });
    const batch = regularBatch(3, 60);
    await endpoint.deliver(batch, { source: SOURCE, attempts: 10, signal: never });
    assert.equal(cloud.exchanges.length, 4);
    const [[key, record] = []] = cloud.keys();
    assert.equal(key, idempotencyKey(SOURCE, batch.body));
    assert.equal(record?.posts, 4);
    assert.equal(record.bodies.size, 1);
    // Accepted before the connection broke, and so known when it came again.
    assert.equal(cloud.received().repeats, 1);
    assert.equal(cloud.readings().length, batch.readings);
  });

  it('is the same after a restart: another endpoint object posts the same', async () => {
    const cloud = await opened.cloud();
    const batch = regularBatch(3, 60);
    for (let start = 0; start < 2; start++) {
      await opened.endpoint(cloud.url).deliver(batch, { source: SOURCE, attempts: 1, signal: never });
    }
    assert.equal(cloud.keys().size, 1);
    assert.deepEqual([cloud.received().repeats, cloud.readings().length], [1, batch.readings]);
  });
});
