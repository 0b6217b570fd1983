/**
 * What a reading costs, from windows of ten thousand to ten million.
 * `npm run bench -- scaling [most rows] [repeats]`
 */
import { BenchDatabase, SEED, isoTime, type Readings } from './support/database';
import { report, spreadOf, type Cell } from './support/figures';
import { connectorFlow } from './support/flows';
import { MeasuredNodeRed } from './support/node-red';
import { connectorRun, type Run } from './support/run';
import { Sink } from './support/sink';

const SECONDS = 1800;
const SIZES = [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000];

export async function scaling(most = 10_000_000, repeats = 3): Promise<void> {
  const database = await BenchDatabase.open();
  const sink = await Sink.start();
  await sink.set({ gzip: true });
  const runs: { readonly readings: Readings; readonly each: Run[] }[] = [];
  try {
    for (const [index, size] of SIZES.filter((rows) => rows <= most).entries()) {
      const sensors = Math.ceil(size / SECONDS);
      const readings = await database.fill({ table: `readings_${index}`, sensors, seconds: SECONDS });
      const nodeRed = await MeasuredNodeRed.start({
        databaseUrl: database.url,
        endpointUrl: sink.url,
        flow: connectorFlow(readings.table, { next: { start: 'date', startDate: isoTime(readings.end) } }),
      });
      await nodeRed.send('trigger', {});
      const each: Run[] = [];
      // A small window is over before anything is compiled: the more of them, the fewer readings they have.
      const warmUps = Math.ceil(300_000 / size);
      for (let repeat = -warmUps; repeat < repeats * Math.ceil(warmUps / 3); repeat++) {
        const done = await connectorRun(nodeRed, sink, readings);
        if (repeat >= 0) each.push(done);
      }
      await nodeRed.stop();
      runs.push({ readings, each });
      await database.client.query(`drop table ${readings.table}`);
    }
  } finally {
    sink.stop();
    await database.close();
  }
  const costOf = ({ readings, each }: (typeof runs)[number]): number =>
    (spreadOf(each.map(({ ms }) => ms)).median / readings.rows) * 1000;
  const base = runs.find(({ readings }) => readings.rows >= 100_000);
  await report(
    'scaling',
    {
      title: 'What a reading costs, by the size of its window',
      columns: [
        'readings',
        'µs a reading',
        'least',
        'most',
        'of that at 100,000',
        'CPU µs a reading',
        'peak MB above idle',
      ],
      rows: runs.map((run): Cell[] => {
        const { readings, each } = run;
        const cost = spreadOf(each.map(({ ms }) => (ms / readings.rows) * 1000));
        return [
          readings.rows,
          cost.median,
          cost.min,
          cost.max,
          base ? cost.median / costOf(base) : NaN,
          spreadOf(each.map(({ figures }) => ((figures?.cpuMs ?? NaN) / readings.rows) * 1000)).median,
          spreadOf(each.map(({ figures, idleMB = NaN }) => (figures?.peakRssMB ?? NaN) - idleMB)).max,
        ];
      }),
      notes: [
        `Medians; sensors at 1 Hz for ${SECONDS} s, as many as that takes; seed ${SEED}; endpoint that takes gzip. The cost of a window itself (two durable writes of the bookmark) is in it.`,
      ],
    },
    { PostgreSQL: database.version },
  );
}
