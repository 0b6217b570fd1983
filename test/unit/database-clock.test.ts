import assert from 'node:assert/strict';
import sinon, { type SinonFakeTimers } from 'sinon';
import { DatabaseClock } from '../../lib/database-clock';

const NOW = Date.parse('2026-01-01T12:00:00Z') / 1000;

describe("The database's clock", () => {
  let timers: SinonFakeTimers;
  let told: number;
  let warnings: string[];
  let clock: DatabaseClock;

  beforeEach(async () => {
    timers = sinon.useFakeTimers({ now: NOW * 1000, toFake: ['Date', 'performance'] });
    told = NOW;
    warnings = [];
    clock = new DatabaseClock(
      () => Promise.resolve(told),
      (warning) => warnings.push(warning),
    );
    await clock.ask();
  });
  afterEach(() => {
    timers.restore();
  });

  const pass = (seconds: number): void => {
    timers.tick(seconds * 1000);
    told += seconds;
  };

  it('is followed, however long it was not asked', async () => {
    pass(86_400);
    assert.equal(await clock.ask(), NOW + 86_400);
    told += 50;
    assert.equal(await clock.ask(), told, 'it was put right');
    assert.deepEqual(
      warnings.filter((warning) => /jumped|set back/.test(warning)),
      [],
    );
  });

  it('that jumps ahead is not believed before that has lasted, and goes on meanwhile', async () => {
    told += 86_400;
    assert.equal(await clock.ask(), NOW);
    pass(600);
    assert.equal(await clock.ask(), NOW + 600);
    told -= 86_400;
    assert.equal(await clock.ask(), NOW + 600, 'it was a mistake');
    told += 86_400;
    for (let minute = 0; minute < 15; minute++) {
      assert.equal(await clock.ask(), NOW + 600 + minute * 60);
      pass(60);
    }
    assert.equal(await clock.ask(), told, 'it has lasted');
    assert.equal(warnings.filter((warning) => warning.includes('jumped ahead by 86400 s')).length, 2);
  });

  it('is believed where this machine has slept', async () => {
    timers.setSystemTime((NOW + 7200) * 1000);
    told += 7200;
    assert.equal(await clock.ask(), told);
    assert.deepEqual(warnings, []);
  });

  it('is believed where this machine says the same', async () => {
    told -= 3600;
    clock = new DatabaseClock(
      () => Promise.resolve(told),
      () => undefined,
    );
    await clock.ask();
    told += 3600;
    assert.equal(await clock.ask(), told);
  });

  it('that is set back is followed, and it is said what lies before the bookmark then', async () => {
    told -= 3600;
    assert.equal(await clock.ask(), told);
    assert.match(warnings.join(), /set back by 3600 s.* set the bookmark back/);
  });
});
