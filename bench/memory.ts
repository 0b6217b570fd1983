/**
 * Memory of a real Node-RED while it delivers one window of millions of readings to an endpoint that takes a second
 * for each post: the read is held back, so it must not grow with the window.
 *
 *   npm run bench:memory                       1 and 10 million readings: some ten minutes
 *   npm run bench:memory -- 1000000            other numbers
 *
 * TEST_POSTGRES_URL names a server that may be used instead of one of its own.
 */
import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { startCloud, type Cloud } from '../scripts/start/cloud';
import { startNodeRed, type Flow, type NodeRed } from '../scripts/start/node-red';
import { startPostgres } from '../scripts/start/postgres';

const SENSORS = 100;
const START = '2026-01-01T00:00:00Z';
const KEY = 'bench-key';
const ANSWER_AFTER_MS = 1000;
const SAMPLE_EVERY_MS = 100;
/** Node-RED goes on loading for a while after its flows have started. */
const SETTLE_MS = 10_000;
const BOUND_MB = 100;
const DATABASE = 'turbomechanica_bench_memory';

const FLOW: Flow = [
  { id: 'tab', type: 'tab', label: 'memory' },
  {
    id: 'config',
    type: 'tm-config',
    endpoint: '${POST_DATA_ENDPOINT}',
    credentials: { databaseUrl: '${DATABASE_URL}', endpointKey: '${POST_DATA_API_KEY}' },
  },
  { id: 'in', type: 'http in', z: 'tab', url: '/window', method: 'post', wires: [['fetch', 'answer']] },
  { id: 'answer', type: 'http response', z: 'tab', statusCode: '202', wires: [] },
  { id: 'fetch', type: 'tm-fetch', z: 'tab', config: 'config', table: 'sensor_data', wires: [['post']] },
  { id: 'post', type: 'tm-post', z: 'tab', config: 'config', wires: [[], []] },
];

interface Figures {
  readonly readings: number;
  readonly idleMb: number;
  readonly peakMb: number;
  readonly seconds: number;
}

async function main(): Promise<void> {
  const asked = process.argv.slice(2).map(Number);
  const sizes = asked.length > 0 ? asked : [1_000_000, 10_000_000];
  const directory = await mkdtemp(join(tmpdir(), 'tm-bench-memory-'));
  const given = process.env.TEST_POSTGRES_URL;
  const server = given ? undefined : await startPostgres({});
  const serverUrl = server?.url('postgres') ?? given ?? '';
  try {
    console.log('| readings in one window | idle | peak | difference | time |');
    console.log('| ---: | ---: | ---: | ---: | ---: |');
    for (const readings of sizes) {
      const databaseUrl = await fill(serverUrl, readings);
      const { idleMb, peakMb, seconds } = await measure(
        databaseUrl,
        join(directory, String(readings)),
        readings,
      );
      const difference = peakMb - idleMb;
      console.log(
        `| ${readings.toLocaleString('en-US')} | ${mb(idleMb)} | ${mb(peakMb)} | ${mb(difference)} | ${Math.round(seconds)} s |`,
      );
      if (difference > BOUND_MB) process.exitCode = 1;
    }
  } finally {
    await command(serverUrl, `drop database if exists ${DATABASE} with (force)`).catch(() => undefined);
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function fill(serverUrl: string, readings: number): Promise<string> {
  await command(serverUrl, `drop database if exists ${DATABASE} with (force)`);
  await command(serverUrl, `create database ${DATABASE}`);
  const url = new URL(serverUrl);
  url.pathname = `/${DATABASE}`;
  await command(
    url.href,
    `create table sensor_data (sensor_id text not null, timestamp timestamptz not null, value double precision);
     insert into sensor_data
       select 'K101.TAG_' || sensor, timestamptz '${START}' + second * interval '1 s', sin(second) * sensor
         from generate_series(0, ${readings / SENSORS - 1}) second, generate_series(1, ${SENSORS}) sensor;
     create index on sensor_data (timestamp);
     analyze sensor_data`,
  );
  return url.href;
}

async function command(url: string, sql: string): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

async function measure(databaseUrl: string, userDirectory: string, readings: number): Promise<Figures> {
  const cloud = await startCloud({
    key: KEY,
    respond: () => ({ delayMs: ANSWER_AFTER_MS, accept: true, body: '{}' }),
  });
  let nodeRed: NodeRed | undefined;
  try {
    nodeRed = await startNodeRed({
      folder: dirname(createRequire(__filename).resolve('node-red/package.json')),
      userDirectory,
      flow: FLOW,
      env: { DATABASE_URL: databaseUrl, POST_DATA_ENDPOINT: cloud.url, POST_DATA_API_KEY: KEY },
    });
    await delay(SETTLE_MS);
    const idleMb = await residentMb(nodeRed);
    const startedAt = performance.now();
    await trigger(nodeRed, readings);
    const peakMb = await peakWhile(nodeRed, cloud, readings);
    return { readings, idleMb, peakMb, seconds: (performance.now() - startedAt) / 1000 };
  } catch (error) {
    console.error(nodeRed?.log);
    throw error;
  } finally {
    await nodeRed?.stop();
    await cloud.close();
  }
}

async function trigger({ url }: NodeRed, readings: number): Promise<void> {
  const end = new Date(Date.parse(START) + (readings / SENSORS) * 1000);
  const answer = await fetch(`${url}window`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ start_time: START, end_time: end.toISOString() }),
  });
  if (answer.status !== 202) throw new Error(`Node-RED answered ${answer.status}.`);
}

/** @returns the most that was resident until everything had arrived */
async function peakWhile(nodeRed: NodeRed, cloud: Cloud, readings: number): Promise<number> {
  let peak = 0;
  let arrived = 0;
  while (arrived < readings) {
    if (!nodeRed.running) throw new Error('Node-RED ended.');
    peak = Math.max(peak, await residentMb(nodeRed));
    ({ readings: arrived } = cloud.received());
    await delay(SAMPLE_EVERY_MS);
  }
  if (arrived !== readings) throw new Error(`${arrived} readings arrived instead of ${readings}.`);
  return peak;
}

/** Linux's own account of a process: proc(5), VmRSS in kB. */
async function residentMb({ process: { pid } }: NodeRed): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

function mb(megabytes: number): string {
  return `${Math.round(megabytes)} MB`;
}

void main();
