import assert from 'node:assert/strict';
import sinon from 'sinon';
import { backoffMs, holdBackoffMs } from '../../../lib/endpoint/backoff';
import { systemClock } from '../../../lib/endpoint/clock';
import { InstantClock, never, Opened, regularBatch, SOURCE } from '../../support/endpoint';

describe('backoff', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  const failures = [1, 2, 3, 4, 5, 6, 7, 8, 50, 2000];

  it('doubles from one second to sixty', () => {
    const ceilings = failures.map((count) => backoffMs(count, () => 1));
    assert.deepEqual(
      ceilings,
      [1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map((seconds) => seconds * 1000),
    );
  });

  it('is drawn from nothing up to the ceiling, evenly', () => {
    assert.deepEqual(
      [0, 0.25, 0.5, 0.75].map((draw) => backoffMs(3, () => draw)),
      [0, 1000, 2000, 3000],
    );
  });

  it('of an endpoint that holds is at least half of the ceiling', () => {
    assert.deepEqual([holdBackoffMs(3, () => 0), holdBackoffMs(3, () => 1)], [2000, 4000]);
  });

  it('grows from attempt to attempt, and starts afresh after a success', async () => {
    const cloud = await opened.cloud({
      respond: ({ index }) => (index < 4 || index === 5 ? { status: 503 } : undefined),
    });
    const clock = new InstantClock();
    const endpoint = opened.endpoint(cloud.url, {}, { clock, random: () => 0.5 });
    const options = { source: SOURCE, attempts: 10, signal: never };
    await endpoint.deliver(regularBatch(1, 2), options);
    assert.deepEqual(clock.sleeps, [500, 1000, 2000, 4000]);
    await endpoint.deliver(regularBatch(1, 3), options);
    assert.deepEqual(clock.sleeps.slice(4), [500]);
  });

  it('sleeps on the timers of the process, and ends with the signal', async () => {
    const timers = sinon.useFakeTimers();
    try {
      const controller = new AbortController();
      const ended: string[] = [];
      const short = systemClock.sleep(1000, controller.signal).then(() => ended.push('short'));
      const long = systemClock
        .sleep(60_000, controller.signal)
        .catch((reason: unknown) => ended.push(String(reason)));
      await timers.tickAsync(999);
      assert.deepEqual(ended, []);
      await timers.tickAsync(1);
      assert.deepEqual(ended, ['short']);
      controller.abort('stopped');
      await Promise.all([short, long]);
      assert.deepEqual(ended, ['short', 'stopped']);
      assert.equal(timers.countTimers(), 0);
    } finally {
      timers.restore();
    }
  });
});
