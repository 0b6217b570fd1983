/** Medians, and the tables that the measurements print. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { arch, cpus, platform, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: percentile(sorted, 50), min: percentile(sorted, 0), max: percentile(sorted, 100) };
}

/** @param sorted in ascending order */
export function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? NaN;
}

export type Cell = string | number;

export interface Measurement {
  /** What is measured; the first line of its table. */
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** What is to be known for reading it: settings, sizes, the seed. */
  readonly notes: readonly string[];
}

export const RESULTS = join(__dirname, '..', 'results');

/** Prints the table, and keeps it beside the scripts for the plot and for comparing. */
export async function report(name: string, measurement: Measurement, versions: Versions): Promise<void> {
  const { title, columns, rows, notes } = measurement;
  const line = (cells: readonly Cell[]): string => `| ${cells.map(textOf).join(' | ')} |`;
  console.log(`\n### ${title}\n`);
  console.log([line(columns), line(columns.map((_, index) => (index === 0 ? '---' : '---:')))].join('\n'));
  console.log(rows.map(line).join('\n'));
  console.log(`\n${[...notes, machineText(versions)].join('  \n')}`);
  await mkdir(RESULTS, { recursive: true });
  await writeFile(
    join(RESULTS, `${name}.json`),
    `${JSON.stringify({ ...measurement, machine: machineText(versions) }, null, 2)}\n`,
  );
}

export type Versions = Readonly<Record<string, string>>;

function machineText(versions: Versions): string {
  const [cpu] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const all = { 'Node.js': process.version, 'Node-RED': nodeRedVersion(), ...versions };
  const software = Object.entries(all).map(([name, version]) => `${name} ${version}`);
  return `${cpus().length} × ${cpu?.model ?? 'unknown'}, ${memory}, ${platform()} ${arch()}; ${software.join(', ')}`;
}

function nodeRedVersion(): string {
  const { version } = JSON.parse(readFileSync(require.resolve('node-red/package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}

function textOf(cell: Cell): string {
  if (typeof cell === 'string') return cell;
  if (Number.isInteger(cell) || Math.abs(cell) >= 1000) return Math.round(cell).toLocaleString('en-US');
  return cell.toPrecision(3);
}

/** Whether a program can be run here. */
export function hasProgram(program: string, ...args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
