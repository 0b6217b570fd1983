/** `npm run bench` runs the short form of everything; `npm run bench -- NAME …` one measurement, in full. */
import { engines } from './engines';
import { live } from './live';
import { micro } from './micro';
import { peers } from './peers';
import { plot } from './plot';
import { profile } from './profile';
import { queue } from './queue';
import { scaling } from './scaling';
import { small } from './small-windows';
import type { BrokerKind } from './support/broker';
import { throughput } from './throughput';
import { backlog, large, latency } from './windows';
import { empty, workers } from './workers';

const OF_NUMBERS: Readonly<Record<string, (...args: number[]) => Promise<void>>> = {
  throughput,
  engines,
  peers,
  small,
  backlog,
  large,
  latency,
  scaling,
  live,
  micro,
  profile,
  plot,
};
const OF_A_BROKER: Readonly<Record<string, (windows?: number, kind?: BrokerKind) => Promise<void>>> = {
  workers,
  empty,
  queue,
};

/** Of each row of docs/performance.md something, in under five minutes. */
async function short(): Promise<void> {
  await micro(5);
  await throughput(1_000_000, 3, 0);
  await small(1000, 10);
  await latency(24);
  await backlog(500);
  await scaling(1_000_000, 2);
}

async function main(): Promise<void> {
  const [name, ...args] = process.argv.slice(2);
  if (name === undefined) {
    await short();
    return;
  }
  const ofBroker = OF_A_BROKER[name];
  if (ofBroker) {
    const [windows, kind] = args;
    await ofBroker(windows === undefined ? undefined : Number(windows), kind as BrokerKind | undefined);
    return;
  }
  const measurement = OF_NUMBERS[name];
  if (!measurement) {
    const names = [...Object.keys(OF_NUMBERS), ...Object.keys(OF_A_BROKER)];
    throw new Error(`No measurement "${name}". There are: ${names.join(', ')}.`);
  }
  await measurement(...args.map(Number));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
