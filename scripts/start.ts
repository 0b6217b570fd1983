/**
 * `npm start`: the main job on one machine. A PostgreSQL with a simulated plant, a stand-in for the cloud, and
 * Node-RED between them with both modes deployed. Whatever the environment names (DATABASE_URL,
 * POST_DATA_ENDPOINT, …) is used instead of the part that would stand in for it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Client } from 'pg';
import { addressId, parseDatabaseUrl } from '../lib/database-url';
import { startCloud } from './start/cloud';
import { startNodeRed, type Flow } from './start/node-red';
import { startPlant } from './start/plant';
import { freePort } from './start/ports';
import { startPostgres } from './start/postgres';
import { processIn } from './start/processes';

const PROJECT = resolve(__dirname, '..');
/** Kept between starts, and ignored by git. */
const DATA = resolve(process.env.START_DIRECTORY ?? join(PROJECT, '.data'));
const HISTORY_SECONDS = Number(process.env.START_HISTORY_HOURS ?? 48) * 3600;
const PORTS = { nodeRed: 1880, cloud: 8880, postgres: 54_320 };
const DATABASE = 'plant';
/** A terminal's Ctrl-C may arrive twice, once through npm; this much later it is meant a second time. */
const SECOND_CTRL_C_AFTER_MS = 1000;

/** What has been started, stopped in the opposite order. */
const running: { readonly name: string; stop(): Promise<void> }[] = [];
const stopping = new AbortController();

