/** A PostgreSQL server of a test's own, for it to be stopped, killed and started again over the same data. */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres, type Postgres } from '../../scripts/start/postgres';
import type { TestDatabase } from './test-database';

export interface OwnPostgres extends Pick<TestDatabase, 'url'> {
  /** Cuts clients off in order. */
  stop(): Promise<void>;
  /** Ends at once, in the middle of whatever it does, as by `pg_ctl stop -m immediate`. */
  crash(): Promise<void>;
  /** At the same port. */
  start(): Promise<void>;
}

/** Runs before the tests of the calling `describe`; what they leave stopped is started for the next one. */
export function ownPostgres(): OwnPostgres {
  let folder = '';
  let server: Postgres | undefined;
  let port: number | undefined;
  let running = false;

  const start = async (): Promise<void> => {
    if (running) return;
    server = await startPostgres({
      directory: join(folder, 'data'),
      ...(port === undefined ? {} : { port }),
    });
    ({ port } = server);
    running = true;
  };
  const stop = async (): Promise<void> => {
    running = false;
    await server?.stop();
  };

  before(async function () {
    this.timeout(180_000);
    folder = await mkdtemp(join(tmpdir(), 'tm-own-postgres-'));
    await chmod(folder, 0o755);
    await start();
  });
  afterEach(start);
  after(async () => {
    await stop();
    await rm(folder, { recursive: true, force: true });
  });

  return {
    get url() {
      if (!server) throw new Error('only inside tests and hooks');
      return server.url('postgres');
    },
    start,
    stop,
    async crash() {
      if (!server) throw new Error('only inside tests');
      const [pid] = (await readFile(join(server.directory, 'postmaster.pid'), 'utf8')).split('\n');
      running = false;
      process.kill(Number(pid), 'SIGQUIT');
      await server.ended;
    },
  };
}
