/**
 * Several machines on one queue, each a Node-RED of its own: how a backlog goes faster with more of them.
 * `npm run bench -- workers [windows] [redis|rabbitmq]`: an endpoint that answers after 100 ms
 * `npm run bench -- empty [windows] [redis|rabbitmq]`: windows without readings, which cost all but reading
 */
import { randomBytes } from 'node:crypto';
import { queueName } from '../lib/queue/queue';
import { addressId, parseDatabaseUrl } from '../lib/database-url';
import { removeQueue } from '../test/support/remove-queue';
import { brokerOf, type BrokerKind } from './support/broker';
import { BenchDatabase, SEED, isoTime, type Readings } from './support/database';
import { report, type Cell } from './support/figures';
import { sharedFlow } from './support/flows';
import { MeasuredNodeRed } from './support/node-red';
import { Sink } from './support/sink';

const MACHINES = [1, 2, 4];
const AIMS: Readonly<Record<number, string>> = { 1: '1', 2: '1.8', 4: '3.4' };
const SECONDS_EACH = 60;
const SENSORS = 10;
/**
 * Windows at a time on each machine. One: four machines on two cores still wait for the endpoint then, and not for
 * each other's share of the processor. BENCH_AT_ONCE has more.
 */
const AT_ONCE = Number(process.env.BENCH_AT_ONCE ?? 1);
const LATENCY_MS = 100;
/** The first windows of each machine compile its code. */
const WARM_UP = 0.2;

interface Shared {
  readonly kind: BrokerKind;
  readonly windows: number;
  readonly machines: number;
  readonly readings: Readings;
}

interface Caught {
  readonly windowsPerSecond: number;
  /** Of all windows, warm-up included. */
  readonly wireBytes: number;
  /** Of the Node-RED processes together, for one window. */
  readonly cpuMs: number;
  /** The fewest windows that one of the machines delivered. */
  readonly fewest: number;
}

export async function workers(windows = 400, kind: BrokerKind = 'redis'): Promise<void> {
  await compare({
    name: `workers-${kind}`,
    title: `A backlog of ${windows} windows of ${SENSORS * SECONDS_EACH} readings each, to an endpoint with ${LATENCY_MS} ms latency, through ${kind}`,
    windows,
    kind,
    sensors: SENSORS,
    latencyMs: LATENCY_MS,
    aims: AIMS,
  });
}

export async function empty(windows = 2_000, kind: BrokerKind = 'redis'): Promise<void> {
  await compare({
    name: `empty-${kind}`,
    title: `${windows} windows without readings, through ${kind}`,
    windows,
    kind,
    sensors: 0,
    latencyMs: 0,
    aims: {},
  });
}

interface Comparison {
  readonly name: string;
  readonly title: string;
  readonly windows: number;
  readonly kind: BrokerKind;
  readonly sensors: number;
  readonly latencyMs: number;
  readonly aims: Readonly<Record<number, string>>;
}

async function compare(of: Comparison): Promise<void> {
  const { windows, kind, sensors, latencyMs, aims } = of;
  const database = await BenchDatabase.open();
  const sink = await Sink.start();
  const runs: { readonly machines: number; readonly caught: Caught }[] = [];
  try {
    const readings = await database.fill({ table: 'readings', sensors, seconds: windows * SECONDS_EACH });
    await sink.set({ latencyMs, gzip: true });
    for (const machines of MACHINES) {
      const caught = await catchUp(database, sink, { kind, windows, machines, readings });
      runs.push({ machines, caught });
    }
  } finally {
    sink.stop();
    await database.close();
  }
  const base = runs[0]?.caught.windowsPerSecond ?? NaN;
  const readingsEach = sensors * SECONDS_EACH;
  await report(
    of.name,
    {
      title: of.title,
      columns: [
        'machines',
        'windows/s',
        'of one machine',
        'aim',
        'readings/s',
        'bytes on the wire, a reading',
        'CPU ms of a window, all Node-REDs',
        'windows of the machine with the fewest',
      ],
      rows: runs.map(({ machines, caught }): Cell[] => [
        machines,
        caught.windowsPerSecond,
        caught.windowsPerSecond / base,
        aims[machines] ?? '',
        caught.windowsPerSecond * readingsEach,
        readingsEach === 0 ? '' : caught.wireBytes / windows / readingsEach,
        caught.cpuMs,
        caught.fewest,
      ]),
      notes: [
        `Windows at a time on each machine: ${AT_ONCE}; given out: twice the sum of them. State in PostgreSQL; everything on this one machine. The first ${WARM_UP * 100} % are not timed. Seed ${SEED}.`,
      ],
    },
    { PostgreSQL: database.version },
  );
}

async function catchUp(database: BenchDatabase, sink: Sink, shared: Shared): Promise<Caught> {
  const { kind, windows, machines, readings } = shared;
  const broker = brokerOf(kind);
  const queue = `tm-bench-${randomBytes(4).toString('hex')}`;
  const minutes = SECONDS_EACH / 60;
  await database.client.query('drop table if exists tm_state');
  const flow = sharedFlow(
    'readings',
    { queue, inFlight: AT_ONCE },
    {
      next: {
        start: 'date',
        startDate: isoTime(readings.start),
        intervalMinutes: minutes,
        longestMinutes: minutes,
        inFlight: 2 * AT_ONCE * machines,
      },
    },
  );
  const env = { BROKER_URL: broker, STATE_DATABASE_URL: database.url, BENCH_WATCH: 'loosely' };
  const nodeReds = await Promise.all(
    Array.from({ length: machines }, () =>
      MeasuredNodeRed.start({ databaseUrl: database.url, endpointUrl: sink.url, flow, env }),
    ),
  );
  try {
    await sink.take();
    const warmUp = Math.floor(windows * WARM_UP);
    const counts = nodeReds.map(() => 0);
    let committed = 0;
    let beganAt = 0;
    let doneAt = 0;
    const done = new Promise<void>((resolve) => {
      for (const [index, nodeRed] of nodeReds.entries()) {
        nodeRed.onMark('committed', ({ at, message }) => {
          if (Date.parse(String(message.payload?.end_time)) / 1000 > readings.end) return;
          counts[index] = (counts[index] ?? 0) + 1;
          committed++;
          if (committed === warmUp) beganAt = at;
          if (committed !== windows) return;
          doneAt = at;
          resolve();
        });
      }
    });
    await Promise.all(nodeReds.map((nodeRed) => nodeRed.reset()));
    // The first has the lease then; one that is not woken only delivers.
    await nodeReds[0]?.send('trigger', {});
    await done;
    const figures = await Promise.all(nodeReds.map((nodeRed) => nodeRed.figures()));
    const { bytesOnWire, readings: posted } = await sink.take();
    if (posted < readings.rows) throw new Error(`${posted} readings of ${readings.rows} were posted`);
    return {
      windowsPerSecond: (windows - warmUp) / ((doneAt - beganAt) / 1000),
      wireBytes: bytesOnWire,
      cpuMs: figures.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / windows,
      fewest: Math.min(...counts),
    };
  } finally {
    await Promise.all(nodeReds.map((nodeRed) => nodeRed.stop()));
    await removeQueue(kind, broker, queueName(queue, addressId(parseDatabaseUrl(database.url))));
  }
}
