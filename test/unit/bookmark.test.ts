import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Bookmark, type Plan } from '../../lib/bookmark';
import { formatWindow, type Window } from '../../lib/window';
import { MemoryStore } from '../support/memory-store';

const START = Date.parse('2026-01-01T00:00:00Z') / 1000;
const plan = (overrides: Partial<Plan> = {}): Plan => ({
  horizon: START + 3600,
  intervalSeconds: 60,
  longestSeconds: 600,
  lookbackSeconds: 0,
  inFlight: 1,
  ...overrides,
});
const minutes = (from: number, to: number): Window => ({ start: START + from * 60, end: START + to * 60 });

describe('A bookmark', () => {
  let store: MemoryStore;
  let bookmark: Bookmark;
  const reopened = (): Promise<Bookmark> => Bookmark.open(store, 'plant');
  beforeEach(async () => {
    store = new MemoryStore();
    bookmark = await reopened();
  });

  it('has no position until it is started, and is started once', async () => {
    assert.equal(bookmark.position, undefined);
    assert.deepEqual(await bookmark.issue(plan()), []);
    await bookmark.start(START);
    await bookmark.start(START + 60);
    assert.equal((await reopened()).position, START);
  });

  it('gives out the longest windows of a backlog, then whole intervals, then none', async () => {
    await bookmark.start(START);
    const given: Window[] = [];
    for (;;) {
      const [window] = await bookmark.issue(plan({ horizon: START + 1459 }));
      if (!window) break;
      given.push(window);
      await bookmark.commit(window);
    }
    assert.deepEqual(given, [minutes(0, 10), minutes(10, 20), minutes(20, 24)]);
  });

  it('gives out as many at a time as allowed, and moves over the unbroken run of delivered ones', async () => {
    await bookmark.start(START);
    const [first, second, third, ...more] = await bookmark.issue(plan({ inFlight: 3 }));
    assert(first && second && third);
    assert.equal(more.length, 0);
    assert.equal(await bookmark.commit(third), false);
    assert.equal(await bookmark.commit(second), false);
    assert.equal((await reopened()).position, START);
    assert.deepEqual(
      await bookmark.issue(plan({ inFlight: 3 })),
      [],
      'what fails does not let the rest run away',
    );
    assert.equal(await bookmark.commit(first), true);
    assert.equal((await reopened()).position, third.end);
  });

  it('knows after a restart which windows were under way, with the same edges, and which were delivered', async () => {
    await bookmark.start(START);
    const [first, second] = await bookmark.issue(plan({ inFlight: 2, horizon: START + 750 }));
    assert(first && second);
    assert.deepEqual(second, minutes(10, 12));
    await bookmark.commit(second);
    const after = await reopened();
    assert.deepEqual(after.issued, [first]);
    assert.deepEqual(await after.issue(plan({ inFlight: 2, horizon: START + 750 })), []);
    await after.commit(first);
    assert.equal(after.position, second.end);
  });

  it('is where it was when it cannot be written', async () => {
    await bookmark.start(START);
    const [window] = await bookmark.issue(plan());
    assert(window);
    store.failing = true;
    await assert.rejects(bookmark.commit(window), /disk is full/);
    assert.equal(bookmark.position, START);
    store.failing = false;
    assert.equal(await bookmark.commit(window), true);
  });

  it('set by hand goes where it is told; what was delivered of before counts no more', async () => {
    await bookmark.start(START);
    const [window] = await bookmark.issue(plan());
    assert(window);
    await bookmark.set(START - 600);
    assert.equal(await bookmark.commit(window), false);
    assert.equal((await reopened()).position, START - 600);
    assert.deepEqual(await bookmark.issue(plan()), [minutes(-10, 0)]);
  });

  it('fills the gap before a window that was committed by hand', async () => {
    await bookmark.start(START);
    assert.equal(await bookmark.commit(minutes(13, 20), 'by-hand'), false);
    const first = await bookmark.issue(plan({ inFlight: 2 }));
    assert.deepEqual(first, [minutes(0, 10), minutes(10, 13)]);
    for (const window of first) await bookmark.commit(window);
    assert.equal(bookmark.position, START + 20 * 60);
  });

  it('that is broken is not taken for none', async () => {
    await store.write('bookmark', 'plant', { position: 'soon', issued: [], ahead: [] });
    await assert.rejects(reopened(), { code: 'TM_STATE_UNREADABLE', message: /"plant".*"soon"/ });
  });

  it('is not changed after it was closed', async () => {
    await bookmark.start(START);
    await bookmark.close();
    await assert.rejects(bookmark.set(0), { code: 'TM_CLOSED' });
    assert.equal((await reopened()).position, START);
  });

  it('is not begun by windows that are committed by hand: they wait for where it begins', async () => {
    for (const window of [minutes(10, 15), minutes(20, 25), minutes(15, 20)])
      assert.equal(await bookmark.commit(window, 'by-hand'), false);
    assert.equal(bookmark.position, undefined);
    await bookmark.start(START);
    assert.deepEqual(await bookmark.issue(plan({ horizon: START + 3600, inFlight: 1 })), [minutes(0, 10)]);
    await bookmark.commit(minutes(0, 10));
    assert.equal((await reopened()).position, START + 25 * 60);
  });

  it('goes on before a window that was committed by hand in the future', async () => {
    await bookmark.start(START);
    await bookmark.commit(minutes(1000, 1100), 'by-hand');
    assert.deepEqual(await bookmark.issue(plan({ horizon: START + 600 })), [minutes(0, 10)]);
  });

  it('reads again what lies before each window, but not behind where it was begun', async () => {
    await bookmark.start(START);
    const given: Window[] = [];
    for (let at = 5; at <= 15; at += 5) {
      const [window] = await bookmark.issue(plan({ horizon: START + at * 60, lookbackSeconds: 420 }));
      assert(window);
      given.push(window);
      await bookmark.commit(window);
    }
    assert.deepEqual(given, [minutes(0, 5), minutes(0, 10), minutes(3, 15)]);
    assert.equal((await reopened()).position, START + 900);
    await bookmark.set(START + 1200);
    const [after] = await bookmark.issue(plan({ horizon: START + 1500, lookbackSeconds: 420 }));
    assert.deepEqual(after, minutes(20, 25), 'what was skipped by hand stays skipped');
  });

  it('shares one write among the changes that come while another is under way', async () => {
    await bookmark.start(START);
    const windows = await bookmark.issue(plan({ inFlight: 16, longestSeconds: 60 }));
    const before = store.writes;
    const moved = await Promise.all(windows.map((window) => bookmark.commit(window)));
    assert(moved.every(Boolean));
    assert.equal(store.writes - before, 1);
    assert.equal((await reopened()).position, windows.at(-1)?.end);
  });

  it('gives out the next window with a commit, in one write, where that is wanted', async () => {
    await bookmark.start(START);
    const [first] = await bookmark.issue(plan());
    assert(first);
    bookmark.giveOutNext = plan();
    const before = store.writes;
    await bookmark.commit(first);
    assert.equal(store.writes - before, 1);
    assert.deepEqual((await reopened()).issued, [minutes(10, 20)]);
    assert.deepEqual(await bookmark.issue(plan()), [], 'it is under way already');
    await bookmark.commit(minutes(10, 15), 'by-hand');
    assert.deepEqual(bookmark.issued, [minutes(10, 20)]);
  });

  it('gives out nothing with a commit while another process gives out its windows', async () => {
    await bookmark.start(START);
    const [first] = await bookmark.issue(plan());
    assert(first);
    const other = await reopened();
    other.giveOutNext = plan();
    await other.commit(first);
    assert.deepEqual((await reopened()).issued, []);
    assert.equal(other.position, first.end);
  });

  it('is changed as it is stored, whoever has changed it meanwhile', async () => {
    await bookmark.start(START);
    const [first, second] = await bookmark.issue(plan({ inFlight: 2 }));
    assert(first && second);
    const other = await reopened();
    await other.commit(first);
    assert(await bookmark.commit(second));
    assert.equal(bookmark.position, second.end);
    await other.refresh();
    assert.equal(other.position, second.end);
  });

  it('that was put back from a backup, or taken away, says so and delivers again rather than skip', async () => {
    const warnings: string[] = [];
    store.onWarning = (warning) => warnings.push(warning);
    await bookmark.start(START);
    const backup = await store.read('bookmark', 'plant');
    assert(backup);
    const [first] = await bookmark.issue(plan());
    assert(first);
    await bookmark.commit(first);
    await store.write('bookmark', 'plant', backup);
    assert.deepEqual(await bookmark.issue(plan()), [first]);
    assert.match(warnings.join(), /"plant" is older than what was written last: .* sent again/);
    await store.remove('bookmark', 'plant');
    warnings.length = 0;
    await bookmark.commit(first);
    assert.match(warnings.join(), /"plant" is gone/);
    assert.equal((await reopened()).position, first.end);
  });

  it('never passes a window that was not delivered, whatever comes in whatever order', async () => {
    const step = fc.record({
      act: fc.constantFrom('issue', 'issue', 'deliver', 'deliver', 'restart', 'fail-write', 'by-hand', 'set'),
      pick: fc.nat(15),
      clock: fc.nat(900),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 16 }),
        fc.constantFrom(0, 0, 90, 700),
        async (steps, inFlight, lookbackSeconds) => {
          store = new MemoryStore();
          bookmark = await reopened();
          await bookmark.start(START);
          let horizon = START;
          let from = START;
          let byHand = false;
          const delivered = new Set<number>();
          for (const { act, pick, clock } of steps) {
            if (act === 'restart') {
              await bookmark.close();
              bookmark = await reopened();
            }
            if (act === 'issue') {
              horizon += clock;
              await bookmark.issue(plan({ horizon, inFlight, longestSeconds: 300, lookbackSeconds }));
            }
            const window = bookmark.issued[pick % Math.max(1, bookmark.issued.length)];
            if (window && act === 'deliver') {
              for (let second = window.start; second < window.end; second++) {
                assert(lookbackSeconds > 0 || byHand || !delivered.has(second), 'nothing is delivered twice');
                delivered.add(second);
              }
              await bookmark.commit(window);
            }
            if (act === 'by-hand') {
              byHand = true;
              const start = START + clock * 2;
              for (let second = start; second < start + 60 * pick + 1; second++) delivered.add(second);
              await bookmark.commit({ start, end: start + 60 * pick + 1 }, 'by-hand');
            }
            if (act === 'set') {
              delivered.clear();
              from = START + clock;
              await bookmark.set(from);
            }
            if (window && act === 'fail-write') {
              store.failing = true;
              await assert.rejects(bookmark.commit(window));
              store.failing = false;
            }
            const { position = NaN } = bookmark;
            assert(bookmark.issued.length <= inFlight);
            for (let second = from; second < position; second++)
              assert(delivered.has(second), formatWindow({ start: from, end: position }).end_time);
            assert.equal((await reopened()).position, position);
          }
        },
      ),
    );
  });
});
