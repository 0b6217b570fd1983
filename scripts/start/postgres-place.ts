/**
 * Where a PostgreSQL's data lies, and as whom it runs. The server refuses to be root; started by root it runs as
 * another user, who must be able to reach the data and the programs.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, cp, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { postgresBinaries, programIn } from './postgres-binaries';

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface Place {
  readonly directory: string;
  /** The folder with `bin`, `lib` and `share`. */
  readonly native: string;
  /** Undefined: this process's own. */
  readonly account: Account | undefined;
  /** Goes when the server stops. */
  readonly remove: string | undefined;
}

/** Every user can reach it, and it outlives a restart of the machine. */
const PUBLIC_FOLDER = '/var/tmp';
const UNPRIVILEGED = ['postgres', 'nobody'];
const run = promisify(execFile);

/** @param wanted where the data should lie; undefined: in a temporary folder */
export async function placeFor(wanted: string | undefined): Promise<Place> {
  const native = await postgresBinaries();
  const account = await accountFor(wanted);
  const parent = wanted === undefined ? await temporaryFolder(account) : await parentOf(wanted, account);
  return {
    directory: join(parent, wanted === undefined ? 'postgres' : basename(wanted)),
    native: await reachablePrograms(native, parent, account),
    account,
    remove: wanted === undefined ? parent : undefined,
  };
}

async function accountFor(directory: string | undefined): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  // What was begun as one user goes on as that user.
  const begun = directory === undefined ? undefined : await stat(directory).catch(() => undefined);
  if (begun && begun.uid !== 0) return { uid: begun.uid, gid: begun.gid };
  const { SUDO_UID, SUDO_GID } = process.env;
  if (Number(SUDO_UID) > 0 && SUDO_GID) return { uid: Number(SUDO_UID), gid: Number(SUDO_GID) };
  for (const name of UNPRIVILEGED) {
    const ids = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]).catch(() => undefined);
    if (ids) return { uid: Number(ids[0].stdout), gid: Number(ids[1].stdout) };
  }
  throw new Error(
    `PostgreSQL does not run as root, and this machine has no user ${UNPRIVILEGED.join(' or ')}. Start this as another user.`,
  );
}

async function temporaryFolder(account: Account | undefined): Promise<string> {
  for (const folder of [tmpdir(), PUBLIC_FOLDER]) {
    const made = await mkdtemp(join(folder, 'tm-postgres-'));
    await chmod(made, 0o755);
    if (await canReach(account, made)) return made;
    await rm(made, { recursive: true });
  }
  throw new Error(`PostgreSQL's user can reach neither ${tmpdir()} nor ${PUBLIC_FOLDER}. Set TMPDIR.`);
}

async function parentOf(directory: string, account: Account | undefined): Promise<string> {
  const parent = dirname(directory);
  await mkdir(parent, { recursive: true });
  if (await canReach(account, parent)) return parent;
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  const elsewhere = join(PUBLIC_FOLDER, `turbomechanica-${name}`);
  await mkdir(elsewhere, { recursive: true, mode: 0o755 });
  // Anybody may make folders there: one of somebody else's is none of ours.
  if ((await stat(elsewhere)).uid !== process.getuid?.()) {
    throw new Error(`${elsewhere} belongs to somebody else. Put the project where PostgreSQL can reach it.`);
  }
  return elsewhere;
}

/** The programs themselves, or a copy beside the data where they lie in a folder closed to the user. */
async function reachablePrograms(
  native: string,
  parent: string,
  account: Account | undefined,
): Promise<string> {
  if (await canReach(account, programIn(native, 'postgres'))) return native;
  const copy = join(parent, 'postgres-programs');
  if (!(await canReach(account, programIn(copy, 'postgres')))) {
    // Renamed when it is whole: a copy that was interrupted is not taken for one.
    await rm(`${copy}.new`, { recursive: true, force: true });
    await rm(copy, { recursive: true, force: true });
    await cp(native, `${copy}.new`, { recursive: true, verbatimSymlinks: true });
    await rename(`${copy}.new`, copy);
  }
  return copy;
}

/** Whether the account may go into the folder, or run the program. */
async function canReach(account: Account | undefined, path: string): Promise<boolean> {
  if (!account) return true;
  return run('/bin/sh', ['-c', 'test -x "$1"', 'sh', path], { ...account, cwd: '/' }).then(
    () => true,
    () => false,
  );
}
