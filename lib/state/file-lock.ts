/**
 * One process at a time works on a record's files, whatever is killed whenever. The lock is a directory that
 * is moved into place with a file inside, named by chance: only an empty one can be replaced or removed. So to
 * free the lock of a process that has ended, its file is removed by name, which can never hit another's.
 *
 * A process that runs keeps its lock. Of one that nobody here can look for (another container, another machine
 * on a network share, or one that may be another under the same number by now) a lock that has stood unchanged for long is taken for left over, by this process's own
 * monotonic clock; should its owner come back all the same, it notices before it replaces the record.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { TmError } from '../errors';
import {
  describeProcess,
  isGone,
  parseProcess,
  sameProcess,
  thisProcess,
  type ProcessIdentity,
} from '../process-identity';
import { codeOf, readIfThere, unlinkIfThere, writeFile, type Files } from './files';

const LOCK = '.lock';
/** As other temporary files are: cleared away at the next start. */
const UNPLACED = '.tmp';
const LEFT_OVER_AFTER_MS = 10_000;
const GIVEN_UP_AFTER_MS = 20_000;
const LOOK_AGAIN_MS = 10;

/** Locks that this process holds: one of its own that is not among them was left over by a failed release. */
const held = new Set<string>();

interface Owner {
  readonly token: string;
  /** Undefined: it cannot be read. */
  readonly identity: ProcessIdentity | undefined;
}

/** Resolves where the lock is still this process's. @throws TmError TM_STATE_WRITE */
export type StillHeld = () => Promise<void>;

/**
 * Does `work` while no other process, and nobody else in this one, does any under the lock of `path`.
 * @throws what `work` throws; TmError TM_STATE_WRITE where another keeps the lock; the file system's errors
 */
export async function locked<Result>(
  files: Files,
  path: string,
  work: (stillHeld: StillHeld) => Promise<Result>,
): Promise<Result> {
  const lock = path + LOCK;
  let token = newToken();
  held.add(token);
  try {
    await acquire(files, lock, token);
    return await work(async () => {
      const next = newToken();
      held.add(next);
      // Renamed, not looked at: what is taken over is gone, whatever a network share remembers of it, and who
      // watches this lock sees that it is alive.
      try {
        await files.rename(join(lock, token), join(lock, next));
      } catch (error) {
        held.delete(next);
        if (codeOf(error) !== 'ENOENT') throw error;
        throw new TmError('TM_STATE_WRITE', `${path} was taken over by another process meanwhile.`);
      }
      held.delete(token);
      token = next;
    });
  } finally {
    held.delete(token);
    await unlinkIfThere(files, join(lock, token)).catch(ignore);
    // It is another's where it is not empty.
    await files.rmdir(lock).catch(ignore);
  }
}

/** What the file in a lock is named. */
function newToken(): string {
  return randomBytes(9).toString('hex');
}

async function acquire(files: Files, lock: string, token: string): Promise<void> {
  const unplaced = `${lock}.${token}${UNPLACED}`;
  await files.mkdir(unplaced);
  try {
    await writeFile(files, join(unplaced, token), JSON.stringify(thisProcess()));
    const begun = performance.now();
    let watched: { readonly token: string; readonly since: number } | undefined;
    while (!(await place(files, unplaced, lock))) {
      const owner = await ownerOf(files, lock);
      if (owner) {
        const now = performance.now();
        if (watched?.token !== owner.token) watched = { token: owner.token, since: now };
        if (isLeftOver(owner, now - watched.since)) {
          await unlinkIfThere(files, join(lock, owner.token));
          continue;
        }
        if (now - begun > GIVEN_UP_AFTER_MS) throw occupied(lock, owner);
      }
      await setTimeout(LOOK_AGAIN_MS * (1 + Math.random()));
    }
  } catch (error) {
    await files.rm(unplaced, { recursive: true, force: true }).catch(ignore);
    throw error;
  }
}

/** @returns whether the lock is this process's now */
async function place(files: Files, unplaced: string, lock: string): Promise<boolean> {
  try {
    await files.rename(unplaced, lock);
    return true;
  } catch (error) {
    // What Windows says of a directory in the way, and every system of one that may not be written to.
    const ambiguous = ['EPERM', 'EACCES'].includes(codeOf(error));
    if (!ambiguous && !['ENOTEMPTY', 'EEXIST'].includes(codeOf(error))) throw error;
    // Windows replaces not even an empty one.
    const removed = await files.rmdir(lock).then(
      () => true,
      () => false,
    );
    if (!ambiguous || removed || (await isThere(files, lock))) return false;
  }
  // Nothing is in the way any more: either its owner has just let go of it, or this fails in the same way.
  try {
    await files.rename(unplaced, lock);
    return true;
  } catch (error) {
    if (await isThere(files, lock)) return false;
    throw error;
  }
}

async function isThere(files: Files, path: string): Promise<boolean> {
  return files.stat(path).then(
    () => true,
    () => false,
  );
}

async function ownerOf(files: Files, lock: string): Promise<Owner | undefined> {
  try {
    const [token] = await files.readdir(lock);
    if (token === undefined) return undefined;
    const text = await readIfThere(files, join(lock, token));
    return text === undefined ? undefined : { token, identity: identityIn(text) };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function identityIn(text: string): ProcessIdentity | undefined {
  try {
    return parseProcess(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function isLeftOver({ token, identity }: Owner, unchangedMs: number): boolean {
  if (identity) {
    if (sameProcess(identity, thisProcess())) return !held.has(token);
    if (identity.realm === thisProcess().realm) {
      if (isGone(identity)) return true;
      // Where the system does not say when it began, another may run under its number since.
      if (identity.started !== '') return false;
    }
  }
  return unchangedMs > LEFT_OVER_AFTER_MS;
}

function occupied(lock: string, { identity }: Owner): TmError {
  const who = identity ? describeProcess(identity) : 'a process that cannot be told';
  return new TmError(
    'TM_STATE_WRITE',
    `State could not be written: ${who} has kept ${lock} for ${GIVEN_UP_AFTER_MS / 1000} s. End that process if it hangs; until then nothing moves on.`,
  );
}

function ignore(): void {
  // What is left over is told from a lock that is held by whoever comes next.
}
