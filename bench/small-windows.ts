/**
 * Small windows as they come live, one a second: from the trigger until the bookmark is on disk, beside SELECT and
 * POST by hand on one connection, and beside the flow that a user would wire.
 * `npm run bench -- small [readings in a window] [windows]`
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { Pool } from 'undici';
import { BenchDatabase, SEED, isoTime, type Readings } from './support/database';
import { report, spreadOf, type Cell } from './support/figures';
import { connectorFlow, userFlow } from './support/flows';
import { MeasuredNodeRed } from './support/node-red';
import { userFlowRun } from './support/run';
import { Sink } from './support/sink';

interface Row {
  readonly sensor_id: string;
  readonly timestamp: Date;
  readonly value: number;
}

export async function small(wanted = 1000, windows = 30): Promise<void> {
  const database = await BenchDatabase.open();
  const sink = await Sink.start();
  await sink.set({});
  // A second's readings are a window. They are there already for the time to come: the clock decides what is due.
  const begin = Math.floor(Date.now() / 1000);
  const readings = await database.fill({
    table: 'readings',
    sensors: wanted,
    seconds: windows * 3 + 60,
    start: begin,
  });
  const [connector, user] = await Promise.all(
    [
      connectorFlow('readings', { next: { start: 'now', intervalMinutes: 1 / 60, settleSeconds: 0 } }),
      userFlow('readings'),
    ].map((flow) => MeasuredNodeRed.start({ databaseUrl: database.url, endpointUrl: sink.url, flow })),
  );
  if (!connector || !user) throw new Error('unreachable');
  const client = new Client(database.url);
  await client.connect();
  const endpoint = new Pool(new URL(sink.url).origin);
  const times = { connector: [] as number[], hand: [] as number[], user: [] as number[] };
  try {
    await connector.send('trigger', {});
    for (let window = -5; window < windows; window++) {
      await untilMiddleOfSecond();
      const trigger = connector.mark('trigger');
      const committed = connector.mark('committed');
      await connector.send('trigger', {});
      const { at, message } = await committed;
      const ms = at - (await trigger).at;
      const one = windowOf(readings, String(message.payload?.start_time), String(message.payload?.end_time));
      const { readings: posted } = await sink.take();
      if (posted !== one.rows) throw new Error(`${posted} readings of ${one.rows}`);
      const begun = performance.now();
      await byHand(client, endpoint, one);
      const handMs = performance.now() - begun;
      const userMs = (await userFlowRun(user, sink, one)).ms;
      // The first few warm up; a window of two seconds comes where the machine was busy elsewhere.
      if (window < 0 || one.rows !== wanted) continue;
      times.connector.push(ms);
      times.hand.push(handMs);
      times.user.push(userMs);
    }
  } finally {
    await Promise.all([connector.stop(), user.stop(), client.end(), endpoint.close()]);
    sink.stop();
    await database.close();
  }
  const handMs = spreadOf(times.hand).median;
  const line = (way: string, values: readonly number[]): Cell[] => {
    const { median, min, max } = spreadOf(values);
    return [way, median, min, max, median / handMs];
  };
  await report(
    `small-${wanted}`,
    {
      title: `A window of ${wanted.toLocaleString('en-US')} readings, from its trigger to the bookmark on disk`,
      columns: ['way', 'median ms', 'least ms', 'most ms', 'of SELECT + POST'],
      rows: [
        line('the connector', times.connector),
        line('SELECT, grouping and POST by hand, on one connection; no bookmark', times.hand),
        line('query, function and http request nodes; no bookmark', times.user),
      ],
      notes: [`${times.hand.length} windows of one second each, interleaved, live; seed ${SEED}.`],
    },
    { PostgreSQL: database.version },
  );
}

/** Not beside the tick of a second, where one more or less is due. */
async function untilMiddleOfSecond(): Promise<void> {
  await delay(1000 - (Date.now() % 1000) + 400);
}

function windowOf({ table, rows, start, end }: Readings, from: string, to: string): Readings {
  const window = { start: Date.parse(from) / 1000, end: Date.parse(to) / 1000 };
  return { table, ...window, rows: ((window.end - window.start) * rows) / (end - start) };
}

async function byHand(client: Client, endpoint: Pool, { table, start, end }: Readings): Promise<void> {
  const { rows } = await client.query<Row>(
    `SELECT sensor_id, timestamp, value FROM ${table} WHERE timestamp >= $1 AND timestamp < $2 ORDER BY timestamp`,
    [isoTime(start), isoTime(end)],
  );
  const data: Record<string, { timestamp: Date; value: number }[]> = {};
  for (const { sensor_id, timestamp, value } of rows) (data[sensor_id] ??= []).push({ timestamp, value });
  const { body } = await endpoint.request({
    path: '/api/data',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ start_time: isoTime(start), end_time: isoTime(end), data }),
  });
  await body.dump();
}
