import assert from 'node:assert/strict';
import sinon, { type SinonFakeTimers } from 'sinon';
import { Bookmark } from '../../lib/bookmark';
import { TmError } from '../../lib/errors';
import { Schedule, type ScheduleSettings, type ScheduleState } from '../../lib/schedule';
import { Transfers, type Transfer } from '../../lib/transfer';
import { formatInstant } from '../../lib/window';
import { MemoryStore } from '../support/memory-store';

const START = Date.parse('2026-01-01T00:00:00Z') / 1000;

describe('A schedule', () => {
  let timers: SinonFakeTimers;
  let store: MemoryStore;
  let bookmark: Bookmark;
  let schedule: Schedule;
  let emitted: Transfer[];
  let problems: TmError[];
  let standstills: (TmError | undefined)[];
  let warnings: string[];
  let states: ScheduleState[];
  /** How far the database's clock is ahead of this machine's, and how often it was asked. */
  let skew: number;
  let asked: number;
  let clockError: TmError | undefined;

  const open = async (overrides: Partial<ScheduleSettings> = {}): Promise<void> => {
    bookmark = await Bookmark.open(store, 'plant');
    schedule = new Schedule(
      bookmark,
      {
        start: { at: START },
        intervalSeconds: 60,
        longestSeconds: 600,
        settleSeconds: 30,
        lookbackSeconds: 0,
        inFlight: 1,
        alarmSeconds: 900,
        timeZone: 'UTC',
        ...overrides,
      },
      {
        clock: () => {
          asked++;
          return clockError ? Promise.reject(clockError) : Promise.resolve(Date.now() / 1000 + skew);
        },
        oldest: () => Promise.resolve(START - 3600),
        emit: (transfer) => emitted.push(transfer),
        onState: (state) => states.push(state),
        onProblem: (error) => problems.push(error),
        onStandstill: (error) => standstills.push(error),
        onWarning: (warning) => warnings.push(warning),
        transfers: new Transfers(),
      },
    );
  };
  /** As tm-fetch and tm-post deliver a window. */
  const deliver = (transfer: Transfer): void => {
    const sequence = transfer.open();
    const index = sequence.send([], 1);
    assert(sequence.settle(index, 'post', { readings: 0, bytes: 0 }));
  };
  const commit = async (transfer: Transfer): Promise<void> => {
    await bookmark.commit(transfer.window);
    schedule.committed(transfer);
    await timers.tickAsync(0);
  };
  const ends = (): string[] => emitted.map(({ window }) => formatInstant(window.end).slice(11, 16));

  beforeEach(async () => {
    timers = sinon.useFakeTimers({
      now: (START + 1530) * 1000,
      toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'],
    });
    store = new MemoryStore();
    emitted = [];
    problems = [];
    standstills = [];
    warnings = [];
    states = [];
    skew = 0;
    asked = 0;
    clockError = undefined;
    await open();
  });
  afterEach(() => {
    schedule.close();
    sinon.restore();
  });

  it('waits for what a window waits for until that is over, whatever heartbeats come meanwhile', async () => {
    await schedule.heartbeat();
    const [transfer] = emitted;
    assert(transfer);
    transfer.onWaiting?.('endpoint 503');
    for (let heartbeat = 0; heartbeat < 3; heartbeat++) {
      await timers.tickAsync(10_000);
      await schedule.heartbeat();
      assert.deepEqual(states.at(-1), { state: 'waiting', reason: 'endpoint 503' });
    }
    transfer.onWaiting?.(undefined);
    assert.equal(states.at(-1)?.state, 'behind');
    deliver(transfer);
    await commit(transfer);
    assert(!states.slice(-1).some(({ state }) => state === 'waiting'));
  });

  it('catches up window after window from one heartbeat, then waits for data', async () => {
    await schedule.heartbeat();
    for (let index = 0; index < 3; index++) {
      const transfer = emitted[index];
      assert(transfer);
      deliver(transfer);
      await commit(transfer);
    }
    assert.deepEqual(ends(), ['00:10', '00:20', '00:25']);
    assert.deepEqual(states.at(-1), { state: 'caught-up', position: START + 1500 });
    await timers.tickAsync(59_000);
    const before = asked;
    await schedule.heartbeat();
    assert.equal(asked, before, 'nothing can be due: the database is not asked');
    assert.equal(emitted.length, 3);
    await timers.tickAsync(1_000);
    await schedule.heartbeat();
    assert.equal(ends().at(-1), '00:26');
  });

  it('writes once a window while it is far behind, and gives out the same windows as it would otherwise', async () => {
    await open({ longestSeconds: 60, inFlight: 2 });
    await schedule.heartbeat();
    let before = store.writes;
    const written: number[] = [];
    for (let index = 0; index < 25; index++) {
      const transfer = emitted[index];
      assert(transfer);
      assert.equal(transfer.window.end, START + 60 * (index + 1));
      deliver(transfer);
      await commit(transfer);
      written.push(store.writes - before);
      before = store.writes;
    }
    assert.equal(emitted.length, 25);
    assert.deepEqual(written.slice(0, 18), Array<number>(18).fill(1));
    assert.deepEqual(states.at(-1), { state: 'caught-up', position: START + 1500 });
  });

  it('gives out nothing more once it is closed, whatever is committed then', async () => {
    await open({ longestSeconds: 60 });
    await schedule.heartbeat();
    const [first] = emitted;
    assert(first);
    deliver(first);
    schedule.close();
    await bookmark.commit(first.window);
    assert.deepEqual(bookmark.issued, []);
  });

  it('emits no window before the settle delay on the database’s clock, not on this machine’s', async () => {
    skew = -1500;
    await schedule.heartbeat();
    assert.equal(emitted.length, 0);
    assert.match(warnings.join(), /1500\.0 s behind/);
    await schedule.heartbeat();
    assert.equal(warnings.length, 1, 'said once');
  });

  it('tries a window that failed again by itself, with growing pauses, and the others do not run away', async () => {
    await open({ inFlight: 3, longestSeconds: 120 });
    await schedule.heartbeat();
    assert.equal(emitted.length, 3);
    const [first, second, third] = emitted;
    assert(first && second && third);
    for (const transfer of [second, third]) {
      deliver(transfer);
      await commit(transfer);
    }
    first.fail(new TmError('TM_QUERY_FAILED', 'no such table'));
    await timers.tickAsync(999);
    assert.equal(emitted.length, 3);
    await timers.tickAsync(1);
    assert.equal(emitted.length, 4);
    assert.deepEqual(emitted[3]?.window, first.window, 'the same edges');
    assert.deepEqual(states.at(-1), { state: 'waiting', reason: 'SQL error' });
    emitted[3].fail(new TmError('TM_QUERY_FAILED', 'no such table'));
    await timers.tickAsync(1_999);
    assert.equal(emitted.length, 4);
    await timers.tickAsync(1);
    const again = emitted[4];
    assert(again);
    assert.equal(bookmark.position, START);
    deliver(again);
    await commit(again);
    assert.equal(bookmark.position, START + 360);
  });

  it('tries each of several windows that failed again when its own pause is over', async () => {
    await open({ inFlight: 2 });
    await schedule.heartbeat();
    const [first, second] = emitted;
    assert(first && second);
    const starts = (): number[] => emitted.map(({ window }) => (window.start - START) / 60);
    first.fail(new TmError('TM_QUERY_FAILED', 'no such table'));
    await timers.tickAsync(500);
    second.fail(new TmError('TM_QUERY_FAILED', 'no such table'));
    await timers.tickAsync(999);
    assert.deepEqual(starts(), [0, 10, 0]);
    await timers.tickAsync(2);
    assert.deepEqual(starts(), [0, 10, 0, 10]);
  });

  it('goes on at whatever moment of another run a commit arrives', async () => {
    for (let turns = 0; turns < 20; turns++) {
      store = new MemoryStore();
      emitted = [];
      await open();
      await schedule.heartbeat();
      const [first] = emitted;
      assert(first);
      await bookmark.commit(first.window);
      const beat = schedule.heartbeat();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      schedule.committed(first);
      await beat;
      await timers.tickAsync(0);
      assert.deepEqual(ends(), ['00:10', '00:20'], `after ${turns} turns`);
      schedule.close();
    }
  });

  it('set by hand leaves what was under way and goes on from there', async () => {
    await schedule.heartbeat();
    const [before] = emitted;
    assert(before);
    await bookmark.set(START - 1200);
    schedule.restarted();
    await timers.tickAsync(0);
    assert.equal(before.ended?.state, 'failed');
    assert.deepEqual(ends(), ['00:10', '23:50']);
    assert.deepEqual(
      states.filter(({ state }) => state === 'waiting'),
      [],
    );
    await commit(before);
    assert.equal(bookmark.position, START - 1200, 'what was delivered of before counts no more');
    assert.equal(emitted.length, 2);
  });

  it('goes on by itself when the database or the state store is back', async () => {
    clockError = new TmError('TM_DATABASE_UNREACHABLE', 'gone');
    await assert.rejects(schedule.heartbeat(), { code: 'TM_DATABASE_UNREACHABLE' });
    await schedule.heartbeat();
    assert.equal(asked, 1, 'a heartbeat does not hurry what is retried already');
    await timers.tickAsync(1_000);
    assert.equal(asked, 2);
    assert.deepEqual(problems, [], 'the heartbeat that failed has said it');
    clockError = undefined;
    store.failing = true;
    await timers.tickAsync(2_000);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['TM_STATE_WRITE'],
    );
    await timers.tickAsync(10_000);
    assert.equal(problems.length, 1, 'said once per kind');
    assert.equal(emitted.length, 0, 'nothing is emitted that is not on disk');
    store.failing = false;
    await timers.tickAsync(60_000);
    assert.equal(emitted.length, 1);
  });

  it('goes on soon after the database’s clock was set back by mistake, and right again', async () => {
    await open({ start: { at: START + 1500 } });
    skew = -3600;
    await schedule.heartbeat();
    assert.equal(emitted.length, 0);
    skew = 0;
    await timers.tickAsync(120_000);
    await schedule.heartbeat();
    assert.equal(emitted.length, 1);
  });

  it('says once when a delivered window is not committed', async () => {
    await schedule.heartbeat();
    const [transfer] = emitted;
    assert(transfer);
    deliver(transfer);
    await timers.tickAsync(9_999);
    assert.deepEqual(problems, []);
    await timers.tickAsync(1);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['TM_NOT_COMMITTED'],
    );
    // Every ten minutes: a commit that was lost on its way is not the last word.
    let last = transfer;
    for (let seconds = 0; seconds < 3600; seconds += 5) {
      await timers.tickAsync(5_000);
      const newest = emitted.at(-1);
      if (!newest || newest === last) continue;
      last = newest;
      assert.deepEqual(last.window, transfer.window);
      deliver(last);
    }
    assert(emitted.length > 2 && emitted.length < 8, `${emitted.length} times in an hour`);
    assert.equal(problems.length, 1);
    await commit(last);
    assert.notEqual(emitted.at(-1), last, 'and it goes on');
  });

  it('says when nothing has moved for long, and when it moves again', async () => {
    await open({ alarmSeconds: 900, inFlight: 2, longestSeconds: 120 });
    await schedule.heartbeat();
    const [first, second] = emitted;
    assert(first && second);
    for (const transfer of [first, second]) transfer.open();
    await timers.tickAsync(890_000);
    assert(!standstills.some(Boolean));
    await timers.tickAsync(20_000);
    const said = standstills.at(-1);
    assert.equal(said?.code, 'TM_BOOKMARK_STANDS_STILL');
    assert.match(said.message, /"plant" has not moved for 15 min from 2026-01-01T00:00:00Z/);
    standstills = [];
    await commit(second);
    assert(!standstills.includes(undefined), 'a gap is before it');
    await commit(first);
    assert.equal(standstills.at(-1), undefined);
  });

  it('says it too when the database has been away for so long, and not when nothing is due', async () => {
    await open({ start: { at: START + 1500 }, intervalSeconds: 36_000, longestSeconds: 36_000 });
    await schedule.heartbeat();
    await timers.tickAsync(7_000_000);
    assert(!standstills.some(Boolean), 'nothing was due');
    clockError = new TmError('TM_DATABASE_UNREACHABLE', 'gone');
    await assert.rejects(schedule.heartbeat());
    await timers.tickAsync(910_000);
    const said = standstills.at(-1);
    assert.equal(said?.code, 'TM_BOOKMARK_STANDS_STILL');
    clockError = undefined;
    await timers.tickAsync(120_000);
    assert.equal(standstills.at(-1), undefined, 'it is over when the database is back');
  });

  it('goes on after a window that took longer than all that may be under way', async () => {
    await open({ longestSeconds: 120, inFlight: 1 });
    await schedule.heartbeat();
    const [first] = emitted;
    assert(first);
    first.open();
    await timers.tickAsync(7_200_000);
    await commit(first);
    assert.equal(emitted.length, 2);
  });

  it('catches up to the end, however long that takes', async () => {
    await open({ longestSeconds: 120, inFlight: 2, start: { at: START - 86_400 } });
    await schedule.heartbeat();
    for (let at = 0; emitted[at]; at++) {
      const transfer = emitted[at];
      assert(transfer);
      transfer.open();
      // Two days pass over a backlog of one.
      await timers.tickAsync(60_000);
      await commit(transfer);
      if (at > 3000) break;
    }
    const { position = 0 } = bookmark;
    assert(Date.now() / 1000 - position < 300, `${Date.now() / 1000 - position} s behind`);
  });

  it('delivers a window once more whose commit could not be stored', async () => {
    await schedule.heartbeat();
    const [first] = emitted;
    assert(first);
    deliver(first);
    store.failing = true;
    const failure = await bookmark.commit(first.window).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert(failure instanceof TmError);
    first.onCommit?.(failure);
    store.failing = false;
    await timers.tickAsync(5_000);
    assert.deepEqual(emitted[1]?.window, first.window);
    assert(!problems.some(({ code }) => code === 'TM_NOT_COMMITTED'), 'no wire is missing');
  });

  it('goes on when another process commits what was given out here', async () => {
    await open({ longestSeconds: 120 });
    await schedule.heartbeat();
    const [first] = emitted;
    assert(first);
    const elsewhere = await Bookmark.open(store, 'plant');
    assert(await elsewhere.commit(first.window));
    await timers.tickAsync(10_000);
    assert.equal(emitted[1]?.window.start, first.window.end);
    assert.equal(bookmark.position, first.window.end);
  });

  it('leaves a bookmark to whoever gives out its windows, and takes over when that has ended', async () => {
    await schedule.heartbeat();
    const [first] = emitted;
    const [holder, holding] = [bookmark, schedule];
    await open();
    await schedule.heartbeat();
    assert.equal(emitted.length, 1);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['TM_BOOKMARK_IN_USE'],
    );
    assert.match(problems[0]?.message ?? '', new RegExp(`process ${process.pid} on `));
    const standby = states.at(-1);
    assert(standby?.state === 'standby');
    assert.match(standby.behind, new RegExp(`process ${process.pid} on `));
    await timers.tickAsync(600_000);
    assert.equal(problems.filter(({ code }) => code === 'TM_BOOKMARK_IN_USE').length, 1, 'said once');
    emitted = [];
    holding.close();
    await holder.close();
    await timers.tickAsync(5_000);
    assert.deepEqual(
      emitted.map(({ window }) => window),
      [first?.window],
      'with the same edges',
    );
  });

  it('says which node is missing when a window stands still, and emits it again', async () => {
    await schedule.heartbeat();
    await timers.tickAsync(15_000);
    assert.deepEqual(
      problems.map(({ code }) => code),
      ['TM_STALLED'],
    );
    assert.match(problems[0]?.message ?? '', /no tm-fetch has taken it/);
    await timers.tickAsync(600_000);
    assert.equal(emitted.length, 2);
    assert.deepEqual(emitted[1]?.window, emitted[0]?.window);
  });

  it('begins with the oldest reading, or now', async () => {
    await open({ start: { at: 'oldest' } });
    await schedule.heartbeat();
    assert.equal(emitted[0]?.window.start, START - 3600);
    store = new MemoryStore();
    await open({ start: { at: 'now' } });
    await schedule.heartbeat();
    assert.equal(bookmark.position, START + 1500);
  });

  it('gives out after a restart what was under way, with the same edges', async () => {
    await schedule.heartbeat();
    schedule.close();
    assert.equal(emitted[0]?.ended?.state, 'failed');
    await bookmark.close();
    await timers.tickAsync(3_600_000);
    await open({ longestSeconds: 60 });
    await schedule.heartbeat();
    assert.deepEqual(emitted[1]?.window, emitted[0].window);
  });

  it('waits until an hour that comes twice is over, and then reads it once', async () => {
    const transition = Date.parse('2026-10-25T00:00:00Z');
    timers.setSystemTime(transition + 30 * 60_000);
    await open({ start: { at: transition / 1000 - 600 }, longestSeconds: 86_400, timeZone: 'Europe/Berlin' });
    await schedule.heartbeat();
    const [first] = emitted;
    assert(first);
    assert.equal(first.window.end, transition / 1000);
    deliver(first);
    await commit(first);
    assert.equal(emitted.length, 1);
    await timers.tickAsync(3_600_000);
    await schedule.heartbeat();
    assert.equal(emitted.length, 1, 'still in the second pass');
    await timers.tickAsync(1_800_000 + 60_000);
    await schedule.heartbeat();
    assert((emitted[1]?.window.end ?? 0) >= transition / 1000 + 7200);
  });

  it('does nothing after it was closed', async () => {
    await schedule.heartbeat();
    schedule.close();
    await timers.tickAsync(3_600_000);
    assert.equal(emitted.length, 1);
    assert.deepEqual(problems, []);
    assert.equal(timers.countTimers(), 0);
  });
});
