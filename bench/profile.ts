/**
 * Where the CPU time of the Node-RED process goes while one window is moved.
 * `npm run bench -- profile [sensors] [repeats]`: each has a reading a second for half an hour
 */
import { BenchDatabase } from './support/database';
import { report } from './support/figures';
import { connectorFlow } from './support/flows';
import { MeasuredNodeRed, type CpuProfile } from './support/node-red';
import { connectorRun } from './support/run';
import { Sink } from './support/sink';

const SECONDS = 1800;
const LINES = 30;

export async function profile(sensors = 556, repeats = 5): Promise<void> {
  const database = await BenchDatabase.open();
  const sink = await Sink.start();
  await sink.set({ gzip: true });
  const readings = await database.fill({ table: 'readings', sensors, seconds: SECONDS });
  const nodeRed = await MeasuredNodeRed.start({
    databaseUrl: database.url,
    endpointUrl: sink.url,
    flow: connectorFlow('readings', {
      next: { start: 'date', startDate: new Date(readings.end * 1000).toISOString() },
    }),
  });
  await nodeRed.send('trigger', {});
  // Warmed up: what is compiled for the first time is not what a running Node-RED does.
  await connectorRun(nodeRed, sink, readings);
  const { nodes, samples, timeDeltas } = await nodeRed.profile(async () => {
    for (let repeat = 0; repeat < repeats; repeat++) {
      const { ms, figures } = await connectorRun(nodeRed, sink, readings);
      console.log(`${Math.round(ms)} ms`, { ...figures, tickGapsMs: undefined, idleMB: nodeRed.idleMB });
    }
  });
  await nodeRed.stop();
  sink.stop();
  await database.close();

  const lines = new Map<string, number>();
  let total = 0;
  const callers = new Map(
    nodes.flatMap(({ children = [], callFrame }) => children.map((id) => [id, callFrame])),
  );
  const names = new Map(
    nodes.map(({ id, callFrame }) => {
      const caller = callers.get(id);
      // What is built in says nothing without who called it.
      const from = callFrame.url === '' && caller ? ` from ${nameOf(caller)}` : '';
      return [id, nameOf(callFrame) + from];
    }),
  );
  samples.forEach((sample, index) => {
    const name = names.get(sample) ?? '';
    if (/^\((idle|program)\)/.test(name)) return;
    const ms = (timeDeltas[index] ?? 0) / 1000;
    total += ms;
    lines.set(name, (lines.get(name) ?? 0) + ms);
  });
  const most = [...lines].sort(([, a], [, b]) => b - a).slice(0, LINES);
  await report(
    'profile',
    {
      title: `Self time in the Node-RED process, ${repeats} × ${readings.rows.toLocaleString('en-US')} readings`,
      columns: ['function', 'ms', 'of all'],
      rows: most.map(([name, ms]) => [name, Math.round(ms), `${((ms / total) * 100).toFixed(1)} %`]),
      notes: [],
    },
    { PostgreSQL: database.version },
  );
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const file = url.replace(/^.*\/(node_modules\/|dist\/)/, '');
  return url === '' ? functionName : `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`;
}
