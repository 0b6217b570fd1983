/**
 * Loaded into the measured Node-RED before everything else: what the process itself can tell of its event loop,
 * memory and CPU time. Asked over the channel to the process that started it.
 */
const { Session } = require('node:inspector');
const { constants, monitorEventLoopDelay, PerformanceObserver } = require('node:perf_hooks');

// Processes that the measured one starts are none of it: they would not stay for their parent's messages.
delete process.env.NODE_OPTIONS;

const SAMPLE_MS = 20;
const delay = monitorEventLoopDelay({ resolution: 1 });
// What watches closely takes a fifth of a core: too much where several processes are measured beside each other.
const closely = process.env.BENCH_WATCH !== 'loosely';
if (closely) delay.enable();
const ticks = { last: 0, gaps: [] };
let collections = 0;
new PerformanceObserver((list) => {
  for (const { detail } of list.getEntries())
    if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections++;
}).observe({ entryTypes: ['gc'] });
let peak = { rss: 0, heapTotal: 0, external: 0, arrayBuffers: 0 };
let cpu = process.cpuUsage();

const sample = () => {
  if (process.memoryUsage.rss() > peak.rss) peak = process.memoryUsage();
};
if (closely) setInterval(sample, SAMPLE_MS).unref();

/** For the nodes of the measured flow. */
globalThis.bench = {
  mark(name, message) {
    process.send?.({ mark: name, at: performance.timeOrigin + performance.now(), message });
  },
  tick() {
    const now = performance.now();
    if (ticks.last > 0) ticks.gaps.push(now - ticks.last);
    ticks.last = now;
  },
};

function report() {
  sample();
  const { user, system } = process.cpuUsage(cpu);
  return {
    rssMB: process.memoryUsage.rss() / 1e6,
    peakRssMB: peak.rss / 1e6,
    peakHeapMB: peak.heapTotal / 1e6,
    peakBuffersMB: peak.arrayBuffers / 1e6,
    cpuMs: (user + system) / 1000,
    delayP99Ms: delay.percentile(99) / 1e6,
    delayMaxMs: delay.max / 1e6,
    tickGapsMs: ticks.gaps,
    collections,
  };
}

function reset() {
  delay.reset();
  ticks.gaps = [];
  ticks.last = 0;
  collections = 0;
  peak = { ...peak, rss: 0 };
  cpu = process.cpuUsage();
  sample();
}

/** The first call starts, the second ends it. */
let session;
function profile() {
  if (session) {
    session.post('Profiler.stop', (_error, answer) => process.send({ answer }));
    session = undefined;
    return;
  }
  session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.start', () => process.send({ answer: {} }));
}

process.on('message', ({ ask } = {}) => {
  if (ask === undefined) return;
  if (ask === 'profile') {
    profile();
    return;
  }
  const answer = report();
  if (ask === 'reset') reset();
  process.send({ answer });
});
process.channel?.unref();
