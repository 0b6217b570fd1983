/**
 * A PostgreSQL of one's own, listening on this machine alone: for `npm start`, and for tests where no other
 * server is named. It never outlives the process that started it.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chown, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './ports';
import { programIn } from './postgres-binaries';
import { placeFor, type Place } from './postgres-place';
import { end, processIn } from './processes';

export interface Postgres {
  readonly port: number;
  /** Where its data lies. */
  readonly directory: string;
  /** Resolves when the server has ended, whoever ended it. */
  readonly ended: Promise<void>;
  /** The URL of a database of this server; the password is of no use beyond this machine. */
  url(database: string): string;
  /** Cuts clients off, and resolves when nothing of the server runs any more. */
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /**
   * Where the data lies; made where it does not exist. Where PostgreSQL cannot reach it, a folder that it can.
   * Undefined: in a temporary folder that goes with the server, and not safe from a power cut.
   */
  readonly directory?: string;
  /** Wanted; another one is taken where it is busy. */
  readonly port?: number;
}

const USER = 'postgres';
const PASSWORD = 'postgres';
const READY = 'database system is ready to accept connections';
const PORT_BUSY = 'could not bind';
const PORTS_TRIED = 5;
const LOG_KEPT = 20_000;
const START_WITHIN_MS = 120_000;
const STOP_WITHIN_MS = 20_000;
const LAST_WORDS_MS = 1000;
const GUARD = join(__dirname, 'postgres-guard.mjs');
const run = promisify(execFile);

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  // One server without replicas: fewer processes, and less to write.
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_logical_replication_workers: '0',
  io_method: 'sync',
  // READY and PORT_BUSY are looked for in its log.
  lc_messages: 'C',
};
const THROWN_AWAY: Readonly<Record<string, string>> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
};

export async function startPostgres({ directory: wanted, port }: PostgresOptions): Promise<Postgres> {
  const place = await placeFor(wanted);
  const { directory } = place;
  try {
    await clearLeftOver(directory);
    if (!existsSync(join(directory, 'PG_VERSION'))) await initialise(place);
    for (let tried = 1; ; tried++) {
      const server = new Server(place, await freePort(tried === 1 ? port : undefined));
      if (await server.ready()) return server;
      // Somebody else was quicker to take the port.
      if (tried < PORTS_TRIED && server.log.includes(PORT_BUSY)) continue;
      const words = server.log.trim().split('\n').slice(-5).join('\n');
      throw new Error(`PostgreSQL did not start over ${directory}. It said:\n${words}`);
    }
  } catch (error) {
    if (place.remove) await rm(place.remove, { recursive: true, force: true });
    throw error;
  }
}

class Server implements Postgres {
  readonly directory: string;
  readonly ended: Promise<void>;
  log = '';
  readonly #guard: ChildProcess;
  readonly #remove: string | undefined;

  constructor(
    { directory, native, account, remove }: Place,
    readonly port: number,
  ) {
    this.directory = directory;
    const settings = { ...SETTINGS, ...(remove === undefined ? {} : THROWN_AWAY), port: String(port) };
    this.#remove = remove;
    const job = {
      command: programIn(native, 'postgres'),
      args: [
        '-D',
        directory,
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      account,
      remove,
    };
    this.#guard = spawn(process.execPath, [GUARD, JSON.stringify(job)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // Ctrl-C in a terminal goes to the whole group: stopping it is for the parent to do, in order.
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    // Not its `close`: that does not come where the parent disconnects.
    this.ended = once(this.#guard, 'exit').then(() => undefined);
    this.#guard.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.log = (this.log + text).slice(-LOG_KEPT);
    });
  }

  /** @returns whether it takes connections; otherwise it has ended, and its log says why */
  async ready(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const isReady = new Promise<boolean>((resolve) => {
      this.#guard.stderr?.on('data', () => {
        if (this.log.includes(READY)) resolve(true);
      });
      timer = setTimeout(resolve, START_WITHIN_MS, false);
    });
    const ready = await Promise.race([isReady, this.ended.then(() => false)]);
    clearTimeout(timer);
    if (ready) return true;
    await this.#end();
    // Its last words may still be under way.
    const { stderr } = this.#guard;
    if (stderr && !stderr.readableEnded) await Promise.race([once(stderr, 'end'), delay(LAST_WORDS_MS)]);
    return false;
  }

  url(database: string): string {
    return `postgresql://${USER}:${PASSWORD}@127.0.0.1:${this.port}/${database}`;
  }

  async stop(): Promise<void> {
    await this.#end();
    if (this.#remove !== undefined) await rm(this.#remove, { recursive: true, force: true });
  }

  async #end(): Promise<void> {
    if (this.#guard.connected) this.#guard.disconnect();
    await this.ended;
  }
}

/** A server that was left running when everything around it was killed, or the file of one that is gone. */
async function clearLeftOver(directory: string): Promise<void> {
  const pidFile = join(directory, 'postmaster.pid');
  const found = await processIn(pidFile);
  if (!found) return;
  const { pid, command } = found;
  if (command.includes(directory)) await end(pid, 'SIGINT', STOP_WITHIN_MS);
  // The number was given to another process since, which PostgreSQL would take for itself.
  else if (command !== '' && !command.includes('postgres')) await rm(pidFile, { force: true });
}

/** Renamed when it is whole: what an interruption left half done is begun anew. */
async function initialise({ directory, native, account }: Place): Promise<void> {
  const fresh = `${directory}.new`;
  const passwordFile = join(dirname(directory), 'postgres.password');
  try {
    await rm(fresh, { recursive: true, force: true });
    await mkdir(fresh, { mode: 0o700 });
    await writeFile(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
    for (const path of account ? [fresh, passwordFile] : [])
      await chown(path, account?.uid ?? 0, account?.gid ?? 0);
    await run(
      programIn(native, 'initdb'),
      [
        ...['--pgdata', fresh, '--username', USER, '--pwfile', passwordFile],
        ...['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-sync'],
      ],
      { ...account, cwd: '/' },
    );
    await rename(fresh, directory);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw new Error(`PostgreSQL could not be set up in ${directory}: ${reasonOf(error)}`, { cause: error });
  } finally {
    await rm(passwordFile, { force: true });
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, stderr = '' } = error as NodeJS.ErrnoException & { stderr?: string };
  if (code === 'ENOENT') {
    return `its programs do not run here (${error.message}). On Alpine Linux and the like, name a server of yours: DATABASE_URL for npm start, TEST_POSTGRES_URL for the tests.`;
  }
  return stderr.trim() || error.message;
}
