import assert from 'node:assert/strict';
import sinon from 'sinon';
import { Bookmark } from '../../lib/bookmark';
import { Schedule } from '../../lib/schedule';
import { FileStore } from '../../lib/state/file-store';
import { Transfers, type Transfer } from '../../lib/transfer';
import { testDirectory } from '../support/directory';

const START = Date.parse('2026-01-01T00:00:00Z') / 1000;
const INTERVAL = 60;
const SETTLE = 30;
/** The inject node of the examples repeats each second. */
const HEARTBEAT = 1;
/** What reading, posting and committing take here. */
const DELIVERY = 2;
/** As long as it is looked at. */
const MINUTES = 60;

describe('A schedule that has caught up', () => {
  const directory = testDirectory();
  afterEach(() => {
    sinon.restore();
  });

  for (const [what, skew] of [
    ['as this machine’s', 0],
    ['an hour ahead of it', 3600],
    ['slower than it by a second an hour', -1 / 3600],
  ] as const) {
    it(`lags by no more than interval, settle delay and a heartbeat: the database’s clock is ${what}`, async () => {
      const timers = sinon.useFakeTimers({
        now: START * 1000,
        toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'],
      });
      const clock = (): number =>
        Math.abs(skew) < 1 ? START + (Date.now() / 1000 - START) * (1 + skew) : Date.now() / 1000 + skew;
      const bookmark = await Bookmark.open(new FileStore(directory.path), `lag ${skew}`);
      const windows: number[] = [];
      const delivered: Transfer[] = [];
      const schedule = new Schedule(
        bookmark,
        {
          ...{ start: { at: 'now' }, intervalSeconds: INTERVAL, longestSeconds: 1800 },
          ...{ settleSeconds: SETTLE, lookbackSeconds: 0, inFlight: 1, alarmSeconds: 900 },
          timeZone: 'UTC',
        },
        {
          clock: () => Promise.resolve(clock()),
          oldest: () => Promise.resolve(undefined),
          emit: (transfer) => {
            windows.push(transfer.window.end - transfer.window.start);
            setTimeout(() => delivered.push(transfer), DELIVERY * 1000);
          },
          ...{ onState: () => undefined, onProblem: assert.ifError, onWarning: () => undefined },
          onStandstill: assert.ifError,
          transfers: new Transfers(),
        },
      );
      let most = 0;
      for (let tick = 0; tick < MINUTES * 60 * 2; tick++) {
        await timers.tickAsync(500);
        if (tick % 2 === 0) await schedule.heartbeat();
        for (const transfer of delivered.splice(0)) {
          const sequence = transfer.open();
          assert(sequence.settle(sequence.send([], 1), 'post', { readings: 0, bytes: 0 }));
          await bookmark.commit(transfer.window);
          schedule.committed(transfer);
        }
        most = Math.max(most, clock() - (bookmark.position ?? NaN));
      }
      schedule.close();
      assert(most <= INTERVAL + SETTLE + HEARTBEAT + DELIVERY + 0.5, `${most} s`);
      assert(windows.length >= MINUTES - 5, `${windows.length} windows`);
      assert(Math.max(...windows) <= INTERVAL + HEARTBEAT + DELIVERY, `${Math.max(...windows)} s`);
    });
  }
});
