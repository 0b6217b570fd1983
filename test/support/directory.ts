import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new directory for each test; all are gone after the last one, when what the tests opened is closed. */
export function testDirectory(): { readonly path: string } {
  const directory = { path: '' };
  const made: string[] = [];
  beforeEach(async () => {
    directory.path = await mkdtemp(join(tmpdir(), 'tm-test-'));
    made.push(directory.path);
  });
  after(() => Promise.all(made.map((path) => rm(path, { recursive: true, force: true }))));
  return directory;
}
