/**
 * Rows a second through the real nodes, beside the database's limit and what a user would wire, interleaved.
 * `npm run bench -- throughput [rows] [repeats] [millions of readings to warm up with]`
 */
import { BenchDatabase, SEED } from './support/database';
import { hasProgram, report, spreadOf, type Cell } from './support/figures';
import { connectorFlow, userFlow } from './support/flows';
import { MeasuredNodeRed } from './support/node-red';
import { connectorRun, psqlCopy, userFlowRun, warmUp, type Run } from './support/run';
import { Sink } from './support/sink';

const SECONDS = 1800;
/** More, in one message, ends a Node-RED of default settings. */
const MOST_OF_USER_FLOW = 2_000_000;

export async function throughput(wanted = 1_000_000, repeats = 5, millions = 60): Promise<void> {
  const database = await BenchDatabase.open();
  const sink = await Sink.start();
  const readings = await database.fill({
    table: 'readings',
    sensors: Math.ceil(wanted / SECONDS),
    seconds: SECONDS,
  });
  const open = (flow: ReturnType<typeof connectorFlow>): Promise<MeasuredNodeRed> =>
    MeasuredNodeRed.start({ databaseUrl: database.url, endpointUrl: sink.url, flow });
  const connector = await open(connectorFlow('readings', startAt(readings.end)));
  const user = readings.rows <= MOST_OF_USER_FLOW ? await open(userFlow('readings')) : undefined;
  await connector.send('trigger', {});

  const ways: Record<string, () => Promise<Run>> = {
    ...(hasProgram('psql', '--version') && {
      '`psql COPY … ORDER BY` to /dev/null: the same rows in the same order': () =>
        psqlCopy(database, readings, ' ORDER BY timestamp'),
      '`psql COPY` to /dev/null without order': () => psqlCopy(database, readings, ''),
    }),
    'the connector, endpoint without compression': async () => {
      await sink.set({});
      return connectorRun(connector, sink, readings);
    },
    'the connector, endpoint that takes gzip': async () => {
      await sink.set({ gzip: true });
      return connectorRun(connector, sink, readings);
    },
    ...(user && { 'query, function and http request nodes': () => userFlowRun(user, sink, readings) }),
  };
  const runs = new Map<string, Run[]>(Object.keys(ways).map((way) => [way, []]));
  try {
    await sink.set({});
    await warmUp(connector, sink, readings, millions);
    for (let repeat = -1; repeat < repeats; repeat++) {
      for (const [way, run] of Object.entries(ways)) {
        const done = await run();
        // The first round warms up.
        if (repeat >= 0) runs.get(way)?.push(done);
      }
    }
  } finally {
    await connector.stop();
    await user?.stop();
    sink.stop();
    await database.close();
  }
  const [limit] = runs.values();
  const limitMs = spreadOf((limit ?? []).map(({ ms }) => ms)).median;
  await report(
    `throughput-${readings.rows}`,
    {
      title: `${readings.rows.toLocaleString('en-US')} readings in one window`,
      columns: [
        'way',
        'rows/s',
        'slowest to fastest',
        'of the first',
        'CPU s',
        'MB above idle',
        'loop p99 ms',
        'loop longest ms',
        'whole heaps collected',
      ],
      rows: [...runs].map(([way, each]) => row(way, each, readings.rows, limitMs)),
      notes: [
        `Median of ${repeats} interleaved runs; ${Math.ceil(wanted / SECONDS)} sensors at 1 Hz for ${SECONDS} s, seed ${SEED}. CPU, memory and event loop are those of the Node-RED process, which had moved ${millions} M readings before.`,
      ],
    },
    { PostgreSQL: database.version },
  );
}

function startAt(end: number): Record<string, object> {
  return { next: { start: 'date', startDate: new Date(end * 1000).toISOString() } };
}

function row(way: string, runs: readonly Run[], rows: number, limitMs: number): Cell[] {
  const rate = spreadOf(runs.map(({ ms }) => (rows / ms) * 1000));
  const of = (pick: (run: Run) => number | undefined): Cell => {
    const values = runs.map(pick).filter((value) => value !== undefined);
    return values.length === 0 ? '-' : spreadOf(values).median;
  };
  return [
    way,
    rate.median,
    `${Math.round(rate.min).toLocaleString('en-US')} to ${Math.round(rate.max).toLocaleString('en-US')}`,
    (limitMs * rate.median) / rows / 1000,
    of(({ figures }) => figures && figures.cpuMs / 1000),
    of(({ figures, idleMB = 0 }) => figures && figures.peakRssMB - idleMB),
    of(({ figures }) => figures?.delayP99Ms),
    of(({ figures }) => figures?.delayMaxMs),
    of(({ figures }) => figures?.collections),
  ];
}
