/** One transfer each, by the ways that are compared. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { isoTime, type BenchDatabase, type Readings } from './database';
import type { MeasuredNodeRed, ProcessFigures } from './node-red';
import type { Sink } from './sink';

export interface Run {
  readonly ms: number;
  readonly figures?: ProcessFigures;
  readonly idleMB?: number;
  /** Where there are no figures of the process itself. */
  readonly peakMB?: number | undefined;
}

/** The window's rows to /dev/null by PostgreSQL's own client. */
export async function psqlCopy(
  { url }: BenchDatabase,
  { table, start, end }: Readings,
  order: '' | ' ORDER BY timestamp',
): Promise<Run> {
  const sql = `COPY (SELECT timestamp, sensor_id, value FROM ${table} WHERE timestamp >= '${isoTime(start)}' AND timestamp < '${isoTime(end)}'${order}) TO STDOUT`;
  return clientRun({ program: 'psql', args: ['--no-psqlrc', '--quiet', '--command', sql, url] });
}

/** A database's own client, which writes a result to its output. */
export interface ClientCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** Added to this process's own environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Its output goes to /dev/null. */
export async function clientRun({ program, args, env = {} }: ClientCommand): Promise<Run> {
  const begun = performance.now();
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...env },
  });
  const [status] = (await once(child, 'close')) as [number | null];
  if (status !== 0) throw new Error(`${program} ended with ${status}`);
  return { ms: performance.now() - begun };
}

/** From the message that sets the bookmark to the window's start until the window is committed behind it. */
export async function connectorRun(nodeRed: MeasuredNodeRed, sink: Sink, readings: Readings): Promise<Run> {
  await sink.take();
  await nodeRed.reset();
  const begun = nodeRed.mark('begun');
  const committed = nodeRed.mark(
    'committed',
    ({ message }) => message.payload?.end_time === isoTime(readings.end),
  );
  await nodeRed.send('begun', { payload: isoTime(readings.start) });
  const ms = (await committed).at - (await begun).at;
  const figures = await nodeRed.figures();
  await check(sink, readings, 'the connector');
  return { ms, figures, idleMB: nodeRed.idleMB };
}

/**
 * Moves so many millions of readings. After some 60 of them V8 has collected the heap of a new process for the first
 * time and has set its limits by what it found, as in a Node-RED that has run for long.
 */
export async function warmUp(
  nodeRed: MeasuredNodeRed,
  sink: Sink,
  readings: Readings,
  millions: number,
): Promise<void> {
  for (let moved = 0; moved < millions * 1e6; moved += readings.rows)
    await connectorRun(nodeRed, sink, readings);
}

/** From the trigger until the answer to the post. */
export async function userFlowRun(nodeRed: MeasuredNodeRed, sink: Sink, readings: Readings): Promise<Run> {
  await sink.take();
  await nodeRed.reset();
  const begun = nodeRed.mark('begun');
  const posted = nodeRed.mark('posted');
  await nodeRed.send('begun', { params: [isoTime(readings.start), isoTime(readings.end)] });
  const { at, message } = await posted;
  if (message.statusCode !== 200)
    throw new Error(`The user's flow was answered with ${message.statusCode ?? 'nothing'}`);
  const figures = await nodeRed.figures();
  await check(sink, readings, "the user's flow");
  return { ms: at - (await begun).at, figures, idleMB: nodeRed.idleMB };
}

/** A way that does not move every reading is not faster: it is broken. */
export async function check(sink: Sink, { rows }: Readings, who: string): Promise<void> {
  const { readings, bytesOnWire } = await sink.take();
  if (readings !== rows && bytesOnWire < 1e9) {
    throw new Error(`${who} posted ${readings} readings of ${rows}`);
  }
}