/** Where the readings come from or go to. */
interface End {
  /** As the flow is given it; may hold a secret. */
  readonly url: string;
  /** As it may be shown. */
  readonly shown: string;
  /** Undefined: it stands in for the user's own. */
  readonly identity: string | undefined;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Starts a part; what was started while everything is being stopped is stopped with it. */
async function begin<Part extends { stop(): Promise<void> }>(
  name: string,
  starting: () => Promise<Part>,
): Promise<Part> {
  stopping.signal.throwIfAborted();
  const part = await starting();
  running.push({ name, stop: () => part.stop() });
  stopping.signal.throwIfAborted();
  return part;
}

async function start(): Promise<void> {
  const ownEnvironment = join(PROJECT, '.env');
  if (existsSync(ownEnvironment)) process.loadEnvFile(ownEnvironment);
  const { POST_DATA_ENDPOINT, POST_DATA_API_KEY, DATABASE_URL, API_KEY } = process.env;
  if (POST_DATA_ENDPOINT && !POST_DATA_API_KEY) {
    throw new Error('POST_DATA_ENDPOINT is set, but POST_DATA_API_KEY, the key for it, is not.');
  }
  await begin('the claim on the folder', claimDirectory);

  const requestKey = API_KEY || (DATABASE_URL ? randomBytes(16).toString('hex') : 'demo-request-key');
  const endpointKey = POST_DATA_API_KEY || 'demo-endpoint-key';
  const source = DATABASE_URL ? ownDatabase(DATABASE_URL) : await startDatabase();
  const sink = POST_DATA_ENDPOINT ? ownEndpoint(POST_DATA_ENDPOINT) : await startStandIn(endpointKey);

  say('Starting Node-RED …');
  const nodeRed = await begin('Node-RED', async () =>
    startNodeRed({
      folder: dirname(require.resolve('node-red/package.json')),
      userDirectory: join(DATA, userDirectoryFor(source, sink)),
      flow: JSON.parse(await readFile(join(PROJECT, 'examples/both-modes.json'), 'utf8')) as Flow,
      port: PORTS.nodeRed,
      env: {
        FETCH_DATA_INTERVAL: process.env.FETCH_DATA_INTERVAL || '1',
        BATCH_SIZE: process.env.BATCH_SIZE || '30',
        API_KEY: requestKey,
        DATABASE_URL: source.url,
        POST_DATA_ENDPOINT: sink.url,
        POST_DATA_API_KEY: endpointKey,
      },
      onOutput: (text) => process.stdout.write(text),
    }),
  );
  nodeRed.process.once('exit', () => void stop(1, 'Node-RED has ended by itself.'));
  sayOtherPort('Node-RED', PORTS.nodeRed, Number(new URL(nodeRed.url).port));
  saySummary(nodeRed.url, source, sink, API_KEY ? '$API_KEY' : requestKey);
}

function ownDatabase(url: string): End {
  return {
    url,
    shown: 'yours, from DATABASE_URL (which table: "read the window" in Node-RED)',
    identity: addressId(parseDatabaseUrl(url)),
  };
}

function ownEndpoint(url: string): End {
  return { url, shown: 'yours, from POST_DATA_ENDPOINT', identity: url };
}

/**
 * A bookmark says what has gone from one database to one endpoint, so each pair has a user directory of its own:
 * what the stand-ins have seen does not count for the user's own systems.
 */
function userDirectoryFor(...ends: End[]): string {
  const identities = ends.map(({ identity = '' }) => identity);
  if (identities.every((identity) => identity === '')) return 'node-red';
  return `node-red-${createHash('sha256').update(identities.join('\n')).digest('hex').slice(0, 8)}`;
}

async function startDatabase(): Promise<End> {
  say('Starting PostgreSQL …');
  const wanted = join(DATA, 'postgres');
  const server = await begin('PostgreSQL', () => startPostgres({ directory: wanted, port: PORTS.postgres }));
  void server.ended.then(() => stop(1, 'PostgreSQL has ended by itself.'));
  sayOtherPort('PostgreSQL', PORTS.postgres, server.port);
  if (server.directory !== wanted)
    say(`PostgreSQL cannot reach ${wanted}: its data is in ${server.directory}.`);
  const client = new Client(server.url('postgres'));
  await client.connect();
  const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
  if (rowCount === 0) {
    say(`Writing ${HISTORY_SECONDS / 3600} hours of history of a compressor train …`);
    await client.query(`CREATE DATABASE ${DATABASE}`);
  }
  await client.end();
  const url = server.url(DATABASE);
  await begin('the simulated plant', () =>
    startPlant({ url, historySeconds: HISTORY_SECONDS, signal: stopping.signal }),
  );
  return { url, shown: url, identity: undefined };
}

async function startStandIn(key: string): Promise<End> {
  const cloud = await startCloud({ key, port: await freePort(PORTS.cloud) });
  await begin('the stand-in for the cloud', async () => ({ stop: () => cloud.close() }));
  sayOtherPort('The stand-in for the cloud', PORTS.cloud, Number(new URL(cloud.url).port));
  return { url: cloud.url, shown: cloud.pageUrl, identity: undefined };
}

function sayOtherPort(name: string, wanted: number, taken: number): void {
  if (wanted !== taken) say(`Port ${wanted} is busy: ${name} is on ${taken} instead.`);
}

/** Addresses; what is the user's own is named, not shown: its URL may hold a password. */
function saySummary(editor: string, source: End, sink: End, key: string): void {
  const end = new Date(Math.floor(Date.now() / 60_000) * 60_000);
  const range = {
    start_time: new Date(end.getTime() - 3_600_000).toISOString(),
    end_time: end.toISOString(),
  };
  say(
    [
      '',
      `  Node-RED, both modes deployed   ${editor}`,
      `  What arrived at the cloud       ${sink.shown}`,
      `  The plant's database            ${source.shown}`,
      '',
      '  Ask for an hour, as the cloud does:',
      `  curl -X POST ${editor}raise-request -H "Authorization: Bearer ${key}" -H "Content-Type: application/json" -d '${JSON.stringify(range)}'`,
      '',
      '  Ctrl-C stops everything; the next start goes on from there.',
      '',
    ].join('\n'),
  );
}

/** Two starts over one folder would be two writers on one bookmark. */
async function claimDirectory() {
  await mkdir(DATA, { recursive: true });
  const claim = join(DATA, 'start.pid');
  const owner = await processIn(claim);
  if (owner?.command.includes('start.ts')) {
    throw new Error(`It runs already (process ${owner.pid}) over ${DATA}. Stop that one first.`);
  }
  await writeFile(claim, String(process.pid));
  return { stop: () => rm(claim, { force: true }) };
}

async function stop(code: number, why: string): Promise<void> {
  if (stopping.signal.aborted) return;
  stopping.abort(new Error(why));
  say(`\n${why}${running.length > 0 ? ' Stopping …' : ''}`);
  // A part that is being started can be stopped once it has been.
  await started;
  for (const part of running.reverse()) {
    await part.stop().catch((error: unknown) => {
      say(`${part.name} did not stop cleanly: ${String(error)}`);
      code = 1;
    });
  }
  if (running.length > 0) say('Stopped.');
  process.exitCode = code;
}

let signalledAt: number | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    signalledAt ??= performance.now();
    // Whoever does not want to wait: what still runs ends by itself when this process is gone.
    if (performance.now() - signalledAt > SECOND_CTRL_C_AFTER_MS) process.exit(1);
    void stop(0, `${signal}.`);
  });
}
// Nobody reads what is printed any more (`npm start | head`): that ends it in order, as a signal does.
process.stdout.on('error', () => void stop(1, 'The output was closed.'));

const started = start().catch((error: unknown) => {
  void stop(1, error instanceof Error ? error.message : String(error));
});
