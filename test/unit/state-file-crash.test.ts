/** A power cut or a kill at any moment leaves a bookmark that was reported as written, and says what it did. */
import assert from 'node:assert/strict';
import { readFile, rename, truncate, unlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FileStore } from '../../lib/state/file-store';
import type { JsonObject } from '../../lib/state/store';
import { testDirectory } from '../support/directory';
import { killedAt, systemError, watchedFiles } from '../support/failing-files';

describe('state files after a crash', () => {
  const directory = testDirectory();
  const current = (): string => join(directory.path, 'bookmarks', 'a.json');
  const previous = (): string => `${current()}.previous`;
  const open = (warnings: string[] = [], path = directory.path): FileStore => {
    const store = new FileStore(path);
    store.onWarning = (message) => warnings.push(message);
    return store;
  };
  const written = async (records: JsonObject[], path = directory.path): Promise<void> => {
    const store = open([], path);
    for (const record of records) await store.write('bookmark', 'a', record);
  };

  it('a kill at any step of writing leaves the last record that was reported as written, or the next', async () => {
    let step = 0;
    for (let killed = true; killed;) {
      const path = join(directory.path, String(++step));
      await written([{ n: 100 }], path);
      const { files, survived } = killedAt(step);
      const store = new FileStore(path, files);
      let durable = 100;
      try {
        for (const n of [101, 102, 103]) {
          await store.write('bookmark', 'a', { n });
          durable = n;
        }
      } catch {
        // Killed.
      }
      const found = (await open([], path).read('bookmark', 'a'))?.n;
      assert.ok(
        found === durable || found === durable + 1,
        `killed at step ${step}: ${JSON.stringify(found)} after ${durable}`,
      );
      await written([{ n: 200 }], path);
      assert.deepEqual(await open([], path).read('bookmark', 'a'), { n: 200 }, `killed at step ${step}`);
      killed = !survived();
    }
    assert.ok(step > 20, `only ${step} steps`);
  });

  it('a record is on the disk before it is renamed, and the renames before it is reported', async () => {
    await written([{ n: 1 }]);
    const steps: string[] = [];
    const store = new FileStore(
      directory.path,
      watchedFiles((step, path) => {
        // What is done to the lock is another matter.
        if (!path.includes('.lock'))
          steps.push(`${step} ${basename(path).replace(/\.[0-9a-f]{12}\./, '.*.')}`);
      }),
    );
    await store.write('bookmark', 'a', { n: 2 });
    assert.deepEqual(steps.slice(steps.indexOf('open a.json.*.tmp')), [
      'open a.json.*.tmp',
      'writeFile a.json.*.tmp',
      'sync a.json.*.tmp',
      'close a.json.*.tmp',
      'rename a.json',
      'rename a.json.*.tmp',
      'open bookmarks',
      'sync bookmarks',
      'close bookmarks',
    ]);
  });

  it('a bad sector is damage like any other', async () => {
    await written([{ n: 1 }, { n: 2 }]);
    const warnings: string[] = [];
    const files = watchedFiles((step, path) => {
      if (step === 'readFile' && path === current()) throw systemError('EIO', 'i/o error');
    });
    const store = new FileStore(directory.path, files);
    store.onWarning = (message) => warnings.push(message);
    assert.deepEqual(await store.read('bookmark', 'a'), { n: 1 });
    assert.match(warnings[0] ?? '', /EIO/);
  });

  it('a kill at any step of removing never brings an older record back', async () => {
    let step = 0;
    for (let killed = true; killed;) {
      const path = join(directory.path, String(++step));
      await written([{ n: 1 }, { n: 2 }], path);
      const { files, survived } = killedAt(step);
      await new FileStore(path, files).remove('bookmark', 'a').catch(() => undefined);
      const found = await open([], path).read('bookmark', 'a');
      assert.ok(found === undefined || found.n === 2, `killed at step ${step}: ${JSON.stringify(found)}`);
      killed = !survived();
    }
    assert.ok(step > 5, `only ${step} steps`);
  });

  it('a file torn at any length gives way to the previous good one, and it is said', async () => {
    await written([{ n: 1 }, { n: 2 }]);
    const whole = await readFile(current(), 'utf8');
    for (let length = 0; length < whole.trimEnd().length; length += 7) {
      await writeFile(current(), whole.slice(0, length));
      const warnings: string[] = [];
      assert.deepEqual(await open(warnings).read('bookmark', 'a'), { n: 1 }, `torn at ${length}`);
      assert.equal(warnings.length, 1);
      assert.match(
        warnings[0] ?? '',
        /a\.json cannot be used: it is (?:empty|torn or not JSON)\. The previous/,
      );
    }
  });

  for (const [damage, spoil] of [
    ['garbage', () => writeFile(current(), Buffer.from([0, 255, 1, 254, 0, 0]))],
    ['zeros, as a journal leaves them', () => writeFile(current(), Buffer.alloc(512))],
    ['JSON of another kind', () => writeFile(current(), '[1, 2]')],
    [
      'a changed record',
      // By its name: the time of writing may have the same digits.
      async () => writeFile(current(), (await readFile(current(), 'utf8')).replace(/"n": *22/, '"n":77')),
    ],
    ['an empty file', () => truncate(current(), 0)],
    ['no file', () => unlink(current())],
  ] as const) {
    it(`${damage}: the previous good one is used, said, and survives the next write`, async () => {
      await written([{ n: 1 }, { n: 22 }]);
      await spoil();
      const warnings: string[] = [];
      const store = open(warnings);
      assert.deepEqual(await store.read('bookmark', 'a'), { n: 1 });
      assert.equal(warnings.length, 1);
      await store.write('bookmark', 'a', { n: 3 });
      await writeFile(current(), 'torn again');
      assert.deepEqual(await open().read('bookmark', 'a'), { n: 1 });
    });
  }

  it('a torn file never takes the place of the previous good one, even when nobody read it first', async () => {
    await written([{ n: 1 }, { n: 2 }]);
    await truncate(current(), 10);
    await open().write('bookmark', 'a', { n: 3 });
    await truncate(current(), 10);
    assert.deepEqual(await open().read('bookmark', 'a'), { n: 1 });
  });

  for (const [what, spoil] of [
    ['both are torn', () => Promise.all([truncate(current(), 9), truncate(previous(), 9)])],
    ['the only one is torn', () => Promise.all([truncate(current(), 9), unlink(previous())])],
    ['only the predecessor is left, torn', () => Promise.all([unlink(current()), truncate(previous(), 9)])],
  ] as const) {
    it(`${what}: an error that says so, never a fresh start`, async () => {
      await written([{ n: 1 }, { n: 2 }]);
      await spoil();
      await assert.rejects(open().read('bookmark', 'a'), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'TM_STATE_UNREADABLE');
        assert.ok(error.message.includes(current()), error.message);
        return true;
      });
      assert.deepEqual(await open().list('bookmark'), ['a']);
    });
  }

  it('a file copied under another name is not taken for that bookmark', async () => {
    await written([{ n: 1 }]);
    await rename(current(), join(directory.path, 'bookmarks', 'b.json'));
    await assert.rejects(open().read('bookmark', 'b'), { code: 'TM_STATE_UNREADABLE' });
  });
});
