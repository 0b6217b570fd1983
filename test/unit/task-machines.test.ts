/** Tasks of one flow on several machines with one state store; in this process, each with what it would have alone. */
import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import sinon, { type SinonFakeTimers } from 'sinon';
import { TmError } from '../../lib/errors';
import { ANSWERED_WITHIN_MS } from '../../lib/lease';
import { thisProcess } from '../../lib/process-identity';
import { FileStore } from '../../lib/state/file-store';
import type { StateStore } from '../../lib/state/store';
import { testDirectory } from '../support/directory';
import { MemoryStore } from '../support/memory-store';
import { RequestTasks } from '../support/request-tasks';
import { until } from '../support/until';

describe('tasks on several machines', () => {
  const directory = testDirectory();
  let store: StateStore;
  let timers: SinonFakeTimers;
  let open: RequestTasks[] = [];
  const machine = (settings: ConstructorParameters<typeof RequestTasks>[1] = {}): RequestTasks => {
    const tasks = new RequestTasks(store, { shared: true, ...settings });
    open.push(tasks);
    return tasks;
  };
  /** Whatever it would do by itself now is done. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn++) await setImmediate();
  };

  beforeEach(() => {
    store = new MemoryStore();
    timers = sinon.useFakeTimers({ toFake: ['performance'] });
  });
  afterEach(async () => {
    timers.restore();
    await Promise.all(open.map(({ tasks }) => tasks.close()));
    open = [];
  });

  it('are seen on all of them, and carried out by one', async () => {
    const [a, b] = [machine(), machine()];
    const { id } = await a.submit(3);
    (await a.nth(0)).deliver();
    await a.nth(1);
    const { state, current, total } = await b.view(id);
    assert.deepEqual({ state, current, total }, { state: 'STARTED', current: 1, total: 3 });
    assert.deepEqual(
      (await b.tasks.list()).map((task) => task.id),
      [id],
    );
    await b.look();
    await settle();
    assert.deepEqual(b.state, {
      state: 'standby',
      behind: `process ${process.pid} on ${thisProcess().host}`,
    });
    await a.finish(id);
    assert.equal((await b.view(id)).state, 'SUCCESS');
    await b.look();
    await settle();
    assert.deepEqual(b.state, { state: 'idle' });
    assert.deepEqual(a.minutes, [0, 1, 2]);
    assert.deepEqual([...b.sent, ...a.problems, ...b.problems], []);
  });

  it('run one after another in the order they came, wherever that was', async () => {
    const [a, b] = [machine(), machine()];
    const ids: string[] = [];
    for (const at of [a, b, a, b]) ids.push((await at.submit(1)).id);
    const order: string[] = [];
    for (let n = 0; n < ids.length; n++) {
      await a.look();
      await b.look();
      await settle();
      const sent = [...a.sent, ...b.sent].filter(({ task }) => !order.includes(task));
      assert.equal(sent.length, 1, 'one at a time');
      order.push(sent[0]?.task ?? '');
      sent[0]?.deliver();
      await until(async () => (await a.view(order[n] ?? '')).finished);
    }
    assert.deepEqual(order, ids);
  });

  it('count against the queue limit together, finished ones not', async () => {
    const [a, b] = [machine({ queueLimit: 2 }), machine({ queueLimit: 2 })];
    const { id } = await a.submit(1);
    await a.submit(1);
    await assert.rejects(b.submit(1), { code: 'TM_QUEUE_FULL' });
    await a.finish(id);
    await b.submit(1);
  });

  it('cancelled on another machine: the one at work stops, and changes nothing any more', async () => {
    const [a, b] = [machine({ inFlight: 2 }), machine()];
    const { id } = await a.submit(5);
    const next = await b.submit(1);
    (await a.nth(0)).deliver();
    await a.nth(2);
    const cancelled = await b.tasks.cancel(id);
    assert.deepEqual([cancelled?.state, cancelled?.current], ['REVOKED', 1]);
    await a.look();
    await settle();
    assert.deepEqual([a.sent[1]?.error?.code, a.sent[2]?.error?.code], ['TM_CANCELLED', 'TM_CANCELLED']);
    const stays = await a.view(id);
    assert.deepEqual([stays.state, stays.current], ['REVOKED', 1]);
    assert.equal((await b.nth(0)).task, next.id);
    assert.equal((await b.tasks.cancel(id))?.state, 'REVOKED');
    assert.deepEqual(a.problems, []);
  });

  it('cancelled on another machine: noticed by a delivery too, which does not bring it back', async () => {
    const [a, b] = [machine({ inFlight: 2 }), machine()];
    const { id } = await a.submit(5);
    await a.nth(1);
    await b.tasks.cancel(id);
    a.sent[0]?.deliver();
    await until(() => a.sent[1]?.error);
    await settle();
    const view = await b.view(id);
    assert.deepEqual([view.state, view.current], ['REVOKED', 0]);
    assert.equal(a.sent.length, 2);
  });

  it('of a machine that is silent are carried on from the first window not delivered', async () => {
    const [silent, b] = [machine(), machine()];
    const { id } = await silent.submit(3);
    (await silent.nth(0)).deliver();
    const late = await silent.nth(1);
    await b.look();
    timers.tick(ANSWERED_WITHIN_MS - 1);
    await b.look();
    await settle();
    assert.deepEqual(b.sent, []);
    timers.tick(1);
    await b.look();
    (await b.nth(0)).deliver();
    await b.nth(1);
    // It was only held up: what it delivers now counts no more, and it goes on with nothing.
    late.deliver();
    await settle();
    assert.equal((await silent.view(id)).current, 2);
    assert.deepEqual(
      [silent.minutes, b.minutes],
      [
        [0, 1],
        [1, 2],
      ],
    );
    const done = await b.finish(id);
    assert.deepEqual([done.current, done.readings], [3, 30]);
    await settle();
    assert.deepEqual(silent.minutes, [0, 1]);
    assert.deepEqual([...silent.problems, ...b.problems], []);
  });

  it('of a machine that was held up stop there as soon as it looks', async () => {
    const [silent, b] = [machine(), machine()];
    await silent.submit(2);
    const held = await silent.nth(0);
    await b.look();
    timers.tick(ANSWERED_WITHIN_MS);
    await b.look();
    await b.nth(0);
    await silent.look();
    assert.equal(held.error?.code, 'TM_CANCELLED');
    await settle();
    assert.deepEqual(silent.minutes, [0]);
  });

  it('of a machine that answers stay there, however long it takes', async () => {
    const [a, b] = [machine(), machine()];
    const { id } = await a.submit(1);
    await a.nth(0);
    for (let round = 0; round < 5; round++) {
      await b.look();
      timers.tick(ANSWERED_WITHIN_MS - 1);
      await a.look();
    }
    await settle();
    assert.deepEqual(b.sent, []);
    await a.finish(id);
  });

  it('of a machine that is stopped in order are carried on at the next look', async () => {
    const [a, b] = [machine(), machine()];
    const { id } = await a.submit(2);
    (await a.nth(0)).deliver();
    await a.nth(1);
    await a.tasks.close();
    await b.look();
    await b.finish(id);
    assert.deepEqual(b.minutes, [1]);
  });

  it('of a process that has ended are carried on at once, and those without a lease too', async () => {
    const [a, b] = [machine(), machine()];
    const ended = await a.submit(1);
    const old = await a.submit(1);
    await a.nth(0);
    await a.tasks.close();
    // No process has this number.
    const holder = { ...thisProcess(), process: 2 ** 30, token: 'gone' };
    await store.update('task', ended.id, (stored) => ({ ...stored, lease: { fence: 7, holder } }));
    await store.update('task', old.id, (stored) => ({ ...stored, state: 'STARTED', lease: undefined }));
    await b.look();
    await b.finish(ended.id);
    await b.finish(old.id);
    assert.deepEqual(
      b.sent.map(({ task }) => task),
      [ended.id, old.id],
    );
  });

  it('that were forgotten on one machine are forgotten on all', async () => {
    const [a, b] = [machine({ keepTasks: 1 }), machine()];
    const first = await a.submit(1);
    await b.look();
    await a.finish(first.id);
    assert.equal((await b.view(first.id)).state, 'SUCCESS');
    const second = await a.submit(1);
    a.now += 1000;
    await a.finish(second.id);
    await until(async () => (await store.list('task')).length === 1);
    assert.deepEqual(
      (await b.tasks.list()).map((task) => task.id),
      [second.id],
    );
    assert.equal(await b.tasks.get(first.id), undefined);
    assert.equal(await b.tasks.cancel(first.id), undefined);
  });

  it('belong to the flow: those of another tm-request are left alone', async () => {
    const [a, b] = [machine(), machine({ owner: 'node-2' })];
    const { id } = await a.submit(1);
    await a.tasks.close();
    await b.look();
    await settle();
    assert.equal(await b.tasks.get(id), undefined);
    assert.deepEqual(b.sent, []);
  });

  it('a store that fails is said once each time, and looked into again soon', async () => {
    const [a, b] = [machine(), machine()];
    await a.submit(1);
    const list = store.list.bind(store);
    for (let outage = 0; outage < 2; outage++) {
      store.list = () => Promise.reject(new TmError('TM_STATE_UNREADABLE', 'The database is away.'));
      await b.look();
      await b.look();
      await assert.rejects(b.tasks.list(), { code: 'TM_STATE_UNREADABLE' });
      store.list = list;
      await b.look();
      assert.equal((await b.tasks.list()).length, 1);
    }
    assert.deepEqual(
      b.problems.map(({ code }) => code),
      ['TM_STATE_UNREADABLE', 'TM_STATE_UNREADABLE'],
    );
  });

  it('with state in files the process that started last carries them out, and the one before stops', async () => {
    store = new FileStore(directory.path);
    const before = machine({ shared: false });
    const { id } = await before.submit(3);
    (await before.nth(0)).deliver();
    const late = await before.nth(1);
    store = new FileStore(directory.path);
    const after = machine({ shared: false });
    await after.nth(0);
    late.deliver();
    await until(() => before.state?.state === 'idle');
    assert.equal((await after.finish(id)).current, 3);
    assert.deepEqual(
      [before.minutes, after.minutes],
      [
        [0, 1],
        [1, 2],
      ],
    );
    assert.deepEqual(before.pauses, []);
  });
});
