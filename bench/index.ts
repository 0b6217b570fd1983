/** `npm run bench` runs the short form of everything; `npm run bench -- NAME …` one measurement, in full. */
import { profile } from './profile';
import { small } from './small-windows';
import { throughput } from './throughput';
import { backlog, latency } from './windows';

const MEASUREMENTS: Readonly<Record<string, (...args: number[]) => Promise<void>>> = {
  throughput,
  small,
  backlog,
  latency,
  profile,
};

async function main(): Promise<void> {
  const [name, ...args] = process.argv.slice(2);
  if (name === undefined) {
    await throughput(1_000_000, 3);
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
