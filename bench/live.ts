/**
 * A large plant live: its readings are written second by second, and go out in windows of a minute.
 * `npm run bench -- live [sensors] [minutes]`
 */
import { setTimeout as delay } from 'node:timers/promises';
import { BenchDatabase, SEED } from './support/database';
import { percentile, report, spreadOf } from './support/figures';
import { connectorFlow } from './support/flows';
import { MeasuredNodeRed, type Mark } from './support/node-red';
import { Sink } from './support/sink';

/** tm-bookmark's defaults. */
const INTERVAL_SECONDS = 60;
const SETTLE_SECONDS = 30;

export async function live(sensors = 20_000, minutes = 5): Promise<void> {
  const database = await BenchDatabase.open();
  const sink = await Sink.start();
  await sink.set({ gzip: true });
  await database.fill({ table: 'readings', sensors, seconds: 1 });
  const nodeRed = await MeasuredNodeRed.start({
    databaseUrl: database.url,
    endpointUrl: sink.url,
    flow: connectorFlow('readings', { next: { start: 'now' } }),
  });
  const committed: Mark[] = [];
  nodeRed.onMark('committed', (mark) => {
    committed.push(mark);
  });
  try {
    // From now on; what the start leaves of this minute is not measured.
    await nodeRed.send('trigger', {});
    await nodeRed.reset();
    const begun = Date.now();
    const last = Math.floor(begun / 1000) + minutes * INTERVAL_SECONDS + SETTLE_SECONDS;
    for (let second = Math.floor(begun / 1000); second <= last; second++) {
      await delay(Math.max(0, (second + 1) * 1000 - Date.now()));
      await Promise.all([database.insertSecond('readings', sensors, second), nodeRed.send('trigger', {})]);
    }
    const { cpuMs, delayP99Ms, delayMaxMs, tickGapsMs, peakRssMB } = await nodeRed.figures();
    const seconds = (Date.now() - begun) / 1000;
    const windows = committed.map(({ at, message }) => {
      const end = Date.parse(String(message.payload?.end_time)) / 1000;
      return { readings: Number(message.payload?.readings), lag: at / 1000 - end };
    });
    const full = windows.filter(({ readings }) => readings > 0);
    const lag = spreadOf(full.map((window) => window.lag));
    await report(
      'live',
      {
        title: `${sensors.toLocaleString('en-US')} sensors × 1 Hz, live, in windows of a minute`,
        columns: ['', 'figure'],
        rows: [
          ['windows', full.length],
          ['readings in a window', spreadOf(full.map(({ readings }) => readings)).median],
          ['lag when a window is committed, median s', lag.median],
          ['lag, most s', lag.max],
          ['lag allowed (interval + settle delay), s', INTERVAL_SECONDS + SETTLE_SECONDS],
          ['of it, from due to committed, most s', lag.max - SETTLE_SECONDS],
          ['CPU share of one core, Node-RED', `${((100 * cpuMs) / 1000 / seconds).toFixed(1)} %`],
          ['event loop p99 ms', delayP99Ms],
          ['event loop longest ms', delayMaxMs],
          [
            '10 ms ticker, p99 ms',
            percentile(
              [...tickGapsMs].sort((a, b) => a - b),
              99,
            ),
          ],
          ['peak MB above idle', peakRssMB - nodeRed.idleMB],
        ],
        notes: [`${minutes} minutes; the readings are inserted second by second meanwhile; seed ${SEED}.`],
      },
      { PostgreSQL: database.version },
    );
  } finally {
    await nodeRed.stop();
    sink.stop();
    await database.close();
  }
}
