/** `npm run bench` runs the short form of everything; `npm run bench -- NAME …` one measurement, in full. */
import { engines } from './engines';
import { live } from './live';
import { micro } from './micro';
import { peers } from './peers';
import { profile } from './profile';
import { scaling } from './scaling';
import { small } from './small-windows';
import { throughput } from './throughput';
import { backlog, latency } from './windows';

const MEASUREMENTS: Readonly<Record<string, (...args: number[]) => Promise<void>>> = {
  throughput,
  engines,
  peers,
  small,
  backlog,
  latency,
  scaling,
  live,
  micro,
  profile,
};

/** Of each row of docs/performance.md something, in under five minutes. */
async function short(): Promise<void> {
  await micro(5);
  await throughput(1_000_000, 3);
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
  const measurement = MEASUREMENTS[name];
  if (!measurement)
    throw new Error(`No measurement "${name}". There are: ${Object.keys(MEASUREMENTS).join(', ')}.`);
  await measurement(...args.map(Number));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
