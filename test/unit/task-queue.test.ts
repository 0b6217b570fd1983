import assert from 'node:assert/strict';
import { TmError } from '../../lib/errors';
import { FileStore } from '../../lib/state/file-store';
import { testDirectory } from '../support/directory';
import { MINUTE, NOON, RequestTasks } from '../support/request-tasks';
import { until } from '../support/until';

describe('tasks', () => {
  const directory = testDirectory();
  let open: RequestTasks[] = [];
  const request = (...settings: [ConstructorParameters<typeof RequestTasks>[1]?]): RequestTasks => {
    const tasks = new RequestTasks(directory.path, ...settings);
    open.push(tasks);
    return tasks;
  };
  afterEach(async () => {
    await Promise.all(open.map(({ tasks }) => tasks.close()));
    open = [];
  });

  it('a range is cut into windows without gap or overlap, the last as long as what is left', async () => {
    const tasks = request({ longestSeconds: 25 });
    const { id, total } = await tasks.submit(1);
    assert.equal(total, 3);
    await tasks.finish(id);
    assert.deepEqual(
      tasks.sent.map(({ window, task }) => [window.start - NOON, window.end - NOON, task]),
      [
        [0, 25, id],
        [25, 50, id],
        [50, 60, id],
      ],
    );
  });

  it('ids cannot be guessed', async () => {
    const tasks = request();
    const ids = await Promise.all(Array.from({ length: 5 }, async () => (await tasks.submit(1)).id));
    assert.equal(new Set(ids).size, 5);
    for (const id of ids)
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('progress counts windows, and SUCCESS comes only when every window was delivered', async () => {
    const tasks = request();
    const { id, state, current, total } = await tasks.submit(3);
    assert.deepEqual({ state, current, total }, { state: 'PENDING', current: 0, total: 3 });
    for (let n = 0; n < 3; n++) {
      const sent = await tasks.nth(n);
      const view = await tasks.view(id);
      assert.deepEqual({ state: view.state, current: view.current }, { state: 'STARTED', current: n });
      tasks.now += 1000;
      sent.deliver();
    }
    await until(async () => (await tasks.view(id)).finished);
    const done = await tasks.view(id);
    assert.equal(done.state, 'SUCCESS');
    assert.deepEqual(
      { current: done.current, readings: done.readings, batches: done.batches, bytes: done.bytes },
      { current: 3, readings: 30, batches: 9, bytes: 3000 },
    );
    assert.deepEqual([done.started, done.finished], [NOON * 1000, NOON * 1000 + 3000]);
  });

  it('run one after another in the order they came', async () => {
    const tasks = request();
    const ids: string[] = [];
    for (const windows of [2, 1, 2]) ids.push((await tasks.submit(windows)).id);
    for (let n = 0; n < 5; n++) {
      const sent = await tasks.nth(n);
      assert.equal(sent.task, ids[[0, 0, 1, 2, 2][n] ?? 0]);
      assert.equal(tasks.sent.length, n + 1);
      sent.deliver();
    }
    await tasks.finish(ids[2] ?? '');
    assert.deepEqual(
      (await tasks.tasks.list()).map(({ id, state }) => [id, state]),
      [
        [ids[2], 'SUCCESS'],
        [ids[1], 'SUCCESS'],
        [ids[0], 'SUCCESS'],
      ],
    );
  });

  it('so many windows of a task are under way as are allowed, counted from the unbroken run', async () => {
    const tasks = request({ inFlight: 3 });
    const { id } = await tasks.submit(6);
    await tasks.nth(2);
    tasks.sent[1]?.deliver();
    tasks.sent[2]?.deliver();
    await tasks.reached(id, 2);
    assert.deepEqual(tasks.minutes, [0, 1, 2]);
    tasks.sent[0]?.deliver();
    await tasks.nth(5);
    assert.deepEqual(tasks.minutes, [0, 1, 2, 3, 4, 5]);
    assert.equal((await tasks.finish(id)).current, 6);
  });

  it('an unknown id is no task', async () => {
    const tasks = request();
    assert.equal(await tasks.tasks.get('../bookmarks/a'), undefined);
    assert.equal(await tasks.tasks.cancel('nobody'), undefined);
  });

  it('over the limit, waiting and running ones together, no more are taken; finished ones do not count', async () => {
    const tasks = request({ queueLimit: 2 });
    const { id } = await tasks.submit(1);
    const [second, third] = await Promise.allSettled([tasks.submit(1), tasks.submit(1)]);
    assert.equal(second.status, 'fulfilled');
    assert.equal(third.status, 'rejected');
    assert.ok(third.reason instanceof TmError);
    assert.equal(third.reason.code, 'TM_QUEUE_FULL');
    await tasks.finish(id);
    await tasks.submit(1);
    assert.equal((await tasks.tasks.list()).length, 3);
  });

  it('the state of the queue is told: idle, at work, how many wait', async () => {
    const tasks = request();
    await until(() => tasks.state);
    assert.deepEqual(tasks.state, { state: 'idle' });
    const { id } = await tasks.submit(3);
    await tasks.submit(1);
    (await tasks.nth(0)).deliver();
    await tasks.nth(1);
    assert.deepEqual(tasks.state, { state: 'working', current: 1, total: 3, waiting: 1 });
    await tasks.finish(id);
    const [last] = await tasks.tasks.list();
    await tasks.finish(last?.id ?? '');
    assert.deepEqual(tasks.state, { state: 'idle' });
  });

  describe('cancelled', () => {
    it('under way: its window is failed, nothing of it follows, the next task begins', async () => {
      const tasks = request({ inFlight: 2 });
      const { id } = await tasks.submit(5);
      const next = await tasks.submit(1);
      (await tasks.nth(0)).deliver();
      await tasks.nth(2);
      const cancelled = await tasks.tasks.cancel(id);
      assert.deepEqual([cancelled?.state, cancelled?.current, cancelled?.total], ['REVOKED', 1, 5]);
      assert.deepEqual(
        [tasks.sent[1]?.error?.code, tasks.sent[2]?.error?.code],
        ['TM_CANCELLED', 'TM_CANCELLED'],
      );
      assert.equal((await tasks.nth(3)).task, next.id);
      assert.equal((await tasks.view(id)).state, 'REVOKED');
      await tasks.finish(next.id);
      await tasks.finish((await tasks.submit(1)).id);
      assert.equal(tasks.sent.length, 5);
      assert.equal((await tasks.view(id)).state, 'REVOKED');
      assert.deepEqual(tasks.problems, []);
    });

    it('waiting: it never begins', async () => {
      const tasks = request();
      const [first, second, third] = [await tasks.submit(1), await tasks.submit(1), await tasks.submit(1)];
      await tasks.tasks.cancel(second.id);
      await tasks.finish(first.id);
      await tasks.finish(third.id);
      assert.deepEqual(
        tasks.sent.map(({ task }) => task),
        [first.id, third.id],
      );
    });

    it('while it waits to try again: it does not wait any longer', async () => {
      const tasks = request();
      const { id } = await tasks.submit(1);
      (await tasks.nth(0)).fail(new TmError('TM_ENDPOINT_UNAVAILABLE', 'the endpoint is down'));
      await until(() => tasks.pauses.length);
      assert.equal((await tasks.tasks.cancel(id))?.state, 'REVOKED');
      assert.equal(tasks.sent.length, 1);
    });

    it('finished: it stays what it is', async () => {
      const tasks = request();
      const { id } = await tasks.submit(1);
      await tasks.finish(id);
      assert.equal((await tasks.tasks.cancel(id))?.state, 'SUCCESS');
      assert.equal((await tasks.view(id)).state, 'SUCCESS');
    });
  });

  describe('finished ones', () => {
    it('are forgotten after so many days', async () => {
      const tasks = request({ keepDays: 2 });
      const old = await tasks.submit(1);
      await tasks.finish(old.id);
      tasks.now += 2 * 86_400_000 - 1;
      const young = await tasks.submit(1);
      await tasks.finish(young.id);
      assert.equal((await tasks.tasks.list()).length, 2);
      tasks.now += 1;
      await tasks.finish((await tasks.submit(1)).id);
      await until(async () => (await tasks.tasks.list()).length === 2);
      assert.equal(await tasks.tasks.get(old.id), undefined);
      await tasks.tasks.close();
      const restarted = request({ keepDays: 2 });
      restarted.now = tasks.now + 2 * 86_400_000;
      await until(async () => (await restarted.tasks.list()).length === 0);
    });

    it('are forgotten beyond so many, the oldest first; unfinished ones never', async () => {
      const tasks = request({ keepTasks: 2 });
      const ids: string[] = [];
      for (let n = 0; n < 4; n++) {
        tasks.now += MINUTE * 1000;
        const { id } = await tasks.submit(1);
        ids.push(id);
        await tasks.finish(id);
      }
      const waiting = [(await tasks.submit(1)).id, (await tasks.submit(1)).id, (await tasks.submit(1)).id];
      await until(async () => (await tasks.tasks.list()).length === 5);
      const kept = (await tasks.tasks.list()).map(({ id }) => id);
      await until(async () => (await new FileStore(directory.path).list('task')).length === 5);
      assert.deepEqual(kept, [...ids.slice(2), ...waiting].reverse());
      await tasks.tasks.close();
      const restarted = request({ keepTasks: 2 });
      assert.deepEqual(
        (await restarted.tasks.list()).map(({ id }) => id),
        kept,
      );
    });
  });
});
