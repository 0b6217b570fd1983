/**
 * Rows a second out of the engines other than PostgreSQL, each beside its own client, interleaved.
 * `npm run bench -- engines [rows] [repeats] [millions of readings to warm up with]`
 */
import { SEED, isoTime } from './support/database';
import { engineDatabases, type EngineDatabase } from './support/engine-database';
import { report, spreadOf, type Cell } from './support/figures';
import { connectorFlow } from './support/flows';
import { MeasuredNodeRed } from './support/node-red';
import { clientRun, connectorRun, warmUp, type Run } from './support/run';
import { Sink } from './support/sink';

const SECONDS = 1800;

export async function engines(wanted = 1_000_000, repeats = 5, millions = 60): Promise<void> {
  const sensors = Math.ceil(wanted / SECONDS);
  const databases = await engineDatabases(sensors, SECONDS);
  const sink = await Sink.start();
  await sink.set({ gzip: true });
  const rows: Cell[][] = [];
  try {
    for (const database of databases) rows.push(...(await measured(database, sink, repeats, millions)));
  } finally {
    sink.stop();
    for (const database of databases) await database.close();
  }
  await report(
    `engines-${sensors * SECONDS}`,
    {
      title: `${(sensors * SECONDS).toLocaleString('en-US')} readings in one window, by engine`,
      columns: [
        'way',
        'rows/s',
        'least',
        'most',
        "of the engine's client",
        'CPU s',
        'MB above idle',
        'loop p99 ms',
        'loop longest ms',
        'whole heaps collected',
      ],
      rows,
      notes: [
        `Median of ${repeats} interleaved runs; ${sensors} sensors at 1 Hz for ${SECONDS} s, seed ${SEED}. Clients write the same rows in the same order to /dev/null; the connector posts them to an endpoint that takes gzip. CPU, memory and event loop are those of the Node-RED process, which had moved ${millions} M readings before.`,
      ],
    },
    Object.fromEntries(databases.map(({ name, version }) => [name, version])),
  );
}

async function measured(
  database: EngineDatabase,
  sink: Sink,
  repeats: number,
  millions: number,
): Promise<Cell[][]> {
  const { name, url, readings, client } = database;
  const nodeRed = await MeasuredNodeRed.start({
    databaseUrl: url,
    endpointUrl: sink.url,
    flow: connectorFlow(readings.table, { next: { start: 'date', startDate: isoTime(readings.end) } }),
  });
  const ways: readonly (readonly [title: string, run: () => Promise<Run>])[] = [
    [client.title, () => clientRun(client.command)],
    ['the connector', () => connectorRun(nodeRed, sink, readings)],
  ];
  const runs: Run[][] = ways.map(() => []);
  try {
    await nodeRed.send('trigger', {});
    await warmUp(nodeRed, sink, readings, millions);
    for (let repeat = -1; repeat < repeats; repeat++) {
      for (const [index, [, run]] of ways.entries()) {
        const done = await run();
        // The first round warms up the client.
        if (repeat >= 0) runs[index]?.push(done);
      }
    }
  } finally {
    await nodeRed.stop();
  }
  const ratesOf = (of: readonly Run[]): ReturnType<typeof spreadOf> =>
    spreadOf(of.map(({ ms }) => (readings.rows / ms) * 1000));
  const limit = ratesOf(runs[0] ?? []).median;
  return ways.map(([title], index) => {
    const of = runs[index] ?? [];
    const rate = ratesOf(of);
    const figure = (pick: (run: Run) => number | undefined): Cell => {
      const values = of.map(pick).filter((value) => value !== undefined);
      return values.length === 0 ? '-' : spreadOf(values).median;
    };
    return [
      `${name}: ${title}`,
      rate.median,
      rate.min,
      rate.max,
      rate.median / limit,
      figure(({ figures }) => figures && figures.cpuMs / 1000),
      figure(({ figures, idleMB = 0 }) => figures && figures.peakRssMB - idleMB),
      figure(({ figures }) => figures?.delayP99Ms),
      figure(({ figures }) => figures?.delayMaxMs),
      figure(({ figures }) => figures?.collections),
    ];
  });
}
