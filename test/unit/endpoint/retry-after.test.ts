import assert from 'node:assert/strict';
import { Gate, Ticket } from '../../../lib/endpoint/gate';
import { retryAfterSeconds } from '../../../lib/endpoint/retry-after';
import { InstantClock, ManualClock, never, Opened, regularBatch, SOURCE } from '../../support/endpoint';

const NOW = Date.parse('2026-01-31T12:00:00Z');

describe('Retry-After', () => {
  const opened = new Opened();
  afterEach(() => opened.close());

  const seconds = (value: string | undefined, date?: string): number | undefined =>
    retryAfterSeconds(value, date, NOW, 300);

  it('in seconds', () => {
    assert.equal(seconds('7'), 7);
    assert.equal(seconds(' 0 '), 0);
  });

  it('as a date, in each of the three forms', () => {
    assert.equal(seconds('Sat, 31 Jan 2026 12:01:30 GMT'), 90);
    assert.equal(seconds('Saturday, 31-Jan-26 12:01:30 GMT'), 90);
    assert.equal(seconds('Sat Jan 31 12:01:30 2026'), 90);
    assert.equal(retryAfterSeconds('Sun Feb  1 12:00:10 2026', undefined, NOW, 1e9), 86_410);
  });

  it('a year of two digits is the nearest that is not more than 50 years ahead', () => {
    assert.equal(seconds('Sunday, 06-Nov-94 08:49:37 GMT'), 0);
    assert.equal(seconds('Saturday, 31-Jan-70 12:00:00 GMT'), 300);
  });

  it('a date counts from the date of the answer, whatever the clock here says', () => {
    assert.equal(seconds('Thu, 01 Jan 2026 00:00:20 GMT', 'Thu, 01 Jan 2026 00:00:05 GMT'), 15);
    assert.equal(seconds('Sat, 31 Jan 2026 12:00:20 GMT', 'nonsense'), 20);
  });

  it('a date that has passed is now', () => {
    assert.equal(seconds('Sat, 31 Jan 2026 11:00:00 GMT'), 0);
  });

  it('is capped', () => {
    assert.equal(seconds('86400'), 300);
    assert.equal(seconds('Sun, 01 Feb 2026 12:00:00 GMT'), 300);
    assert.equal(seconds('9'.repeat(400)), 300);
  });

  for (const garbage of [
    undefined,
    '',
    'soon',
    '-5',
    '1.5',
    '5 s',
    '0x10',
    'Sat, 31 Foo 2026 12:00:00 GMT',
    '1e3',
  ]) {
    it(`ignores ${JSON.stringify(garbage)}`, () => {
      assert.equal(seconds(garbage), undefined);
    });
  }

  for (const status of [429, 503]) {
    it(`is waited for after ${status}, in full and in seconds`, async () => {
      const cloud = await opened.cloud({
        respond: ({ index }) => (index === 0 ? { status, headers: { 'retry-after': '120' } } : undefined),
      });
      const clock = new ManualClock();
      const endpoint = opened.endpoint(cloud.url, {}, { clock, random: () => 0 });
      const delivery = endpoint.deliver(regularBatch(1, 2), { source: SOURCE, attempts: 3, signal: never });
      assert.equal(await clock.sleeping(), 120_000);
      clock.advance(119_999);
      assert.equal(clock.sleepers, 1);
      assert.equal(cloud.exchanges.length, 1);
      clock.advance(1);
      assert.equal((await delivery).readings, 2);
    });
  }

  it('of a post that was under way when another one failed counts too', async () => {
    const clock = new ManualClock();
    const gate = new Gate(clock, () => 0);
    const [first, second] = [new Ticket(), new Ticket()];
    const [firstPass, secondPass] = [await gate.enter(first, 9, never), await gate.enter(second, 9, never)];
    assert.ok(firstPass && secondPass);
    gate.failed(second, secondPass, { kind: 'retry', reason: 'endpoint 503', answer: '' });
    gate.failed(first, firstPass, {
      kind: 'retry',
      reason: 'endpoint 429',
      answer: '',
      retryAfterSeconds: 100,
    });
    const entering = gate.enter(second, 9, never);
    assert.equal(await clock.sleeping(), 100_000);
    clock.advance(100_000);
    assert.deepEqual(await entering, { round: 1, probe: true });
  });

  it('as a date far ahead waits for the cap, which is a setting', async () => {
    const cloud = await opened.cloud({
      respond: ({ index }) =>
        index === 0
          ? { status: 503, headers: { 'retry-after': 'Fri, 31 Dec 2100 23:59:59 GMT' } }
          : undefined,
    });
    const clock = new InstantClock();
    const endpoint = opened.endpoint(cloud.url, { longestRetryAfterSeconds: 40 }, { clock, random: () => 0 });
    await endpoint.deliver(regularBatch(1, 2), { source: SOURCE, attempts: 3, signal: never });
    assert.deepEqual(clock.sleeps, [40_000]);
  });
});
