import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { TimeLimit } from '../../lib/source/time-limit';

describe('The limit to how long a database may take', () => {
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
  });
  afterEach(() => {
    mock.timers.reset();
  });

  it('does not run while the database waits for others', async () => {
    let over = 0;
    const limit = new TimeLimit(60_000, () => over++);
    let goOn: () => void = () => undefined;
    const held = limit.pausedDuring(new Promise<void>((resolve) => (goOn = resolve)));
    mock.timers.tick(600_000);
    assert.equal(over, 0);
    goOn();
    await held;
    mock.timers.tick(60_000);
    assert.equal(over, 1);
  });

  it('is over when work is', async () => {
    let over = 0;
    const limit = new TimeLimit(60_000, () => over++);
    await assert.rejects(limit.pausedDuring(Promise.reject(new Error('given up'))), /given up/);
    limit.end();
    mock.timers.tick(600_000);
    assert.equal(over, 0);
  });
});
