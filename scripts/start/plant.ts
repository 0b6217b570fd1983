/**
 * A simulated compressor train: twelve tags once a second into a table, with two days of history, so that there
 * is something to deliver. The same seed gives the same readings.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

/** A tag of the train: what it measures, around which value, and how it moves. */
interface Tag {
  readonly name: string;
  readonly middle: number;
  /** How much of the train's load (−1 … 1 over hours) it follows, in its own unit. */
  readonly load: number;
  readonly noise: number;
  readonly decimals: number;
}

const TAGS: readonly Tag[] = [
  { name: 'K101.SPEED', middle: 9850, load: 120, noise: 4, decimals: 1 },
  { name: 'K101.DE_BRG_X_VIB', middle: 21.5, load: 2.4, noise: 0.5, decimals: 3 },
  { name: 'K101.DE_BRG_Y_VIB', middle: 19.8, load: 2.1, noise: 0.5, decimals: 3 },
  { name: 'K101.NDE_BRG_X_VIB', middle: 17.2, load: 1.6, noise: 0.4, decimals: 3 },
  { name: 'K101.NDE_BRG_Y_VIB', middle: 16.4, load: 1.5, noise: 0.4, decimals: 3 },
  { name: 'K101.THRUST_POS', middle: 0.182, load: 0.02, noise: 0.002, decimals: 4 },
  { name: 'K101.DE_BRG_TEMP', middle: 78.4, load: 3.5, noise: 0.08, decimals: 2 },
  { name: 'K101.NDE_BRG_TEMP', middle: 74.9, load: 3.1, noise: 0.08, decimals: 2 },
  { name: 'K101.SUCTION_PRESS', middle: 18.6, load: -0.7, noise: 0.03, decimals: 3 },
  { name: 'K101.DISCH_PRESS', middle: 62.3, load: 2.8, noise: 0.06, decimals: 3 },
  { name: 'K101.DISCH_TEMP', middle: 131.5, load: 4.2, noise: 0.15, decimals: 2 },
  { name: 'K101.LUBE_OIL_PRESS', middle: 2.35, load: 0.05, noise: 0.01, decimals: 3 },
];

const TABLE = 'sensor_data';
const HOUR = 3600;
const SEED = 20_260_101;
/** Seconds of history that are computed at a time. */
const CHUNK_SECONDS = 900;

export interface Plant {
  stop(): Promise<void>;
}

export interface PlantOptions {
  readonly url: string;
  readonly historySeconds: number;
  /** Aborted: a history that is not complete yet is not begun, and made by the next start. */
  readonly signal?: AbortSignal;
}

/**
 * Makes the table and its history where there is none, then writes on, second by second. What lies between a
 * stop and the next start stays empty: the plant was off.
 */
export async function startPlant({ url, historySeconds, signal }: PlantOptions): Promise<Plant> {
  const client = new Client(url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    const next = await prepare(client, historySeconds, signal);
    const stopping = new AbortController();
    const writing = writeOn(client, next, stopping.signal);
    return {
      async stop() {
        stopping.abort();
        await writing;
        await client.end();
      },
    };
  } catch (error) {
    await client.end();
    throw error;
  }
}

/** @returns the second to go on with */
async function prepare(
  client: Client,
  historySeconds: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const now = Math.floor(Date.now() / 1000);
  const { rowCount } = await client.query('SELECT 1 FROM pg_tables WHERE tablename = $1', [TABLE]);
  if (rowCount === 0) {
    // All or nothing: half a history would pass for a whole one.
    await client.query('BEGIN');
    await client.query(
      `CREATE TABLE ${TABLE} (sensor_id text NOT NULL, timestamp timestamptz NOT NULL, value double precision)`,
    );
    const copy = client.query(copyFrom(`COPY ${TABLE} FROM STDIN`));
    await pipeline(Readable.from(history(now - historySeconds, now)), copy, ...(signal ? [{ signal }] : []));
    await client.query(`CREATE INDEX ON ${TABLE} (timestamp)`);
    await client.query('COMMIT');
    await client.query(`ANALYZE ${TABLE}`);
    return now;
  }
  const { rows } = await client.query<{ newest: string | null }>(
    `SELECT extract(epoch FROM max(timestamp))::bigint::text AS newest FROM ${TABLE}`,
  );
  return Math.max(now, Number(rows[0]?.newest ?? 0) + 1);
}

/** The readings of the seconds `[from, to)` as COPY takes them. */
function* history(from: number, to: number): Generator<string> {
  for (let begin = from; begin < to; begin += CHUNK_SECONDS) {
    let lines = '';
    for (let second = begin; second < Math.min(begin + CHUNK_SECONDS, to); second++) {
      const timestamp = new Date(second * 1000).toISOString();
      const load = loadAt(second);
      for (const [index, tag] of TAGS.entries()) {
        lines += `${tag.name}\t${timestamp}\t${valueAt(tag, index, second, load)}\n`;
      }
    }
    yield lines;
  }
}

/** Each second's readings as soon as it has begun; after a stall, the seconds it took too. */
async function writeOn(client: Client, from: number, signal: AbortSignal): Promise<void> {
  let next = from;
  while (!signal.aborted) {
    const now = Math.floor(Date.now() / 1000);
    if (next <= now) {
      await insert(client, next, now + 1).then(
        () => {
          next = now + 1;
        },
        (error: unknown) => {
          if (!signal.aborted) console.error(`The simulated plant cannot write: ${String(error)}`);
        },
      );
    }
    await delay(1000 - (Date.now() % 1000), undefined, { signal }).catch(() => undefined);
  }
}

/** All tags for the seconds `[from, to)`. */
async function insert(client: Client, from: number, to: number): Promise<void> {
  const sensors: string[] = [];
  const seconds: number[] = [];
  const values: number[] = [];
  for (let second = from; second < to; second++) {
    const load = loadAt(second);
    for (const [index, tag] of TAGS.entries()) {
      sensors.push(tag.name);
      seconds.push(second);
      values.push(valueAt(tag, index, second, load));
    }
  }
  await client.query(
    `INSERT INTO ${TABLE} (sensor_id, timestamp, value)
       SELECT sensor, to_timestamp(second), value
         FROM unnest($1::text[], $2::bigint[], $3::float8[]) AS readings(sensor, second, value)`,
    [sensors, seconds, values],
  );
}

/** The train's load: a daily and an hourly swing, and now and then a step down for some minutes. */
function loadAt(second: number): number {
  const daily = 0.6 * Math.sin((2 * Math.PI * second) / (24 * HOUR));
  const hourly = 0.3 * Math.sin((2 * Math.PI * second) / (1.7 * HOUR));
  const hour = Math.floor(second / HOUR);
  const stepped = noiseAt(hour, 99) > 0.8 && second % HOUR < 600;
  return daily + hourly - (stepped ? 0.8 : 0);
}

function valueAt(tag: Tag, index: number, second: number, load: number): number {
  const wander = noiseAt(Math.floor(second / 30), index) * tag.noise;
  const value = tag.middle + tag.load * load + wander + noiseAt(second, index) * tag.noise;
  return Number(value.toFixed(tag.decimals));
}

/** −1 … 1 by second and tag: a hash rather than a sequence, so that any second can be computed by itself. */
function noiseAt(second: number, index: number): number {
  let hash = (second ^ Math.imul(index + 1, 0x9e3779b1) ^ SEED) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97);
  return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 31 - 1;
}
