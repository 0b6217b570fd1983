/** A MariaDB server of a test's own, of the machine's programs, over data that is thrown away with it. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const GUARD = resolve('scripts/start/postgres-guard.mjs');
const READY = 'ready for connections';
/** Where Debian has the server's programs, which a user's PATH may lack. */
const ALSO_IN = ['/usr/sbin', '/usr/local/sbin'];

export interface OwnMariadb {
  readonly url: string;
  stop(): Promise<void>;
}

export function hasMariadb(): boolean {
  return programNamed('mariadbd') !== undefined && programNamed('mariadb-install-db') !== undefined;
}

/** @param options of the server, such as `--ssl-ca=…` */
export async function startMariadb(options: readonly string[] = []): Promise<OwnMariadb> {
  const server = programNamed('mariadbd');
  const install = programNamed('mariadb-install-db');
  if (server === undefined || install === undefined) throw new Error('There is no MariaDB on this machine.');
  const folder = await mkdtemp(join(tmpdir(), 'tm-mariadb-'));
  const data = join(folder, 'data');
  const { username } = userInfo();
  const common = ['--no-defaults', `--datadir=${data}`, `--user=${username}`];
  await promisify(execFile)(install, [
    ...common,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ]);
  const port = await freePort();
  const job = {
    command: server,
    args: [
      ...common,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      `--socket=${join(folder, 'socket')}`,
      `--pid-file=${join(folder, 'pid')}`,
      '--innodb-flush-log-at-trx-commit=0',
      ...options,
    ],
    remove: folder,
    signals: ['SIGTERM', 'SIGKILL'],
  };
  const guard = spawn(process.execPath, [GUARD, JSON.stringify(job)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    detached: true,
  });
  await ready(guard);
  return {
    url: `mysql://root@127.0.0.1:${port}/`,
    async stop() {
      const ended = once(guard, 'exit');
      guard.disconnect();
      await ended;
    },
  };
}

function ready(guard: ChildProcess): Promise<void> {
  let log = '';
  return new Promise((resolve, reject) => {
    guard.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-10_000);
      if (log.includes(READY)) resolve();
    });
    guard.once('exit', () => {
      reject(new Error(`MariaDB did not start. It said:\n${log}`));
    });
  });
}

function programNamed(name: string): string | undefined {
  return [...(process.env.PATH ?? '').split(delimiter), ...ALSO_IN]
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
