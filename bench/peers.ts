/**
 * The connector beside what it takes over from, interleaved.
 * `npm run bench -- peers [rows] [repeats] [millions of readings to warm up with]`
 */
import { BenchDatabase, SEED, isoTime } from './support/database';
import { report, spreadOf, type Cell } from './support/figures';
import { connectorFlow } from './support/flows';
import { MeasuredNodeRed } from './support/node-red';
import { PythonConnector, pythonMissing } from './support/python';
import { connectorRun, warmUp, type Run } from './support/run';
import { Sink } from './support/sink';

const SECONDS = 1800;

export async function peers(wanted = 1_000_000, repeats = 3, millions = 60): Promise<void> {
  if (pythonMissing !== undefined) {
    console.log(pythonMissing);
    return;
  }
  const database = await BenchDatabase.open();
  const sink = await Sink.start();
  await sink.set({ gzip: true });
  const sensors = Math.ceil(wanted / SECONDS);
  const readings = await database.fill({ table: 'readings', sensors, seconds: SECONDS });
  const nodeRed = await MeasuredNodeRed.start({
    databaseUrl: database.url,
    endpointUrl: sink.url,
    flow: connectorFlow('readings', { next: { start: 'date', startDate: isoTime(readings.end) } }),
  });
  const python = new PythonConnector(database, sink, readings);
  const ways: Readonly<Record<string, () => Promise<Run>>> = {
    'the connector': () => connectorRun(nodeRed, sink, readings),
    'the connector in Python, called directly': () => python.direct(),
    'the connector in Python, through Celery and Redis': () => python.throughCelery(),
  };
  const runs = new Map<string, Run[]>(Object.keys(ways).map((way) => [way, []]));
  try {
    await nodeRed.send('trigger', {});
    await warmUp(nodeRed, sink, readings, millions);
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const [way, once] of Object.entries(ways)) runs.get(way)?.push(await once());
    }
  } finally {
    await python.stop();
    await nodeRed.stop();
    sink.stop();
    await database.close();
  }
  const [own = []] = runs.values();
  const ownMs = spreadOf(own.map(({ ms }) => ms)).median;
  await report(
    `peers-${readings.rows}`,
    {
      title: `${readings.rows.toLocaleString('en-US')} readings, beside the connector in Python`,
      columns: ['way', 'rows/s', 'least', 'most', 'the connector is faster', 'peak MB resident'],
      rows: [...runs].map(([way, each]): Cell[] => {
        const rate = spreadOf(each.map(({ ms }) => (readings.rows / ms) * 1000));
        const peak = spreadOf(each.map(({ peakMB, figures }) => peakMB ?? figures?.peakRssMB ?? NaN)).median;
        return [
          way,
          rate.median,
          rate.min,
          rate.max,
          spreadOf(each.map(({ ms }) => ms)).median / ownMs,
          peak,
        ];
      }),
      notes: [
        `Median of ${repeats} interleaved runs; ${sensors} sensors at 1 Hz for ${SECONDS} s, seed ${SEED}. The connector had moved ${millions} M readings before. The connector in Python is a reconstruction (bench/peers/connector.py).`,
      ],
    },
    { PostgreSQL: database.version },
  );
}
