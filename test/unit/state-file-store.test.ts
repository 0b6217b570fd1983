import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sinon from 'sinon';
import { thisProcess } from '../../lib/process-identity';
import { FileStore } from '../../lib/state/file-store';
import { testDirectory } from '../support/directory';
import { systemError, watchedFiles } from '../support/failing-files';
import { until } from '../support/until';

describe('state in files', () => {
  const directory = testDirectory();
  const path = (...parts: string[]): string => join(directory.path, 'state', ...parts);
  const open = (): FileStore => new FileStore(path());

  it('gives back what was written, also to a store opened later', async () => {
    const record = {
      position: '2026-01-31T12:00:00Z',
      ahead: [{ n: 1.5, ok: true, none: null, text: '"é\n' }],
    };
    const store = open();
    await store.write('bookmark', 'K101', record);
    assert.deepEqual(await store.read('bookmark', 'K101'), record);
    assert.deepEqual(await open().read('bookmark', 'K101'), record);
  });

  it('has nothing where nothing was written, and creates nothing by looking', async () => {
    const store = open();
    assert.equal(await store.read('task', 'a'), undefined);
    assert.deepEqual(await store.list('task'), []);
    assert.deepEqual(await readdir(directory.path), []);
  });

  it('keeps bookmarks and tasks of one name apart', async () => {
    const store = open();
    await store.write('bookmark', 'a', { is: 'bookmark' });
    await store.write('task', 'a', { is: 'task' });
    assert.deepEqual(await store.read('bookmark', 'a'), { is: 'bookmark' });
  });

  it('writes JSON that an administrator can read', async () => {
    await open().write('bookmark', 'K101', { position: '2026-01-31T12:00:00Z' });
    const text = await readFile(path('bookmarks', '+k101.json'), 'utf8');
    assert.match(text, /^ {2}"name": "K101",$/m);
    assert.match(text, /^ {4}"position": "2026-01-31T12:00:00Z"$/m);
  });

  it('lists the names, and passes over files that are not its own', async () => {
    const store = open();
    for (const name of ['Plant A', 'plant a', 'con']) await store.write('bookmark', name, {});
    await writeFile(path('bookmarks', 'README.txt'), '');
    await writeFile(path('bookmarks', 'Copy of K101.json'), '');
    assert.deepEqual((await store.list('bookmark')).sort(), ['Plant A', 'con', 'plant a']);
  });

  it('removes a record and its predecessor', async () => {
    const store = open();
    await store.write('task', 'a', { n: 1 });
    await store.write('task', 'a', { n: 2 });
    await store.remove('task', 'a');
    assert.equal(await store.read('task', 'a'), undefined);
    assert.deepEqual(await readdir(path('tasks')), []);
    await store.remove('task', 'a');
  });

  it('keeps the order of writes, and the last one wins', async () => {
    const store = open();
    const writes = Array.from({ length: 50 }, (_, n) => store.write('bookmark', 'a', { n }));
    const read = store.read('bookmark', 'a');
    await Promise.all(writes);
    assert.deepEqual(await read, { n: 49 });
    assert.deepEqual(await open().read('bookmark', 'a'), { n: 49 });
  });

  it('a removal after a write wins, and so does a write after a removal', async () => {
    const store = open();
    await Promise.all([store.write('task', 'a', { n: 1 }), store.remove('task', 'a')]);
    assert.equal(await store.read('task', 'a'), undefined);
    await Promise.all([store.remove('task', 'a'), store.write('task', 'a', { n: 2 })]);
    assert.deepEqual(await open().read('task', 'a'), { n: 2 });
  });

  it('resolves a write only when the record, or a later one, is durable; waiting ones are written once', async () => {
    const renamed: string[] = [];
    const files = watchedFiles((step, from) => {
      if (step === 'rename' && from.endsWith('.tmp')) renamed.push(from);
    });
    const store = new FileStore(path(), files);
    await Promise.all(
      Array.from({ length: 100 }, async (_, n) => {
        await store.write('bookmark', 'a', { n });
        const stored = await open().read('bookmark', 'a');
        assert.ok(typeof stored?.n === 'number' && stored.n >= n);
      }),
    );
    assert.ok(renamed.length <= 2, `${renamed.length} files were written`);
  });

  it('takes what is in a record when it is handed over, not what becomes of it', async () => {
    const store = open();
    const record = { n: 1 };
    const written = store.write('bookmark', 'a', record);
    record.n = 2;
    await written;
    assert.deepEqual(await store.read('bookmark', 'a'), { n: 1 });
  });

  it('clears away what a killed process left half written, but not what another is writing', async () => {
    await mkdir(path('bookmarks'), { recursive: true });
    await writeFile(path('bookmarks', 'a.json.old.tmp'), 'half');
    await utimes(path('bookmarks', 'a.json.old.tmp'), 1, 1);
    await writeFile(path('bookmarks', 'a.json.young.tmp'), 'half');
    await open().write('bookmark', 'b', {});
    assert.deepEqual((await readdir(path('bookmarks'))).sort(), ['a.json.young.tmp', 'b.json']);
  });

  it('takes a lock for left over that stands for long, where another may run under that number by now', async () => {
    const store = open();
    await store.write('bookmark', 'a', { n: 1 });
    const lock = path('bookmarks', 'a.json.lock');
    await mkdir(lock);
    // As where the system does not tell when a process began.
    const owner = { ...thisProcess(), process: process.ppid, started: '' };
    await writeFile(join(lock, 'token'), JSON.stringify(owner));
    const clock = sinon.useFakeTimers({ toFake: ['performance'] });
    try {
      let written = false;
      void store.write('bookmark', 'a', { n: 2 }).then(() => {
        written = true;
      });
      await until(() => {
        clock.tick(100);
        return written;
      });
    } finally {
      clock.restore();
    }
    assert.deepEqual(await open().read('bookmark', 'a'), { n: 2 });
  });

  it('writes nothing where another has taken its lock for left over meanwhile', async () => {
    await open().write('bookmark', 'a', { n: 1 });
    const lock = path('bookmarks', 'a.json.lock');
    let hung = false;
    const files = watchedFiles(async (step, of) => {
      if (step !== 'sync' || !of.endsWith('.tmp') || hung) return;
      hung = true;
      const [token = ''] = await readdir(lock);
      await unlink(join(lock, token));
      await open().write('bookmark', 'a', { n: 2 });
    });
    await assert.rejects(new FileStore(path(), files).write('bookmark', 'a', { n: 3 }), {
      code: 'TM_STATE_WRITE',
      message: /taken over by another process/,
    });
    assert.deepEqual(await open().read('bookmark', 'a'), { n: 2 });
    assert.deepEqual((await readdir(path('bookmarks'))).sort(), ['a.json', 'a.json.previous']);
  });

  it('makes its directory again when somebody took it away', async () => {
    const store = open();
    await store.write('bookmark', 'a', { n: 1 });
    await rm(path(), { recursive: true });
    await assert.rejects(store.write('bookmark', 'a', { n: 2 }), { code: 'TM_STATE_WRITE' });
    await store.write('bookmark', 'a', { n: 3 });
    assert.deepEqual(await open().read('bookmark', 'a'), { n: 3 });
  });

  it('closes when every write is over', async () => {
    const store = open();
    void store.write('bookmark', 'a', { n: 1 });
    await store.close();
    assert.deepEqual(await open().read('bookmark', 'a'), { n: 1 });
  });

  for (const [code, advice] of [
    ['ENOSPC', 'free some space'],
    ['EACCES', 'Let the account that runs Node-RED write there'],
    ['EROFS', 'choose another state directory'],
    ['EIO', 'Check the state directory'],
  ] as const) {
    for (const failing of ['open', 'writeFile', 'sync', 'rename']) {
      it(`${code} at ${failing}: says the path and what to do, keeps the old state, goes on when it is over`, async () => {
        let broken = false;
        const files = watchedFiles((step) => {
          if (broken && step === failing) throw systemError(code, 'it went wrong');
        });
        const store = new FileStore(path(), files);
        await store.write('bookmark', 'a', { n: 1 });
        broken = true;
        await assert.rejects(store.write('bookmark', 'a', { n: 2 }), (error: Error & { code?: string }) => {
          assert.equal(error.code, 'TM_STATE_WRITE');
          assert.ok(error.message.includes(path('bookmarks', 'a.json')), error.message);
          assert.ok(error.message.includes(code), error.message);
          assert.ok(error.message.includes(advice), error.message);
          return true;
        });
        assert.deepEqual(await open().read('bookmark', 'a'), { n: 1 });
        broken = false;
        await store.write('bookmark', 'a', { n: 3 });
        await store.write('bookmark', 'a', { n: 4 });
        assert.deepEqual(await open().read('bookmark', 'a'), { n: 4 });
        assert.deepEqual(
          (await readdir(path('bookmarks'))).filter((file) => file.endsWith('.tmp')),
          [],
        );
      });
    }
  }

  it('a directory that cannot be synchronised, as on Windows, is no error', async () => {
    const files = watchedFiles((step, opened) => {
      if (step === 'open' && opened.endsWith('bookmarks'))
        throw systemError('EPERM', 'operation not permitted');
    });
    const store = new FileStore(path(), files);
    await store.write('bookmark', 'a', { n: 1 });
    assert.deepEqual(await store.read('bookmark', 'a'), { n: 1 });
  });

  it('a file that may not be read is not taken for none, nor is its predecessor taken', async () => {
    let denied = false;
    const files = watchedFiles((step, file) => {
      if (denied && step === 'readFile' && file.endsWith('.json'))
        throw systemError('EACCES', 'permission denied');
    });
    const store = new FileStore(path(), files);
    await store.write('bookmark', 'a', { n: 1 });
    await store.write('bookmark', 'a', { n: 2 });
    denied = true;
    await assert.rejects(store.read('bookmark', 'a'), { code: 'TM_STATE_UNREADABLE' });
    denied = false;
    assert.deepEqual(await store.read('bookmark', 'a'), { n: 2 });
  });

  it('a state directory that is a file is an error that names it', async () => {
    await writeFile(path(), '');
    await assert.rejects(open().write('bookmark', 'a', {}), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'TM_STATE_WRITE');
      assert.ok(error.message.includes(path()), error.message);
      return true;
    });
    await assert.rejects(open().list('bookmark'), { code: 'TM_STATE_UNREADABLE' });
  });
});
