/**
 * What a broker carries when nothing else is done: windows put by one machine, taken by another, told as done.
 * `npm run bench -- queue [windows] [redis|rabbitmq]`
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { openQueue } from '../lib/queue/open';
import { parseBrokerUrl } from '../lib/queue/broker-url';
import { removeQueue } from '../test/support/remove-queue';
import { brokerOf, type BrokerKind } from './support/broker';
import { report } from './support/figures';

const AT_ONCE = [1, 8, 64];

export async function queue(windows = 3_000, kind: BrokerKind = 'redis'): Promise<void> {
  const rows: [number, number][] = [];
  for (const atOnce of AT_ONCE) rows.push([atOnce, await carry(kind, windows, atOnce)]);
  await report(
    `queue-${kind}`,
    {
      title: `${windows} windows through ${kind}: put, taken and told as done, nothing else`,
      columns: ['windows at a time', 'windows/s'],
      rows,
      notes: ['Both machines in one process; the first tenth is not timed.'],
    },
    {},
  );
}

async function carry(kind: BrokerKind, windows: number, atOnce: number): Promise<number> {
  const broker = brokerOf(kind);
  const name = `tm-bench-${randomBytes(4).toString('hex')}`;
  const warmUp = Math.floor(windows / 10);
  let told = 0;
  let put = 0;
  let beganAt = NaN;
  let onDone = (): void => undefined;
  const fail = (error: Error): void => {
    throw error;
  };
  // A connection that is cut is made anew by the queue itself.
  const listener = { onConnected: ignore, onUnreachable: ignore, onProblem: fail };
  const open = (of: () => void): ReturnType<typeof openQueue> =>
    openQueue(parseBrokerUrl(broker), { name }, { ...listener, onDone: of });
  const [giving, taking] = await Promise.all([open(() => onDone()), open(ignore)]);
  const next = async (): Promise<void> => {
    if (put === windows) return;
    const start = put++ * 60;
    await giving.put({ window: { start, end: start + 60 }, owner: { bookmark: 'bench' } });
  };
  const all = new Promise<void>((resolve) => {
    onDone = () => {
      told++;
      if (told === warmUp) beganAt = performance.now();
      if (told === windows) resolve();
      void next();
    };
  });
  // Twice as many under way as are taken at a time: the queue is never empty. And it is there before it is taken from.
  await Promise.all(Array.from({ length: 2 * atOnce }, next));
  await delay(500);
  taking.take(atOnce, () => Promise.resolve({}));
  await all;
  const seconds = (performance.now() - beganAt) / 1000;
  await Promise.all([giving.close(), taking.close()]);
  await removeQueue(kind, broker, name);
  return (windows - warmUp) / seconds;
}

function ignore(): void {
  // Nothing to do with it.
}
