/** A task survives a restart, and what goes wrong while it runs. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { TmError } from '../../lib/errors';
import { FileStore } from '../../lib/state/file-store';
import { testDirectory } from '../support/directory';
import { systemError, watchedFiles } from '../support/failing-files';
import { RequestTasks } from '../support/request-tasks';
import { until } from '../support/until';

const DOWN = new TmError('TM_ENDPOINT_UNAVAILABLE', 'The endpoint answered 503.');
const BROKEN = new TmError('TM_QUERY_FAILED', 'There is no such table.');

describe('a task', () => {
  const directory = testDirectory();
  let open: RequestTasks[] = [];
  const request = (
    store: ConstructorParameters<typeof RequestTasks>[0] = directory.path,
    settings: ConstructorParameters<typeof RequestTasks>[1] = {},
  ): RequestTasks => {
    const tasks = new RequestTasks(store, settings);
    open.push(tasks);
    return tasks;
  };
  const files = async (): Promise<string[]> => (await readdir(join(directory.path, 'tasks'))).sort();

  afterEach(async () => {
    await Promise.all(open.map(({ tasks }) => tasks.close()));
    open = [];
  });

  it('goes on after a restart at the first window not yet delivered, with the edges it had', async () => {
    const before = request();
    const { id } = await before.submit(4);
    (await before.nth(0)).deliver();
    (await before.nth(1)).deliver();
    await before.nth(2);
    await before.tasks.close();
    assert.equal(before.sent[2]?.error?.code, 'TM_CLOSED');

    const after = request(directory.path, { longestSeconds: 7 });
    after.now += 60_000;
    const view = await after.view(id);
    assert.deepEqual([view.state, view.current, view.total], ['STARTED', 2, 4]);
    const done = await after.finish(id);
    assert.equal(done.readings, 40);
    assert.equal(Number(done.finished) - Number(done.started), 60_000);
    assert.deepEqual(after.minutes, [2, 3]);
    assert.deepEqual(before.problems, []);
  });

  it('does not send again what was delivered ahead of a gap', async () => {
    const before = request(directory.path, { inFlight: 3 });
    const { id } = await before.submit(5);
    await before.nth(2);
    before.sent[1]?.deliver();
    await before.reached(id, 1);
    await before.tasks.close();

    const after = request(directory.path, { inFlight: 3 });
    await after.finish(id);
    assert.deepEqual(after.minutes, [0, 2, 3, 4]);
  });

  it('killed without a close goes on too: what was told as delivered is durable', async () => {
    const killed = request();
    const { id } = await killed.submit(3);
    (await killed.nth(0)).deliver();
    assert.equal((await killed.reached(id, 1)).current, 1);
    const after = request();
    assert.equal((await after.view(id)).current, 1);
    await after.finish(id);
    assert.deepEqual(after.minutes, [1, 2]);
  });

  it('killed between its last window and its end becomes SUCCESS and sends nothing', async () => {
    const killed = request();
    const { id } = await killed.submit(1);
    (await killed.nth(0)).deliver();
    await until(async () => (await killed.view(id)).finished);
    const [file] = await files();
    const path = join(directory.path, 'tasks', file ?? '');
    // The generation before the last: delivered, not yet finished.
    await writeFile(path, await readFile(`${path}.previous`));
    const after = request();
    await until(async () => (await after.view(id)).state === 'SUCCESS');
    assert.deepEqual(after.sent, []);
  });

  it('waiting tasks keep their order over a restart, and new ones come after them', async () => {
    const before = request();
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) ids.push((await before.submit(1)).id);
    await before.tasks.close();
    const after = request();
    ids.push((await after.submit(1)).id);
    for (const id of ids) await after.finish(id);
    assert.deepEqual(
      after.sent.map(({ task }) => task),
      ids,
    );
  });

  it('what is asked before the tasks have been read waits for them', async () => {
    const before = request();
    const { id } = await before.submit(1);
    await before.tasks.close();
    const after = new RequestTasks(directory.path, {}, false);
    open.push(after);
    const asked = Promise.all([after.tasks.get(id), after.submit(1), after.tasks.list()]);
    after.tasks.start();
    const [found, { id: next }, list] = await asked;
    assert.equal(found?.id, id);
    assert.ok(list.some((task) => task.id === id));
    await after.finish(next);
    assert.deepEqual(
      after.sent.map(({ task }) => task),
      [id, next],
    );
  });

  it('belongs to the node that took it, also where others share the store', async () => {
    const mine = request();
    const { id } = await mine.submit(1);
    const others = request(directory.path, { owner: 'node-2' });
    assert.deepEqual(await others.tasks.list(), []);
    assert.equal(await others.tasks.get(id), undefined);
    assert.equal(await others.tasks.cancel(id), undefined);
    assert.deepEqual(others.sent, []);
  });

  it('is cancelled for good', async () => {
    const before = request();
    const { id } = await before.submit(2);
    await before.nth(0);
    await before.tasks.cancel(id);
    const after = request();
    assert.equal((await after.view(id)).state, 'REVOKED');
    assert.deepEqual(after.sent, []);
  });

  it('a failed window is tried again after growing pauses, and says why and when', async () => {
    const tasks = request();
    const { id } = await tasks.submit(2);
    const pauses: number[] = [];
    for (let n = 0; n < 5; n++) {
      (await tasks.nth(n)).fail(DOWN);
      await until(() => tasks.pauses.length);
      const view = await tasks.view(id);
      assert.equal(view.state, 'RETRY');
      assert.equal(view.retry?.error, DOWN);
      assert.deepEqual(tasks.state, { state: 'retrying', reason: 'endpoint' });
      pauses.push(await tasks.passPause());
    }
    assert.deepEqual(pauses, [10, 30, 60, 300, 600]);
    (await tasks.nth(5)).deliver();
    await tasks.nth(6);
    assert.equal((await tasks.view(id)).state, 'STARTED');
    await tasks.finish(id);
    assert.deepEqual(tasks.minutes, [0, 0, 0, 0, 0, 0, 1]);
    assert.deepEqual(tasks.problems, []);
  });

  it('an outage is no reason to give it up, however long', async () => {
    const tasks = request();
    const { id } = await tasks.submit(1);
    const pauses: number[] = [];
    for (let n = 0; n < 20; n++) {
      (await tasks.nth(n)).fail(DOWN);
      pauses.push(await tasks.passPause());
    }
    assert(pauses.slice(5).every((seconds) => seconds === 600));
    (await tasks.nth(20)).deliver();
    await tasks.finish(id);
    assert.deepEqual(tasks.problems, []);
  });

  it('fails after the fifth time with the error, is said, and the next one begins', async () => {
    const tasks = request(directory.path, { inFlight: 2 });
    const { id } = await tasks.submit(4);
    const next = await tasks.submit(1);
    await tasks.nth(1);
    for (const failing of [0, 2, 3, 4, 5, 6]) {
      (await tasks.nth(failing)).fail(BROKEN);
      if (failing < 6) await tasks.passPause();
    }
    await until(async () => (await tasks.view(id)).state === 'FAILURE');
    const view = await tasks.view(id);
    assert.equal(view.error, BROKEN.message);
    assert.equal(view.current, 0);
    assert.equal(tasks.sent[1]?.error?.code, 'TM_CANCELLED');
    assert.deepEqual(
      tasks.problems.map(({ code, message }) => [code, message]),
      [['TM_QUERY_FAILED', `The task ${id} failed: ${BROKEN.message}`]],
    );
    assert.equal((await tasks.nth(7)).task, next.id);
    await tasks.finish(next.id);
  });

  it('the last one failed: the queue says so until the next begins', async () => {
    const tasks = request();
    const { id } = await tasks.submit(1);
    for (let n = 0; n < 6; n++) {
      (await tasks.nth(n)).fail(BROKEN);
      if (n < 5) await tasks.passPause();
    }
    await until(async () => (await tasks.view(id)).finished);
    await until(() => tasks.state?.state === 'failed');
    assert.deepEqual(tasks.state, { state: 'failed', reason: 'SQL error' });
    const next = await tasks.submit(1);
    await tasks.finish(next.id);
    await until(() => tasks.state?.state === 'idle');
  });

  it('a window that cannot even be sent counts as failed', async () => {
    const tasks = request();
    const { id } = await tasks.submit(1);
    (await tasks.nth(0)).fail(DOWN);
    tasks.refuseToSend = true;
    await tasks.passPause();
    await until(() => tasks.pauses.length);
    assert.equal((await tasks.view(id)).state, 'RETRY');
    tasks.refuseToSend = false;
    await tasks.passPause();
    await tasks.finish(id);
  });

  describe('on a store that fails', () => {
    let broken = false;
    const store = (): FileStore =>
      new FileStore(
        directory.path,
        watchedFiles((step) => {
          if (broken && (step === 'writeFile' || step === 'readdir'))
            throw systemError('ENOSPC', 'no space left on device');
        }),
      );
    beforeEach(() => {
      broken = false;
    });

    it('is not taken', async () => {
      const tasks = request(store(), { queueLimit: 1 });
      await tasks.tasks.list();
      broken = true;
      await assert.rejects(tasks.submit(1), { code: 'TM_STATE_WRITE' });
      assert.deepEqual(await tasks.tasks.list(), []);
      broken = false;
      const { id } = await tasks.submit(1);
      await tasks.finish(id);
      assert.deepEqual(
        tasks.sent.map(({ task }) => task),
        [id],
      );
    });

    it('waits with what it delivered until it is durable, says so, and sends nothing twice', async () => {
      const tasks = request(store());
      const { id } = await tasks.submit(2);
      const first = await tasks.nth(0);
      broken = true;
      first.deliver();
      assert.equal(await tasks.passPause(), 10);
      await until(() => tasks.pauses.length);
      const view = await tasks.view(id);
      assert.deepEqual([view.state, view.current, view.retry?.error.code], ['RETRY', 0, 'TM_STATE_WRITE']);
      assert.deepEqual(
        tasks.problems.map(({ code }) => code),
        ['TM_STATE_WRITE'],
      );
      assert.deepEqual(tasks.minutes, [0]);
      broken = false;
      assert.equal(await tasks.passPause(), 30);
      await tasks.finish(id);
      assert.deepEqual(tasks.minutes, [0, 1]);
    });

    it('goes on when its cancellation cannot be kept', async () => {
      const tasks = request(store());
      const { id } = await tasks.submit(2);
      await tasks.nth(0);
      broken = true;
      await assert.rejects(tasks.tasks.cancel(id), { code: 'TM_STATE_WRITE' });
      await until(() => tasks.pauses.length);
      assert.equal((await tasks.view(id)).state, 'RETRY');
      broken = false;
      await tasks.passPause();
      await tasks.nth(1);
      await tasks.finish(id);
      assert.deepEqual(tasks.minutes, [0, 0, 1]);
    });

    it('goes on even when all of it was delivered and only its end could not be kept', async () => {
      const kept = new FileStore(directory.path);
      const update = kept.update.bind(kept);
      kept.update = (kind, name, change) =>
        update(kind, name, (stored) => {
          const next = change(stored);
          if (broken && next && next.state !== 'STARTED')
            throw new TmError('TM_STATE_WRITE', 'no space left on device');
          return next;
        });
      const tasks = request(kept);
      const { id } = await tasks.submit(1);
      broken = true;
      (await tasks.nth(0)).deliver();
      await until(() => tasks.pauses.length);
      await assert.rejects(tasks.tasks.cancel(id), { code: 'TM_STATE_WRITE' });
      await until(() => tasks.pauses.length > 1);
      assert.equal((await tasks.view(id)).finished, undefined);
      broken = false;
      tasks.pauses.splice(0).forEach(({ end }) => end());
      await until(async () => (await tasks.view(id)).state === 'SUCCESS');
      assert.deepEqual(tasks.minutes, [0]);
    });

    it('has ended only when nothing of it is under way any more', async () => {
      const kept = new FileStore(directory.path);
      const update = kept.update.bind(kept);
      let release: (() => void) | undefined;
      kept.update = async (kind, name, change) => {
        const next = change(await kept.read(kind, name));
        if (Array.isArray(next?.ahead) && next.ahead.length > 0 && next.state === 'STARTED') {
          await new Promise<void>((resolve) => {
            release = resolve;
          });
        }
        await update(kind, name, change);
      };
      const tasks = request(kept, { inFlight: 2 });
      const { id } = await tasks.submit(2);
      const next = await tasks.submit(1);
      await tasks.nth(1);
      for (const failing of [0, 2, 3, 4, 5]) {
        (await tasks.nth(failing)).fail(BROKEN);
        await tasks.passPause();
      }
      const last = await tasks.nth(6);
      tasks.sent[1]?.deliver();
      await until(() => release);
      last.fail(BROKEN);
      for (let turn = 0; turn < 50; turn++) await setImmediate();
      assert.equal(tasks.sent.length, 7);
      release?.();
      assert.equal((await tasks.nth(7)).task, next.id);
      const view = await tasks.view(id);
      assert.deepEqual([view.state, view.current], ['FAILURE', 1]);
    });

    it('does no harm while nobody asks', async () => {
      const unhandled: unknown[] = [];
      const note = (reason: unknown): void => {
        unhandled.push(reason);
      };
      process.on('unhandledRejection', note);
      try {
        broken = true;
        const tasks = request(store());
        await tasks.passPause();
        await tasks.passPause();
        assert.equal(tasks.problems.length, 1);
        assert.deepEqual(unhandled, []);
      } finally {
        process.off('unhandledRejection', note);
      }
    });

    it('is read when the store answers again; until then callers are told', async () => {
      const before = request();
      const { id } = await before.submit(1);
      await before.tasks.close();
      broken = true;
      const tasks = request(store());
      await assert.rejects(tasks.tasks.get(id), { code: 'TM_STATE_UNREADABLE' });
      await assert.rejects(tasks.submit(1), { code: 'TM_STATE_UNREADABLE' });
      assert.equal(await tasks.passPause(), 10);
      await until(() => tasks.pauses.length);
      broken = false;
      await tasks.passPause();
      await tasks.nth(0);
      await tasks.finish(id);
      assert.deepEqual(
        tasks.problems.map(({ code }) => code),
        ['TM_STATE_UNREADABLE'],
      );
    });

    it('a task whose file is spoiled is said once and holds up no other; mended, it goes on', async () => {
      const before = request();
      const [spoiled, good] = [await before.submit(1), await before.submit(1)];
      await before.tasks.close();
      const path = join(directory.path, 'tasks', `${spoiled.id}.json`);
      const [text, older] = [await readFile(path, 'utf8'), await readFile(`${path}.previous`, 'utf8')];
      await writeFile(path, text.slice(0, 50));
      await writeFile(`${path}.previous`, older.replace('"STARTED"', '"LOST"'));
      const tasks = request();
      await tasks.finish(good.id);
      assert.equal(await tasks.tasks.get(spoiled.id), undefined);
      await tasks.passPause();
      await until(() => tasks.pauses.length);
      assert.deepEqual(
        tasks.problems.map(({ code }) => code),
        ['TM_STATE_UNREADABLE'],
      );
      await writeFile(path, text);
      await tasks.passPause();
      await until(() => tasks.tasks.get(spoiled.id));
      await tasks.finish(spoiled.id);
    });
  });

  it('closes at once with windows under way and pauses waiting', async () => {
    const tasks = request(directory.path, { inFlight: 2 });
    await tasks.submit(3);
    (await tasks.nth(0)).fail(DOWN);
    await until(() => tasks.pauses.length);
    await tasks.tasks.close();
    assert.equal(tasks.sent[1]?.error?.code, 'TM_CLOSED');
    assert.equal(tasks.sent.length, 2);
  });
});
