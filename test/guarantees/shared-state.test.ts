/** Several processes that change one record of a state store lose none of each other's changes, killed or not. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseDatabaseUrl } from '../../lib/database-url';
import { DatabaseStore } from '../../lib/state/database-store';
import { FileStore } from '../../lib/state/file-store';
import type { StateStore } from '../../lib/state/store';
import { testDirectory } from '../support/directory';
import { testDatabase } from '../support/test-database';

const WRITERS = 4;
const CHANGES = 25;

interface Writer {
  readonly process: ChildProcess;
  /** The counts that it reported as durable. */
  readonly counts: Promise<number[]>;
}

function startWriter(place: string, times: number): Writer {
  const child = spawn(
    process.execPath,
    ['--require', 'tsx/cjs', resolve('test/support/state-writer.ts'), place, String(times)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const counts = text(child.stdout).then((lines) => lines.split('\n').slice(0, -1).map(Number));
  return { process: child, counts };
}

describe('State that several processes share', function () {
  this.timeout(120_000);
  const directory = testDirectory();
  const database = testDatabase();

  for (const [what, placeOf, open] of [
    ['in files', () => `file:${directory.path}`, (): StateStore => new FileStore(directory.path)],
    [
      'in a database',
      () => database.url,
      (): StateStore => DatabaseStore.connect(parseDatabaseUrl(database.url)),
    ],
  ] as const) {
    it(`${what}: no change of one process is lost to another's`, async () => {
      const writers = Array.from({ length: WRITERS }, () => startWriter(placeOf(), CHANGES));
      const counts = (await Promise.all(writers.map(({ counts: each }) => each))).flat();
      const expected = Array.from({ length: WRITERS * CHANGES }, (_, index) => index + 1);
      assert.deepEqual(
        counts.sort((a, b) => a - b),
        expected,
      );
      const store = open();
      assert.equal((await store.read('bookmark', 'shared'))?.count, WRITERS * CHANGES);
      await store.remove('bookmark', 'shared');
      await store.close();
    });

    it(`${what}: one that is killed in the middle stops none of the others`, async () => {
      const killed = startWriter(placeOf(), 1_000_000);
      const others = Array.from({ length: 2 }, () => startWriter(placeOf(), CHANGES));
      await once(killed.process.stdout ?? killed.process, 'data');
      killed.process.kill('SIGKILL');
      const counts = (await Promise.all([killed, ...others].map(({ counts: each }) => each))).flat();
      assert.equal(new Set(counts).size, counts.length, 'no change was made twice');
      const store = open();
      const stored = Number((await store.read('bookmark', 'shared'))?.count);
      // The last change of the killed one may be durable without having been reported.
      assert(stored === counts.length || stored === counts.length + 1, `${stored} of ${counts.length}`);
      await store.remove('bookmark', 'shared');
      await store.close();
    });
  }

  it('in a database: nor where all of them are the first to write it', async () => {
    const stores = Array.from({ length: 8 }, () => DatabaseStore.connect(parseDatabaseUrl(database.url)));
    for (let round = 0; round < 20; round++) {
      const name = `round ${round}`;
      const change = (store: StateStore): Promise<void> =>
        store.update('bookmark', name, (stored) => ({ count: Number(stored?.count ?? 0) + 1 }));
      await Promise.all(stores.map(change));
      assert.equal((await stores[0]?.read('bookmark', name))?.count, stores.length);
    }
    await Promise.all(stores.map((store) => store.close()));
  });

  it('in files: the lock of a process that was killed is freed at once, and leaves nothing behind', async () => {
    for (let round = 0; round < 5; round++) {
      const writer = startWriter(`file:${directory.path}`, 1_000_000);
      await once(writer.process.stdout ?? writer.process, 'data');
      writer.process.kill('SIGKILL');
      await once(writer.process, 'exit');
      const store = new FileStore(directory.path);
      await store.update('bookmark', 'shared', (stored) => ({ ...stored, round }));
      assert.equal((await store.read('bookmark', 'shared'))?.round, round);
      await store.close();
    }
    const files = await readdir(join(directory.path, 'bookmarks'));
    assert.deepEqual(
      files.filter((file) => file.endsWith('.lock')),
      [],
    );
  });
});
