/**
 * The brokers of the tests: those that TEST_REDIS_URL and TEST_RABBITMQ_URL name, those that answer at the usual
 * ports of this machine, or servers of the run's own. Tests that stop a broker have one of their own in any case.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { freePort } from '../../scripts/start/ports';

export type BrokerKind = 'redis' | 'rabbitmq';
export const BROKERS: readonly BrokerKind[] = ['redis', 'rabbitmq'];

interface Server {
  readonly variable: string;
  readonly usual: string;
  readonly program: string | undefined;
  command(port: number, directory: string): Promise<{ args: string[]; env: NodeJS.ProcessEnv }>;
  url(port: number): string;
}

const SERVERS: Readonly<Record<BrokerKind, Server>> = {
  redis: {
    variable: 'TEST_REDIS_URL',
    usual: 'redis://127.0.0.1:6379',
    program: findProgram('redis-server'),
    command: async (port, directory) => ({
      args: [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory],
        // As the documentation asks for: what was answered is on the disk.
        ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''],
      ],
      env: {},
    }),
    url: (port) => `redis://127.0.0.1:${port}`,
  },
  rabbitmq: {
    variable: 'TEST_RABBITMQ_URL',
    usual: 'amqp://guest:guest@127.0.0.1:5672',
    // What lies in the path of Debian's becomes another user first.
    program: ['/usr/lib/rabbitmq/bin/rabbitmq-server', findProgram('rabbitmq-server')].find(
      (path) => path !== undefined && existsSync(path),
    ),
    command: async (port, directory) => ({
      args: [],
      env: {
        HOME: directory,
        RABBITMQ_NODENAME: `tm-test-${port}@localhost`,
        RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
        RABBITMQ_NODE_PORT: String(port),
        RABBITMQ_DIST_PORT: String(await freePort()),
        RABBITMQ_MNESIA_BASE: join(directory, 'data'),
        RABBITMQ_LOG_BASE: join(directory, 'log'),
        RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'plugins'),
        RABBITMQ_CONFIG_FILE: join(directory, 'none'),
      },
    }),
    url: (port) => `amqp://guest:guest@127.0.0.1:${port}`,
  },
};
const START_WITHIN_MS = 120_000;

/** Why there can be none; undefined where tests can have one. */
export function brokerMissing(kind: BrokerKind, own = false): string | undefined {
  const { variable, program } = SERVERS[kind];
  if (program !== undefined || (!own && process.env[variable])) return undefined;
  return own ? `no ${kind} server is installed` : `no ${kind} server; name one by ${variable}`;
}

const shared = new Map<BrokerKind, Promise<{ url: string; own?: OwnBroker }>>();

/** One for the run; others may use it too. */
export async function brokerUrl(kind: BrokerKind): Promise<string> {
  let found = shared.get(kind);
  if (!found) {
    found = findBroker(kind);
    shared.set(kind, found);
  }
  return (await found).url;
}

// Outside any describe: after all files.
after(async () => {
  for (const found of shared.values()) await (await found).own?.remove();
});

async function findBroker(kind: BrokerKind): Promise<{ url: string; own?: OwnBroker }> {
  const { variable, usual } = SERVERS[kind];
  const given = process.env[variable];
  if (given) return { url: given };
  if (await answers(Number(new URL(usual).port))) return { url: usual };
  const own = await OwnBroker.start(kind);
  return { url: own.url, own };
}

/** For it to be stopped, killed and started again over the same data. */
export class OwnBroker {
  readonly url: string;
  readonly #kind: BrokerKind;
  readonly #port: number;
  readonly #directory: string;
  #process: ChildProcess | undefined;
  #log = '';

  private constructor(kind: BrokerKind, port: number, directory: string) {
    this.#kind = kind;
    this.#port = port;
    this.#directory = directory;
    this.url = SERVERS[kind].url(port);
  }

  static async start(kind: BrokerKind): Promise<OwnBroker> {
    const broker = new OwnBroker(kind, await freePort(), await mkdtemp(join(tmpdir(), `tm-own-${kind}-`)));
    await broker.start();
    return broker;
  }

  async start(): Promise<void> {
    const of = SERVERS[this.#kind];
    const { program = '' } = of;
    const { args, env } = await of.command(this.#port, this.#directory);
    const server = spawn(program, args, {
      cwd: this.#directory,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // RabbitMQ's is a script that starts the server: both end with their group.
      detached: true,
    });
    for (const stream of [server.stdout, server.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-10_000);
      });
    }
    this.#process = server;
    const giveUpAt = performance.now() + START_WITHIN_MS;
    while (!(await answers(this.#port))) {
      if (server.exitCode !== null || performance.now() > giveUpAt) {
        throw new Error(`${program} does not answer:\n${this.#log}`);
      }
      await setTimeout(50);
    }
  }

  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  /** As by a power cut. */
  crash(): Promise<void> {
    return this.#end('SIGKILL');
  }

  async remove(): Promise<void> {
    await this.crash();
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#process;
    this.#process = undefined;
    if (server?.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const closed = once(server, 'close');
    process.kill(-server.pid, signal);
    await closed;
  }
}

/** Made before the tests of the calling `describe`, gone after them; running before each. */
export function ownBroker(kind: BrokerKind): Pick<OwnBroker, 'url' | 'stop' | 'crash' | 'start'> {
  let broker: OwnBroker | undefined;
  before(async function () {
    this.timeout(START_WITHIN_MS);
    broker = await OwnBroker.start(kind);
  });
  after(() => broker?.remove());
  const opened = (): OwnBroker => {
    if (!broker) throw new Error('only inside tests and hooks');
    return broker;
  };
  return {
    get url() {
      return opened().url;
    },
    start: () => opened().start(),
    stop: () => opened().stop(),
    crash: () => opened().crash(),
  };
}

function findProgram(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const answer = await Promise.race([
    once(socket, 'connect').then(
      () => true,
      () => false,
    ),
    once(socket, 'close').then(() => false),
  ]);
  socket.destroy();
  return answer;
}
