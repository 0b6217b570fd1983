/**
 * Many windows one after another: a backlog of small ones, one of large ones, and an endpoint that is far away.
 * `npm run bench -- backlog [windows]`, `npm run bench -- large [windows]`, `npm run bench -- latency [windows]`
 */
import { BenchDatabase, SEED, isoTime } from './support/database';
import { percentile, report, spreadOf } from './support/figures';
import { connectorFlow } from './support/flows';
import { MeasuredNodeRed } from './support/node-red';
import { check } from './support/run';
import { Sink, type SinkOptions } from './support/sink';

interface Caught {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  readonly tickP99Ms: number;
  readonly aboveIdleMB: number;
}

interface Backlog {
  readonly windows: number;
  readonly sensors: number;
  readonly secondsEach: number;
  readonly inFlight: number;
  readonly endpoint: SinkOptions;
  /** Default: as tm-config has it. */
  readonly poolSize?: number;
}

/** Ten thousand windows of sixty readings each, as a downtime leaves them behind. */
export async function backlog(windows = 10_000): Promise<void> {
  await compare(
    `backlog-${windows}`,
    `A backlog of ${windows.toLocaleString('en-US')} windows of 60 readings each`,
    [1, 2, 4, 8].map((inFlight) => ({
      windows,
      sensors: 1,
      secondsEach: 60,
      inFlight,
      endpoint: {},
    })),
    1,
  );
}

/** A night that was missed: windows of an hour, 100 sensors at 1 Hz. */
export async function large(windows = 12): Promise<void> {
  await compare(
    'large',
    `A backlog of ${windows} windows of 360,000 readings each`,
    [1, 2, 4, 8].map((inFlight) => ({
      windows,
      sensors: 100,
      secondsEach: 3600,
      inFlight,
      endpoint: { gzip: true },
      poolSize: Math.max(4, inFlight + 1),
    })),
    1,
  );
}

/** Each answer takes 200 ms. */
export async function latency(windows = 80): Promise<void> {
  await compare(
    'latency',
    `${windows} windows of 6,000 readings each to an endpoint with 200 ms latency`,
    [1, 2, 4, 8].map((inFlight) => ({
      windows,
      sensors: 100,
      secondsEach: 60,
      inFlight,
      endpoint: { latencyMs: 200 },
      poolSize: Math.max(4, inFlight + 1),
    })),
    1,
  );
}

async function compare(
  name: string,
  title: string,
  backlogs: readonly Backlog[],
  repeats: number,
): Promise<void> {
  const database = await BenchDatabase.open();
  const sink = await Sink.start();
  const runs = new Map<Backlog, Caught[]>(backlogs.map((each) => [each, []]));
  try {
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const each of backlogs) runs.get(each)?.push(await catchUp(database, sink, each));
    }
  } finally {
    sink.stop();
    await database.close();
  }
  const rateOf = (each: Backlog): number =>
    each.windows / spreadOf((runs.get(each) ?? []).map(({ seconds }) => seconds)).median;
  const [first] = backlogs;
  const base = first ? rateOf(first) : NaN;
  await report(
    name,
    {
      title,
      columns: [
        'in flight',
        'windows/s',
        'of one in flight',
        'CPU share',
        'loop p99 ms',
        'loop longest ms',
        '10 ms ticker p99 ms',
        'peak MB above idle',
      ],
      rows: backlogs.map((each) => {
        const caught = runs.get(each) ?? [];
        const of = (pick: (run: Caught) => number): number => spreadOf(caught.map(pick)).median;
        return [
          each.inFlight,
          rateOf(each),
          rateOf(each) / base,
          `${Math.round(100 * of(({ cpuSeconds, seconds }) => cpuSeconds / seconds))} %`,
          of(({ delayP99Ms }) => delayP99Ms),
          of(({ delayMaxMs }) => delayMaxMs),
          of(({ tickP99Ms }) => tickP99Ms),
          of(({ aboveIdleMB }) => aboveIdleMB),
        ];
      }),
      notes: [
        `Windows in flight as set in both nodes; the bookmark is on disk behind each unbroken run of windows. Seed ${SEED}. CPU share of one core, of the Node-RED process.`,
      ],
    },
    { PostgreSQL: database.version },
  );
}

async function catchUp(database: BenchDatabase, sink: Sink, backlogOf: Backlog): Promise<Caught> {
  const { windows, sensors, secondsEach, inFlight, endpoint, poolSize = 4 } = backlogOf;
  const readings = await database.fill({ table: 'readings', sensors, seconds: windows * secondsEach });
  await sink.set(endpoint);
  const minutes = secondsEach / 60;
  const nodeRed = await MeasuredNodeRed.start({
    databaseUrl: database.url,
    endpointUrl: sink.url,
    flow: connectorFlow('readings', {
      config: { poolSize },
      next: {
        start: 'date',
        startDate: isoTime(readings.start),
        intervalMinutes: minutes,
        longestMinutes: minutes,
        inFlight,
      },
      post: { inFlight: Math.max(2, inFlight) },
    }),
  });
  try {
    await sink.take();
    await nodeRed.reset();
    const trigger = nodeRed.mark('trigger');
    // Windows in flight may be committed in another order: the last of them all, not the one with the last edge.
    let left = windows;
    let doneAt = 0;
    const done = new Promise<void>((resolve) => {
      nodeRed.onMark('committed', ({ at, message }) => {
        if (Date.parse(String(message.payload?.end_time)) / 1000 > readings.end) return;
        doneAt = at;
        if (--left === 0) resolve();
      });
    });
    await nodeRed.send('trigger', {});
    await done;
    const { cpuMs, delayP99Ms, delayMaxMs, tickGapsMs, peakRssMB } = await nodeRed.figures();
    await check(sink, readings, 'the connector');
    return {
      seconds: (doneAt - (await trigger).at) / 1000,
      cpuSeconds: cpuMs / 1000,
      delayP99Ms,
      delayMaxMs,
      tickP99Ms: percentile(
        [...tickGapsMs].sort((a, b) => a - b),
        99,
      ),
      aboveIdleMB: peakRssMB - nodeRed.idleMB,
    };
  } finally {
    await nodeRed.stop();
  }
}
